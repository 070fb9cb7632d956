"""Tables in CSV or Parquet, a batch of rows at a time, their values still unchecked."""

import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import polars as pl

from training.data.csv_file import open_csv
from training.data.csv_form import CsvForm
from training.data.parquet_file import open_parquet
from training.data.raw import Table, require_column
from training.data.text_blocks import COMPRESSIONS
from training.errors import DataError

PARQUET = ".parquet"
SUFFIXES = (".csv", PARQUET, ".tsv", *(form + packed for form in (".csv", ".tsv") for packed in COMPRESSIONS))
"""Of the files that are looked for by name."""

_UNNAMED = re.compile(r"|Unnamed: \d+(_level_\d+)?|__index_level_\d+__")
"""What pandas writes for an index: a number for each row, and no fact about a user."""


@dataclass(frozen=True)
class TableFile:
    """A file with named columns.

    Attributes:
        name: of the file, as messages show it.
        columns: in the order of the file; those without a name are left out.
        read: gives the rows of some columns, batch by batch, in the order of the file.
        unnamed: how many columns have no name.
    """

    name: str
    columns: tuple[str, ...]
    read: Callable[[Sequence[str]], Iterator[pl.DataFrame]]
    unnamed: int = 0

    def batches(self, columns: Sequence[str]) -> Iterator[Table]:
        """Read some columns from the first row on; in CSV every value is text.

        Raises:
            DataError: a column is not there, the file has no rows, or a row of it cannot be read.
        """
        for name in columns:
            require_column(self.name, name, self.columns)
        before = 0
        for frame in self.read(columns):
            if not frame.is_empty():
                yield Table(self.name, frame, before=before)
            before += frame.height
        if not before:
            raise DataError(self.name, "has no rows", allowed="one row or more")

    def whole(self, columns: Sequence[str]) -> Table:
        """Read some columns of all rows, for tables that have one row for each user or item.

        Raises:
            DataError: as `batches`.
        """
        return Table(self.name, pl.concat([batch.frame for batch in self.batches(columns)]))


def open_table(path: Path, form: CsvForm) -> TableFile:
    """Open a file; what does not end in .parquet is CSV.

    Raises:
        DataError: the file is missing, empty or not what its name says.
    """
    names, read = open_parquet(path) if path.suffix.lower() == PARQUET else open_csv(path, form)
    unfit = next((name for name in names if not name.isprintable()), None)
    if unfit is not None:
        raise DataError(path.name, "is not the name of a column", value=unfit, allowed="characters that can be printed")
    named = tuple(name for name in names if not _UNNAMED.fullmatch(name))
    return TableFile(path.name, named, read, len(names) - len(named))


def find_table(folder: Path, file: str | None, stem: str) -> Path | None:
    """Find a table's file: the one that the configuration names, else the one of this name, in small letters or large.

    Raises:
        DataError: two files have the name.
    """
    if file is not None:
        return folder / file
    names = {stem + suffix for suffix in SUFFIXES}
    found = sorted(path for path in folder.iterdir() if path.name.lower() in names and path.is_file())
    return only(folder, found)


def only(folder: Path, found: Sequence[Path]) -> Path | None:
    """The file that was found in a folder; None where there is none.

    Raises:
        DataError: there are several.
    """
    if len(found) > 1:
        raise DataError(folder.name, f"has both {found[0].name} and {found[1].name}", allowed="one of them")
    return found[0] if found else None


def require_table(folder: Path, file: str | None, stem: str) -> Path:
    """Find a table's file that must be there.

    Raises:
        DataError: it is not, or two files have the name.
    """
    path = find_table(folder, file, stem)
    if path is None:
        allowed = f"{stem}.csv or {stem}.parquet, .tsv, .csv and .tsv as .gz or .zst, or a `file` in the configuration"
        raise DataError(folder.name, f"has no {stem} table", allowed=allowed)
    return path
