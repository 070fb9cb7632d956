"""A look into a CSV file: how its text seems to be written."""

import csv
import re
from pathlib import Path

from training.data.csv_form import CsvForm, told_delimiter, usual_delimiter
from training.data.text_blocks import reads_as, text_blocks
from training.errors import DataError

BLOCK_BYTES = 2 * 2**20
SAMPLE_LINES = 50
DELIMITERS = (",", ";", "\t", "|")

_ESCAPED = re.compile(rb'\\"[^;,\t|\r\n]')
_NUMBER = re.compile(r"-?\d+(?:[.,]\d+)?")
_DECIMAL_COMMA = re.compile(r"-?\d+,\d+")


def guess_form(path: Path) -> tuple[CsvForm, list[list[str]]]:
    """Guess how a file is written.

    Returns:
        The form, with nothing set that is as it is by default; and the first rows, the header first where there is one.

    Raises:
        DataError: the file is missing, empty or not compressed as its name says.
    """
    found: dict[str, object] = {}
    encoding, escaped = _encoding(path)
    if encoding != "utf-8":
        found["encoding"] = encoding
    sample = next(text_blocks(path, encoding, BLOCK_BYTES), b"").decode(errors="replace")
    lines = sample.splitlines()[:SAMPLE_LINES]
    told = told_delimiter(lines[0]) if lines else None
    lines = lines[1:] if told else lines
    if not any(line.strip() for line in lines):
        raise DataError(path.name, "is empty", allowed="a header and one row or more")
    if escaped:
        found["escape"] = "\\"
    typed = re.search(r":(token|float)(_seq)?(\t|$)", lines[0]) is not None
    quote = "" if typed else "'" if lines[0].startswith("'") else '"'
    if quote != '"':
        found["quote"] = quote
    delimiter = told or _delimiter(lines, quote)
    if not told and delimiter != usual_delimiter(path):
        found["delimiter"] = delimiter
    rows = _rows(lines, delimiter, quote)
    if delimiter != "," and any(_DECIMAL_COMMA.fullmatch(cell) for row in rows[1:] for cell in row):
        found["decimal"] = ","
    return CsvForm.model_validate(found), rows


def has_no_header(rows: list[list[str]]) -> bool:
    """Tell whether the first row has nothing but numbers, as no header has."""
    return all(_NUMBER.fullmatch(cell.strip()) for cell in rows[0])


def _encoding(path: Path) -> tuple[str, bool]:
    """Guess an encoding from all of a file; and whether quotes are escaped in it."""
    escaped, high = False, False
    for place, block in enumerate(text_blocks(path, "latin-1", BLOCK_BYTES)):
        raw = block.decode().encode("latin-1", errors="replace")
        if not place and raw.startswith((b"\xff\xfe", b"\xfe\xff")):
            return "utf-16", False
        escaped = escaped or (b'\\"' in raw and _ESCAPED.search(raw) is not None)  # a hundred times quicker where not
        high = high or (not raw.isascii() and re.search(rb"[\x80-\x9f]", raw) is not None)
    tried = ("utf-8", "cp1252") if high else ("utf-8",)
    return next((encoding for encoding in tried if reads_as(path, encoding, BLOCK_BYTES)), "latin-1"), escaped


def _delimiter(lines: list[str], quote: str) -> str:
    """The one by which the header and most of the first rows have as many fields, and more than one."""
    best, most = ",", (0.0, 1)
    for delimiter in DELIMITERS:
        widths = [len(row) for row in _rows(lines, delimiter, quote)]
        score = (sum(width == widths[0] for width in widths) / len(widths), widths[0])
        if widths[0] > 1 and (round(score[0], 1), score[1]) > most:
            best, most = delimiter, (round(score[0], 1), score[1])
    return best


def _rows(lines: list[str], delimiter: str, quote: str) -> list[list[str]]:
    try:
        if quote:
            return [row for row in csv.reader(lines, delimiter=delimiter, quotechar=quote) if row]
        return [row for row in csv.reader(lines, delimiter=delimiter, quoting=csv.QUOTE_NONE) if row]
    except csv.Error:  # a very long field; the reader will say what is wrong with it
        return [line.split(delimiter) for line in lines if line]
