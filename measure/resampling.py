"""How sure a score AUC is: a bootstrap over users and a null of permuted labels.

Both look at scores that are already there (out-of-fold or of attackers fitted on other users) and refit nothing, so
they see the chance of who is in the audit set, and not the chance of what the attackers learned.
"""

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from measure.auc import Labels, Scores, fold, macro_auc, midranks, permuted_macro_auc, weighted_macro_auc

_BLOCK_VALUES = 2_000_000  # resampled users held at a time: 16 MiB an array


def bootstrap_interval(scores: Scores, labels: Labels, resamples: int, seed: int) -> tuple[float, float]:
    """Percentile interval (2.5 - 97.5 %) of leakage over resampled users.

    The AUC is folded at .5 by the side the whole sample lies on, and each resample by that same side: an interval
    that reaches below .5 says that the direction itself is not certain.

    Args:
        scores: shape (n, K), columns as in `measure.auc`.
        labels: shape (n,).
        resamples: how many times n users are drawn with replacement.
        seed: the same seed draws the same users, so attackers of one run share their resamples.
    """
    side = 1.0 if macro_auc(scores, labels) >= 0.5 else -1.0
    rng = np.random.default_rng(seed)
    parts = [weighted_macro_auc(scores, labels, weights) for weights in _weights(len(labels), resamples, rng)]
    leaks = 0.5 + side * (np.concatenate(parts) - 0.5)
    low, high = np.nanpercentile(leaks, [2.5, 97.5])
    return float(low), float(high)


def permutation_null(score_sets: list[Scores], labels: Labels, permutations: int, seed: int) -> NDArray[np.float64]:
    """Leakage of the strongest of several attackers when labels are dealt at random, ascending; shape (permutations,).

    One shuffled label vector meets all score sets, so the maximum keeps their dependence on each other.
    """
    ranks = np.stack([midranks(scores) for scores in score_sets])
    rng = np.random.default_rng(seed)
    size = max(1, _BLOCK_VALUES // len(labels))
    strongest = []
    for start in range(0, permutations, size):
        shuffled = rng.permuted(np.tile(labels, (min(size, permutations - start), 1)), axis=1)
        strongest.append(fold(permuted_macro_auc(ranks, shuffled)).max(axis=1))
    return np.sort(np.concatenate(strongest))


def _weights(n: int, resamples: int, rng: np.random.Generator) -> Iterator[NDArray[np.float64]]:
    """How often each user is drawn; blocks of shape (B, n)."""
    size = max(1, _BLOCK_VALUES // n)
    for start in range(0, resamples, size):
        rows = min(size, resamples - start)
        drawn = rng.integers(0, n, (rows, n)) + np.arange(rows)[:, None] * n
        yield np.bincount(drawn.ravel(), minlength=rows * n).reshape(rows, n).astype(np.float64)
