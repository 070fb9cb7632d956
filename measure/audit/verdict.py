"""A card against the operator's thresholds: pass, fail, inconclusive, or not judged.

A verdict is made from the list of what must be measured (`Scope`), each row of it looked up in the card. What is not
there is not judged, with the reason that the card gives, or with the one that nobody gave any: leaving something out
can keep a verdict from passing, and never make it pass.

An interval decides, not a point: pass where all of it is on the good side of the threshold, fail where all of it is on
the bad side, inconclusive where the threshold lies inside. Light users are in the other rows as well; their own are
inconclusive where the value is over the threshold and fail as all others do (docs/decisions/0058). A quick look judges
nothing, and neither does a bundle whose training saw the labels of audit users.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import asdict, dataclass
from typing import Any, Literal

from measure.audit.lookup import Found, LookedUp, Missing, Row, kept_of, leaks_of
from measure.audit.reasons import Reason
from measure.audit.scope import LIGHT, Scope, Wanted
from measure.errors import OutOfRangeError

Verdict = Literal["pass", "fail", "inconclusive", "not_judged"]


@dataclass(frozen=True)
class Thresholds:
    """The operator's demands."""

    leakage_at_most: float = 0.6
    """AUC of the strongest attacker on protected attributes, in [.5, 1]."""
    kept_at_least: float = 0.8
    """Share of the unprotected accuracy that every mask keeps, sampled and full, in [0, 1]."""

    def __post_init__(self) -> None:
        for name, low in (("leakage_at_most", 0.5), ("kept_at_least", 0.0)):
            if not low <= getattr(self, name) <= 1:
                raise OutOfRangeError(name, getattr(self, name), low, 1)

    def leak(self, row: Found) -> Verdict:
        """Judge one row of leakage; that of light users keeps from passing by its value alone."""
        low, high = row.ci95
        if row.what == LIGHT:
            high = row.value
        return "pass" if high <= self.leakage_at_most else "fail" if low > self.leakage_at_most else "inconclusive"

    def kept(self, row: Found) -> Verdict:
        """Judge one row of accuracy kept."""
        low, high = row.ci95
        return "pass" if low >= self.kept_at_least else "fail" if high < self.kept_at_least else "inconclusive"


def judge(card: Row, scope: Scope, wanted: Wanted, thresholds: Thresholds) -> dict[str, Any]:
    """Judge every attribute and the accuracy.

    Args:
        card: with ``accuracy``, ``leakage``, as far as they were measured.
        scope: what must be measured.
        wanted: what this audit was asked for.
        thresholds: the operator's.

    Returns:
        ``overall``; the ``reason`` where that is not judged; ``thresholds``; ``not_judged``, an entry for each subject
        and reason (``of``, null for everything; ``code`` of `Reason`; ``reason``; ``rows``, how many are missing);
        ``attributes`` and ``accuracy``, each with its ``verdict``, the ``worst`` row that it goes by (of those that
        failed, where some did; null where there is none), and a ``sentence``.
    """
    whole = _whole(scope, wanted)
    leaks = [leaks_of(card, name, scope, wanted) for name in scope.attributes]
    kept = kept_of(card, scope, wanted)
    attributes = [{"attribute": each.subject, **_leaked(each, thresholds, whole)} for each in leaks]
    accuracy = _kept(kept, thresholds, whole)
    overall = _together([*(each["verdict"] for each in attributes), accuracy["verdict"]])
    open_ones = [each for each in (*leaks, kept) if each.missing]
    said = whole.reason if whole else "; ".join(f"{each.subject}: {each.why}" for each in open_ones)
    return {
        "overall": overall,
        "reason": said if overall == "not_judged" else None,
        "thresholds": asdict(thresholds),
        "not_judged": [
            *([_entry(None, whole, 0)] if whole else []),
            *(_entry(each.subject, missing, rows) for each in open_ones for missing, rows in each.missing.items()),
        ],
        "attributes": attributes,
        "accuracy": accuracy,
    }


