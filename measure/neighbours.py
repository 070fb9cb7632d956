"""Votes of the nearest users, each by the inverse of its distance; an attacker that is fitted often.

One product of float32 matrices says roughly how far everybody is. Of the smallest of each of many groups of users, the
k-th is a bar that k users at least are under, and few more; of these, how far those are that are close is taken from
the difference of the vectors. Letters: n users, d columns, s users scored.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

_GROUPS = 256
_BLOCK_VALUES = 1_000_000  # rough distances, or numbers in differences, held at a time: 4 MiB
_ROUND_OFF = 4e-6
"""Of squared lengths, how far off a rough squared distance is at most."""
_CLOSE = 0.05
"""Of the squared length: a rough squared distance of less may be off by more than a few thousandths of itself."""
_FAR = 1e30
_NEAREST = float(np.finfo(np.float32).tiny)

Floats = NDArray[np.float32]
Rows = NDArray[np.intp]


def shares(users: Floats, labels: NDArray[np.int64], scored: Floats, k: int) -> NDArray[np.float64]:
    """Share of each class in the votes of a user's k nearest, and of those as near as the last of them.

    Args:
        users: shape (n, d), scaled.
        labels: shape (n,), 0, 1, …, K - 1.
        scored: shape (s, d), scaled likewise; equal users outvote all others.
        k: in [1, n].

    Returns:
        Shape (s, K), rows add up to 1.
    """
    classes = int(labels.max()) + 1
    votes = []
    for block, who, whom, squares in _candidates(users, scored, k):
        starts = np.searchsorted(who, np.arange(len(block) + 1))
        table = np.full((len(block), int(np.diff(starts).max())), np.inf, np.float32)
        table[who, np.arange(len(who)) - starts[who]] = squares
        kept = squares <= np.partition(table, k - 1, axis=1)[who, k - 1]
        weights = 1 / np.sqrt(np.maximum(squares[kept], _NEAREST, dtype=np.float64))
        places = who[kept] * classes + labels[whom[kept]]
        votes.append(np.bincount(places, weights, len(block) * classes).reshape(-1, classes))
    found = np.concatenate(votes)
    return np.asarray(found / found.sum(axis=1, keepdims=True), dtype=np.float64)


def _candidates(users: Floats, scored: Floats, k: int) -> Iterator[tuple[Floats, Rows, Rows, Floats]]:
    """Blocks of the scored, and pairs of rows, of these and of users, with their squared distances.

    Among them are the k nearest of each, in the order of the scored.
    """
    n = len(users)
    per_group = max(1, -(-n // _GROUPS))
    groups = max(k, -(-n // per_group))
    known = np.zeros((per_group * groups, users.shape[1] + 1), np.float32)
    known[:n, :-1], known[:n, -1], known[n:, -1] = -2 * users, np.square(users).sum(axis=1), _FAR
    size = max(1, _BLOCK_VALUES // len(known))
    for start in range(0, len(scored), size):
        block = scored[start : start + size]
        near = np.concatenate([block, np.ones((len(block), 1), np.float32)], axis=1) @ known.T  # |z - x|² - |x|²
        nearest = near.reshape(len(block), per_group, groups).min(axis=1)
        bar = np.partition(nearest, k - 1, axis=1)[:, k - 1]
        length = np.square(block).sum(axis=1)
        bar += _ROUND_OFF * (2 * length + bar)
        places = np.flatnonzero(near <= bar[:, None])
        who, whom = np.divmod(places, len(known))
        squares = near.ravel()[places] + length[who]
        close = np.flatnonzero(squares < _CLOSE * length[who])
        squares[close] = _squares(users, block, who[close], whom[close])
        yield block, who, whom, squares


def _squares(users: Floats, scored: Floats, who: Rows, whom: Rows) -> Floats:
    """Squared distances of pairs of rows."""
    size = max(1, _BLOCK_VALUES // users.shape[1])
    found = np.empty(len(who), np.float32)
    for start in range(0, len(who), size):
        pairs = slice(start, start + size)
        apart = users[whom[pairs]] - scored[who[pairs]]
        np.einsum("ij,ij->i", apart, apart, out=found[pairs])
    return found
