"""The data of a bundle and what the service was told since, as three tables; erased users are in none of them."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass, replace

import numpy as np
import polars as pl

from training.data.dataset import Dataset
from training.data.raw import Interactions, RawTables, Table
from training.data.told import Told

Counts = dict[str, int]


@dataclass(frozen=True)
class Merged:
    """Tables to write, and how many rows came from where, in words."""

    tables: RawTables
    counts: Counts


def merge(trained: Dataset, told: Told, positive_at_least: float | None, counted: Collection[str] = ()) -> Merged:
    """Merge.

    Args:
        trained: what a bundle was trained on.
        told: what the service was told, also before that bundle: what is in both is there once, as it was posted.
        positive_at_least: rating from which an interaction is a positive; None: all are, and there are no ratings.
        counted: attributes that are counted from interactions, and so have no column.
    """
    erased = told.erased.implode()
    owners = np.repeat(np.arange(len(trained.users)), np.diff(trained.indptr))
    users, items = pl.Series(trained.users, dtype=pl.String), pl.Series(trained.items, dtype=pl.String)
    whole = pl.DataFrame(
        {"user": users.gather(owners), "item": items.gather(trained.indices), "positive": trained.positive}
    )
    known = whole.filter(~pl.col("user").is_in(erased))
    posted, pair = told.interactions, ["user", "item"]
    before = known.join(posted, on=pair, how="anti", maintain_order="left")
    rows = pl.concat([_rated(before, positive_at_least), _posted(posted, positive_at_least)])
    people = _users(trained, counted).filter(~pl.col("user").is_in(erased))
    newcomers = posted["user"].unique(maintain_order=True)
    newcomers = newcomers.filter(~newcomers.is_in(people["user"].implode()))
    counts = {
        "interactions of the bundle": before.height,
        "interactions posted": posted.height,
        "of these, known to the bundle": known.height - before.height,
        "users of the bundle": people.height,
        "users who are new, without attributes": newcomers.len(),
        "users of the bundle left out, erased": len(trained.users) - people.height,
        "interactions of theirs left out": whole.height - known.height,
    }
    catalogue = _items(trained, posted["item"], told.hidden)
    tables = RawTables(
        interactions=Interactions.of(Table("interactions", rows)),
        users=Table("users", pl.concat([people, newcomers.to_frame("user")], how="diagonal")),
        items=Table("items", catalogue),
        source="a bundle and what its service was told",
    )
    counts |= {"items": catalogue.height, "items hidden": int(catalogue["hidden"].sum())}
    return Merged(replace(tables, left_out=told.left_out), counts | told.left_out)


def _rated(before: pl.DataFrame, threshold: float | None) -> pl.DataFrame:
    """Stand a rating for what a bundle keeps of one: the threshold for a positive, one less for what is only seen."""
    if threshold is None:
        return before.select("user", "item")
    liked = pl.when("positive").then(threshold).otherwise(threshold - 1).cast(pl.Float64)
    return before.select("user", "item", liked.alias("rating"))


def _posted(posted: pl.DataFrame, threshold: float | None) -> pl.DataFrame:
    """Count what was posted without a rating as a positive."""
    return (
        posted.select("user", "item")
        if threshold is None
        else posted.with_columns(pl.col("rating").fill_null(threshold))
    )


def _users(trained: Dataset, counted: Collection[str]) -> pl.DataFrame:
    columns = {"user": pl.Series(trained.users, dtype=pl.String)}
    for place, attribute in enumerate(trained.attributes):
        if attribute.name not in counted:
            classes = pl.Series([*attribute.classes, None], dtype=pl.String)
            columns[attribute.name] = classes.gather(trained.labels[:, place] % classes.len())  # -1: the null
    return pl.DataFrame(columns)


def _items(trained: Dataset, posted: pl.Series, hidden: pl.Series) -> pl.DataFrame:
    cold = trained.cold
    known = pl.DataFrame(
        {
            "item": [*trained.items, *cold.ids],
            "title": [*trained.titles, *cold.titles],
            "groups": [list(groups) for groups in (*trained.groups, *cold.groups)],
        },
        schema={"item": pl.String, "title": pl.String, "groups": pl.List(pl.String)},
    )
    new = posted.unique(maintain_order=True)
    new = new.filter(~new.is_in(known["item"].implode()))
    added = pl.DataFrame({"item": new, "title": [""] * new.len(), "groups": [[]] * new.len()}, schema=known.schema)
    return pl.concat([known, added]).with_columns(pl.col("item").is_in(hidden.implode()).alias("hidden"))
