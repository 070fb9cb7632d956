"""Accuracy on one held-out positive per user: its rank among sampled negatives and among all items.

Ranks count from 0 (the top). A user without a held-out positive has positive -1 and rank -1, and is left out of every
mean. Items are ordered as the service orders them (`measure.scoring`): scores in float64, rounded to 1e-6 first, equal
ones by item index, the lower index ahead.

Interactions come as CSR: row u is ``indices[indptr[u]:indptr[u + 1]]``, in any order, duplicates allowed.
"""

from collections.abc import Iterator
from typing import TypedDict

import numpy as np
from numpy.typing import NDArray

from measure.errors import NotFiniteError, OutOfRangeError, ShapeError, TooFewUsersError
from measure.scoring import Floats, Ints, Scorer, in_steps

NEGATIVES = 99
"""Unseen items that a positive is ranked against where they are sampled."""
_BLOCK_SCORES = 4_000_000  # scores held at a time: 32 MiB


class Accuracy(TypedDict):
    """Means over users; ``n`` counts the users that have a held-out positive."""

    n: int
    sampled: dict[str, float]
    full: dict[str, float]


def sample_negatives(
    indptr: Ints, indices: Ints, item_count: int, count: int = NEGATIVES, seed: int = 0
) -> NDArray[np.int32]:
    """Draw items per user, uniformly and without replacement, from those not excluded.

    Args:
        indptr: shape (n + 1,), CSR row ends of the excluded items, one row per user.
        indices: shape (nnz,), item indices that must not be drawn: the positive among them.
        item_count: how many items there are.
        count: how many to draw per user.
        seed: the same seed and arguments give the same draw; the order inside a row means nothing.

    Returns:
        Item indices, shape (n, count). A user with fewer than ``count`` eligible items gets all of them; the places
        left over hold -1, which `sampled_ranks` ignores.

    Source:
        Floyd's sampling (Bentley and Floyd, CACM 30(9), 1987), for all users at once.
    """
    users = _csr_rows(indptr, indices, item_count)
    excluded = _ascending(users * item_count + indices)
    owner, item = np.divmod(excluded, item_count)
    n = len(indptr) - 1
    before = np.concatenate([[0], np.cumsum(np.bincount(owner, minlength=n))])
    eligible = item_count - np.diff(before)

    rng = np.random.default_rng(seed)
    drawn = np.full((count, n), -1, dtype=np.int32)  # ordinals among the user's eligible items
    for step in range(count):
        last = eligible - count + step  # negative: this user has run out
        pick = rng.integers(0, np.maximum(last, 0) + 1, dtype=np.int32)
        taken = (drawn[:step] == pick).any(axis=0)
        drawn[step] = np.where(last < 0, -1, np.where(taken, last, pick))

    # The r-th eligible item is r plus the number of excluded items e_j (the j-th, ascending) with e_j - j <= r.
    gaps = owner * (item_count + 1) + item - (np.arange(len(item)) - before[owner])
    negatives = np.empty((n, count), dtype=np.int32)
    for rows in _blocks(np.arange(n), count):
        ordinals = drawn[:, rows].T
        wanted = rows[:, None] * (item_count + 1) + ordinals
        skipped = np.searchsorted(gaps, wanted.ravel(), side="right").reshape(wanted.shape) - before[rows, None]
        negatives[rows] = np.where(ordinals < 0, -1, ordinals + skipped)
    return negatives


def sampled_ranks(
    user_vectors: Floats, scorer: Scorer, positive: Ints, negatives: NDArray[np.int32]
) -> NDArray[np.int64]:
    """Rank each user's positive against that user's sampled negatives, by the model's own scores.

    Args:
        user_vectors: shape (n, d).
        scorer: of I items.
        positive: shape (n,), item index of the held-out positive, -1 for none.
        negatives: shape (n, c), item indices, -1 ignored.

    Returns:
        Shape (n,), 0 is the top, at most c; -1 where there is no positive.
    """
    users, items = _vectors(user_vectors, scorer.items, positive)
    if negatives.shape[:1] != positive.shape or negatives.ndim != 2:
        raise ShapeError("negatives", negatives.shape, f"({len(positive)}, c)")
    _items_in_range("negatives", negatives, len(items))
    ranks = np.full(len(users), -1, dtype=np.int64)
    for rows in _blocks(np.flatnonzero(positive >= 0), max(1, negatives.shape[1] * items.shape[1])):
        own, others = positive[rows, None], negatives[rows]
        scores = in_steps(scorer.scores(users[rows], np.concatenate([own, others], axis=1)))
        target, scores = scores[:, :1], scores[:, 1:]
        ahead = (scores > target) | ((scores == target) & (others < own))
        ranks[rows] = (ahead & (others >= 0)).sum(axis=1)
    return ranks


