"""The report, section by section, in the order in which it is read."""

from measure.report import answers, closing, costs, glossary, leaks, opening
from measure.report.page import Page
from measure.report.rows import Card


def tell(card: Card) -> Page:
    """Compose the page; sections for which nothing was measured are left out."""
    sections = [
        opening.at_a_glance(card),
        glossary.how_to_read(card),
        costs.by_mask(card),
        leaks.fair_vectors(card),
        leaks.attackers(card),
        leaks.controls(card),
        leaks.parts(card),
        answers.lists(card),
        answers.together(card),
        costs.by_group(card),
        costs.new_users(card),
        costs.front(card),
        leaks.unprotected(card),
        answers.others(card),
        closing.facts(card),
        closing.limits(card),
    ]
    return Page(
        kicker=opening.kicker(card),
        headline=opening.headline(card),
        lead=opening.lead(card),
        warning=opening.warning(card),
        tiles=opening.tiles(card),
        sections=[section for section in sections if section.blocks],
    )
