"""CSV by Arrow, block by block: Polars fills up a row that was cut short without a word.

Arrow parses one block at a time, on the thread that asks for it. Its own reader of streams reads ahead on another one:
where an error leaves it before the end, that thread may ask for Python when Python has gone, which aborts the process.
"""

import csv
import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import chain
from pathlib import Path

import polars as pl
import pyarrow as pa
from pyarrow import csv as arrow_csv

from training.data.csv_form import CsvForm, told_delimiter, usual_delimiter
from training.data.text_blocks import text_blocks
from training.errors import DataError, shown

MAX_COLUMNS = 1000
BLOCK_BYTES = 2 * 2**20
"""Held as text at a time; no row may be longer."""

LINE_ENDS = b"\r\n"
_FIRST_LINE = re.compile(rb"([^\r\n]*)(\r\n|\r|\n|\Z)")


@dataclass(frozen=True)
class _Layout:
    """What is known of a file before its rows are read; places are counted in bytes of UTF-8.

    Attributes:
        names: of the columns.
        start: where the first row begins.
        end: where the last one ends; nothing but line ends follows.
        line_end: what ends a row.
        quotes: how many there are.
        form: with the delimiter that the file has.
    """

    names: tuple[str, ...]
    start: int
    end: int
    line_end: bytes
    quotes: int
    form: CsvForm


def open_csv(path: Path, form: CsvForm) -> tuple[tuple[str, ...], Callable[[Sequence[str]], Iterator[pl.DataFrame]]]:
    """Look at every byte of a file once, then give its columns and what reads some of them.

    Returns:
        Names of the columns, and a function from names to batches of rows: text, null where a field is empty.

    Raises:
        DataError: the file is missing, empty or not in its encoding, or its header is damaged. While it is read: a row
            has more or fewer fields than the header, or a quote never closes.
    """
    layout = _survey(path, form)
    return layout.names, lambda columns: _batches(path, layout, columns)


def _survey(path: Path, form: CsvForm) -> _Layout:
    """Read a whole file for what only its end tells."""
    size, end, quotes, lines, head = 0, 0, 0, 0, b""
    for block in text_blocks(path, form.encoding, BLOCK_BYTES):
        head = head if len(head) >= BLOCK_BYTES else head + block
        kept = len(block.rstrip(LINE_ENDS))
        end = size + kept if kept else end
        size += len(block)
        quotes += block.count(form.quote.encode()) if form.quote else 0
        lines += block.count(b"\n")
    if not head.strip():
        raise DataError(path.name, "is empty", allowed="a header and one row or more")
    start, delimiter = 0, form.delimiter
    first = _line(head, 0)
    if told := told_delimiter(first[1].decode(errors="replace")):
        start, delimiter = first.end(), delimiter or told
    form = form.model_copy(update={"delimiter": delimiter or usual_delimiter(path)})
    if form.columns:
        return _Layout(form.columns, start, end, b"\n" if lines else b"\r", quotes, form)
    header = _line(head, start)
    names = _header(path.name, header[1].decode(errors="replace"), form)
    return _Layout(names, header.end(), end, b"\n" if lines else b"\r", quotes, form)


def _line(text: bytes, start: int) -> re.Match[bytes]:
    found = _FIRST_LINE.match(text, start)
    assert found is not None  # noqa: S101  it matches nothing, too
    return found


def _header(file: str, first: str, form: CsvForm) -> tuple[str, ...]:
    """Read the names of the columns from the first line; one without a name may stand there more than once."""
    assert form.delimiter  # noqa: S101  the survey found it
    quoting = csv.QUOTE_MINIMAL if form.quote else csv.QUOTE_NONE
    marks = {"delimiter": form.delimiter, "quotechar": form.quote or None, "escapechar": form.escape or None}
    try:
        names = next(csv.reader([first], quoting=quoting, strict=True, **marks), [])  # type: ignore[arg-type]
    except csv.Error as error:
        raise DataError(file, f"is not a header ({error})", line=1, value=first) from error
    names = [name.strip() for name in names]
    if not names or len(names) > MAX_COLUMNS:
        raise DataError(file, f"names {len(names)} columns", line=1, allowed=f"1 to {MAX_COLUMNS}")
    repeated = next((name for row, name in enumerate(names) if name and name in names[:row]), None)
    if repeated is not None:
        raise DataError(file, "names two columns", line=1, value=repeated, allowed="each name once")
    return tuple(names)