def full_ranks(
    user_vectors: Floats, scorer: Scorer, positive: Ints, seen_indptr: Ints, seen_indices: Ints
) -> NDArray[np.int64]:
    """Rank each user's positive against every item the user has not seen; the positive is taken out of seen first.

    Args:
        user_vectors: shape (n, d).
        scorer: of I items. Where it has candidates, a positive that is none of them has its rank by inner product.
        positive: shape (n,), item index of the held-out positive, -1 for none.
        seen_indptr: shape (n + 1,), CSR row ends of the seen items.
        seen_indices: shape (nnz,), seen item indices.

    Returns:
        Shape (n,), 0 is the top; -1 where there is no positive. Memory is bounded: users are taken in blocks.
    """
    ranks = np.full(len(user_vectors), -1, dtype=np.int64)
    for rows, scores in unseen_scores(user_vectors, scorer, positive, seen_indptr, seen_indices):
        everything = np.broadcast_to(np.arange(scores.shape[1]), scores.shape)
        found = rank_among(everything, scores, positive[rows])
        if scorer.own is not None and (near := found < scorer.candidates).any():
            candidates = best_first(scores[near], scorer.candidates)
            own = in_steps(scorer.scores(user_vectors[rows[near]], candidates))
            found[near] = rank_among(candidates, own, positive[rows[near]])
        ranks[rows] = found
    return ranks


def unseen_scores(
    user_vectors: Floats, scorer: Scorer, positive: Ints, seen_indptr: Ints, seen_indices: Ints
) -> Iterator[tuple[NDArray[np.intp], NDArray[np.float64]]]:
    """Inner products of the users that have a positive with every item, as arguments of `full_ranks`.

    Yields:
        Block by block the rows (b,) of users and their scores (b, I) in steps, -inf for what they have seen; the
        positive is taken out of seen first.
    """
    users, items = _vectors(user_vectors, scorer.items, positive)
    if len(seen_indptr) != len(users) + 1:
        raise ShapeError("seen_indptr", seen_indptr.shape, f"({len(users) + 1},)")
    _csr_rows(seen_indptr, seen_indices, len(items))
    for rows in _blocks(np.flatnonzero(positive >= 0), len(items)):
        scores = in_steps(users[rows] @ items.T)
        places, own = np.arange(len(rows)), positive[rows]
        kept = scores[places, own]
        for place, row in enumerate(rows):
            scores[place, seen_indices[seen_indptr[row] : seen_indptr[row + 1]]] = -np.inf
        scores[places, own] = kept
        yield rows, scores


def best_first(scores: NDArray[np.float64], count: int) -> NDArray[np.int64]:
    """(b, I) scores → (b, min(count, I)) items, best first, ties by item index; -1 in place of items at -inf."""
    order = np.argsort(-scores, axis=1, kind="stable")[:, :count]
    return np.where(np.take_along_axis(scores, order, axis=1) == -np.inf, -1, order)


def rank_among(items: Ints, scores: NDArray[np.float64], own: Ints) -> NDArray[np.int64]:
    """Rank of item ``own`` (b,) among ``items`` (b, c), which hold it once; -1 among them is no item."""
    target = scores[items == own[:, None]][:, None]
    ahead = (scores > target) | ((scores == target) & (items < own[:, None]))
    return (ahead & (items >= 0)).sum(axis=1)  # type: ignore[no-any-return]


def ndcg_at(k: int, ranks: Ints) -> NDArray[np.float64]:
    """Score one positive per user by how early it appears.

    Args:
        k: cut-off, counted in items, at least 1.
        ranks: shape (n,), 0 is the top, -1 for a user without a positive.

    Returns:
        1 / log2(rank + 2) where rank < k, else 0; shape (n,), dimensionless in [0, 1]. The ideal list has the positive
        on top and gains 1, so DCG and nDCG are the same. NaN where there is no positive: leave those out of a mean.

    Source:
        Järvelin and Kekäläinen, TOIS 20(4), 2002: binary gain, log2 discount.
    """
    gain = 1.0 / np.log2(np.maximum(ranks, 0) + 2.0)
    return _cut(k, ranks, gain)


def hit_at(k: int, ranks: Ints) -> NDArray[np.float64]:
    """Say whether the positive is among the first k; with one positive per user this is also recall@k.

    Args:
        k: cut-off, counted in items, at least 1.
        ranks: shape (n,), 0 is the top, -1 for a user without a positive.

    Returns:
        1 where rank < k, else 0; shape (n,). NaN where there is no positive: leave those out of a mean.
    """
    return _cut(k, ranks, np.ones(len(ranks)))


