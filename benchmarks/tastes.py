"""Users and items of large generated bundles: vectors whose lists mean something, as clusters or as iid Gaussian.

Letters: U users, I items, d dimensions.
"""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from bundle import FairEncoder, Seen

CLUSTERS, SPREAD = 1_000, 0.5
"""Centres, and how far from them users and items are in each dimension; centres are 1 from each other's mean."""
NEAR = 5
"""One in so many seen items is of the user's own cluster."""
FEWEST = 20
AT_A_TIME = 100_000
"""Users whose seen items are drawn at once."""
Vectors = NDArray[np.float32]


def user_and_item_vectors(
    rng: np.random.Generator, users: int, items: int, d: int, *, clustered: bool
) -> tuple[Vectors, Vectors]:
    """(U, d) and (I, d); row r belongs to cluster r modulo `CLUSTERS`, where there are any."""
    centres = rng.standard_normal((CLUSTERS, d), np.float32)

    def draw(count: int) -> Vectors:
        vectors = rng.standard_normal((count, d), np.float32)
        if clustered:
            vectors *= np.float32(SPREAD)
            for row in range(0, count, CLUSTERS):
                vectors[row : row + CLUSTERS] += centres[: count - row]
        return vectors

    return draw(users), draw(items)


def seen_nearby(rng: np.random.Generator, users: int, items: int, most: int, *, clustered: bool) -> Seen:
    """About `FEWEST` to ``most`` items of each user, some of them of the user's cluster, where there are any."""
    counts, kept = [], []
    for start in range(0, users, AT_A_TIME):
        rows = np.arange(start, min(start + AT_A_TIME, users))
        drawn = rng.integers(0, items, (len(rows), most), np.int32)
        if clustered:
            near = drawn[:, ::NEAR]
            near += (rows[:, None] % CLUSTERS - near % CLUSTERS).astype(np.int32)  # that cluster, as far along
            near[near >= items] -= CLUSTERS
        drawn[np.arange(most) >= rng.integers(FEWEST, most + 1, len(rows))[:, None]] = items
        drawn.sort(axis=1)
        once = drawn < items
        once[:, 1:] &= drawn[:, 1:] > drawn[:, :-1]
        counts.append(once.sum(axis=1))
        kept.append(drawn[once])
    return Seen(np.concatenate([[0], *counts]).cumsum().astype(np.int64), np.concatenate(kept))


def faithful(encoder: FairEncoder, generator: torch.Generator) -> None:
    """Give an AFRL encoder weights with which fair vectors stay near user vectors, as those of a trained one do.

    Noise everywhere, and beside it the identity: the shared part is u, normalised, and what is combined is the sum of
    the parts. Through a ReLU x goes as max(x, 0) and max(-x, 0). The work of a request is that of any weights.
    """
    with torch.no_grad():
        for weight in encoder.parameters():
            weight.normal_(0, 0.02, generator=generator)
        encoder.parts.norm_weight.fill_(1)
        one = torch.eye(encoder.parts.weights[0].shape[1])
        both = torch.cat([one, -one], dim=1)  # (d, 2 d)
        d, wide = both.shape
        first, last = encoder.parts.weights
        first[0] += both
        last[0] += both.T
        inner, middle, outer = (layer.weight for layer in encoder.aggregate if isinstance(layer, nn.Linear))
        inner[:wide] += both.T.repeat(1, inner.shape[1] // d)
        middle[:wide, :wide] += torch.eye(wide)
        outer[:, :wide] += both
