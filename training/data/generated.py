"""Synthetic users with planted attribute effects.

A user's taste is a personal vector plus one direction per attribute class; an
item is a mixture of its genres. Users pick items by taste and popularity, and
rate by taste. All of it follows from the seed.
"""

from collections.abc import Iterator
from copy import deepcopy

import numpy as np
import polars as pl
from numpy.typing import NDArray

from measure.labels import in_order
from training.data.dataset import UNKNOWN
from training.data.generated_config import GeneratedAttribute, GeneratedConfig
from training.data.raw import Interactions, RawTables, Table, Vectors, texts_of
from training.data.synthetic_interactions import COLUMNS as MEETING_COLUMNS
from training.data.synthetic_interactions import DIMENSIONS, meetings

GENRES = (
    "Action", "Adventure", "Animation", "Comedy", "Crime", "Documentary",
    "Drama", "Fantasy", "Horror", "Musical", "Mystery", "Romance",
)  # fmt: skip
INTERACTIONS = "generated interactions"
NOISE = 0.3
"""Of a feature, where what the item is has size 1."""
CORRELATION = 0.7
"""Between an attribute and the one it follows, as a Gaussian copula."""


def generate(config: GeneratedConfig) -> RawTables:
    """Generate users and items, and interactions when they are asked for.

    The same configuration gives the same tables.
    """
    rng = np.random.default_rng(config.seed)
    codes = _attributes(config, rng)
    taste = rng.standard_normal((config.users, DIMENSIONS))
    for name, attribute in config.attributes.items():
        taste += attribute.strength * _directions(attribute, rng)[codes[name]]
    centres = rng.standard_normal((len(GENRES), DIMENSIONS))
    genres, items = _items(config.items, centres, rng)
    unmet = _items(config.cold_items, centres, np.random.default_rng([config.seed, 2]))

    def interactions() -> Iterator[Table]:
        before = 0
        for frame in meetings(config, taste, items, deepcopy(rng)):
            yield Table(INTERACTIONS, frame, before=before)
            before += frame.height

    user_ids = [str(row + 1) for row in range(config.users)]
    hiding = np.random.default_rng([config.seed, 1])
    labels = {name: _labels(of, codes[name], hiding) for name, of in config.attributes.items()}
    genres += unmet[0]
    titles = [f"{groups[0]} {row + 1}" for row, groups in enumerate(genres)]
    item_ids = [str(row + 1) for row in range(len(genres))]
    listed = Table("generated items", pl.DataFrame({"item": item_ids, "title": titles, "groups": genres}))
    return RawTables(
        interactions=Interactions(INTERACTIONS, MEETING_COLUMNS, interactions),
        users=Table("generated users", pl.DataFrame({"user": user_ids, **labels})),
        items=listed,
        source=f"generated from seed {config.seed}",
        texts=texts_of(listed),
        vectors=_features(config, listed.frame["item"], np.concatenate([items, unmet[1]])),
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


def _directions(attribute: GeneratedAttribute, rng: np.random.Generator) -> NDArray[np.float64]:
    """(classes, DIMENSIONS), any; where classes stand in an order, along a quarter circle: neighbours are alike."""
    if not in_order(attribute.classes):
        return rng.standard_normal((len(attribute.classes), DIMENSIONS))
    one, other = rng.standard_normal((2, DIMENSIONS))
    angles = np.linspace(0, np.pi / 2, len(attribute.classes))[:, None]
    return np.asarray(np.cos(angles) * one + np.sin(angles) * other)


def _labels(attribute: GeneratedAttribute, codes: NDArray[np.int64], rng: np.random.Generator) -> pl.Series:
    hidden = rng.random(codes.size) < attribute.unknown
    names = [None if code == UNKNOWN else attribute.classes[code] for code in np.where(hidden, UNKNOWN, codes)]
    return pl.Series(names, dtype=pl.String)


def _items(
    count: int, centres: NDArray[np.float64], rng: np.random.Generator
) -> tuple[list[list[str]], NDArray[np.float64]]:
    """Draw one to three genres per item, and item vectors (count, DIMENSIONS) around the mean of their genres."""
    chosen = [sorted(rng.permutation(len(GENRES))[: rng.integers(1, 4)].tolist()) for _ in range(count)]
    means = np.array([centres[rows].mean(axis=0) for rows in chosen]).reshape(count, DIMENSIONS)
    vectors = means + 0.5 * rng.standard_normal(means.shape)
    return [[GENRES[row] for row in rows] for rows in chosen], vectors / np.linalg.norm(vectors, axis=1, keepdims=True)


def _features(config: GeneratedConfig, ids: pl.Series, items: NDArray[np.float64]) -> dict[str, Vectors]:
    """Show what items are, (n, DIMENSIONS), in every modality that is no text: turned, with noise, for some items.

    Taste has a direction for each class of an attribute, so what a user meets shows the attribute in these too.
    """
    found = {}
    for name in sorted(name for name, of in config.modalities.items() if of.text is None):
        rng = np.random.default_rng([config.seed, 3, *name.encode()])
        turned = items @ rng.standard_normal((DIMENSIONS, DIMENSIONS))
        values = (turned + NOISE * rng.standard_normal(turned.shape)).astype(np.float32)
        there = rng.random(len(ids)) >= config.featureless
        found[name] = Vectors(f"generated {name}", ids.filter(pl.Series(there)), values[there])
    return found
