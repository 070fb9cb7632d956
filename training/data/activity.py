"""How many interactions a user has, as an attribute where nothing else is known of users."""

from collections.abc import Mapping
from dataclasses import replace

import numpy as np
import polars as pl
from numpy.typing import NDArray

from training.data.codes import Codes
from training.data.common_config import AttributeConfig
from training.data.raw import Interactions, RawTables, Table


def count_by_user(interactions: Interactions) -> tuple[pl.Series, NDArray[np.int64]]:
    """Ids of the users met and how many interactions each has, (U,), in the order of the file."""
    codes, counts = Codes(), np.zeros(0, dtype=np.int64)
    for batch in interactions.batches():
        met = np.bincount(codes.of(batch.frame["user"]), minlength=len(counts)).astype(np.int64)
        met[: len(counts)] += counts
        counts = met
    return codes.ids().alias("user"), counts


def with_counts(raw: RawTables, attributes: Mapping[str, AttributeConfig] | None) -> RawTables:
    """Add a column to the users for each attribute that counts; without a users table, users are who is met."""
    counted = [name for name, of in (attributes or {}).items() if of.counts]
    nobody = raw.users.frame.is_empty()
    if not (counted or nobody):
        return raw
    ids, counts = count_by_user(raw.interactions)
    number = pl.Series("count", counts).cast(pl.String)
    if nobody:
        frame = pl.DataFrame([ids, *(number.alias(name) for name in counted)])
        return replace(raw, users=Table(raw.interactions.file, frame))
    met = pl.DataFrame([ids, number])
    own = raw.users.frame.select("user").join(met, on="user", how="left", maintain_order="left")["count"]
    columns = [own.fill_null("0").alias(name) for name in counted]
    return replace(raw, users=replace(raw.users, frame=raw.users.frame.with_columns(columns)))


def middle(counts: NDArray[np.int64]) -> int | None:
    """Where counts (U,) are cut into two classes, the second from here on; None where all are equal."""
    edge = int(np.ceil(np.median(counts)))
    edge = edge if counts.min() < edge else edge + 1
    return edge if counts.max() >= edge > counts.min() else None
