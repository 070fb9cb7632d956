"""A card on one screen: accuracy, leakage of protected attributes and of answers joined; the rest is in card.json."""

from __future__ import annotations

from collections.abc import Container, Mapping, Sequence
from typing import Any

Row = Mapping[str, Any]

WHO = {"fair": "", "folded_in": " (new users)", "light": " (light users)"}
"""Targets of the table of fair vectors, and whose."""
JOINED = (
    ("all masks", "all_masks"),
    ("protecting", "protecting_masks"),
    ("all", "lists@10"),
    ("protecting", "protecting_lists@10"),
    ("list", "list@10"),
    ("unseen", "list@10:seen"),
    ("control", "constant@10:seen"),
)
"""Columns of the last table: title, target. A list is that of the widest mask that protects the attribute."""


def summary(card: Mapping[str, Any]) -> str:
    """Lay out the tables; what was not measured is said to be."""
    select = [
        f"not measured while choosing: {name} ({why})" for name, why in card.get("unmeasured_on_select", {}).items()
    ]
    merged = [
        f"merged: {attribute}: {name!r} ({each['users']:,} users) stands for {', '.join(each['of'])}"
        for attribute, classes in card.get("merged_classes", {}).items()
        for name, each in classes.items()
    ]
    cold = [_cold(of)] if (of := card.get("cold_items")) else []
    return "\n".join([*_accuracy(card["accuracy"]), *_leakage(card["leakage"]), *merged, *cold, *select])


def _cold(items: Row) -> str:
    said = f"cold items: {items['served']:,} served by their features"
    if "explained" not in items:
        return f"{said}, by the base's own map"
    return f"{said} (the map explains {items['explained']:.1%} of the vectors of {items['fitted_on']:,} others)"


def _accuracy(accuracy: Row) -> list[str]:
    rows = accuracy["by_mask"]
    n = rows[0]["n"] if rows else 0
    lines = [f"accuracy over {n:,} {accuracy['protocol']['users']} users (kept: share of the base's)", ""]
    lines.append(f"{'protected':<28} {'sampled N@10':>12} {'kept':>6} {'full N@10':>10} {'kept':>6}")
    unkept = {each.get("metric") for each in accuracy["protocol"].get("not_measured", ())}
    lines += [_kept(row, _mask(row), unkept) for row in rows]
    for key, who in (("folded_in", "new"), ("light", "light")):
        apart = accuracy.get(key, [])[-1:]  # the widest mask
        lines += [_kept(row, f"{row['n']:,} {who} users: {_mask(row)}", unkept) for row in apart]
    lines += [f"kept is not measured: {each['reason']}" for each in accuracy["protocol"].get("not_measured", ())]
    if held := [row["candidates"]["recall@10"] for row in rows if "candidates" in row]:
        lines.append(
            f"{accuracy['protocol']['candidates']} candidates hold {100 * min(held):.1f} % of the model's own top 10"
        )
    return lines


def _kept(row: Row, label: str, unkept: Container[str | None]) -> str:
    near, far = row["sampled"]["ndcg@10"], row["full"]["ndcg@10"]
    base_near, base_far = row["base"]["sampled"]["ndcg@10"], row["base"]["full"]["ndcg@10"]
    kept_near = "-" if "sampled" in unkept else _share(near, base_near)
    kept_far = "-" if "full" in unkept else _share(far, base_far)
    return f"{label:<28} {near:>12.4f} {kept_near:>6} {far:>10.4f} {kept_far:>6}"


def _share(value: float, base: float) -> str:
    return f"{100 * value / base:.1f} %" if base else "-"


def _leakage(leakage: Row) -> list[str]:
    profile, rows = leakage["protocol"]["profile"], leakage["by_mask"]
    lines = ["", f"leakage of what is protected: AUC of the strongest attacker, profile {profile} (.5 is chance)", ""]
    lines.append(f"{'protected':<28} {'attribute':<14} {'leaked':>7} {'95 % interval':>15} {'base':>6}  attacker")
    for row in rows:
        if row["target"] in WHO and row["attribute"] in row["sensitive"]:
            best, (low, high) = row["strongest"], row["strongest"]["ci95"]
            base = f"{row['base_auc']:.3f}" if "base_auc" in row else "-"
            lines.append(
                f"{_mask(row):<28} {row['attribute']:<14} {best['auc']:>7.3f} {low:>7.3f} - {high:.3f}"
                f" {base:>6}  {best['attacker']}{WHO[row['target']]}"
            )
    measured = {row["attribute"] for row in rows}
    skipped = leakage["protocol"]["not_measured"]
    lines += [f"{'':<28} {name:<14} not measured" for name in leakage["protocol"]["attributes"] if name not in measured]
    lines += [f"not measured: {each['attribute']} ({each['reason']})" for each in skipped]
    lines += [f"{name}: attacked in groups: {'; '.join(groups)}" for name, groups in _merged(rows).items()]
    return lines + _joined(rows)


def _merged(rows: Sequence[Row]) -> dict[str, Sequence[str]]:
    """The groups of attributes whose classes were too small."""
    return {row["attribute"]: row["groups"] for row in rows if any(len(members) > 1 for members in row["classes"])}


def _joined(rows: Sequence[Row]) -> list[str]:
    """Leakage of several answers joined, and of lists: one line for each attribute."""
    attributes = list(dict.fromkeys(row["attribute"] for row in rows))
    if not attributes:
        return []
    lines = ["", f"{'':<14} {'vectors joined':^21} {'lists joined':^21} {'one list (protected)':^21}"]
    lines.append(f"{'attribute':<14} " + " ".join(f"{title:>10}" for title, _ in JOINED))
    for name in attributes:
        found = (_auc(rows, name, target) for _, target in JOINED)
        lines.append(f"{name:<14} " + " ".join(f"{auc:>10}" for auc in found))
    return lines


def _auc(rows: Sequence[Row], attribute: str, target: str) -> str:
    found = [row for row in rows if row["attribute"] == attribute and row["target"] == target]
    if target.startswith("list@"):
        found = [row for row in found if attribute in row["sensitive"]]
    return f"{max(found, key=lambda row: len(row['sensitive']))['strongest']['auc']:.3f}" if found else "-"


def _mask(row: Row) -> str:
    return ", ".join(row["sensitive"]) or "nothing"
