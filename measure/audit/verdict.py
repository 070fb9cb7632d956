"""A card against the operator's thresholds: pass, fail, or neither.

An interval decides, not a point: pass where all of it is on the good side of the threshold, fail where all of it is on
the bad side, inconclusive where the threshold lies inside. A quick look judges nothing, and neither does a bundle whose
training saw the labels of audit users.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any, Literal

from measure.errors import OutOfRangeError

Verdict = Literal["pass", "fail", "inconclusive", "not_judged"]
Row = Mapping[str, Any]

_JUDGED = re.compile(r"fair|folded_in|protecting_masks|list@\d+|protecting_lists@\d+")
"""Targets that count: all that a user who protects an attribute lets out, but for seen items that are missing from a
list, which say something whatever the vectors do (the control ``constant@10:seen`` tells how much)."""
_METRICS = (("sampled", "ndcg@10"), ("full", "ndcg@10"))
"""Both: lists of popular items keep much of the first and little of the second."""


@dataclass(frozen=True)
class Thresholds:
    """What the operator demands."""

    leakage_at_most: float = 0.6
    """AUC of the strongest attacker on what is protected, in [.5, 1]."""
    kept_at_least: float = 0.8
    """Share of the unprotected accuracy that every mask keeps, sampled and full, in [0, 1]."""

    def __post_init__(self) -> None:
        for name, low in (("leakage_at_most", 0.5), ("kept_at_least", 0.0)):
            if not low <= getattr(self, name) <= 1:
                raise OutOfRangeError(name, getattr(self, name), low, 1)


def judge(card: Mapping[str, Any], thresholds: Thresholds) -> dict[str, Any]:
    """Judge every attribute and the accuracy.

    Args:
        card: with ``accuracy``, ``leakage``, as far as they were measured.
        thresholds: the operator's.

    Returns:
        ``overall``, the ``reason`` why nothing is judged, ``thresholds``, ``attributes`` and ``accuracy``, each with
        its ``verdict``, the ``worst`` row that it goes by (of those that failed, where some did), and a ``sentence``.
    """
    reason = _reason(card)
    attributes = [_attribute(name, rows, thresholds, reason) for name, rows in _leaks(card)]
    accuracy = _accuracy(card, thresholds, reason)
    parts = [*attributes, *([accuracy] if accuracy else [])]
    overall = _together(part["verdict"] for part in parts) if parts else "not_judged"
    open_ones = [each["attribute"] for each in attributes if each["verdict"] == "not_judged"]
    if overall == "not_judged" and reason is None:
        reason = f"nothing was attacked that protects {', '.join(open_ones)}" if open_ones else "nothing was measured"
    return {
        "overall": overall,
        "reason": reason,
        "thresholds": asdict(thresholds),
        "attributes": attributes,
        **({"accuracy": accuracy} if accuracy else {}),
    }


def _reason(card: Mapping[str, Any]) -> str | None:
    protocol = card.get("leakage", {}).get("protocol", {})
    if protocol and not protocol["verdict"]:
        return f"the {protocol['profile']} profile is a look: run the full one for a verdict"
    if protocol.get("labels", "").endswith("transductive"):
        return "training saw the labels of all users, so these numbers flatter the protection"
    return None


def _leaks(card: Mapping[str, Any]) -> Iterator[tuple[str, list[Row]]]:
    """Each measured attribute with what was attacked while it was protected."""
    rows = card.get("leakage", {}).get("by_mask", ())
    for name in dict.fromkeys(row["attribute"] for row in rows):
        mine = [row for row in rows if row["attribute"] == name and name in row["sensitive"]]
        yield name, [row for row in mine if _JUDGED.fullmatch(row["target"])]


def _attribute(name: str, rows: Sequence[Row], thresholds: Thresholds, reason: str | None) -> dict[str, Any]:
    most = thresholds.leakage_at_most
    if not rows:
        said = f"{name}: nothing was attacked that protects it."
        return {"attribute": name, "verdict": "not_judged", "worst": None, "sentence": said}
    verdicts = [_low_side(row["strongest"]["ci95"], most) for row in rows]
    verdict = "not_judged" if reason else _together(verdicts)
    row = max(_decisive(rows, verdicts, verdict), key=lambda row: float(row["strongest"]["auc"]))
    auc, (low, high) = row["strongest"]["auc"], row["strongest"]["ci95"]
    found = f"{auc:.3f} (95 % interval {low:.3f} to {high:.3f}, n {row['n']:,})"
    said = {
        "pass": f"{name}: no attacker recovers it better than {found}; {most:g} is allowed.",
        "fail": f"{name}: an attacker recovers it at {found}; {most:g} is allowed.",
        "inconclusive": f"{name}: the strongest attacker is at {found}, too near {most:g} to tell with so few users.",
        "not_judged": f"{name}: the strongest attacker is at {found}; not judged.",
    }[verdict]
    worst = {"sensitive": row["sensitive"], "target": row["target"], "auc": auc, "ci95": [low, high]}
    return {"attribute": name, "verdict": verdict, "worst": worst, "sentence": said}


def _accuracy(card: Mapping[str, Any], thresholds: Thresholds, reason: str | None) -> dict[str, Any] | None:
    """What the mask that keeps least keeps; None where accuracy was not measured."""
    least = thresholds.kept_at_least
    rows = [
        {"sensitive": row["sensitive"], "metric": f"{kind} {metric}", "kept": kept["value"], "ci95": kept["ci95"]}
        for row in card.get("accuracy", {}).get("by_mask", ())
        for kind, metric in _METRICS
        if (kept := row.get("kept", {}).get(kind, {}).get(metric)) is not None
    ]
    if not rows:
        return None
    verdicts = [_high_side(row["ci95"], least) for row in rows]
    verdict = "not_judged" if reason else _together(verdicts)
    worst = min(_decisive(rows, verdicts, verdict), key=lambda row: float(row["kept"]))
    low, high = worst["ci95"]
    mask = ", ".join(worst["sensitive"]) or "nothing"
    said = f"With {mask} protected, {worst['kept']:.1%} of {worst['metric']} is kept "
    said += f"(95 % interval {low:.1%} to {high:.1%}), the least of all masks; {least:.0%} is demanded."
    return {"verdict": verdict, "worst": worst, "sentence": said}


def _low_side(ci95: Sequence[float], most: float) -> Verdict:
    low, high = ci95
    return "pass" if high <= most else "fail" if low > most else "inconclusive"


def _high_side(ci95: Sequence[float], least: float) -> Verdict:
    low, high = ci95
    return "pass" if low >= least else "fail" if high < least else "inconclusive"


def _decisive(rows: Sequence[Row], verdicts: Sequence[Verdict], verdict: Verdict) -> list[Row]:
    """The rows that a verdict goes by; all where nothing is judged."""
    return [row for row, own in zip(rows, verdicts, strict=True) if own == verdict] or list(rows)


def _together(verdicts: Iterable[Verdict]) -> Verdict:
    """One failure fails all; all must pass for a pass."""
    found = set(verdicts)
    order: tuple[Verdict, ...] = ("fail", "not_judged", "inconclusive")
    return next((verdict for verdict in order if verdict in found), "pass")
