"""Text as vectors: latent semantic analysis, fitted on the texts themselves.

Source: Deerwester et al., JASIS 41(6), 1990; as scikit-learn has it, term weights 1 + ln tf, ln idf, unit length.
"""

from __future__ import annotations

import numpy as np
import polars as pl
from numpy.typing import NDArray
from scipy.sparse import csr_matrix
from sklearn.decomposition import TruncatedSVD
from sklearn.feature_extraction.text import TfidfVectorizer

MOST_TERMS = 20_000
"""The most frequent ones count."""
FEWEST_TEXTS = 2
"""That have a term in common, or it tells nothing of how texts are alike."""
FEWEST_TERMS = 2
"""With one, all texts that have it would be alike."""
MOST_SHARE = 0.5
"""Of the texts: a term in more of them tells none apart."""


def encode(texts: pl.Series, dimensions: int) -> tuple[NDArray[np.int64], NDArray[np.float32]]:
    """Encode texts.

    Args:
        texts: String (n,), null where there is none.
        dimensions: how many numbers each gets, at most: fewer where terms or texts are fewer.

    Returns:
        Rows (m,) of the texts that have a term which counts, and their vectors (m, dimensions) of length 1. Both are
        empty where fewer than two terms count.
    """
    rows = texts.is_not_null().arg_true().to_numpy().astype(np.int64)
    nothing = np.zeros(0, np.int64), np.zeros((0, 0), np.float32)
    common = max(FEWEST_TEXTS, int(MOST_SHARE * len(rows)))
    weigh = TfidfVectorizer(sublinear_tf=True, min_df=FEWEST_TEXTS, max_df=common, max_features=MOST_TERMS)
    try:
        weights = weigh.fit_transform(texts.gather(rows).to_list())
    except ValueError:  # no term is left; sklearn has no gentler way to say so
        return nothing
    if weights.shape[1] < FEWEST_TERMS:
        return nothing
    there = np.flatnonzero(np.diff(weights.indptr))
    return cut(rows[there], weights[there], dimensions)


def cut(
    rows: NDArray[np.int64], weights: csr_matrix | NDArray[np.float32], dimensions: int
) -> tuple[NDArray[np.int64], NDArray[np.float32]]:
    """Cut numbers (m, w) of the texts in some rows (m,) to fewer by a truncated SVD, at unit length.

    Rows that are nothing then are left out.
    """
    size = min(dimensions, weights.shape[1], len(rows))
    svd = TruncatedSVD(size, algorithm="arpack" if size < min(weights.shape) else "randomized", random_state=0)
    vectors = svd.fit_transform(weights)
    lengths = np.linalg.norm(vectors, axis=1)
    seen = np.flatnonzero(lengths > np.finfo(np.float32).eps)
    return rows[seen], (vectors[seen] / lengths[seen, None]).astype(np.float32)
