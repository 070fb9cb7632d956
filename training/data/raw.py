"""What every reader hands on: three tables that still know which file and row they came from."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

import polars as pl

from training.errors import DataError, shown

MAX_SHOWN = 20


@dataclass(frozen=True)
class Table:
    """Rows of one file, in file order.

    Attributes:
        file: name of the file, as messages show it.
        frame: its columns.
        unit: what the first row of `frame` is the first of: `line` where a file has no header, else data `row`.
    """

    file: str
    frame: pl.DataFrame
    unit: Literal["line", "row"] = "row"

    def column(self, name: str) -> pl.Series:
        """Return a column.

        Raises:
            DataError: there is none of that name.
        """
        if name not in self.frame.columns:
            there = [shown(column) for column in self.frame.columns[:MAX_SHOWN]]
            more = ["…"] if self.frame.width > MAX_SHOWN else []
            raise DataError(self.file, "is not a column", value=name, allowed=", ".join(there + more))
        return self.frame[name]

    def refuse(
        self, bad: pl.Series, column: str, problem: str, *, allowed: str | None = None, values: pl.Series | None = None
    ) -> None:
        """Raise on the first row where `bad` is True, naming it and its value.

        Args:
            bad: bool (rows,); null counts as False.
            column: the column looked at.
            problem: what is wrong with the value, as the end of a sentence that starts with it.
            allowed: what the value may be.
            values: what to show; the column itself where absent.
        """
        row = bad.fill_null(value=False).arg_true()
        if row.len():
            first = int(row[0])
            value = (self.frame[column] if values is None else values)[first]
            line, number = (first + 1, None) if self.unit == "line" else (None, first + 1)
            raise DataError(self.file, problem, line=line, row=number, column=column, value=value, allowed=allowed)


@dataclass(frozen=True)
class RawTables:
    """Checked columns under fixed names.

    Attributes:
        interactions: user, item (String), rating (Float64) and timestamp (Int64 or Float64) where known.
        users: user (String) and a String column per attribute, null where unknown.
        items: item, title (String, '' where unknown), groups (List(String)); may have no rows.
        source: where they came from, in words.
        classes: for an attribute whose classes are known beforehand, all of them in order.
    """

    interactions: Table
    users: Table
    items: Table
    source: str
    classes: Mapping[str, tuple[str, ...]] = field(default_factory=dict)


def no_items() -> Table:
    """Return the items table of a dataset that has none."""
    schema: dict[str, pl.DataType] = {"item": pl.String(), "title": pl.String(), "groups": pl.List(pl.String)}
    return Table("items", pl.DataFrame(schema=schema))
