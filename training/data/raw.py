"""What every reader hands on: users, items and batches of interactions that know which file and row they came from."""

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Literal, NoReturn

import numpy as np
import polars as pl
from numpy.typing import NDArray

from training.errors import DataError, shown

MAX_SHOWN = 20


@dataclass(frozen=True)
class Table:
    """Rows of one file, in file order: all of them, or a batch.

    Attributes:
        file: name of the file, as messages show it.
        frame: its columns.
        unit: what a row of `frame` is called: `line` where a file has no header, else data `row`.
        before: rows of the file that come before the first of `frame`.
    """

    file: str
    frame: pl.DataFrame
    unit: Literal["line", "row"] = "row"
    before: int = 0

    def column(self, name: str) -> pl.Series:
        """Return a column.

        Raises:
            DataError: there is none of that name.
        """
        require_column(self.file, name, self.frame.columns)
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
        rows = bad.fill_null(value=False).arg_true()
        if rows.len():
            self.refuse_row(int(rows[0]), column, problem, allowed=allowed, values=values)

    def refuse_row(
        self, row: int, column: str, problem: str, *, allowed: str | None = None, values: pl.Series | None = None
    ) -> NoReturn:
        """Raise on a row of `frame`, naming it and its value; arguments as of `refuse`."""
        value = (self.frame[column] if values is None else values)[row]
        place = self.before + row + 1
        line, number = (place, None) if self.unit == "line" else (None, place)
        raise DataError(self.file, problem, line=line, row=number, column=column, value=value, allowed=allowed)


@dataclass(frozen=True)
class Interactions:
    """Rows too many to hold as text: read, checked and handed on a batch at a time.

    Attributes:
        file: name of the file, as messages show it.
        columns: user and item (String), rating (Float64) and timestamp (Int64 or Float64) where known; none where
            there are no interactions.
        batches: starts at the first row each time it is called; every batch has `columns`, its ids and numbers checked.
            A timestamp may be Int64 in one batch and Float64 in the next.
        drop_unknown: interactions of users without a row are left out; else they are refused.
    """

    file: str
    columns: tuple[str, ...]
    batches: Callable[[], Iterator[Table]]
    drop_unknown: bool = False

    @classmethod
    def of(cls, table: Table) -> "Interactions":
        """Hand on a table that was read as a whole."""
        return cls(table.file, tuple(table.frame.columns), lambda: iter([table]))


@dataclass(frozen=True, eq=False)
class Vectors:
    """One table of vectors: users or items.

    Attributes:
        file: its name, as messages show it.
        ids: String (n,), each once.
        values: float32 (n, d).
        biases: float32 (n,), None where there are none.
    """

    file: str
    ids: pl.Series
    values: NDArray[np.float32]
    biases: NDArray[np.float32] | None = None


@dataclass(frozen=True)
class RawTables:
    """Checked columns under fixed names.

    Attributes:
        interactions: in the order of the file.
        users: user (String) and a String column per attribute, null where unknown.
        items: item, title (String, '' where unknown), groups (List(String)); may have no rows.
        source: where they came from, in words.
        classes: for an attribute whose classes are known beforehand, all of them in order.
        left_out: what of the files is not in here, in words, and how many.
        texts: by the name of a column, what is written of items: item and text (String), null where nothing is.
        vectors: item features that the reader itself brings, by modality.
    """

    interactions: Interactions
    users: Table
    items: Table
    source: str
    classes: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    left_out: Mapping[str, int] = field(default_factory=dict)
    texts: Mapping[str, Table] = field(default_factory=dict)
    vectors: Mapping[str, Vectors] = field(default_factory=dict)


def require_column(file: str, name: str, columns: Iterable[str]) -> None:
    """Refuse a column that is not there.

    Raises:
        DataError: `name` is none of `columns`.
    """
    there = tuple(columns)
    if name not in there:
        named = [shown(column) for column in there[:MAX_SHOWN]] + ["…"] * (len(there) > MAX_SHOWN)
        raise DataError(file, "is not a column", value=name, allowed=", ".join(named))


def texts_of(items: Table) -> dict[str, Table]:
    """Give the titles and groups of an items table as texts; '' is none."""
    written = {"title": pl.col("title"), "groups": pl.col("groups").list.join(" ")}
    columns = {name: pl.when(text != "").then(text).alias("text") for name, text in written.items()}
    return {name: Table(items.file, items.frame.select("item", text), items.unit) for name, text in columns.items()}


def no_users(file: str) -> Table:
    """Return the users table of a dataset that has none."""
    return Table(file, pl.DataFrame(schema={"user": pl.String()}))


def no_interactions() -> Interactions:
    """Return what vectors of users whose interactions are not known come with."""
    return Interactions("no interactions", (), lambda: iter(()))


def no_items() -> Table:
    """Return the items table of a dataset that has none."""
    schema: dict[str, pl.DataType] = {"item": pl.String(), "title": pl.String(), "groups": pl.List(pl.String)}
    return Table("items", pl.DataFrame(schema=schema))
