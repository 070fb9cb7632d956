"""The card's ``fairness``: how lists treat groups of users and of items, under every mask."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Any

from measure.audit.sections.cold import cold_items
from measure.audit.sections.context import AT_LEAST, Answers, Context, K, Row
from measure.audit.sections.groups import clients, exposures, parities
from measure.audit.sections.lists import calibrations, catalogues, overlaps
from measure.audit.sections.quality import activities, utilities
from measure.audit.subject import Subject
from measure.fairness import calibration, parity
from measure.fairness.activity import SHARE
from measure.fairness.clients import INSIDE_AT_LEAST
from measure.fairness.overlap import PERSISTENCE
from measure.fairness.shuffles import PERMUTATIONS
from measure.masks import Mask

Section = Callable[[Context, Answers], Iterator[Row]]

_OF_ITEM_GROUPS: dict[str, Section] = {
    "exposure": exposures,
    "utility": utilities,
    "clients": clients,
    "calibration": calibrations,
}
"""They say nothing where items have no groups."""
_OF_LISTS: dict[str, Section] = {"parity": parities, "activity": activities, "catalogue": catalogues}
COLD = "cold"
"""Told along with exposure, where there are items that nobody has touched."""

SECTIONS: tuple[str, ...] = (
    "overlap", "exposure", "parity", "utility", "activity", "clients", "calibration", "catalogue",
)  # fmt: skip
"""All that ``fairness`` can hold, in the order of the card; and `COLD`, which is no name of its own to ask for."""


def fairness_of(
    subject: Subject, masks: Sequence[Mask], wanted: frozenset[str], seed: int, step: Callable[[], None]
) -> dict[str, Any]:
    """Measure the audit users that the base model saw, on lists as they are served: seen items dropped.

    Args:
        subject: a bundle's users, items and lists.
        masks: under which ones; rows come in their order.
        wanted: of `SECTIONS`; others are left alone.
        seed: of the bootstrap and the shuffles.
        step: called once for each mask and wanted section.

    Returns:
        ``protocol`` and each section that could be measured, a list of rows. One that could not is absent, and
        ``protocol.not_measured`` says why; where there are no audit users, that is all.
    """
    if not subject.population.audited.any():
        why = "there are no audit users that the base model saw"
        return {"protocol": {"not_measured": [{"section": each, "reason": why} for each in SECTIONS if each in wanted]}}
    context = Context(subject, seed)
    known: dict[str, Section] = _OF_ITEM_GROUPS | _OF_LISTS
    cold: list[Row] = []
    reference = Answers(context, min(masks, key=len)) if masks else None
    rows: dict[str, list[Row]] = {name: [] for name in SECTIONS if name in wanted}
    for mask in masks:
        answers = Answers(context, mask)
        for name, found in rows.items():
            if name == "overlap":
                found += overlaps(context, answers, reference or answers)
            elif context.several_item_groups or name not in _OF_ITEM_GROUPS:
                found += known[name](context, answers)
            step()
        if "exposure" in wanted:
            cold += cold_items(context, answers)
    return {
        "protocol": _protocol(context, reference, rows),
        **{name: found for name, found in (*rows.items(), (COLD, cold)) if found},
    }


def _protocol(context: Context, reference: Answers | None, rows: dict[str, list[Row]]) -> Row:
    protocol: Row = {
        "users": "audit",
        "n": len(context.rows),
        "k": K,
        "lists": "as served: seen items dropped",
        "positives": "one held-out item per user, ranked among the items that accuracy ranks it among",
        "at_least": AT_LEAST,
        "resamples": context.bootstrap.resamples,
        "permutations": PERMUTATIONS,
        "seed": context.seed,
        "items": context.item_count,
        "item_groups": list(context.items.names) if context.several_item_groups else [],
        "withheld": [each.as_row() for each in context.withheld],
        "not_measured": [
            {"section": name, "reason": _reason(context, name)} for name, found in rows.items() if not found
        ],
    }
    if "overlap" in rows and reference:
        protocol |= {"reference": list(reference.mask), "rbo": {"p": PERSISTENCE, "form": "extrapolated"}}
    if "parity" in rows:
        protocol["differential"] = {"alpha": parity.ALPHA, "items": f"shown to at least {AT_LEAST} of the users"}
    if "activity" in rows:
        protocol["active"] = f"the {100 * SHARE:g} % of users with the most interactions"
    if "clients" in rows:
        protocol["clients"] = {
            "are": "classes of the attribute with the most of them",
            "inside_at_least": INSIDE_AT_LEAST,
        }
    if "calibration" in rows:
        protocol["calibration"] = {"alpha": calibration.ALPHA, "history": "positives, the held-out one aside"}
    return protocol


def _reason(context: Context, name: str) -> str:
    if name in _OF_ITEM_GROUPS and not context.several_item_groups:
        return "items have no groups, or all the same one"
    if name == "overlap":
        return "there is no second mask to compare with, or no list"
    if name == "activity":
        return f"fewer than {AT_LEAST} of the most active users, or of the others, have a held-out item"
    if name == "clients":
        return "it takes two attributes with classes large enough"
    if name in ("calibration", "catalogue"):
        return "no list has any item"
    return "no attribute has two classes large enough, or no list has any item"
