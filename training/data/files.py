"""Tables in CSV or Parquet, a batch of rows at a time, their values still unchecked."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import polars as pl

from training.data.csv_file import open_csv
from training.data.parquet_file import open_parquet
from training.data.raw import Table, require_column
from training.errors import DataError

SUFFIXES = (".csv", ".parquet")


@dataclass(frozen=True)
class TableFile:
    """A file with named columns.

    Attributes:
        name: of the file, as messages show it.
        columns: in the order of the file.
        read: gives the rows of some columns, batch by batch, in the order of the file.
    """

    name: str
    columns: tuple[str, ...]
    read: Callable[[Sequence[str]], Iterator[pl.DataFrame]]

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


def open_table(path: Path) -> TableFile:
    """Open a file with a header.

    Raises:
        DataError: the file is missing, empty or not what its name says.
    """
    columns, read = open_csv(path) if path.suffix == ".csv" else open_parquet(path)
    return TableFile(path.name, columns, read)


def read_table(path: Path) -> Table:
    """Read a whole file, for tables that have one row for each user or item.

    Raises:
        DataError: as `open_table` and `TableFile.batches`.
    """
    file = open_table(path)
    return Table(file.name, pl.concat([batch.frame for batch in file.batches(file.columns)]))
