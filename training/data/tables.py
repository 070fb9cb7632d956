"""Any dataset as three tables in CSV or Parquet; interactions are read a batch at a time."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path

import polars as pl

from training.data.columns import group_column, id_column, number_column, only_whole, text_column
from training.data.config import InteractionsTable, ItemsTable, TablesConfig, UsersTable
from training.data.files import SUFFIXES, TableFile, open_table, read_table
from training.data.raw import Interactions, RawTables, Table, no_items
from training.errors import DataError


def is_tables(folder: Path) -> bool:
    """Tell whether a folder has interactions and users under the names the reader looks for."""
    return all(any((folder / (stem + suffix)).is_file() for suffix in SUFFIXES) for stem in ("interactions", "users"))


def read_tables(folder: Path, config: TablesConfig) -> RawTables:
    """Read the three tables; the one of items may be missing.

    Raises:
        DataError: a table or a column is missing, or a value is not what it should be.
    """
    wanted = None if config.attributes is None else [of.column or name for name, of in config.attributes.items()]
    return RawTables(
        interactions=_interactions(folder, config.interactions),
        users=_users(folder, config.users, wanted),
        items=_items(folder, config.items),
        source="three tables",
    )


def _interactions(folder: Path, config: InteractionsTable) -> Interactions:
    file = open_table(_required(folder, config.file, "interactions"))
    found = {"user": config.user, "item": config.item}
    for name, column in (("rating", config.rating), ("timestamp", config.timestamp)):
        if column is not None or name in file.columns:
            found[name] = column or name
    return Interactions(file.name, tuple(found), lambda: _checked(file, found))


def _checked(file: TableFile, found: Mapping[str, str]) -> Iterator[Table]:
    columns = list(dict.fromkeys(found.values()))
    one_form = _one_form(file, list(dict.fromkeys((found["user"], found["item"]))))
    for batch in file.batches(columns):
        table = replace(batch, frame=batch.frame.with_columns(one_form))
        checked = [id_column(table, found[name]).alias(name) for name in ("user", "item")]
        if "rating" in found:
            checked.append(number_column(table, found["rating"]).cast(pl.Float64).alias("rating"))
        if "timestamp" in found:
            checked.append(number_column(table, found["timestamp"]).alias("timestamp"))
        yield replace(table, frame=pl.DataFrame(checked))


def _one_form(file: TableFile, ids: Sequence[str]) -> list[pl.Expr]:
    """Tell how ids that are floats become the same text in every batch: 5 where all are whole, else 5.0."""
    first = next(file.batches(ids)).frame
    floats = [name for name in ids if first[name].dtype.is_float()]
    fractions: set[str] = set()
    for batch in file.batches(floats) if floats else ():
        fractions |= {name for name in floats if not only_whole(batch.frame[name])}
    return [pl.col(name).fill_nan(None).cast(pl.String if name in fractions else pl.Int64) for name in floats]


def _users(folder: Path, config: UsersTable, wanted: list[str] | None) -> Table:
    table = read_table(_required(folder, config.file, "users"))
    every = [name for name in table.frame.columns if name != config.user]
    names = every if wanted is None else list(dict.fromkeys(wanted))
    ids = id_column(table, config.user).alias("user")
    if "user" in names:
        raise DataError(table.file, "cannot be an attribute: it is the name of the ids", value="user")
    return Table(table.file, pl.DataFrame([ids, *(text_column(table, name) for name in names)]))


def _items(folder: Path, config: ItemsTable) -> Table:
    path = _find(folder, config.file, "items")
    if path is None:
        return no_items()
    table = read_table(path)
    ids = id_column(table, config.item).alias("item")
    empty = no_items().frame.clear(ids.len())
    title, groups = empty["title"].fill_null(""), empty["groups"]
    if config.title is not None or "title" in table.frame.columns:
        title = text_column(table, config.title or "title").fill_null("").alias("title")
    if config.groups is not None or "groups" in table.frame.columns:
        groups = group_column(table, config.groups or "groups", config.separator).alias("groups")
    return Table(table.file, pl.DataFrame([ids, title, groups]))


def _required(folder: Path, file: str | None, stem: str) -> Path:
    path = _find(folder, file, stem)
    if path is None:
        raise DataError(folder.name, f"has no {stem} table", allowed=" or ".join(stem + suffix for suffix in SUFFIXES))
    return path


def _find(folder: Path, file: str | None, stem: str) -> Path | None:
    if file is not None:
        return folder / file
    found = [path for path in (folder / (stem + suffix) for suffix in SUFFIXES) if path.is_file()]
    if len(found) > 1:
        raise DataError(folder.name, f"has both {found[0].name} and {found[1].name}", allowed="one of them")
    return found[0] if found else None
