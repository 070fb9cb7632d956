"""How the text of a CSV file is written: what stands between fields, around them, and for their characters."""

import codecs
import re
from pathlib import Path
from typing import Annotated, Literal, Self

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, model_validator

TEXT_ENDINGS = (".csv", ".tsv", ".txt", ".dat", ".data", ".inter", ".user", ".item")
"""Of files that are read as CSV, with or without .gz or .zst behind."""

_SEPARATOR_LINE = re.compile(r'"?sep=([^\w\s"\x80-\U0010ffff]|\t)"?', re.IGNORECASE | re.ASCII)


def _mark(mark: str) -> str:
    if mark and (len(mark) > 1 or not mark.isascii() or mark.isalnum() or mark in "\r\n\0 "):
        raise ValueError(f"{mark!r} must be one ASCII character that is no letter, digit, space or line end")
    return mark


def _encoding(name: str) -> str:
    try:
        b"1,2\n".decode(name)  # codecs that make bytes of bytes refuse this
        codecs.getincrementaldecoder(name)
    except (LookupError, UnicodeError, ValueError):
        raise ValueError(f"{name!r} is no encoding that Python knows, as utf-8, latin-1, cp1252 or utf-16") from None
    return name


Mark = Annotated[str, AfterValidator(_mark)]


class CsvForm(BaseModel):
    """How the text of a CSV file is written."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    delimiter: Annotated[Mark, Field(min_length=1)] | None = None
    """Stands between fields. Absent: what a first line `sep=;` names, else a tab in .tsv, else a comma."""

    quote: Mark = '"'
    """Stands around a field, doubled inside it; '' where quotes are characters like any other."""

    escape: Mark = ""
    """Stands before a character that has no meaning of its own there; '' where nothing does."""

    encoding: Annotated[str, AfterValidator(_encoding)] = "utf-8"
    """A name that Python knows."""

    decimal: Literal[".", ","] = "."
    """Stands before the fraction of a number."""

    columns: tuple[str, ...] = ()
    """Names of the columns where the file has no header."""

    @model_validator(mode="after")
    def _apart(self) -> Self:
        marks = [mark for mark in (self.delimiter, self.quote, self.escape) if mark]
        if len(set(marks)) < len(marks):
            raise ValueError("delimiter, quote and escape must be different characters")
        if len(set(self.columns)) < len(self.columns):
            raise ValueError(f"a column is named twice in {list(self.columns)}")
        return self


def told_delimiter(first: str) -> str | None:
    """The delimiter that a first line `sep=;` names; None for a first line of another kind."""
    told = _SEPARATOR_LINE.fullmatch(first)
    return told[1] if told else None


def usual_delimiter(path: Path) -> str:
    """A tab in .tsv, compressed or not, else a comma."""
    return "\t" if ".tsv" in (suffix.lower() for suffix in path.suffixes) else ","
