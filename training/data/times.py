"""Points in time as numbers that only their order is used of."""

import polars as pl

from training.data.columns import number_column
from training.data.raw import Table

_ISO = (
    r"^(?<date>\d{4}-?\d{2}-?\d{2})"
    r"(?:[T ](?<hour>\d{2})(?::?(?<minute>\d{2})(?::?(?<second>\d{2})(?:[.,](?<fraction>\d{1,9}))?)?)?)?"
    r" ?(?<zone>Z|[+-]\d{2}(?::?\d{2})?)?$"
)
ALLOWED = "a number, or a time as 2009-05-05T23:08:40Z (ISO 8601); one kind in a file"


def is_iso(text: str) -> bool:
    """Tell whether a value is a date or time by ISO 8601, with its day; eight digits alone are a number."""
    return not text.strip().isdigit() and bool(_microseconds(pl.Series([text])).is_not_null()[0])


def time_column(table: Table, name: str, *, iso: bool) -> pl.Series:
    """Read times, none missing.

    Args:
        table: rows of a file.
        name: the column.
        iso: the column has ISO 8601 in place of numbers.

    Returns:
        Numbers as they are; of ISO 8601, microseconds since 1970, Int64, where no zone is given in UTC.

    Raises:
        DataError: a time is missing or is not one.
    """
    if not iso:
        return number_column(table, name, allowed=ALLOWED)
    texts = table.column(name)
    table.refuse(texts.is_null() | (texts.str.strip_chars() == ""), name, "a time is missing", allowed=ALLOWED)
    times = _microseconds(texts)
    table.refuse(times.is_null(), name, "is not a time", allowed=ALLOWED)
    return times.rename(name)


def _microseconds(texts: pl.Series) -> pl.Series:
    """Of ISO 8601, null where it is not."""
    found = texts.str.strip_chars().str.to_uppercase().str.extract_groups(_ISO).struct
    part = {name: found.field(name) for name in ("date", "hour", "minute", "second", "fraction", "zone")}
    clock = [part[name].fill_null("00") for name in ("hour", "minute", "second")]
    day = part["date"].str.replace_all("-", "", literal=True)
    whole = (day + clock[0] + clock[1] + clock[2]).str.to_datetime("%Y%m%d%H%M%S", strict=False, time_unit="us")
    fraction = part["fraction"].fill_null("").str.pad_end(6, "0").str.head(6).cast(pl.Int64)
    zone = part["zone"].fill_null("Z").replace("Z", "+00").str.replace(":", "", literal=True)
    minutes = zone.str.slice(1, 2).cast(pl.Int64) * 60 + zone.str.slice(3).replace("", "0").cast(pl.Int64)
    ahead = pl.select(pl.when(zone.str.starts_with("-")).then(-minutes).otherwise(minutes)).to_series()
    return whole.cast(pl.Int64) + fraction - ahead * 60_000_000