def _batches(path: Path, layout: _Layout, columns: Sequence[str]) -> Iterator[pl.DataFrame]:
    form, before = layout.form, 0
    damaged: list[arrow_csv.InvalidRow] = []

    def keep(row: arrow_csv.InvalidRow) -> str:
        damaged.append(row)
        return "error"

    parse = arrow_csv.ParseOptions(
        delimiter=form.delimiter,
        quote_char=form.quote or False,
        escape_char=form.escape or False,
        newlines_in_values=layout.quotes > 0,
        ignore_empty_lines=False,
        invalid_row_handler=keep,
    )
    convert = arrow_csv.ConvertOptions(
        include_columns=columns,
        column_types={name: pa.string() for name in layout.names},
        null_values=[""],
        strings_can_be_null=True,
    )
    for rows in _whole_rows(path.name, _between(path, layout), layout):
        read = arrow_csv.ReadOptions(use_threads=False, block_size=len(rows) + 1, column_names=layout.names)
        try:
            table = arrow_csv.read_csv(pa.BufferReader(rows), read, parse, convert)
        except pa.ArrowException as error:
            if damaged:
                first, fields = damaged[0], "field" if damaged[0].actual_columns == 1 else "fields"
                found, row = f"has {first.actual_columns} {fields}", before + first.number
                allowed = f"{len(layout.names)}"
                raise DataError(path.name, found, row=row, value=first.text, allowed=allowed) from error
            raise DataError(path.name, f"is not readable as CSV: {shown(str(error))}") from error
        yield pl.DataFrame(pl.from_arrow(table))
        before += table.num_rows


def _between(path: Path, layout: _Layout) -> Iterator[bytes]:
    """The bytes of the rows, and one line end in place of whatever line ends follow them."""
    place = 0
    for block in text_blocks(path, layout.form.encoding, BLOCK_BYTES):
        if rows := block[max(layout.start - place, 0) : max(layout.end - place, 0)]:
            yield rows
        place += len(block)
    if layout.start < layout.end:
        yield layout.line_end


def _whole_rows(file: str, blocks: Iterable[bytes], layout: _Layout) -> Iterator[bytes]:
    """Cut the bytes of a file where rows end."""
    quoted = _quoted_field(layout.form) if layout.quotes else None
    held = b""
    for block in chain(blocks, [b""]):
        held += block
        rows = _rows(held, layout.line_end, quoted)
        if rows:
            yield held[:rows]
            held = held[rows:]
        elif len(held) > BLOCK_BYTES or (held and not block):
            if layout.quotes % 2 or not block:
                allowed = 'fields in "quotes", a quote in them doubled, or another `quote` in the configuration'
                raise DataError(file, "opens a quote that never closes", allowed=allowed)
            raise DataError(file, f"is not readable as CSV: a row is longer than {BLOCK_BYTES:,} bytes")


def _rows(text: bytes, line_end: bytes, quoted: re.Pattern[bytes] | None) -> int:
    """Tell how many bytes of a text that begins with a row are whole rows."""
    if quoted is None:
        return text.rfind(line_end) + 1
    rows, after = 0, 0
    for field in quoted.finditer(text):
        rows = max(rows, text.rfind(line_end, after, field.start()) + 1)
        after = field.end()
    return max(rows, text.rfind(line_end, after) + 1)


def _quoted_field(form: CsvForm) -> re.Pattern[bytes]:
    """Find a field in quotes: to where it closes, or to the end. A quote further on in a field is a character."""
    delimiter, quote = (re.escape((mark or "").encode()) for mark in (form.delimiter, form.quote))
    escape = re.escape(form.escape.encode())
    inside = rb"[^%s%s]++|%s%s" % (quote, escape, quote, quote)
    if escape:
        inside += rb"|%s(?s:.)" % escape
    return re.compile(
        rb"(?:\A|(?<=[%s\r\n]))%s(?:%s)*+(?:%s|\Z|%s\Z)" % (delimiter, quote, inside, quote, escape or quote)
    )
