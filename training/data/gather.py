"""Batches of interactions become columns of numbers: in time order, each user and item once."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import polars as pl
from numpy.typing import NDArray
from tqdm import tqdm

from training.data.codes import Codes, Rows
from training.data.raw import Interactions
from training.errors import DataError

BAR_AFTER_S = 2.0
UNKNOWN_USERS = 'users with a row there, or unknown_users = "drop" in the configuration'
Times = NDArray[np.number[Any]]


@dataclass(frozen=True, eq=False)
class Gathered:
    """Interactions as numbers, N of them, 9 bytes each.

    Attributes:
        users: int32 (N,), row in the users table.
        items: int32 (N,), place in `ids`.
        positive: bool (N,).
        ids: String, the items met.
        unknown: how many more there were, of users that are not known.
        replaced: how many more there were, of which the user has a later one with the same item.
    """

    users: NDArray[np.int32]
    items: NDArray[np.int32]
    positive: NDArray[np.bool_]
    ids: pl.Series
    unknown: int = 0
    replaced: int = 0

    def taken(self, rows: NDArray[np.bool_] | NDArray[np.int64]) -> Gathered:
        """Give some of the rows, by flag or by number."""
        return replace(self, users=self.users[rows], items=self.items[rows], positive=self.positive[rows])


NOTHING_MET = Gathered(
    np.zeros(0, np.int32), np.zeros(0, np.int32), np.zeros(0, np.bool_), pl.Series([], dtype=pl.String)
)
"""No interactions at all."""


def gather(interactions: Interactions, users: pl.Series, positive_at_least: float | None) -> Gathered:
    """Read all batches and put them in order.

    Args:
        interactions: as a reader hands them on.
        users: ids of the users table, text, each once.
        positive_at_least: rating from which an interaction is a positive; None: all are.

    Returns:
        By row of the user, within a user in time order, where times are equal or unknown in the order of the file; of a
        repeated user and item the last one.

    Raises:
        DataError: a threshold without ratings, no interactions, or a user that is not in the users table, unless the
            reader's configuration drops those.
    """
    if positive_at_least is not None and "rating" not in interactions.columns:
        problem = f"has no ratings, which positive_at_least = {positive_at_least:g} needs"
        raise DataError(interactions.file, problem, allowed="a column of ratings")
    return _each_once(_in_order(*_numbers(interactions, Rows(users), positive_at_least)))


def _numbers(interactions: Interactions, users: Rows, positive_at_least: float | None) -> tuple[Gathered, Times | None]:
    """Turn batch after batch into numbers, in the order of the file; times where they are known."""
    codes, unknown = Codes(), 0
    parts: list[tuple[NDArray[np.int32], NDArray[np.int32], NDArray[np.bool_]]] = []
    times: list[Times] = []
    with tqdm(desc=interactions.file, unit="row", unit_scale=True, disable=None, delay=BAR_AFTER_S) as bar:
        for batch in interactions.batches():
            frame = batch.frame
            rows = users.of(frame["user"])
            if not interactions.drop_unknown:
                batch.refuse(pl.Series(rows < 0), "user", "is not in the users table", allowed=UNKNOWN_USERS)
            elif (known := rows >= 0).sum() < len(rows):
                unknown += int((~known).sum())
                frame, rows = frame.filter(pl.Series(known)), rows[known]
            parts.append((rows, codes.of(frame["item"]), _liked(frame, positive_at_least)))
            if "timestamp" in frame.columns:
                times.append(frame["timestamp"].to_numpy())
            bar.update(batch.frame.height)
    if not any(len(rows) for rows, _, _ in parts):
        raise DataError(interactions.file, "has no interactions")
    owners, items, positive = (np.concatenate(arrays) for arrays in zip(*parts, strict=True))
    # Whole numbers in one batch and fractions in another join as fractions.
    return Gathered(owners, items, positive, codes.ids(), unknown), np.concatenate(times) if times else None


def _liked(frame: pl.DataFrame, positive_at_least: float | None) -> NDArray[np.bool_]:
    if positive_at_least is None:
        return np.ones(frame.height, dtype=np.bool_)
    return (frame["rating"] >= positive_at_least).to_numpy()


def _in_order(rows: Gathered, times: Times | None) -> Gathered:
    """Sort by user and time, equal ones as they are."""
    return rows.taken(np.argsort(rows.users, kind="stable") if times is None else np.lexsort((times, rows.users)))


def _each_once(rows: Gathered) -> Gathered:
    """Keep the last row of each user and item, in the same order."""
    pairs = rows.users.astype(np.int64) * len(rows.ids) + rows.items
    order = np.argsort(pairs, kind="stable")
    pairs = pairs[order]
    last = np.zeros(len(pairs), dtype=np.bool_)
    last[order[np.append(pairs[1:] != pairs[:-1], True)]] = True
    return rows if last.all() else replace(rows.taken(last), replaced=int((~last).sum()))
