"""Attribute values become classes in an order that does not depend on the order of the rows.

Classes that no kept user has are left out later (`training.data.assemble`).
"""

import re
from collections.abc import Iterable, Sequence

import numpy as np
import polars as pl
from numpy.typing import NDArray

from training.data.dataset import UNKNOWN
from training.data.raw import Table
from training.errors import DataError

MAX_CLASSES = 256

_NUMBER = r"-?\d{1,15}(?:\.\d{1,15})?"
_RANGE = re.compile(rf"under (?P<below>{_NUMBER})|(?P<low>{_NUMBER})(?:\+|-{_NUMBER})?", re.ASCII)


def encode(
    table: Table, column: str, edges: Sequence[float], known: Sequence[str] | None
) -> tuple[tuple[str, ...], NDArray[np.int16]]:
    """Turn a column of values into classes and labels.

    Args:
        table: the users, values as text, null where unknown.
        column: which of its columns.
        edges: ascending numbers that cut the values; empty: every value is a class.
        known: all classes in order, where the format of the file fixes them.

    Returns:
        The classes, and an index into them per user, int16 (U,), -1 where unknown.

    Raises:
        DataError: a value to cut is not a number, a value is not one of `known`, or there are too many classes.
    """
    values = table.column(column)
    if edges:
        numbers = values.cast(pl.Float64, strict=False)
        bad = values.is_not_null() & (numbers.is_null() | ~numbers.is_finite())
        commas = values.filter(bad).str.contains(r"^-?\d+,\d+$").any()
        how = ", with `decimal` of `csv` a comma where fractions have one" if commas else ""
        allowed = f"a finite number{how}, which `edges` cut into classes"
        table.refuse(bad, column, "is not a number", allowed=allowed)
        cut = np.searchsorted(np.asarray(edges), numbers.fill_null(0.0).to_numpy(), side="right")
        return range_names(edges), np.where(values.is_null().to_numpy(), UNKNOWN, cut).astype(np.int16)
    if known is not None:
        table.refuse(~values.is_in(list(known)), column, "is not a class", allowed=", ".join(known))
    classes = tuple(known) if known is not None else ordered(values.drop_nulls().unique().to_list())
    if len(classes) > MAX_CLASSES:
        problem = f"has {len(classes)} classes: give `edges`, or leave it out of `attributes`"
        raise DataError(table.file, problem, column=column, allowed=f"at most {MAX_CLASSES}")
    codes = pl.DataFrame({"class": classes, "code": range(len(classes))}, schema={"class": pl.String, "code": pl.Int16})
    labels = values.to_frame("class").join(codes, on="class", how="left", maintain_order="left")["code"]
    return classes, labels.fill_null(UNKNOWN).to_numpy().astype(np.int16)


def range_names(edges: Sequence[float]) -> tuple[str, ...]:
    """Name what ascending edges cut: [18, 25] gives 'under 18', '18-24', '25+'.

    The end is named by the last whole number in it where all edges are whole, else by the next edge, itself left out.
    """
    whole = all(edge == int(edge) for edge in edges)
    texts = [f"{int(edge)}" if whole else f"{edge:g}" for edge in edges]
    ends = [f"{int(edge) - 1}" for edge in edges] if whole else texts
    between = [low if low == end else f"{low}-{end}" for low, end in zip(texts, ends[1:], strict=False)]
    return (f"under {texts[0]}", *between, f"{texts[-1]}+")


def ordered(classes: Iterable[str]) -> tuple[str, ...]:
    """Order classes: by number where all are numbers or the names of ranges, else lexicographically."""
    texts = sorted(classes)
    found = [_RANGE.fullmatch(text) for text in texts]
    ranges = [match for match in found if match is not None]
    if len(ranges) < len(texts):
        return tuple(texts)
    places = {
        match.string: (float(match["below"] or match["low"]), match["below"] is None, match.string) for match in ranges
    }
    return tuple(sorted(texts, key=places.__getitem__))
