"""Any dataset as three tables in CSV or Parquet; interactions are read a batch at a time."""

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path

import polars as pl

from training.data.columns import (
    group_column,
    id_column,
    named_missing,
    number_column,
    only_whole,
    prose_column,
    text_column,
)
from training.data.config import ItemsTable, TablesConfig
from training.data.csv_form import CsvForm
from training.data.files import TableFile, find_table, open_table, require_table
from training.data.raw import Interactions, RawTables, Table, no_interactions, no_items, no_users, require_column
from training.data.times import is_iso, time_column
from training.errors import DataError, first_few, shown


def read_tables(folder: Path, config: TablesConfig, *, interactions_wanted: bool = True) -> RawTables:
    """Read the three tables; the one of items may be missing, and that of interactions where it is not wanted.

    Raises:
        DataError: a table or a column is missing, or a value is not what it should be.
    """
    named, interactions = config.interactions, no_interactions()
    if interactions_wanted or find_table(folder, named.file, "interactions") is not None:
        path = require_table(folder, named.file, "interactions")
        interactions = _interactions(open_table(path, named.csv or config.csv), config)
    users, left_out = _users(folder, config)
    written = sorted({of.text for of in config.modalities.values() if of.text is not None})
    items, texts = _items(folder, config.items, config.csv, config.missing, written)
    return RawTables(
        interactions=interactions,
        users=users,
        items=items,
        source="three tables",
        left_out=left_out,
        texts=texts,
    )


def _interactions(file: TableFile, config: TablesConfig) -> Interactions:
    named = config.interactions
    found = {"user": named.user, "item": named.item}
    for name, column in (("rating", named.rating), ("timestamp", named.timestamp)):
        if column is not None or name in file.columns:
            found[name] = column or name
    for column in found.values():
        require_column(file.name, column, file.columns)
    return Interactions(file.name, tuple(found), lambda: _checked(file, found, config))


def _checked(file: TableFile, found: Mapping[str, str], config: TablesConfig) -> Iterator[Table]:
    columns = list(dict.fromkeys(found.values()))
    first = next(file.batches(columns)).frame
    one_form = _one_form(file, first, list(dict.fromkeys((found["user"], found["item"]))))
    iso = "timestamp" in found and _is_iso(first[found["timestamp"]])
    decimal = (config.interactions.csv or config.csv).decimal
    for batch in file.batches(columns):
        table = replace(batch, frame=batch.frame.with_columns(one_form))
        checked = [id_column(table, found[name]).alias(name) for name in ("user", "item")]
        if "rating" in found:
            rated = (
                table if config.positive_at_least is not None else _gaps_filled(table, found["rating"], config.missing)
            )
            checked.append(number_column(rated, found["rating"], decimal=decimal).cast(pl.Float64).alias("rating"))
        if "timestamp" in found:
            checked.append(time_column(table, found["timestamp"], iso=iso).alias("timestamp"))
        yield replace(table, frame=pl.DataFrame(checked))


def _gaps_filled(table: Table, name: str, missing: Collection[str]) -> Table:
    """Put a number where a rating that decides nothing is missing."""
    column = table.frame[name]
    if column.dtype == pl.String:
        column = column.set(column.str.strip_chars().is_in(["", *missing]), None).fill_null("0")
    elif column.dtype.is_numeric() or column.dtype == pl.Null:
        column = (column.fill_nan(None) if column.dtype.is_float() else column).fill_null(0)
    return replace(table, frame=table.frame.with_columns(column))


def _is_iso(times: pl.Series) -> bool:
    """Tell whether a column of times is ISO 8601, by its first value."""
    first = times.drop_nulls().first()
    return isinstance(first, str) and is_iso(first)


def _one_form(file: TableFile, first: pl.DataFrame, ids: Sequence[str]) -> list[pl.Expr]:
    """Tell how ids that are floats become the same text in every batch: 5 where all are whole, else 5.0."""
    floats = [name for name in ids if first[name].dtype.is_float()]
    fractions: set[str] = set()
    for batch in file.batches(floats) if floats else ():
        fractions |= {name for name in floats if not only_whole(batch.frame[name])}
    return [pl.col(name).fill_nan(None).cast(pl.String if name in fractions else pl.Int64) for name in floats]


def _users(folder: Path, config: TablesConfig) -> tuple[Table, Mapping[str, int]]:
    """Read the ids and attributes; and what of the file is left out, in words, and how many."""
    path = find_table(folder, config.users.file, "users")
    if path is None and config.attributes is not None and all(of.counts for of in config.attributes.values()):
        return no_users("users"), {}
    form = config.users.csv or config.csv
    file = open_table(path or require_table(folder, None, "users"), form)
    id_name = config.users.user
    require_column(file.name, id_name, file.columns)
    if config.attributes is None:
        wanted = [name for name in file.columns if name != id_name]
    else:
        columns = (of.column or name for name, of in config.attributes.items() if not of.counts)
        wanted = list(dict.fromkeys(columns))
    table = file.whole(list(dict.fromkeys([id_name, *wanted])))
    if "user" in wanted:
        raise DataError(table.file, "cannot be an attribute: it is the name of the ids", value="user")
    ids = id_column(table, id_name).alias("user")
    texts = [text_column(table, name, config.missing) for name in wanted]
    if form.decimal != ".":
        cut = {of.column or name for name, of in (config.attributes or {}).items() if of.edges}
        texts = [text.str.replace(form.decimal, ".", literal=True) if text.name in cut else text for text in texts]
    left_out = {f"columns of {table.file} without a name": file.unnamed} if file.unnamed else {}
    unused = [name for name in file.columns if name not in (id_name, *wanted)]
    if unused:
        left_out[f"columns of {table.file} that are no attribute ({first_few(unused)})"] = len(unused)
    for name in wanted:
        if count := named_missing(table, name, config.missing):
            left_out[f"cells of {table.file}, column {shown(name)}, that say they are missing"] = count
    return Table(table.file, pl.DataFrame([ids, *texts])), left_out


def _items(
    folder: Path, config: ItemsTable, form: CsvForm, missing: Collection[str], written: Sequence[str]
) -> tuple[Table, dict[str, Table]]:
    """Read ids, titles and groups, and the columns of text that modalities are made of."""
    path = require_table(folder, config.file, "items") if written else find_table(folder, config.file, "items")
    if path is None:
        return no_items(), {}
    file = open_table(path, config.csv or form)
    named = {"item": config.item}
    for name, column in (("title", config.title), ("groups", config.groups)):
        if column is not None or name in file.columns:
            named[name] = column or name
    table = file.whole(list(dict.fromkeys([*named.values(), *written])))
    ids = id_column(table, config.item).alias("item")
    texts = {
        name: Table(file.name, pl.DataFrame([ids, prose_column(table, name, missing).alias("text")]))
        for name in written
    }
    empty = no_items().frame.clear(ids.len())
    title, groups = empty["title"].fill_null(""), empty["groups"]
    if "title" in named:
        title = text_column(table, named["title"], missing).fill_null("").alias("title")
    if "groups" in named:
        groups = group_column(table, named["groups"], config.separator, missing).alias("groups")
    return Table(table.file, pl.DataFrame([ids, title, groups])), texts
