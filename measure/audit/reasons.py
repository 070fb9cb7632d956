"""Why something is not judged: a closed set, so that everything left out of a verdict is left out by name."""

from __future__ import annotations

from collections.abc import Mapping
from enum import StrEnum
from typing import Any

from measure.errors import MeasureError, NotFiniteError, SingleClassError, TooFewUsersError


class Reason(StrEnum):
    """Codes of the card's ``not_measured`` and the verdict's ``not_judged``; docs/fairness.md says what to do."""

    LOOK = "look"
    """The profile runs too little for a verdict."""
    TRANSDUCTIVE = "transductive"
    """Training saw the labels of audit users."""
    NOT_ASKED = "not_asked"
    """The audit was asked for other masks or metrics."""
    NO_MASK = "no_mask"
    """The bundle has no mask that protects the attribute."""
    TOO_FEW_USERS = "too_few_users"
    """Fewer audit users with a known label than two groups need."""
    NO_TWO_GROUPS = "no_two_groups"
    """Enough of them, and nearly all in one class."""
    NOT_FINITE = "not_finite"
    """The vectors have NaN or infinite values."""
    NO_HELD_OUT = "no_held_out"
    """No user that counts has a held-out positive."""
    TOO_FEW_ITEMS = "too_few_items"
    """Held-out positives were ranked against so few unseen items that almost any order finds them."""
    NO_BASE = "no_base"
    """The user vectors themselves find nothing, so there is nothing to keep."""
    NO_INTERVAL = "no_interval"
    """A number without a finite interval."""
    REFUSED = "refused"
    """Another refusal by a measurement, in its own words."""
    UNEXPLAINED = "unexplained"
    """It is not there, and nothing says why."""


_OF_ERRORS: Mapping[type[MeasureError], Reason] = {
    TooFewUsersError: Reason.TOO_FEW_USERS,
    SingleClassError: Reason.NO_TWO_GROUPS,
    NotFiniteError: Reason.NOT_FINITE,
}


def reason_of(error: MeasureError) -> Reason:
    """Name the reason for a refusal to measure."""
    return _OF_ERRORS.get(type(error), Reason.REFUSED)


def not_measured(code: Reason, reason: str, **where: Any) -> dict[str, Any]:
    """One entry of a protocol's ``not_measured``: the subject, the code, and the reason in words with its numbers."""
    return {**where, "code": str(code), "reason": reason}
