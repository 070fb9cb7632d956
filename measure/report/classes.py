"""Tables of groups of users, one line each; long, and so folded away."""

from collections.abc import Iterable, Iterator, Sequence
from typing import TypeVar

from measure.report import words
from measure.report.fair_rows import ClassRow
from measure.report.page import Cell, Table
from measure.report.rows import Card
from measure.report.tables import name, number

WIDEST = 20
"""Columns of numbers that a sheet of paper holds; more are cut into several tables."""

T = TypeVar("T")
Line = tuple[Sequence[str], ClassRow]
"""The words before a group of users, and the group."""


def rate_tables(caption: str, first: Sequence[str], lines: Sequence[Line]) -> list[Table]:
    """Lay out the measurements of each group; ``first`` heads the columns of words, the group being the last."""
    keys = list(dict.fromkeys(key for _, row in lines for key in row.values))
    if not keys:
        return []
    counted = any(row.positives is not None for _, row in lines)
    columns = [*first, "n", *(["with a held-out item"] if counted else []), *map(_title, keys)]
    body = []
    for before, row in lines:
        line = [*map(name, before), name(row.label), number(words.count(row.n))]
        line += [number(words.count(row.positives))] if counted else []
        body.append([*line, *(number(words.decimal(row.values.get(key))) for key in keys)])
    return [Table(caption, columns, body, folded=True)]


def share_tables(caption: str, first: Sequence[str], lines: Sequence[Line], groups: Sequence[str]) -> list[Table]:
    """Lay out each group's shares of item groups; many columns, so they are slim."""
    known = [group for group in groups if any(group in row.shares for _, row in lines)]
    found = []
    for part, piece in pieces(known):
        body = [
            [*map(name, before), name(row.label), number(words.count(row.n)), *(_share(row, group) for group in part)]
            for before, row in lines
        ]
        found.append(Table(caption + piece, [*first, "n", *part], body, folded=True, slim=True))
    return found


def pieces(columns: Sequence[T], most: int = WIDEST) -> Iterator[tuple[Sequence[T], str]]:
    """Cut many columns into parts of at most so many, and name each where there are several."""
    parts = [columns[start : start + most] for start in range(0, len(columns), most)]
    for place, part in enumerate(parts):
        yield part, f" ({place + 1} of {len(parts)})" if len(parts) > 1 else ""


def item_groups(card: Card, rows: Iterable[ClassRow]) -> list[str]:
    """Give item groups in the card's order, then any that only rows name."""
    return list(dict.fromkeys([*card.fairness.item_groups, *(group for row in rows for group in row.shares)]))


def _share(row: ClassRow, group: str) -> Cell:
    return number(words.bare_share(row.shares.get(group)))


def _title(key: str) -> str:
    return words.capital(words.measure(key))
