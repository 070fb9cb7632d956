"""What a user's items say of the user: the mean of their features, for each modality.

Letters: U users, I items, C cold items, n numbers of a modality.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_matrix

from training.data.dataset import Dataset
from training.data.modality import Modality
from training.data.split import Csr


def seen_means(dataset: Dataset) -> Mapping[str, NDArray[np.float32]]:
    """Modality → (U, n) means over what each user has seen, whatever the rating, held out or not."""
    return {each.name: modal_means(each, (dataset.indptr, dataset.indices)) for each in dataset.modalities}


def modal_means(modality: Modality, items: Csr) -> NDArray[np.float32]:
    """Mean features of some items of each user.

    Args:
        modality: (I + C, n) features.
        items: of U users, as CSR.

    Returns:
        (U, n): over those of them that have the modality. A user with none of these stands at the mean of the other
        users, which says nothing of anybody.
    """
    indptr, indices = items
    kept = modality.present[indices]
    counts = np.add.reduceat(np.append(kept, False), indptr[:-1], dtype=np.int64) * (np.diff(indptr) > 0)
    ends = np.concatenate([[0], np.cumsum(counts)])
    shape = len(counts), len(modality.present)
    chosen = csr_matrix((np.ones(int(ends[-1])), indices[kept], ends), shape)
    values = np.where(modality.present[:, None], modality.values, 0).astype(np.float64)
    means = (chosen @ values) / np.maximum(counts, 1)[:, None]
    some = counts > 0
    means[~some] = means[some].mean(axis=0) if some.any() else 0
    return np.asarray(means, np.float32)
