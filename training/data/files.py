"""One table from one CSV or Parquet file, its values still unchecked."""

import csv
import io
from pathlib import Path

import polars as pl
import pyarrow as pa
from pyarrow import csv as arrow_csv
from pyarrow import parquet

from training.data.raw import Table
from training.errors import DataError, shown

SUFFIXES = (".csv", ".parquet")
MAX_COLUMNS = 1000


def read_table(path: Path) -> Table:
    """Read a file with a header; CSV values are text.

    Raises:
        DataError: the file is missing, empty or not what its name says.
    """
    try:
        data = path.read_bytes()
    except OSError as error:
        raise DataError(path.name, f"cannot be read: {error.strerror}") from error
    if not data.strip():
        raise DataError(path.name, "is empty", allowed="a header and one row or more")
    frame = _parse_csv(path.name, data) if path.suffix == ".csv" else _parse_parquet(path.name, data)
    if frame.is_empty():
        raise DataError(path.name, "has no rows", allowed="one row or more")
    return Table(path.name, frame)


def _parse_parquet(file: str, data: bytes) -> pl.DataFrame:
    try:
        table = parquet.read_table(pa.BufferReader(data)).replace_schema_metadata(None)
        _ = table.column_names  # UnicodeDecodeError where a name is damaged
        table.validate(full=True)
        return _frame(table)
    except (pa.ArrowException, OSError, ValueError, pl.exceptions.PolarsError, pl.exceptions.PanicException) as error:
        raise DataError(file, f"is not readable as Parquet: {shown(str(error))}") from error


def _parse_csv(file: str, data: bytes) -> pl.DataFrame:
    """Parse with Arrow: Polars fills up a row that was cut short without a word."""
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
        value = data[error.start : error.end]
        raise DataError(file, "is not UTF-8", line=line, value=value, allowed="UTF-8 text") from error
    if data.count(b'"') % 2:
        raise DataError(file, "opens a quote that never closes", allowed='fields in "quotes", a quote in them doubled')
    names = _header(file, text)
    damaged: list[arrow_csv.InvalidRow] = []

    def keep(row: arrow_csv.InvalidRow) -> str:
        damaged.append(row)
        return "error"

    try:
        table = arrow_csv.read_csv(
            pa.py_buffer(data.rstrip(b"\r\n") + b"\n"),
            read_options=arrow_csv.ReadOptions(use_threads=False, column_names=names, skip_rows=1),
            parse_options=arrow_csv.ParseOptions(
                newlines_in_values=True, ignore_empty_lines=False, invalid_row_handler=keep
            ),
            convert_options=arrow_csv.ConvertOptions(
                column_types={name: pa.string() for name in names}, null_values=[""], strings_can_be_null=True
            ),
        )
    except pa.ArrowException as error:
        if damaged:
            found, row = f"has {damaged[0].actual_columns} fields", damaged[0].number - 1
            raise DataError(file, found, row=row, value=damaged[0].text, allowed=f"{len(names)}") from error
        raise DataError(file, f"is not readable as CSV: {shown(str(error))}") from error
    return _frame(table)


def _frame(table: pa.Table) -> pl.DataFrame:
    return pl.DataFrame(pl.from_arrow(table))


def _header(file: str, text: str) -> list[str]:
    """Read the names of the columns from the first line."""
    first = io.StringIO(text, newline=None).readline().rstrip("\n")
    try:
        names = next(csv.reader([first], strict=True), [])
    except csv.Error as error:
        raise DataError(file, f"is not a header ({error})", line=1, value=first) from error
    if not names or len(names) > MAX_COLUMNS:
        raise DataError(file, f"names {len(names)} columns", line=1, allowed=f"1 to {MAX_COLUMNS}")
    repeated = next((name for row, name in enumerate(names) if name in names[:row]), None)
    if repeated is not None:
        raise DataError(file, "names two columns", line=1, value=repeated, allowed="each name once")
    return names
