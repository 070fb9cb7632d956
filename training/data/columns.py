"""Untrusted columns become ids, text and numbers here, or a `DataError` that names the row."""

from collections.abc import Collection

import polars as pl

from bundle.limits import ID_ALLOWED, first_unfit
from training.data.raw import Table
from training.errors import DataError

MAX_TEXT_CHARACTERS = 1000
MAX_PROSE_CHARACTERS = 100_000
"""Of what is read to be encoded, and never shown."""

CONTROL = r"[\p{Cc}\p{Zl}\p{Zp}\u{202A}-\u{202E}\u{2066}-\u{2069}]"
"""Control characters, line and paragraph separators, and what turns the direction of writing."""

BREAKS = r"[\t\n\v\f\r\u{85}\u{2028}\u{2029}]+"
"""Ends of lines and tabs, which a text may have and a list has no room for."""


def id_column(table: Table, name: str) -> pl.Series:
    """Read ids: whole numbers or text, none missing, each one that a bundle can hold.

    Raises:
        DataError: an id is missing, too long, or has characters that cannot be printed or spaces at its ends.
    """
    ids = _as_text(table, name, allowed="text or whole numbers")
    allowed = f"{ID_ALLOWED}, no space at either end"
    table.refuse(ids.is_null() | (ids == ""), name, "an id is missing", allowed=allowed)
    if unfit := first_unfit(ids.to_arrow(compat_level=pl.CompatLevel.oldest())):
        table.refuse_row(unfit.place, name, unfit.problem, allowed=allowed)
    table.refuse(ids.str.strip_chars() != ids, name, "has a space at an end", allowed=allowed)
    return ids


def text_column(table: Table, name: str, missing: Collection[str] = (), most: int = MAX_TEXT_CHARACTERS) -> pl.Series:
    """Read text, a space in place of line ends and tabs; null where the cell is missing, blank or one of `missing`.

    Args:
        table: rows of a file.
        name: the column.
        missing: words that say that nothing is known.
        most: characters of a cell.

    Raises:
        DataError: a text is too long or has control characters.
    """
    text = _as_text(table, name, allowed="text or numbers").str.replace_all(BREAKS, " ")
    refuse_control(table, name, text, most)
    stripped = text.str.strip_chars()
    return stripped.set(stripped.is_in(["", *missing]), None)


def prose_column(table: Table, name: str, missing: Collection[str] = ()) -> pl.Series:
    """Read text that is encoded and never shown, so that it may be long; lists of text are joined by spaces.

    Raises:
        DataError: as `text_column`.
    """
    column = table.column(name)
    if isinstance(column.dtype, pl.List) and column.dtype.inner == pl.String:
        table = Table(table.file, column.list.join(" ").to_frame(), table.unit, table.before)
    return text_column(table, name, missing, MAX_PROSE_CHARACTERS)


def named_missing(table: Table, name: str, missing: Collection[str]) -> int:
    """Count the cells that say by a word of `missing`, and not by being blank, that they are missing."""
    texts = _as_text(table, name, allowed="text or numbers").str.strip_chars()
    return int(texts.is_in([word for word in missing if word.strip()]).sum())


def refuse_control(table: Table, name: str, text: pl.Series, most: int = MAX_TEXT_CHARACTERS) -> None:
    """Raise on text that would be unsafe to print or to put in a page.

    Raises:
        DataError: a text is too long or has control characters.
    """
    wrong = text.str.contains(CONTROL) | (text.str.len_chars() > most)
    allowed = f"at most {most} characters, no control characters"
    table.refuse(wrong, name, "is not plain text", allowed=allowed, values=text)


def number_column(table: Table, name: str, *, allowed: str = "a finite number", decimal: str = ".") -> pl.Series:
    """Read finite numbers, none missing: Int64 where all of them are whole, else Float64.

    Args:
        table: rows of a file.
        name: the column.
        allowed: what a refusal says that the value may be.
        decimal: what stands before a fraction, where numbers are text.

    Raises:
        DataError: a number is missing, not one, NaN or infinite.
    """
    column = table.column(name)
    if column.dtype.is_temporal():
        column = column.to_physical()
    if column.dtype.is_decimal():
        column = column.cast(pl.Float64)
    if column.dtype == pl.String:
        column = column.str.strip_chars()
        column = column.set(column == "", None)
        column = column.str.replace(decimal, ".", literal=True) if decimal != "." else column
    if not (column.dtype.is_numeric() or column.dtype in (pl.String, pl.Null)):
        raise DataError(table.file, f"is {column.dtype}", column=name, allowed="numbers")
    table.refuse(column.is_null(), name, "a number is missing", allowed=allowed)
    whole = column.cast(pl.Int64, strict=False) if not column.dtype.is_float() else None
    if whole is not None and not whole.has_nulls():
        return whole.rename(name)
    numbers = column.cast(pl.Float64, strict=False)
    table.refuse(numbers.is_null() | ~numbers.is_finite(), name, "is not a finite number", allowed=allowed)
    return numbers.rename(name)


def group_column(table: Table, name: str, separator: str, missing: Collection[str] = ()) -> pl.Series:
    """Read lists of groups: Parquet lists, or text with a separator; empty where missing or one of `missing`.

    Raises:
        DataError: a group is too long or has control characters.
    """
    column = table.column(name)
    if isinstance(column.dtype, pl.List):
        if column.dtype.inner not in (pl.String, pl.Null):
            raise DataError(table.file, f"is {column.dtype}", column=name, allowed="text or lists of text")
        lists = column.cast(pl.List(pl.String))
        joined = lists.list.eval(pl.element().fill_null("")).list.join("")
    else:
        joined = _as_text(table, name, allowed="text or lists of text").str.replace_all(BREAKS, " ")
        lists = joined.str.split(separator)
    refuse_control(table, name, joined)
    named = pl.element().str.strip_chars()
    lists = lists.list.eval(named.filter(~named.is_in(["", *missing]))).list.unique(maintain_order=True)
    return pl.Series(name, lists.fill_null(pl.Series([[]], dtype=pl.List(pl.String))), dtype=pl.List(pl.String))


def only_whole(column: pl.Series) -> bool:
    """Tell whether a column of floats has whole numbers and gaps alone."""
    numbers = column.fill_nan(None)
    return numbers.cast(pl.Int64, strict=False).eq_missing(numbers).all()


def _as_text(table: Table, name: str, *, allowed: str) -> pl.Series:
    """Cast to String; a float column of whole numbers loses its '.0' (pandas writes one where a cell is missing)."""
    column = table.column(name)
    kind = column.dtype
    if kind.is_float():
        column = column.fill_nan(None).cast(pl.Int64) if only_whole(column) else column.fill_nan(None)
    elif not (kind in (pl.String, pl.Categorical, pl.Enum, pl.Null, pl.Boolean) or kind.is_integer()):
        raise DataError(table.file, f"is {kind}", column=name, allowed=allowed)
    return column.cast(pl.String)
