"""From three checked tables to one `Dataset`: who and what is kept, in which order."""

from collections.abc import Mapping

import numpy as np
import polars as pl
from numpy.typing import NDArray

from training.data.classes import encode
from training.data.config import AttributeConfig
from training.data.dataset import ATTRIBUTE_NAME, UNKNOWN, Attribute, Dataset
from training.data.raw import RawTables, Table
from training.errors import DataError


def assemble(
    raw: RawTables,
    attributes: Mapping[str, AttributeConfig] | None,
    positive_at_least: float | None,
    min_positives: int,
) -> Dataset:
    """Join the tables, drop users with few positives, then items without a positive.

    Args:
        raw: what a reader found.
        attributes: which attributes, in the order wanted; None takes every column of the users table.
        positive_at_least: rating from which an interaction is a positive; None: all are.
        min_positives: users with fewer are dropped; a repeated (user, item) counts once, as it was last.

    Raises:
        DataError: tables that contradict each other, a threshold without ratings, an attribute with one class,
            or nobody left.
    """
    users, items = raw.users.frame, raw.items.frame
    _refuse_repeated(raw.users, "user")
    _refuse_repeated(raw.items, "item")
    labelled = {name: _labels(raw, name, config) for name, config in _selected(raw.users, attributes).items()}

    rows = _last_of_each_pair(raw.interactions, users["user"], positive_at_least)
    kept = rows.group_by("user_row").agg(pl.col("positive").sum()).filter(pl.col("positive") >= min_positives)
    if kept.is_empty():
        problem = f"no user has the {min_positives} positives asked for ({_threshold(positive_at_least)})"
        raise DataError(raw.interactions.file, problem)
    rows = rows.join(kept, on="user_row", how="semi", maintain_order="left")
    rows = rows.filter(pl.col("positive").any().over("item"))

    user_rows = _id_order(users["user"][kept["user_row"].sort()])
    catalogue = _id_order(rows["item"].unique())
    places = (
        users.select("user")
        .with_row_index("user_row")
        .join(
            pl.DataFrame({"user": user_rows, "u": range(len(user_rows))}, schema={"user": pl.String, "u": pl.Int64}),
            on="user",
        )
    )
    columns = pl.DataFrame({"item": catalogue, "i": range(len(catalogue))}, schema={"item": pl.String, "i": pl.Int32})
    rows = rows.join(places, on="user_row").join(columns, on="item").sort("u", "order")
    counts = np.bincount(rows["u"].to_numpy(), minlength=len(user_rows))

    known = pl.DataFrame({"item": catalogue}, schema={"item": pl.String}).join(
        items, on="item", how="left", maintain_order="left"
    )
    of_kept = places.sort("u")["user_row"].to_numpy()
    named = [_used(raw.users, name, classes, labels[of_kept]) for name, (classes, labels) in labelled.items()]
    return Dataset(
        users=tuple(user_rows),
        items=tuple(catalogue),
        titles=tuple(known["title"].fill_null("")),
        groups=tuple(tuple(groups or ()) for groups in known["groups"].to_list()),
        attributes=tuple(attribute for attribute, _ in named),
        labels=np.stack([labels for _, labels in named], axis=1).astype(np.int16),
        indptr=np.concatenate([[0], np.cumsum(counts)]).astype(np.int64),
        indices=rows["i"].to_numpy().astype(np.int32),
        positive=rows["positive"].to_numpy().astype(np.bool_),
        source=f"{raw.source}; {_threshold(positive_at_least)}; users with {min_positives} or more positives",
    )


def _selected(users: Table, attributes: Mapping[str, AttributeConfig] | None) -> Mapping[str, AttributeConfig]:
    if attributes is not None:
        return attributes
    names = [column for column in users.frame.columns if column != "user"]
    if not names:
        raise DataError(users.file, "has no attribute: no column besides the id")
    for name in names:
        if not ATTRIBUTE_NAME.fullmatch(name):
            allowed = f"{ATTRIBUTE_NAME.pattern}, or an attribute in the configuration that names it as its `column`"
            raise DataError(users.file, "cannot name an attribute", value=name, allowed=allowed)
    return {name: AttributeConfig() for name in names}


def _labels(raw: RawTables, name: str, config: AttributeConfig) -> tuple[tuple[str, ...], NDArray[np.int16]]:
    column = config.column or name
    return encode(raw.users, column, config.edges, raw.classes.get(column))


def _used(
    users: Table, name: str, classes: tuple[str, ...], labels: NDArray[np.int16]
) -> tuple[Attribute, NDArray[np.int16]]:
    """Leave out classes that no kept user has."""
    used = np.unique(labels[labels != UNKNOWN])
    if used.size < 2:
        found = f"only {classes[used[0]]!r}" if used.size else "no label"
        problem = f"attribute {name!r} has {found} among the users kept"
        raise DataError(users.file, problem, allowed="two or more classes")
    return Attribute(name, tuple(classes[row] for row in used)), np.where(
        labels == UNKNOWN, UNKNOWN, np.searchsorted(used, labels)
    ).astype(np.int16)


def _last_of_each_pair(interactions: Table, users: pl.Series, positive_at_least: float | None) -> pl.DataFrame:
    """Return user_row, item, positive and order (in time, then by row), each (user, item) once."""
    frame = interactions.frame
    if frame.is_empty():
        raise DataError(interactions.file, "has no interactions")
    rated = "rating" in frame.columns
    if positive_at_least is not None and not rated:
        problem = f"has no ratings, which positive_at_least = {positive_at_least:g} needs"
        raise DataError(interactions.file, problem, allowed="a column of ratings")
    known = users.to_frame("user").with_row_index("user_row")
    rows = frame.join(known, on="user", how="left", maintain_order="left")
    interactions.refuse(rows["user_row"].is_null(), "user", "is not in the users table")
    positive = pl.lit(value=True) if positive_at_least is None else pl.col("rating") >= positive_at_least
    if "timestamp" in frame.columns:
        rows = rows.sort("timestamp", maintain_order=True)
    rows = rows.with_row_index("order").select("user_row", "item", "order", positive.alias("positive"))
    return rows.unique(["user_row", "item"], keep="last", maintain_order=True)


def _refuse_repeated(table: Table, column: str) -> None:
    ids = table.frame[column]
    table.refuse(~ids.is_first_distinct(), column, "stands in an earlier row too", allowed="one row for each id")


def _id_order(ids: pl.Series) -> list[str]:
    """Order ids by number where all are digits, else lexicographically."""
    texts = sorted(ids.to_list())
    if all(text.isascii() and text.isdigit() for text in texts):
        texts.sort(key=lambda text: (len(text.lstrip("0")), text.lstrip("0"), text))
    return texts


def _threshold(positive_at_least: float | None) -> str:
    return "every interaction a positive" if positive_at_least is None else f"positive from {positive_at_least:g}"
