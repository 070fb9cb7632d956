"""The cost of the candidate step, where inner products propose items and the model's own scores order them."""

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from measure.accuracy import best_first, rank_among, unseen_scores
from measure.scoring import Floats, Ints, Scorer, in_steps


class CandidateStep(NamedTuple):
    """Per user, shape (n,)."""

    recall: NDArray[np.float64]
    """Share of the k items that the model scores highest among all unseen ones that are candidates; NaN where there is
    no positive."""
    ranks: NDArray[np.int64]
    """Rank of the positive were every item a candidate; -1 where there is no positive."""


def candidate_step(
    k: int, user_vectors: Floats, scorer: Scorer, positive: Ints, seen_indptr: Ints, seen_indices: Ints
) -> CandidateStep:
    """Score the whole catalogue by the model itself, and see how much of it the candidates hold.

    Args:
        k: length of the list that should be held, at least 1; what is left of the catalogue where that is less.
        user_vectors: shape (n, d).
        scorer: with scores of its own.
        positive: shape (n,), item index of the held-out positive, -1 for none.
        seen_indptr: shape (n + 1,), CSR row ends of the seen items; the positive is taken out of them first.
        seen_indices: shape (nnz,), seen item indices.
    """
    recall, ranks = np.full(len(positive), np.nan), np.full(len(positive), -1, np.int64)
    for rows, proposed in unseen_scores(user_vectors, scorer, positive, seen_indptr, seen_indices):
        items = best_first(proposed, proposed.shape[1])
        own = in_steps(scorer.scores(user_vectors[rows], items))
        ranks[rows] = rank_among(items, own, positive[rows])
        own[items < 0] = -np.inf
        wanted = np.lexsort((items, -own), axis=1)[:, :k]  # places in the order of the inner product
        there = np.take_along_axis(items, wanted, axis=1) >= 0
        recall[rows] = ((wanted < scorer.candidates) & there).sum(axis=1) / there.sum(axis=1)
    return CandidateStep(recall, ranks)
