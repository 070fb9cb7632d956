"""Vectors and lists of all users of a bundle, as serving makes them; each is made once."""

from __future__ import annotations

import copy

import numpy as np
import torch
from numpy.typing import NDArray

from bundle import Audit, Bundle
from training.card.ranking import top_items
from training.masks import Mask
from training.scoring import scorer_of

_BLOCK_USERS = 8_192

Lists = NDArray[np.int32]
"""(U, k) item rows by rank, -1 for an empty place."""


def fair_vectors(bundle: Bundle, mask: Mask) -> NDArray[np.float32]:
    """(U, d) fair vectors of every user under one mask: combined in float64, as serving does."""
    combine = copy.deepcopy(bundle.encoder).double().combine
    flags = torch.tensor(bundle.description.mask(mask))
    blocks = []
    for start in range(0, len(bundle.users.ids), _BLOCK_USERS):
        parts = torch.from_numpy(bundle.users.parts[start : start + _BLOCK_USERS]).double()
        with torch.no_grad():
            blocks.append(combine(parts, flags.expand(len(parts), -1)).numpy().astype(np.float32))
    return np.concatenate(blocks)


class Views:
    """What a card is measured on."""

    def __init__(self, bundle: Bundle, audit: Audit) -> None:
        """Take a bundle and its audit/, which must be there."""
        self.bundle, self.audit = bundle, audit
        self._cosine = bundle.description.scorer == "cosine"
        self.scorer = scorer_of(self.scored(bundle.items.vectors), bundle.reranker)
        self._fair: dict[Mask, NDArray[np.float32]] = {}
        self._lists: dict[tuple[Mask, bool, int], Lists] = {}

    def scored(self, vectors: NDArray[np.float32]) -> NDArray[np.float32]:
        """Vectors as they enter a score: of length 1 where the scorer is the cosine; a zero vector stays zero."""
        if not self._cosine:
            return vectors
        lengths = np.linalg.norm(vectors.astype(np.float64), axis=1, keepdims=True)
        return (vectors / np.where(lengths > 0, lengths, 1.0)).astype(np.float32)

    def fair(self, mask: Mask) -> NDArray[np.float32]:
        """(U, d) fair vectors under ``mask``, as scored."""
        if mask not in self._fair:
            self._fair[mask] = self.scored(fair_vectors(self.bundle, mask))
        return self._fair[mask]

    def lists(self, mask: Mask, count: int, *, drop_seen: bool = False) -> Lists:
        """Top ``count`` lists of every user under ``mask``."""
        key = mask, drop_seen, count
        if key not in self._lists:
            self._lists[key] = self.lists_of(self.fair(mask), count, drop_seen=drop_seen)
        return self._lists[key]

    def lists_of(self, users: NDArray[np.float32], count: int, *, drop_seen: bool = False) -> Lists:
        """Top ``count`` lists for (U, d) vectors; dropping seen items drops those of the user in that row."""
        seen = (self.bundle.seen.indptr, self.bundle.seen.indices) if drop_seen else None
        return top_items(users, self.scorer, count, seen)
