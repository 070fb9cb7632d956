"""Attribute values become classes in an order that does not depend on the order of the rows.

Classes that no kept user has are left out later (`training.data.assemble`), those that few train users have are merged
when users are split (`training.data.small_classes`).
"""

import re
from collections.abc import Iterable, Sequence
from itertools import pairwise

import numpy as np
import polars as pl
from numpy.typing import NDArray

from measure.labels import in_order
from training.data.common_config import AttributeConfig
from training.data.dataset import UNKNOWN
from training.data.raw import Table
from training.errors import DataError

MAX_CLASSES = 256

_NUMBER = r"-?\d{1,15}(?:\.\d{1,15})?"
_RANGE = re.compile(rf"under (?P<below>{_NUMBER})|(?P<low>{_NUMBER})(?:(?P<plus>\+)|-(?P<high>{_NUMBER}))?", re.ASCII)


def encode(
    table: Table, column: str, config: AttributeConfig, known: Sequence[str] | None
) -> tuple[tuple[str, ...], NDArray[np.int16]]:
    """Turn a column of values into classes and labels.

    Args:
        table: the users, values as text, null where unknown.
        column: which of its columns.
        config: how values become classes; without edges and what is merged, every value is one.
        known: all classes in order, where the format of the file fixes them.

    Returns:
        The classes, and an index into them per user, int16 (U,), -1 where unknown.

    Raises:
        DataError: a value to cut is not a number, a value is not one of `known` or, merged, of those in order, or
            there are too many classes.
    """
    values = table.column(column)
    if config.edges:
        values, known = _cut(table, column, config.edges), range_names(config.edges)
    elif known is not None:
        table.refuse(~values.is_in(list(known)), column, "is not a class", allowed=", ".join(known))
    if config.merged:
        _refuse_lacking(table, column, config, values, known)
        classes_of = {value: name for name, of in config.merged.items() for value in of}
        known = known and tuple(dict.fromkeys(classes_of.get(value, value) for value in known))
        values = values.replace(classes_of)
    if config.ordered:
        unknown = ~values.is_in(list(config.ordered))
        problem = "is, as `merged`, not one of `ordered`" if config.merged else "is not one of `ordered`"
        table.refuse(unknown, column, problem, allowed=", ".join(config.ordered))
        known = config.ordered
    classes = tuple(known) if known is not None else ordered(values.drop_nulls().unique().to_list())
    if len(classes) > MAX_CLASSES:
        problem = f"has {len(classes)} classes: give `edges`, or leave it out of `attributes`"
        raise DataError(table.file, problem, column=column, allowed=f"at most {MAX_CLASSES}")
    codes = pl.DataFrame({"class": classes, "code": range(len(classes))}, schema={"class": pl.String, "code": pl.Int16})
    labels = values.to_frame("class").join(codes, on="class", how="left", maintain_order="left")["code"]
    return classes, labels.fill_null(UNKNOWN).to_numpy().astype(np.int16)


def _refuse_lacking(
    table: Table, column: str, config: AttributeConfig, values: pl.Series, known: Sequence[str] | None
) -> None:
    """What is merged must be in the data, or among the classes that its format or `edges` fix: else it is misspelt.

    Data that come out of a bundle (`data pull`) have the class itself, in place of what it stands for.

    Raises:
        DataError: it is in neither.
    """
    there = list(known) if known is not None else ordered(values.drop_nulls().unique().to_list())
    if lacking := [
        value for name, of in config.merged.items() if name not in there for value in of if value not in there
    ]:
        shown = ", ".join(there[:20]) + (", …" if len(there) > 20 else "")
        raise DataError(table.file, f"has no {lacking[0]!r}, which `merged` names", column=column, allowed=shown)


def _cut(table: Table, column: str, edges: Sequence[float]) -> pl.Series:
    """Give the name of the range that each number is in."""
    values = table.column(column)
    numbers = values.cast(pl.Float64, strict=False)
    bad = values.is_not_null() & (numbers.is_null() | ~numbers.is_finite())
    commas = values.filter(bad).str.contains(r"^-?\d+,\d+$").any()
    how = ", with `decimal` of `csv` a comma where fractions have one" if commas else ""
    allowed = f"a finite number{how}, which `edges` cut into classes"
    table.refuse(bad, column, "is not a number", allowed=allowed)
    cut = np.searchsorted(np.asarray(edges), numbers.fill_null(0.0).to_numpy(), side="right")
    places = pl.Series(cut, dtype=pl.Int64).set(values.is_null(), None)
    return pl.Series(range_names(edges), dtype=pl.String).gather(places)


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


def stand_in_order(classes: Sequence[str], config: AttributeConfig) -> bool:
    """Tell whether classes stand from low to high: by what is declared, else by their names."""
    return bool(config.edges or config.ordered) or (config.ordered is None and in_order(classes))


def run_names(runs: Sequence[Sequence[str]]) -> tuple[str, ...]:
    """Name the runs that the classes of an attribute form: '18-24', '25-34' are '18-34', 'low', 'high' 'low to high'.

    Ranges are one where each begins at the end of the one before it. Where no class has a fraction, an end is the last
    whole number in it, as of `range_names`.
    """
    fractions = any("." in name for run in runs for name in run)
    return tuple(run[0] if len(run) == 1 else _run_name(run, step=0 if fractions else 1) for run in runs)


def _run_name(run: Sequence[str], step: int) -> str:
    found = [_RANGE.fullmatch(name) for name in run]
    ranges = [match for match in found if match is not None]
    if len(ranges) < len(run) or not all(_meet(*two, step) for two in pairwise(ranges)):
        return f"{run[0]} to {run[-1]}"
    first, last = ranges[0], ranges[-1]
    if last["plus"]:
        return f"{first['low']}+"
    end = last["high"] or last["low"]
    return f"under {int(end) + 1 if step else end}" if first["below"] else f"{first['low']}-{end}"


def _meet(one: re.Match[str], other: re.Match[str], step: int) -> bool:
    """Whether a range begins where the one before it ends."""
    end = float(one["below"]) if one["below"] else float(one["high"] or one["low"]) + step
    return other["low"] is not None and not one["plus"] and float(other["low"]) == end
