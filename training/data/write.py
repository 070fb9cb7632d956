"""Write three tables that the tables reader reads back to the same dataset."""

from pathlib import Path
from typing import Literal

import polars as pl

from training.data.raw import RawTables
from training.errors import ConfigError

TableFormat = Literal["csv", "parquet"]


def write_tables(raw: RawTables, folder: Path, table_format: TableFormat = "csv") -> tuple[Path, ...]:
    """Write interactions, users and items under the names `auto` looks for; return their paths.

    Raises:
        ConfigError: one of the files exists.
    """
    groups = pl.col("groups")
    tables = {
        "interactions": raw.interactions.frame,
        "users": raw.users.frame,
        "items": raw.items.frame.with_columns(groups.list.join("|") if table_format == "csv" else groups),
    }
    paths = {stem: folder / f"{stem}.{table_format}" for stem in tables}
    for path in paths.values():
        if path.exists():
            raise ConfigError("out", "exists already; nothing was written", value=path.name)
    folder.mkdir(parents=True, exist_ok=True)
    for stem, frame in tables.items():
        if table_format == "csv":
            frame.write_csv(paths[stem])
        else:
            frame.write_parquet(paths[stem])
    return tuple(paths.values())
