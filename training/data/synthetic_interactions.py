"""Which items generated users meet, when, and how they rate them; some users at a time."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np
import polars as pl
from numpy.typing import NDArray

from training.data.generated_config import GeneratedConfig

COLUMNS = ("user", "item", "rating", "timestamp")
DIMENSIONS = 16

RATING_CUTS = (-1.4, -0.8, -0.15, 0.55)
"""Taste, against the user's mean over the items met, at which a rating goes from 1 to 2, and so on."""

FIRST_SECOND, PERIOD_S, STEP_S = 1_600_000_000, 60_000_000, 3_600

USERS_AT_ONCE = 1000
SHORTLIST_FROM = 5000
"""Items from which users look at a shortlist instead of everything."""

SHORTLIST = 8
"""Items on a user's shortlist for each one met."""

SHORTLISTED_AT_ONCE = 500_000


@dataclass(frozen=True, eq=False)
class _Met:
    """What some users meet, user by user, N meetings.

    Attributes:
        user: (N,), counted from the first of these users.
        item: (N,) item rows.
        liking: (N,) the user's taste for the item.
        elapsed_s: (N,) rising within a user.
    """

    user: NDArray[np.int64]
    item: NDArray[np.int64]
    liking: NDArray[np.float64]
    elapsed_s: NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class _Catalogue:
    vectors: NDArray[np.float64]
    """(I, DIMENSIONS)."""
    popularity: NDArray[np.float64]
    """(I,) logarithms of weights."""
    pickiness: float
    """Of users."""


def meetings(
    config: GeneratedConfig, taste: NDArray[np.float64], items: NDArray[np.float64], rng: np.random.Generator
) -> Iterator[pl.DataFrame]:
    """Let users meet items.

    Args:
        config: how many, and how popular.
        taste: (U, DIMENSIONS).
        items: (I, DIMENSIONS).
        rng: source of all draws.

    Yields:
        `COLUMNS`, for users in turn; ids count from 1. Memory grows with U and I, not with what is generated.
    """
    popularity = -config.popularity_skew * np.log1p(rng.permutation(config.items))
    catalogue = _Catalogue(items, popularity, config.pickiness)
    spread = rng.lognormal(-0.08, 0.4, config.users)  # mean 1
    counts = np.clip(np.round(spread * config.interactions_per_user), 1, config.items).astype(np.int64)
    scale = float(np.sqrt(1 + sum(attribute.strength**2 for attribute in config.attributes.values())))
    meet, at_once = _way(config)
    for first in range(0, config.users, at_once):
        rows = slice(first, first + at_once)
        met = meet(taste[rows], counts[rows], catalogue, rng)
        start = FIRST_SECOND + np.floor(rng.random(len(counts[rows])) * PERIOD_S).astype(np.int64)
        within = np.lexsort((rng.random(met.user.size), met.user))  # popular items are drawn early but not met early
        likes = met.liking[within]
        usual = np.bincount(met.user, likes) / np.bincount(met.user)
        felt = (likes - usual[met.user]) / scale + 0.5 * rng.standard_normal(met.user.size)
        columns = (
            met.user + first + 1,
            met.item[within] + 1,
            1.0 + np.searchsorted(RATING_CUTS, felt),
            start[met.user] + met.elapsed_s.astype(np.int64),
        )
        frame = pl.DataFrame(dict(zip(COLUMNS, columns, strict=True)))
        yield frame.with_columns(pl.col("user", "item").cast(pl.String))


_Way = Callable[[NDArray[np.float64], NDArray[np.int64], _Catalogue, np.random.Generator], _Met]


def _way(config: GeneratedConfig) -> tuple[_Way, int]:
    """Choose how users meet items, and how many users at a time."""
    shortlisted = SHORTLIST * config.interactions_per_user
    if config.items < SHORTLIST_FROM or shortlisted > config.items:
        return _of_everything, USERS_AT_ONCE
    return _of_shortlists, max(1, SHORTLISTED_AT_ONCE // shortlisted)


def _of_everything(
    taste: NDArray[np.float64], counts: NDArray[np.int64], catalogue: _Catalogue, rng: np.random.Generator
) -> _Met:
    """Let users (n,) look at every item: the work is n · I."""
    liking = taste @ catalogue.vectors.T
    chance = rng.gumbel(size=liking.shape)
    # The largest of score + Gumbel noise are a sample without replacement, in the order drawn.
    met = np.argsort(-(catalogue.pickiness * liking + catalogue.popularity + chance), axis=1, kind="stable")
    taken = np.arange(liking.shape[1]) < counts[:, None]
    user, place = np.nonzero(taken)
    item = met[user, place]
    elapsed_s = np.where(taken, rng.exponential(STEP_S, taken.shape), 0.0).cumsum(axis=1)[taken]
    return _Met(user, item, liking[user, item], elapsed_s)


def _of_shortlists(
    taste: NDArray[np.float64], counts: NDArray[np.int64], catalogue: _Catalogue, rng: np.random.Generator
) -> _Met:
    """Let users (n,) look at items drawn by popularity, and meet those that their taste picks: the work is what is met.

    Sampling by importance resampling: the longer the shortlists, the nearer to `_of_everything`. A user meets fewer
    than wanted where the same few items are drawn again and again.
    """
    size = len(catalogue.popularity)
    ends = np.cumsum(np.exp(catalogue.popularity))
    looks = np.repeat(np.arange(len(counts)), SHORTLIST * counts)
    drawn = np.searchsorted(ends, rng.random(looks.size) * ends[-1], side="right")
    pairs = np.sort(looks * size + np.minimum(drawn, size - 1))
    user, item = np.divmod(pairs[np.diff(pairs, prepend=-1) > 0], size)
    liking = np.einsum("ij,ij->i", taste[user], catalogue.vectors[item])
    order = np.lexsort((-(catalogue.pickiness * liking + rng.gumbel(size=user.size)), user))
    first = np.searchsorted(user, np.arange(len(counts)))
    order = order[np.arange(user.size) - first[user] < counts[user]]

    user, steps_s = user[order], rng.exponential(STEP_S, order.size)
    elapsed_s, first = steps_s.cumsum(), np.searchsorted(user, np.arange(len(counts)))
    return _Met(user, item[order], liking[order], elapsed_s - (elapsed_s - steps_s)[first[user]])
