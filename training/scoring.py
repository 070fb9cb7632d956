"""The scores that order items of a base model or a bundle, for everything that measures it."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from bundle import ExactReranker, MlpReranker
from measure.scoring import Scorer


def scorer_of(items: NDArray[np.float32], reranker: MlpReranker | None) -> Scorer:
    """Inner products with the (I, d) vectors; with a reranker, its scores of the candidates that they propose."""
    if reranker is None:
        return Scorer(items)
    return Scorer(items, ExactReranker(reranker), reranker.spec.candidates)