def _whole(scope: Scope, wanted: Wanted) -> Missing | None:
    """Why nothing is judged, regardless of the measurements."""
    if not wanted.profile.verdict:
        said = f"the {wanted.profile.name} profile is a look: run the full one for a verdict"
        return Missing(Reason.LOOK, said)
    if not scope.strict:
        said = "training saw the labels of all users, so these numbers flatter the protection"
        return Missing(Reason.TRANSDUCTIVE, said)
    return None


def _entry(of: str | None, missing: Missing, rows: int) -> dict[str, Any]:
    return {"of": of, "code": str(missing.code), "reason": missing.reason, "rows": rows}


def _judged(looked: LookedUp, of: Callable[[Found], Verdict], whole: Missing | None) -> tuple[Verdict, Sequence[Found]]:
    """The verdict on a subject, and the rows that it goes by: all where nothing is judged."""
    verdicts = [of(row) for row in looked.found]
    missing: list[Verdict] = ["not_judged"] if looked.missing or not looked.found else []
    verdict: Verdict = "not_judged" if whole else _together([*verdicts, *missing])
    decisive = [row for row, own in zip(looked.found, verdicts, strict=True) if own == verdict]
    return verdict, decisive or looked.found


def _leaked(looked: LookedUp, thresholds: Thresholds, whole: Missing | None) -> dict[str, Any]:
    """One attribute, by the strongest attacker."""
    verdict, rows = _judged(looked, thresholds.leak, whole)
    name, most = looked.subject, thresholds.leakage_at_most
    if not rows:
        return {"verdict": verdict, "worst": None, "sentence": f"{name}: not judged: {looked.why}."}
    worst = max(rows, key=lambda row: (verdict != "pass" or row.what != LIGHT, row.value))
    low, high = worst.ci95
    at = f"{worst.value:.3f} (95 % interval {low:.3f} to {high:.3f}, n {worst.row['n']:,})"
    enough = most if worst.what == LIGHT else most - (high - low) / 2
    among = " among light users" if worst.what == LIGHT else ""
    said = {
        "pass": f"{name}: no attacker recovers it better than {at}; {most:g} is allowed.",
        "fail": f"{name}: an attacker recovers it{among} at {at}; {most:g} is allowed.",
        "inconclusive": f"{name}: the strongest attacker{among} is at {at}, too near {most:g} to tell with so few "
        f"users: they would show a pass from about {enough:.3f} down.",
        "not_judged": f"{name}: not judged; where it was measured, the strongest attacker is at {at}.",
    }[verdict]
    if any(len(members) > 1 for members in worst.row.get("classes", ())):
        groups = worst.row["groups"]
        said += f" Attacked in {len(groups)} groups: {'; '.join(groups)}."
    found = {"sensitive": list(worst.sensitive), "target": worst.what, "auc": worst.value, "ci95": [low, high]}
    return {"verdict": verdict, "worst": found, "sentence": said + _besides(looked)}


def _kept(looked: LookedUp, thresholds: Thresholds, whole: Missing | None) -> dict[str, Any]:
    """The accuracy, by the mask that keeps least."""
    verdict, rows = _judged(looked, thresholds.kept, whole)
    if not rows:
        return {"verdict": verdict, "worst": None, "sentence": f"accuracy: not judged: {looked.why}."}
    worst = min(rows, key=lambda row: row.value)
    low, high = worst.ci95
    said = f"With {', '.join(worst.sensitive) or 'nothing'} protected, {_percent(worst.value)} of {worst.what} is kept "
    said += f"(95 % interval {_percent(low)} to {_percent(high)}), the least of all masks; "
    said += f"{100 * thresholds.kept_at_least:g} % is "
    found = {"sensitive": list(worst.sensitive), "metric": worst.what, "kept": worst.value, "ci95": [low, high]}
    return {"verdict": verdict, "worst": found, "sentence": f"{said}demanded.{_besides(looked)}"}


def _percent(value: float) -> str:
    return f"{100 * value:.1f} %"


def _besides(looked: LookedUp) -> str:
    return f" Not judged: {looked.why}." if looked.missing else ""


def _together(verdicts: Iterable[Verdict]) -> Verdict:
    """One failure fails all; all must pass for a pass."""
    found = set(verdicts)
    order: tuple[Verdict, ...] = ("fail", "not_judged", "inconclusive")
    return next((verdict for verdict in order if verdict in found), "pass")
