"""A card as two short tables for the terminal."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any


def summary(card: Mapping[str, Any]) -> str:
    """Accuracy kept and leakage, by mask; the whole of it is in card.json."""
    rows = card["accuracy"]["by_mask"]
    n = rows[0]["n"] if rows else 0
    lines = [f"accuracy over {n:,} {card['accuracy']['protocol']['users']} users (kept: share of the base's)", ""]
    lines.append(f"{'protected':<28} {'sampled N@10':>12} {'kept':>6} {'full N@10':>10} {'kept':>6}")
    for row in rows:
        near, far = row["sampled"]["ndcg@10"], row["full"]["ndcg@10"]
        base_near, base_far = row["base"]["sampled"]["ndcg@10"], row["base"]["full"]["ndcg@10"]
        lines.append(f"{_mask(row):<28} {near:>12.4f} {near / base_near:>6.1%} {far:>10.4f} {far / base_far:>6.1%}")
    leaks = card["leakage"]["by_mask"]
    profile = card["leakage"]["protocol"]["profile"]
    lines += ["", f"leakage: AUC of the strongest attacker, profile {profile} (.5 is chance, * = protected)", ""]
    lines.append(f"{'protected':<28} {'attribute':<14} {'leaked':>7} {'95 % interval':>15} {'base':>6}  attacker")
    for row in leaks:
        if row["target"] == "fair":
            best, star = row["strongest"], "*" if row["attribute"] in row["sensitive"] else " "
            low, high = best["ci95"]
            lines.append(
                f"{_mask(row):<28} {row['attribute'] + star:<14} {best['auc']:>7.3f} {low:>7.3f} - {high:.3f}"
                f" {row['base_auc']:>6.3f}  {best['attacker']}"
            )
    for skipped in card["leakage"]["protocol"]["not_measured"]:
        lines.append(f"not measured: {skipped['attribute']} ({skipped['reason']})")
    return "\n".join(lines)


def _mask(row: Mapping[str, Any]) -> str:
    return ", ".join(row["sensitive"]) or "nothing"
