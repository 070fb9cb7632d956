"""Leakage of answers: of the lists that users see, and of the answers to several masks joined."""

import re
from collections.abc import Callable, Sequence

from measure.report import words
from measure.report.axes import over_leaks
from measure.report.figures import Figure, Panel
from measure.report.page import Block, Section
from measure.report.rows import Card, LeakRow
from measure.report.tables import by_attribute, key_of, leak_mark, leak_table

_LISTS = re.compile(r"(list|base_list|constant)@\d+(:seen)?")
_TOGETHER = re.compile(r"(protecting_)?(masks|lists@\d+)(:seen)?|all_masks")


def lists(card: Card) -> Section:
    """Show the leakage of the recommended items themselves."""
    rows = [row for row in card.leakage if _LISTS.fullmatch(row.target)]
    masks = list(dict.fromkeys(row.sensitive for row in rows if row.target.startswith("list@")))
    shown = max(masks, key=len, default=())
    drawn = [
        row for row in rows if row.target.startswith("constant") or (row.sensitive, row.target[:5]) == (shown, "list@")
    ]
    text = (
        "These attackers see only which items were recommended. Dropping seen items tells something by itself, as what "
        "is missing was seen: the control ranks items alike for everyone, and drops what each has seen."
    )
    text += " The threshold is for lists with seen items kept." if card.leakage_at_most is not None else ""
    note = f"Drawn: {words.sentence_mask(shown)} protected." if len(masks) > 1 else ""
    return _joint(card, "lists", "Lists", text, rows, drawn, note)


def together(card: Card) -> Section:
    """Show the leakage of several answers to the same user when joined."""
    rows = [row for row in card.leakage if _TOGETHER.fullmatch(row.target)]
    text = (
        "Whoever sees the answers to several masks may join them. Joined over all masks, also those that leave the "
        "attribute open, they should give away no more than the unprotected vector or list; joined over the masks that "
        "protect it, hardly more than one of them."
    )
    text += " The threshold is for what protects it." if card.leakage_at_most is not None else ""
    return _joint(card, "together", "Several masks together", text, rows, rows)


def others(card: Card) -> Section:
    """Show rows of targets that no other section knows."""
    known = {"fair", "base", "noise", "folded_in", "light"}
    rows = [
        row
        for row in card.leakage
        if row.target not in known
        and not row.target.startswith("part:")
        and not _LISTS.fullmatch(row.target)
        and not _TOGETHER.fullmatch(row.target)
    ]
    if not rows:
        return Section("others", "", [])
    table = leak_table("Leakage of other targets", rows, reference=lambda row: row.base, target="Attacked")
    return Section("others", "Other targets", [table])


def _joint(
    card: Card, slug: str, title: str, text: str, rows: Sequence[LeakRow], drawn: Sequence[LeakRow], note: str = ""
) -> Section:
    """Plot targets under each other, one panel per attribute, above the table of all rows."""
    if not rows:
        return Section(slug, title, [])
    reference = _like_for_like(card)
    alone = len({(row.attribute, row.target) for row in rows}) == len(rows)  # the target tells which masks were joined
    axis = over_leaks(drawn, [*map(reference, drawn), card.leakage_at_most])
    panels = []
    for attribute, mine in by_attribute(card, drawn):
        marks = []
        for row in sorted(mine, key=_order):
            told = row.target.startswith(("list@", "protecting", "all_masks", "lists@"))
            marks.append(leak_mark(row, words.capital(words.target(row.target)), reference(row), strong=told))
        panels.append(
            Panel(
                attribute,
                f"n {words.counts(row.n for row in mine)}",
                "dot",
                axis,
                marks,
                threshold=card.leakage_at_most,
            )
        )
    more = [("strong", "of this bundle"), ("weak", "control")] if slug == "lists" else []
    blocks: list[Block] = [text, Figure(title, panels, key_of(panels, *more), note)]
    table = leak_table(
        f"Leakage: {title.lower()}", rows, reference=reference, target="Attacked", masks=slug == "lists" or not alone
    )
    return Section(slug, title, [*blocks, table])


def _order(row: LeakRow) -> tuple[bool, bool, int]:
    """Lists before their control, seen kept before seen dropped, short before long."""
    digits = re.search(r"@(\d+)", row.target)
    return not row.target.startswith("list@"), row.target.endswith(":seen"), int(digits[1]) if digits else 0


def _like_for_like(card: Card) -> Callable[[LeakRow], float | None]:
    """Compare lists with the unprotected list of the same kind, vectors with the unprotected vector."""

    def reference(row: LeakRow) -> float | None:
        kind, at, rest = row.target.partition("@")
        if not at:
            return card.unprotected(row.attribute)
        if kind in ("base_list", "constant"):
            return None
        base = card.find(f"base_list@{rest}", row.attribute)
        return base.auc if base else None

    return reference
