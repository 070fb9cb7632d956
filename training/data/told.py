"""What the service was told since a bundle: posted interactions, erased users, hidden items, as it exports them."""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path

import polars as pl

from bundle.limits import unfit_places
from training.errors import DataError, ServiceDataError

COLUMNS: dict[str, dict[str, type[pl.DataType]]] = {
    "interactions": {"user": pl.String, "item": pl.String, "time_us": pl.Int64, "rating": pl.Float64},
    "erased_users": {"user": pl.String, "suppressed": pl.Boolean},
    "hidden_items": {"item": pl.String},
}
"""File → its columns, as `python -m service export` writes them."""


@dataclass(frozen=True)
class Told:
    """As of one moment.

    Attributes:
        interactions: user, item and rating (null where none was given), oldest first; of a user and an item the last.
        erased: users who were erased at any time: what is known of them from before is left out.
        hidden: items that are hidden.
        left_out: what is in no table, in words, and how many.
    """

    interactions: pl.DataFrame
    erased: pl.Series
    hidden: pl.Series
    left_out: dict[str, int]


def ask_service(database: str | None) -> Told:
    """Have the service's own code read its database: SQL is known there alone.

    Args:
        database: URL; None for that of ``EVENHAND_DATABASE_URL``, or the service's default.

    Raises:
        ServiceDataError: the database cannot be read.
    """
    given = {} if database is None else {"EVENHAND_DATABASE_URL": database}  # no argument: others would see a password
    with tempfile.TemporaryDirectory(prefix="evenhand-told-") as place:
        folder = Path(place) / "told"
        command = [sys.executable, "-m", "service", "export", str(folder)]
        done = subprocess.run(command, env={**os.environ, **given}, capture_output=True, text=True)  # noqa: S603  our own command
        if done.returncode:
            raise ServiceDataError(done.stderr.strip().rpartition("\n")[2])
        return read_told(folder)


def read_told(folder: Path) -> Told:
    """Read a folder that `python -m service export` wrote.

    Raises:
        DataError: a file is missing, or has other columns.
    """
    found = {name: _read(folder / f"{name}.parquet", columns) for name, columns in COLUMNS.items()}
    posted, erased = found["interactions"], found["erased_users"]
    suppressed = erased.filter("suppressed")["user"]
    kept = posted.filter(~pl.col("user").is_in(suppressed.implode()))
    fitting = kept.filter(_fits(kept["user"]) & _fits(kept["item"]))
    left_out = {"posted interactions whose user or item has an id that no bundle holds": kept.height - fitting.height}
    in_time = fitting.sort("time_us", maintain_order=True).unique(["user", "item"], keep="last", maintain_order=True)
    return Told(
        interactions=in_time.select("user", "item", "rating"),
        erased=erased["user"],
        hidden=found["hidden_items"]["item"],
        left_out={what: count for what, count in left_out.items() if count},
    )


def _read(path: Path, columns: dict[str, type[pl.DataType]]) -> pl.DataFrame:
    try:
        frame = pl.read_parquet(path)
    except (OSError, pl.exceptions.PolarsError) as error:
        raise DataError(path.name, f"cannot be read: {type(error).__name__}") from None
    if dict(frame.schema) != columns:
        allowed = ", ".join(f"{name} {kind.__name__}" for name, kind in columns.items())
        raise DataError(path.name, "has other columns", value=", ".join(frame.columns), allowed=allowed)
    return frame


def _fits(ids: pl.Series) -> pl.Series:
    """Flag the ids that the reader of tables takes; one odd id must not keep everybody's from training."""
    fit = (ids.str.strip_chars() == ids).fill_null(value=False).to_numpy().copy()
    fit[unfit_places(ids.fill_null("").to_arrow(compat_level=pl.CompatLevel.oldest()))] = False
    return pl.Series(fit, dtype=pl.Boolean)
