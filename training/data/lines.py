"""Files of one record per line, without header or quotes, as MovieLens uses them."""

from dataclasses import dataclass
from pathlib import Path

import polars as pl

from training.data.raw import Table
from training.errors import DataError


@dataclass(frozen=True)
class Lines(Table):
    """A table read from lines.

    Attributes:
        ended: the last line ends as the others do; False where the file may be cut off.
    """

    ended: bool = True


def read_lines(path: Path, separator: str, columns: tuple[str, ...]) -> Lines:
    """Split every line into its fields, as text; blank lines at the end are left out.

    Latin-1 gives every byte a meaning, so that decoding cannot fail.

    Raises:
        DataError: the file is missing or empty, or a line has more or fewer fields.
    """
    try:
        text = path.read_bytes().decode("latin-1")
    except OSError as error:
        raise DataError(path.name, f"cannot be read: {error.strerror}") from error
    records = pl.Series("line", text.replace("\r\n", "\n").rstrip("\n").split("\n"), dtype=pl.String)
    if not text.strip():
        raise DataError(path.name, "is empty", allowed=separator.join(columns))
    counts = records.str.count_matches(separator, literal=True) + 1
    fields = records.str.split_exact(separator, len(columns) - 1).struct.rename_fields(list(columns))
    whole = Lines(path.name, records.to_frame(), "line")
    problem = f"does not have {len(columns)} fields"
    whole.refuse(counts != len(columns), "line", problem, allowed=separator.join(columns))
    return Lines(path.name, fields.struct.unnest(), "line", ended=text.endswith("\n"))
