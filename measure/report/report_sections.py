"""The report, section by section, in the order in which it is read."""

from collections.abc import Sequence

from measure.report import (
    answers,
    closing,
    costs,
    evenness,
    exposure,
    fronts,
    gaps,
    glossary,
    leaks,
    model_card,
    overlap,
    parity,
    summary,
    utility,
    verdict,
)
from measure.report.page import Page, Section
from measure.report.rows import Card

Chapter = tuple[str, Sequence[Section]]


def tell(card: Card) -> Page:
    """Compose the page; sections for which nothing was measured are left out."""
    chapters = [
        (
            "Result",
            [verdict.attributes(card), summary.at_a_glance(card), fronts.front(card), glossary.how_to_read(card)],
        ),
        ("Accuracy", [costs.by_mask(card), costs.by_group(card), costs.new_users(card), costs.light_users(card)]),
        ("Leakage", [*_vectors(card), answers.lists(card), answers.together(card), answers.others(card)]),
        ("Lists and groups", _lists_and_groups(card)),
        ("Method", [model_card.facts(card), model_card.withheld(card), closing.limits(card)]),
    ]
    return Page(
        kicker=summary.kicker(card),
        headline=summary.headline(card),
        lead=summary.lead(card),
        ruling=verdict.overall(card),
        warning=summary.warning(card),
        tiles=summary.tiles(card),
        chapters=_told(chapters),
    )


def _vectors(card: Card) -> list[Section]:
    return [
        leaks.fair_vectors(card),
        leaks.attackers(card),
        leaks.controls(card),
        leaks.parts(card),
        leaks.unprotected(card),
        leaks.traces(card),
    ]


def _lists_and_groups(card: Card) -> list[Section]:
    return [
        overlap.between_masks(card),
        exposure.by_class(card),
        parity.by_class(card),
        utility.intersections(card),
        gaps.activity(card),
        gaps.clients(card),
        evenness.calibration(card),
        evenness.catalogue(card),
        evenness.cold(card),
    ]


def _told(chapters: Sequence[Chapter]) -> list[Chapter]:
    found = [(title, [section for section in sections if section.blocks]) for title, sections in chapters]
    return [(title, sections) for title, sections in found if sections]
