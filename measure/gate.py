"""The gate before an activation: whether a new version may take the place of an old one, by what was measured of both.

What a verdict goes by (`measure.audit.lookup`) is compared row by row: the same attribute or accuracy, under the same
mask, of the same target. A row is worse where the whole 95 % interval of the new version is on the bad side of the old
one's: the estimates come from different held-out interactions, so smaller differences say nothing. What the old version
had and the new one lacks is a reason as well: an attribute, a mask, a row, a verdict.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from measure.audit import Scope, Wanted
from measure.audit.lookup import ACCURACY, Found, LookedUp, kept_of, leaks_of
from measure.compare import compare
from measure.masks import Mask

RANK = {"fail": 0, "not_judged": 1, "inconclusive": 2, "pass": 3}
"""Verdicts, the worst first. From a known failure to not judged is a step back too: nobody knows any more."""


@dataclass(frozen=True)
class Measured:
    """One version as it was measured.

    Attributes:
        result: ``bundle``, ``request``, ``card`` and ``verdict``, as an audit has them.
        scope: what its verdict covers.
        wanted: what was measured.
    """

    result: Mapping[str, Any]
    scope: Scope
    wanted: Wanted


@dataclass(frozen=True)
class Compared:
    """One row of both versions; None where a version lacks it."""

    subject: str
    sensitive: Mask
    what: str
    old: Found | None
    new: Found | None
    worse: bool


@dataclass(frozen=True)
class Gate:
    """What was compared, and why the new version is refused: for no reason where it may pass."""

    rows: Sequence[Compared]
    reasons: Sequence[str]


def gate(new: Measured, old: Measured) -> Gate:
    """Compare a new version with the one that it is to replace."""
    both = [name for name in old.scope.attributes if name in new.scope.attributes]
    pairs = [(_leaks(name, old), _leaks(name, new), leaks_more) for name in both]
    pairs.append((_kept(old), _kept(new), keeps_less))
    rows: list[Compared] = []
    reasons = [*_gone(new, old), *_verdicts(new, old)]
    for was, now, worse in pairs:
        own = list(_rows(was, now, worse))
        reasons += _of(was, now, own)
        rows += own
    if not any(row.old and row.new for row in rows):
        reasons.append("nothing was measured of both versions, so nothing says that the new one is no worse")
    return Gate(rows, reasons)


def leaks_more(new: Found, old: Found) -> bool:
    """Whether all of the new interval lies above the old one."""
    return new.ci95[0] > old.ci95[1]


def keeps_less(new: Found, old: Found) -> bool:
    """Whether all of the new interval lies below the old one."""
    return new.ci95[1] < old.ci95[0]


def _leaks(name: str, of: Measured) -> LookedUp:
    return leaks_of(of.result["card"], name, of.scope, of.wanted)


def _kept(of: Measured) -> LookedUp:
    return kept_of(of.result["card"], of.scope, of.wanted)


def _rows(old: LookedUp, new: LookedUp, worse: Callable[[Found, Found], bool]) -> Iterator[Compared]:
    was, now = ({(frozenset(row.sensitive), row.what): row for row in looked.found} for looked in (old, new))
    for key, row in (was | now).items():
        one, other = was.get(key), now.get(key)
        found = one is not None and other is not None and worse(other, one)
        yield Compared(old.subject, row.sensitive, row.what, one, other, found)


def _gone(new: Measured, old: Measured) -> Iterator[str]:
    """What the new version no longer has, or no longer is."""
    for name in old.scope.attributes:
        if name not in new.scope.attributes:
            yield f"{name}: the new version does not know this attribute, so it cannot withhold it"
    known = set(new.scope.attributes)
    for mask in old.scope.masks:
        if known >= set(mask) and not _answers(new, mask):
            yield f"{_protected(mask)}: the new version has no answers for this"
    lost = [name for name in _always(old) if name in known and name not in _always(new)]
    if lost:
        yield f"{', '.join(lost)}: protected in every answer of the old version, and not of the new one"
    if old.scope.strict and not new.scope.strict:
        yield "training of the new version saw the labels of audit users, so its numbers flatter it"
    weaker = set(old.wanted.profile.attackers) - set(new.wanted.profile.attackers)
    if weaker:
        profiles = f"profile {new.wanted.profile.name}, the old one with {old.wanted.profile.name}"
        yield f"the new version was measured with {profiles}: without {', '.join(sorted(weaker))}"


def _answers(version: Measured, mask: Mask) -> bool:
    """Whether a version has answers for a mask, in whatever order it has its attributes."""
    return any(set(own) == set(mask) for own in version.scope.masks)


def _always(version: Measured) -> Sequence[str]:
    always: Sequence[str] = version.result["bundle"]["always_protected"]
    return always


def _verdicts(new: Measured, old: Measured) -> Iterator[str]:
    found = compare(old.result, new.result)["verdict"]
    subjects = [(each["attribute"], each) for each in found["attributes"] if each["second"] is not None]
    for subject, each in [*subjects, (ACCURACY, found["accuracy"])]:
        was, now = each["first"], each["second"]
        if was is None:  # an attribute that only the new version knows: nothing of it is lost
            continue
        if RANK[now] < RANK[was] or (now == "not_judged" and was != now):
            yield f"{subject}: the verdict was {_said(was)} and is {_said(now)}"


def _of(old: LookedUp, new: LookedUp, rows: Sequence[Compared]) -> Iterator[str]:
    """Reasons of one subject."""
    for row in rows:
        if row.worse and row.old and row.new:
            verb = "keeps less" if old.subject == ACCURACY else "leaks more"
            numbers = f"{said(row.new)}, was {said(row.old)}"
            yield f"{old.subject}: {verb}, {row.what} with {_protected(row.sensitive)}: {numbers}"
    missing = [row for row in rows if row.new is None]
    if missing:
        first = f"{missing[0].what} with {_protected(missing[0].sensitive)}"
        others = f" and {len(missing) - 1} more" if len(missing) > 1 else ""
        why = f" ({new.why})" if new.why else ""
        yield f"{old.subject}: measured on the old version and not on the new one: {first}{others}{why}"


def said(row: Found) -> str:
    """Give a number and its interval."""
    return f"{row.value:.3f} ({row.ci95[0]:.3f} - {row.ci95[1]:.3f})"


def _protected(mask: Mask) -> str:
    return f"{', '.join(mask) or 'nothing'} protected"


def _said(verdict: str) -> str:
    return verdict.replace("_", " ")
