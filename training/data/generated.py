"""Synthetic users with planted attribute effects.

A user's taste is a personal vector plus one direction per attribute class; an
item is a mixture of its genres. Users pick items by taste and popularity, and
rate by taste. All of it follows from the seed.
"""

import numpy as np
import polars as pl
from numpy.typing import NDArray

from training.data.config import GeneratedAttribute, GeneratedConfig
from training.data.dataset import UNKNOWN
from training.data.raw import RawTables, Table

GENRES = (
    "Action", "Adventure", "Animation", "Comedy", "Crime", "Documentary",
    "Drama", "Fantasy", "Horror", "Musical", "Mystery", "Romance",
)  # fmt: skip
DIMENSIONS = 16
USERS_AT_ONCE = 1000
CORRELATION = 0.7
"""Between an attribute and the one it follows, as a Gaussian copula."""

PICKINESS = 1.5
"""How much taste, next to popularity and chance, decides what a user meets."""

RATING_CUTS = (-1.4, -0.8, -0.15, 0.55)
"""Taste, against the user's mean over the items met, at which a rating goes from 1 to 2, and so on."""

FIRST_SECOND, PERIOD_S, STEP_S = 1_600_000_000, 60_000_000, 3_600


def generate(config: GeneratedConfig) -> RawTables:
    """Generate users, items and interactions; the same configuration gives the same tables."""
    rng = np.random.default_rng(config.seed)
    codes = _attributes(config, rng)
    taste = rng.standard_normal((config.users, DIMENSIONS))
    for name, attribute in config.attributes.items():
        directions = rng.standard_normal((len(attribute.classes), DIMENSIONS))
        taste += attribute.strength * directions[codes[name]]
    genres, items = _items(config, rng)
    interactions = _interactions(config, taste, items, rng)

    user_ids = [str(row + 1) for row in range(config.users)]
    labels = {name: _labels(of, codes[name], rng) for name, of in config.attributes.items()}
    titles = [f"{groups[0]} {row + 1}" for row, groups in enumerate(genres)]
    item_ids = [str(row + 1) for row in range(config.items)]
    return RawTables(
        interactions=Table("generated interactions", interactions),
        users=Table("generated users", pl.DataFrame({"user": user_ids, **labels})),
        items=Table("generated items", pl.DataFrame({"item": item_ids, "title": titles, "groups": genres})),
        source=f"generated from seed {config.seed}",
    )


def _attributes(config: GeneratedConfig, rng: np.random.Generator) -> dict[str, NDArray[np.int64]]:
    """Draw a class per user and attribute: a normal variable, cut into the shares wanted."""
    hidden: dict[str, NDArray[np.float64]] = {}
    codes: dict[str, NDArray[np.int64]] = {}
    for name, attribute in config.attributes.items():
        own = rng.standard_normal(config.users)
        if attribute.follows is not None:
            own = CORRELATION * hidden[attribute.follows] + np.sqrt(1 - CORRELATION**2) * own
        shares = np.asarray(attribute.shares or [1.0] * len(attribute.classes))
        ends = np.round(np.cumsum(shares / shares.sum()) * config.users)
        places = np.empty(config.users)
        places[np.argsort(own, kind="stable")] = np.arange(config.users)
        hidden[name] = own
        codes[name] = np.searchsorted(ends[:-1], places, side="right").astype(np.int64)
    return codes


def _labels(attribute: GeneratedAttribute, codes: NDArray[np.int64], rng: np.random.Generator) -> pl.Series:
    hidden = rng.random(codes.size) < attribute.unknown
    names = [None if code == UNKNOWN else attribute.classes[code] for code in np.where(hidden, UNKNOWN, codes)]
    return pl.Series(names, dtype=pl.String)


def _items(config: GeneratedConfig, rng: np.random.Generator) -> tuple[list[list[str]], NDArray[np.float64]]:
    """Draw one to three genres per item, and item vectors (I, DIMENSIONS) around the mean of their genres."""
    centres = rng.standard_normal((len(GENRES), DIMENSIONS))
    chosen = [sorted(rng.permutation(len(GENRES))[: rng.integers(1, 4)].tolist()) for _ in range(config.items)]
    means = np.stack([centres[rows].mean(axis=0) for rows in chosen])
    vectors = means + 0.5 * rng.standard_normal(means.shape)
    return [[GENRES[row] for row in rows] for rows in chosen], vectors / np.linalg.norm(vectors, axis=1, keepdims=True)


def _interactions(
    config: GeneratedConfig, taste: NDArray[np.float64], items: NDArray[np.float64], rng: np.random.Generator
) -> pl.DataFrame:
    popularity = -config.popularity_skew * np.log1p(rng.permutation(config.items))
    spread = rng.lognormal(-0.08, 0.4, config.users)  # mean 1
    counts = np.clip(np.round(spread * config.interactions_per_user), 1, config.items).astype(np.int64)
    scale = np.sqrt(1 + sum(attribute.strength**2 for attribute in config.attributes.values()))
    parts = []
    for first in range(0, config.users, USERS_AT_ONCE):
        rows = slice(first, first + USERS_AT_ONCE)
        liking = taste[rows] @ items.T
        chance = rng.gumbel(size=liking.shape)
        # The largest of score + Gumbel noise are a sample without replacement, in the order drawn.
        met = np.argsort(-(PICKINESS * liking + popularity + chance), axis=1, kind="stable")
        taken = np.arange(config.items) < counts[rows, None]
        user, place = np.nonzero(taken)
        item = met[user, place]
        steps = np.where(taken, rng.exponential(STEP_S, taken.shape), 0.0).cumsum(axis=1)[taken]
        start = FIRST_SECOND + np.floor(rng.random(taken.shape[0]) * PERIOD_S).astype(np.int64)
        order = rng.random(user.size)
        within = np.lexsort((order, user))  # popular items are drawn early but not met early
        likes = liking[user, item][within]
        usual = np.bincount(user, likes) / np.bincount(user)
        felt = (likes - usual[user]) / scale + 0.5 * rng.standard_normal(user.size)
        rating = 1 + np.searchsorted(RATING_CUTS, felt)
        parts.append(
            pl.DataFrame(
                {
                    "user": user + first + 1,
                    "item": item[within] + 1,
                    "rating": rating.astype(np.float64),
                    "timestamp": start[user] + steps.astype(np.int64),
                },
                schema_overrides={"user": pl.Int64, "item": pl.Int64, "timestamp": pl.Int64},
            )
        )
    return pl.concat(parts).with_columns(pl.col("user", "item").cast(pl.String))
