"""CSV by Arrow, block by block: Polars fills up a row that was cut short without a word."""

import codecs
import csv
import io
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import polars as pl
import pyarrow as pa
from pyarrow import csv as arrow_csv

from training.errors import DataError, shown

MAX_COLUMNS = 1000
BLOCK_BYTES = 2 * 2**20
"""Held as text at a time; no row may be longer."""

LINE_ENDS = b"\r\n"


def open_csv(path: Path) -> tuple[tuple[str, ...], Callable[[Sequence[str]], Iterator[pl.DataFrame]]]:
    """Look at every byte of a file once, then give its columns and what reads some of them.

    Returns:
        Names of the columns, and a function from names to batches of rows: text, null where a field is empty.

    Raises:
        DataError: the file is missing, empty or not UTF-8, or its header or quotes are damaged. While it is read: a row
            has more or fewer fields than the header.
    """
    try:
        end, quoted = _survey(path)
        with path.open(encoding="utf-8-sig") as file:
            names = _header(path.name, file.readline(BLOCK_BYTES).rstrip("\n"))
    except OSError as error:
        raise DataError(path.name, f"cannot be read: {error.strerror}") from error
    return names, lambda columns: _batches(path, names, columns, end, quoted=quoted)


def _survey(path: Path) -> tuple[int, bool]:
    """Check that a file is UTF-8 and closes its quotes.

    Returns:
        How many bytes stand before the line ends at its end, and whether there are quotes.
    """
    decoder = codecs.getincrementaldecoder("utf-8")()
    size, end, quotes, lines, blank = 0, 0, 0, 0, True
    with path.open("rb") as file:
        try:
            while block := file.read(BLOCK_BYTES):
                decoder.decode(block)
                kept = len(block.rstrip(LINE_ENDS))
                end = size + kept if kept else end
                size += len(block)
                quotes += block.count(b'"')
                lines += block.count(b"\n")
                blank = blank and not block.strip()
            decoder.decode(b"", final=True)
        except UnicodeDecodeError as error:
            line, value = lines + error.object.count(b"\n", 0, error.start) + 1, error.object[error.start : error.end]
            raise DataError(path.name, "is not UTF-8", line=line, value=value, allowed="UTF-8 text") from error
    if blank:
        raise DataError(path.name, "is empty", allowed="a header and one row or more")
    if quotes % 2:
        problem = "opens a quote that never closes"
        raise DataError(path.name, problem, allowed='fields in "quotes", a quote in them doubled')
    return end, quotes > 0


def _header(file: str, first: str) -> tuple[str, ...]:
    """Read the names of the columns from the first line."""
    try:
        names = next(csv.reader([first], strict=True), [])
    except csv.Error as error:
        raise DataError(file, f"is not a header ({error})", line=1, value=first) from error
    if not names or len(names) > MAX_COLUMNS:
        raise DataError(file, f"names {len(names)} columns", line=1, allowed=f"1 to {MAX_COLUMNS}")
    repeated = next((name for row, name in enumerate(names) if name in names[:row]), None)
    if repeated is not None:
        raise DataError(file, "names two columns", line=1, value=repeated, allowed="each name once")
    return tuple(names)


def _batches(
    path: Path, names: Sequence[str], columns: Sequence[str], end: int, *, quoted: bool
) -> Iterator[pl.DataFrame]:
    damaged: list[arrow_csv.InvalidRow] = []

    def keep(row: arrow_csv.InvalidRow) -> str:
        damaged.append(row)
        return "error"

    try:
        with path.open("rb") as file, pa.PythonFile(_UpTo(file, end), mode="r") as whole:
            yield from map(
                _frame,
                arrow_csv.open_csv(
                    whole,
                    read_options=arrow_csv.ReadOptions(
                        use_threads=False, block_size=BLOCK_BYTES, column_names=names, skip_rows=1
                    ),
                    parse_options=arrow_csv.ParseOptions(
                        newlines_in_values=quoted, ignore_empty_lines=False, invalid_row_handler=keep
                    ),
                    convert_options=arrow_csv.ConvertOptions(
                        include_columns=columns,
                        column_types={name: pa.string() for name in names},
                        null_values=[""],
                        strings_can_be_null=True,
                    ),
                ),
            )
    except (pa.ArrowException, OSError) as error:
        if damaged:
            found, row = f"has {damaged[0].actual_columns} fields", damaged[0].number - 1
            raise DataError(path.name, found, row=row, value=damaged[0].text, allowed=f"{len(names)}") from error
        raise DataError(path.name, f"is not readable as CSV: {shown(str(error))}") from error


def _frame(batch: pa.RecordBatch) -> pl.DataFrame:
    return pl.DataFrame(pl.from_arrow(batch))


class _UpTo(io.RawIOBase):
    """The first bytes of a file, then one line end in place of whatever line ends follow them."""

    def __init__(self, file: io.BufferedReader, end: int) -> None:
        self._file, self._left, self._ended = file, end, False

    def readable(self) -> bool:
        return True

    def read(self, size: int = -1) -> bytes:
        """Read at most `size` bytes; none at the end. Arrow needs the line end of a header in the same block."""
        wanted = size if size >= 0 else self._left + 1
        data = self._file.read(min(wanted, self._left))
        self._left -= len(data)
        if not self._ended and len(data) < wanted:
            data, self._ended = data + b"\n", True
        return data
