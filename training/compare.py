"""`compare`: two versions of a bundle through the gate (`measure.gate`), by the cards that training wrote."""

from __future__ import annotations

from collections.abc import Sequence

from bundle import Bundle
from measure.audit import METRICS, Scope, Thresholds, Wanted, judge
from measure.errors import MeasureError
from measure.gate import Compared, Gate, Measured, gate, said
from measure.masks import Mask, supported_masks
from measure.profiles import PROFILES
from training.errors import EvaluationError


def compare_versions(new: Bundle, old: Bundle, thresholds: Thresholds) -> Gate:
    """Compare a new version with the one that it is to replace.

    Raises:
        EvaluationError: a card was not written by training.
    """
    return gate(_measured(new, thresholds), _measured(old, thresholds))


def as_text(found: Gate) -> str:
    """Write the table of all rows, those that are worse marked, and the reasons under it."""
    lines = [f"{'of':<14} {'protected':<28} {'what':<22} {'old':>22} {'new':>22}", *map(_line, found.rows)]
    return "\n".join([*lines, "", *(f"refused: {reason}" for reason in found.reasons or ())]).rstrip()


def thresholds_of(leakage_at_most: float, kept_at_least: float) -> Thresholds:
    """Check what the operator demands.

    Raises:
        EvaluationError: a number is out of its range.
    """
    try:
        return Thresholds(leakage_at_most, kept_at_least)
    except MeasureError as error:
        raise EvaluationError(str(error)) from None


def _line(row: Compared) -> str:
    old, new = ("not measured" if found is None else said(found) for found in (row.old, row.new))
    mark = "  worse" if row.worse else ""
    return f"{row.subject:<14} {_mask(row.sensitive):<28} {row.what:<22} {old:>22} {new:>22}{mark}"


def _mask(mask: Mask) -> str:
    return ", ".join(mask) or "nothing"


def _measured(bundle: Bundle, thresholds: Thresholds) -> Measured:
    description, card = bundle.description, bundle.card
    names = description.attribute_names
    masks = supported_masks(names, description.supports, description.supported_masks.masks)
    try:
        profile = PROFILES[card["leakage"]["protocol"]["profile"]]
        new_users, light_users = ("folded_in" in card["accuracy"], "light" in card["accuracy"])
    except (KeyError, TypeError):
        version = f"{description.name}/{description.version}"
        raise EvaluationError(
            f"{version}: its card does not say what was measured, so nothing can be compared"
        ) from None
    metrics = frozenset(_measured_metrics(profile.protected_only))
    wanted = Wanted(tuple(masks), profile, metrics, description.seeds.get("run", 0))
    strict = description.mode == "strict"
    scope = Scope(names, tuple(masks), new_users=new_users, light_users=light_users, strict=strict)
    request = {"profile": profile.name, "users": None, "seed": wanted.seed}
    verdict = judge(card, scope, wanted, thresholds)
    return Measured(
        {"bundle": description.facts(), "request": request, "card": card, "verdict": verdict}, scope, wanted
    )


def _measured_metrics(protected_only: bool) -> Sequence[str]:
    return ("accuracy", "leakage") if protected_only else tuple(METRICS)
