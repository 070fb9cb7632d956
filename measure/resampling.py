"""How sure a score AUC is: a bootstrap over users and a null of permuted labels.

Both look at scores that are already there (out-of-fold or of attackers fitted on other users) and refit nothing, so
they see the chance of who is in the audit set, and not the chance of what the attackers learned. Where attackers learn
from the very users that they are tested on, the null makes up for that (`LEARNED_INSIDE`).
"""

from collections.abc import Iterator, Sequence

import numpy as np
from numpy.typing import NDArray

from measure.auc import Labels, Scores, fold, macro_auc, midranks, permuted_macro_auc, weighted_macro_auc

LEARNED_INSIDE = 2**0.5
"""How much further than fixed scores out-of-fold ones stray from .5 where there is nothing to find.

Two users who are alike are scored by each other's label: where chance makes one score right, it makes the other right
too. With y the centred labels, such a statistic is y'Ky, K symmetric, its diagonal 0: variance 2 |K|². Permuting the
labels against scores s = Ky that stay gives |s|², in the mean |K|². docs/decisions/0043
"""

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
    parts = [weighted_macro_auc(scores, labels, weights) for weights in weights_of(len(labels), resamples, rng)]
    leaks = 0.5 + side * (np.concatenate(parts) - 0.5)
    low, high = np.nanpercentile(leaks, [2.5, 97.5])
    return float(low), float(high)


def strays(inside: float) -> float:
    """How much further than fixed scores those stray that were learned from these users to a share in [0, 1].

    With y'(K y + L z), z the labels of others: variance 2 |K|² + |L|² where |K|² : |L|² is the ratio of the users.
    """
    return float((1 + inside * (LEARNED_INSIDE**2 - 1)) ** 0.5)


def permutation_null(
    sets: Sequence[tuple[Scores, float]], labels: Labels, permutations: int, seed: int
) -> NDArray[np.float64]:
    """Leakage of the strongest of several attackers where there is nothing to find, ascending; shape (permutations,).

    One shuffled label vector meets all score sets, so the maximum keeps their dependence on each other.

    Args:
        sets: scores of each attacker in each way, shape (n, K), and how much further than fixed ones they stray, as
            `strays` tells.
        labels: shape (n,), dealt at random.
        permutations: how often.
        seed: of the shuffles.
    """
    ranks = np.stack([midranks(scores) for scores, _ in sets])
    spread = np.array([further for _, further in sets])
    rng = np.random.default_rng(seed)
    size = max(1, _BLOCK_VALUES // len(labels))
    strongest = []
    for start in range(0, permutations, size):
        shuffled = rng.permuted(np.tile(labels, (min(size, permutations - start), 1)), axis=1)
        away = spread * (fold(permuted_macro_auc(ranks, shuffled)) - 0.5)
        strongest.append(np.minimum(0.5 + away.max(axis=1), 1.0))
    return np.sort(np.concatenate(strongest))


def weights_of(n: int, resamples: int, rng: np.random.Generator) -> Iterator[NDArray[np.float64]]:
    """How often each user is drawn; blocks of shape (B, n)."""
    size = max(1, _BLOCK_VALUES // n)
    for start in range(0, resamples, size):
        rows = min(size, resamples - start)
        drawn = rng.integers(0, n, (rows, n)) + np.arange(rows)[:, None] * n
        yield np.bincount(drawn.ravel(), minlength=rows * n).reshape(rows, n).astype(np.float64)
