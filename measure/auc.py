"""AUC from scores: by ranks, ties counted half, macro one-vs-rest.

Scores have one column for two classes (the score of class 1) and one column per class otherwise. Labels are 0, 1, …
without gaps; the macro average is over the columns whose class and whose rest both occur.
"""

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import sparse
from scipy.stats import rankdata

Scores = NDArray[np.floating[Any]]
Labels = NDArray[np.int64]


def columns(class_count: int) -> int:
    """How many score columns describe so many classes."""
    return 1 if class_count == 2 else class_count


def midranks(scores: Scores) -> NDArray[np.float64]:
    """Rank users within each column, 1 the lowest, ties sharing the mean of their ranks; shape kept."""
    return np.asarray(rankdata(scores, axis=0), dtype=np.float64)


def macro_auc(scores: Scores, labels: Labels) -> float:
    """Chance that a user of a class scores above a user outside it, averaged over classes.

    Args:
        scores: shape (n, K), see above for K.
        labels: shape (n,).

    Returns:
        AUC in [0, 1], .5 is chance; not folded. NaN when only one class occurs.

    Source:
        Mann-Whitney: (R - p(p+1)/2) / (p(n-p)) with R the rank sum of the p positives (Hanley and McNeil 1982).
    """
    return float(_mean(_by_rank_sums(midranks(scores), _members(labels, scores.shape[1]))))


def weighted_macro_auc(scores: Scores, labels: Labels, weights: Scores) -> NDArray[np.float64]:
    """AUC when user i counts ``weights[b, i]`` times, for every row b at once; shape (B,).

    NaN for a row in which no class and its rest both have weight.
    """
    width = scores.shape[1]
    members = _members(labels, width)
    drawn = np.ascontiguousarray(weights.T, dtype=np.float32)  # (n, B): whole numbers below 2^24, so sums are exact
    everybody = drawn.sum(axis=0, dtype=np.float64)
    per_class = np.empty((width, len(weights)))
    for column, mine in enumerate(members):
        if not mine.any():
            per_class[column] = np.nan
            continue
        own, tied, between = (sums @ drawn for sums in _around(scores[:, column], mine))
        below = _running_sums(between)
        wins = np.einsum("gb,gb->b", own, below - tied / 2, dtype=np.float64)
        positives = own.sum(axis=0, dtype=np.float64)
        pairs = positives * (everybody - positives)
        per_class[column] = np.divide(wins, pairs, out=np.full(len(weights), np.nan), where=pairs > 0)
    return _mean(per_class)


def _around(scores: Scores, mine: NDArray[np.bool_]) -> Iterator[sparse.csr_matrix]:
    """Who is summed where, for the G distinct scores of a class; three matrices (G, n) of zeros and ones.

    Those of the class with each score; those outside it with that score; and those outside it above the class's
    next lower score, up to this one.
    """
    order = np.argsort(scores)
    of_class = np.unique(scores[mine])
    place = np.searchsorted(of_class, scores[order])  # the first of them that is no lower
    counted = place < len(of_class)
    equal = counted & (of_class[np.minimum(place, len(of_class) - 1)] == scores[order])
    mine = mine[order]
    for members in (mine, equal & ~mine, counted & ~mine):
        ends = np.searchsorted(place[members], np.arange(len(of_class) + 1))
        ones = np.ones(ends[-1], np.float32)
        yield sparse.csr_matrix((ones, order[members], ends), shape=(len(of_class), len(scores)))


def _running_sums(rows: NDArray[np.float32]) -> NDArray[np.float32]:
    """Sums of the first 1, 2, …, n rows, each of shape (B,); in place."""
    for place in range(1, len(rows)):  # np.cumsum along the first axis takes three times as long
        np.add(rows[place - 1], rows[place], out=rows[place])
    return rows


def permuted_macro_auc(ranks: NDArray[np.float64], shuffled: NDArray[np.int64]) -> NDArray[np.float64]:
    """AUC of several score sets against many label vectors.

    Args:
        ranks: shape (S, n, K), the `midranks` of S score sets.
        shuffled: shape (P, n), label vectors that hold the same labels in another order.

    Returns:
        Shape (P, S).
    """
    sets, n, width = ranks.shape
    per_class = np.empty((width, len(shuffled), sets))
    for column in range(width):
        members = shuffled == (1 if width == 1 else column)
        positives = int(members[0].sum())
        pairs = positives * (n - positives)
        if not pairs:
            per_class[column] = np.nan
            continue
        sums = members.astype(np.float64) @ ranks[:, :, column].T
        per_class[column] = (sums - positives * (positives + 1) / 2) / pairs
    return _mean(per_class)


def fold(auc: NDArray[np.float64] | float) -> NDArray[np.float64]:
    """Leakage .5 + |AUC - .5|: an attacker that is reliably wrong knows as much as one that is right."""
    return np.asarray(0.5 + np.abs(np.asarray(auc) - 0.5))


def excess(auc: float, base_auc: float) -> float:
    """Share of the base's leakage that is left, (auc - .5) / (base - .5); NaN where the base leaks nothing."""
    return (auc - 0.5) / (base_auc - 0.5) if base_auc > 0.5 else float("nan")


def as_columns(raw: Scores, known: Sequence[int], class_count: int) -> NDArray[np.float64]:
    """Bring a classifier's scores to the columns above.

    Args:
        raw: shape (n,) for two known classes (the score of the second), else (n, len(known)).
        known: the classes it was fitted on, ascending; a class it never met scores lowest everywhere, so has AUC .5.
        class_count: how many classes there are.
    """
    per_class = np.stack([-raw, raw], axis=1) if raw.ndim == 1 else np.asarray(raw)
    full = np.zeros((len(per_class), class_count))
    full[:, list(known)] = per_class
    return full[:, 1:] if class_count == 2 else full


def _members(labels: Labels, width: int) -> NDArray[np.bool_]:
    """Membership of n users in each column's class; shape (K, n)."""
    classes = np.array([1]) if width == 1 else np.arange(width)
    return np.asarray(labels[None, :] == classes[:, None])


def _by_rank_sums(ranks: NDArray[np.float64], members: NDArray[np.bool_]) -> NDArray[np.float64]:
    positives = members.sum(axis=1)
    pairs = positives * (members.shape[1] - positives)
    wins = np.einsum("kn,nk->k", members, ranks) - positives * (positives + 1) / 2
    return np.asarray(np.divide(wins, pairs, out=np.full(len(pairs), np.nan), where=pairs > 0))


def _mean(per_class: NDArray[np.float64]) -> NDArray[np.float64]:
    """Mean over the first axis, leaving out NaN; NaN where nothing is left."""
    counted = np.isfinite(per_class)
    total = np.where(counted, per_class, 0.0).sum(axis=0)
    count = counted.sum(axis=0)
    return np.asarray(np.divide(total, count, out=np.full(np.shape(total), np.nan), where=count > 0))