def unseen_counts(indptr: Ints, indices: Ints, item_count: int) -> NDArray[np.int64]:
    """How many items each user's positive is ranked against in full; shape (n,).

    Args:
        indptr: shape (n + 1,), CSR row ends of the items that it is not ranked against, itself among them.
        indices: shape (nnz,).
        item_count: how many items there are.
    """
    excluded = _ascending(_csr_rows(indptr, indices, item_count) * item_count + indices)
    counts: NDArray[np.int64] = item_count - np.bincount(excluded // item_count, minlength=len(indptr) - 1)
    return counts


def accuracy(sampled: Ints, full: Ints, rows: Ints | NDArray[np.bool_] | None = None) -> Accuracy:
    """Average the metrics of the ranks over users, in the card's shape.

    Args:
        sampled: shape (n,), from `sampled_ranks`.
        full: shape (n,), from `full_ranks`.
        rows: which users to average over, as row indices or flags; all when None.

    Raises:
        TooFewUsersError: none of the rows has a held-out positive.
    """
    if sampled.shape != full.shape:
        raise ShapeError("full ranks", full.shape, str(sampled.shape))
    chosen = slice(None) if rows is None else rows
    near, far = sampled[chosen], full[chosen]
    near, far = near[near >= 0], far[far >= 0]
    if not len(near) or len(near) != len(far):
        raise TooFewUsersError("accuracy over users with a held-out positive", min(len(near), len(far)), 1)
    return {
        "n": len(near),
        "sampled": {"ndcg@10": float(ndcg_at(10, near).mean()), "hit@10": float(hit_at(10, near).mean())},
        "full": {"ndcg@10": float(ndcg_at(10, far).mean()), "recall@20": float(hit_at(20, far).mean())},
    }


def _cut(k: int, ranks: Ints, gain: NDArray[np.float64]) -> NDArray[np.float64]:
    if k < 1:
        raise OutOfRangeError("k", k, 1, float("inf"))
    return np.where(ranks < 0, np.nan, np.where(ranks < k, gain, 0.0))


def _ascending(pairs: NDArray[np.int64]) -> NDArray[np.int64]:
    """Sorted, each once; an array that is so already is returned as it is."""
    if (np.diff(pairs) > 0).all():
        return pairs
    pairs = np.sort(pairs)
    return pairs[np.append(True, np.diff(pairs) > 0)] if len(pairs) else pairs


def _blocks(rows: NDArray[np.intp], width: int) -> Iterator[NDArray[np.intp]]:
    size = max(1, _BLOCK_SCORES // max(1, width))
    for start in range(0, len(rows), size):
        yield rows[start : start + size]


def _vectors(
    user_vectors: Floats, item_vectors: Floats, positive: Ints
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    if item_vectors.ndim != 2 or user_vectors.ndim != 2 or user_vectors.shape[1] != item_vectors.shape[1]:
        raise ShapeError("user_vectors", user_vectors.shape, f"(n, d) with items {item_vectors.shape}")
    if positive.shape != user_vectors.shape[:1]:
        raise ShapeError("positive", positive.shape, f"({len(user_vectors)},)")
    _items_in_range("positive", positive, len(item_vectors))
    for what, vectors in (("user_vectors", user_vectors), ("item_vectors", item_vectors)):
        if not (fine := np.isfinite(vectors)).all():
            raise NotFiniteError(what, int((~fine).sum()))
    return user_vectors.astype(np.float64), item_vectors.astype(np.float64)


def _items_in_range(what: str, items: Ints, item_count: int, low: int = -1) -> None:
    for value in (items.min(initial=0), items.max(initial=0)) if items.size else ():
        if not low <= value < item_count:
            raise OutOfRangeError(what, int(value), low, item_count - 1)


def _csr_rows(indptr: Ints, indices: Ints, item_count: int) -> NDArray[np.int64]:
    """Check a CSR pair and give the row of every entry."""
    if (
        indptr.ndim != 1
        or len(indptr) < 1
        or indptr[0] != 0
        or indptr[-1] != len(indices)
        or (np.diff(indptr) < 0).any()
    ):
        raise ShapeError("indptr", indptr.shape, f"row ends rising from 0 to {len(indices)}")
    _items_in_range("indices", indices, item_count, low=0)
    return np.repeat(np.arange(len(indptr) - 1, dtype=np.int64), np.diff(indptr))
