"""Parquet by Arrow, some rows at a time: a damaged file is an error there, where Polars' own reader may end Python."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import polars as pl
import pyarrow as pa
from pyarrow import parquet

from training.errors import DataError, shown

ROWS_AT_ONCE = 2**16
_BY_POLARS = (pl.exceptions.PolarsError, pl.exceptions.PanicException)


def open_parquet(path: Path) -> tuple[tuple[str, ...], Callable[[Sequence[str]], Iterator[pl.DataFrame]]]:
    """Look at a file's schema.

    Returns:
        Names of the columns, and a function from names to batches of rows, in the types of the file.

    Raises:
        DataError: the file is missing, empty or not Parquet; or, while it is read, damaged.
    """
    with _opened(path) as file:
        names = tuple(file.schema_arrow.names)  # UnicodeDecodeError where a name is damaged
    return names, lambda columns: _batches(path, columns)


def _batches(path: Path, columns: Sequence[str]) -> Iterator[pl.DataFrame]:
    with _opened(path) as file:
        for batch in file.iter_batches(ROWS_AT_ONCE, columns=columns, use_threads=False):
            plain = batch.replace_schema_metadata(None)
            plain.validate(full=True)
            # A column `a` would bring a column `a.b` along.
            yield pl.DataFrame(pl.from_arrow(plain)).select(columns)


@contextmanager
def _opened(path: Path) -> Iterator[parquet.ParquetFile]:
    """Open a file, and turn what Arrow and Polars say of a damaged one into one error."""
    try:
        source = path.open("rb")
    except OSError as error:
        raise DataError(path.name, f"cannot be read: {error.strerror}") from error
    with source:
        if not source.read(1):
            raise DataError(path.name, "is empty", allowed="columns, and one row or more")
        try:
            with parquet.ParquetFile(source, pre_buffer=False) as file:
                yield file
        except (pa.ArrowException, OSError, ValueError, *_BY_POLARS) as error:
            raise DataError(path.name, f"is not readable as Parquet: {shown(str(error))}") from error
