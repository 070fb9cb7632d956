"""Files of one record per line, without header or quotes, as MovieLens uses them."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import polars as pl

from training.data.raw import Table
from training.data.text_blocks import reads_as, text_blocks
from training.errors import DataError

BLOCK_BYTES = 2 * 2**20
LINE_ENDS = b"\r\n"


@dataclass(frozen=True)
class Lines(Table):
    """A table read from lines.

    Attributes:
        ended: the last line ends as the others do; False where the file may be cut off.
    """

    ended: bool = True


def line_batches(path: Path, separator: str, columns: tuple[str, ...]) -> Iterator[Lines]:
    """Split every line into its fields, as text, some lines at a time; blank lines at the end are left out.

    A file is UTF-8 where all of it can be (10M and later), else Latin-1, which gives every byte a meaning.

    Raises:
        DataError: the file is missing or empty, or a line has more or fewer fields.
    """
    before, held = 0, b""
    encoding = "utf-8" if reads_as(path, "utf-8", BLOCK_BYTES) else "latin-1"
    for block in text_blocks(path, encoding, BLOCK_BYTES):
        held += block
        cut = held.rfind(b"\n", 0, len(held.rstrip(LINE_ENDS))) + 1  # what follows may be the end
        if cut:
            lines = _split(path.name, held[: cut - 1].removesuffix(b"\r"), separator, columns, before, ended=True)
            held, before = held[cut:], before + lines.frame.height
            yield lines
    last = held.rstrip(LINE_ENDS)
    if last.strip():
        yield _split(path.name, last, separator, columns, before, ended=held.endswith(b"\n"))
    elif not before:
        raise DataError(path.name, "is empty", allowed=_form(separator, columns))


def read_lines(path: Path, separator: str, columns: tuple[str, ...]) -> Lines:
    """Read all lines of a file.

    Raises:
        DataError: as `line_batches`.
    """
    batches = list(line_batches(path, separator, columns))
    return Lines(path.name, pl.concat([batch.frame for batch in batches]), "line", ended=batches[-1].ended)


def _form(separator: str, columns: tuple[str, ...]) -> str:
    return ("\\t" if separator == "\t" else separator).join(columns)


def _split(file: str, text: bytes, separator: str, columns: tuple[str, ...], before: int, *, ended: bool) -> Lines:
    lines = text.decode().replace("\r\n", "\n").split("\n")
    records = pl.Series("line", lines, dtype=pl.String)
    counts = records.str.count_matches(separator, literal=True) + 1
    problem = f"does not have {len(columns)} fields"
    whole = Lines(file, records.to_frame(), "line", before)
    whole.refuse(counts != len(columns), "line", problem, allowed=_form(separator, columns))
    fields = records.str.split_exact(separator, len(columns) - 1).struct.rename_fields(list(columns))
    return Lines(file, fields.struct.unnest(), "line", before, ended)
