"""What the next training needs of the database, as of one moment: three Parquet files in a folder."""

from __future__ import annotations

import shutil
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow as pa
from pyarrow import parquet
from sqlalchemy import Connection

from service.store.database import Database
from service.store.errors import StoreStartError, StoreUnavailableError
from service.store.items import hidden_ids
from service.store.users import ever_erased, interactions_page

PAGE = 50_000
"""Rows in memory at once."""
FILES = {
    "interactions": pa.schema(
        [("user", pa.string()), ("item", pa.string()), ("time_us", pa.int64()), ("rating", pa.float64())]
    ),
    "erased_users": pa.schema([("user", pa.string()), ("suppressed", pa.bool_())]),
    "hidden_items": pa.schema([("item", pa.string())]),
}
"""File → its columns. An erased user is there for good, ``suppressed`` until the erasure is lifted."""

Row = Sequence[Any]


@dataclass(frozen=True, slots=True)
class Exported:
    """Number of rows written."""

    interactions: int
    erased_users: int
    hidden_items: int


def export(database: Database, folder: Path) -> Exported:
    """Write the interactions in the order they came, the users ever erased, and the items that are hidden now.

    All three are of one moment, while the service goes on; the folder is in its place whole or not at all.

    Raises:
        StoreStartError: the folder exists.
        StoreUnavailableError: the database is lost, or the files cannot be written.
    """
    if folder.exists():
        raise StoreStartError(f"{folder} exists; an export never replaces another one")
    draft = folder.with_name(f".{folder.name}.unfinished")
    shutil.rmtree(draft, ignore_errors=True)
    try:
        draft.mkdir(mode=0o700)
        with database.snapshot() as connection:
            pages: dict[str, Iterable[Sequence[Row]]] = {
                "interactions": _interactions(connection),
                "erased_users": [ever_erased(connection)],
                "hidden_items": [[(item,) for item in hidden_ids(connection)]],
            }
            counts = {name: _write(draft / f"{name}.parquet", FILES[name], rows) for name, rows in pages.items()}
        draft.rename(folder)
    except OSError as error:
        raise StoreUnavailableError(f"nothing was exported: {error}") from error
    finally:
        shutil.rmtree(draft, ignore_errors=True)
    return Exported(**counts)


def _interactions(connection: Connection) -> Iterator[Sequence[Row]]:
    after = 0
    while page := interactions_page(connection, after, PAGE):
        yield [(one.user, one.item, one.time_us, one.rating) for _, one in page]
        after = page[-1][0]


def _write(path: Path, schema: pa.Schema, pages: Iterable[Sequence[Row]]) -> int:
    count = 0
    with parquet.ParquetWriter(path, schema, compression="zstd") as writer:
        for rows in pages:
            columns = zip(*rows, strict=True) if rows else ((),) * len(schema)
            arrays = [pa.array(column, kind.type) for column, kind in zip(columns, schema, strict=True)]
            writer.write_table(pa.Table.from_arrays(arrays, schema=schema))
            count += len(rows)
    return count
