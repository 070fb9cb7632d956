"""A bundle as training sees it, before it is served: the card is measured on it."""

from __future__ import annotations

import copy
from collections.abc import Mapping

import numpy as np
import torch
from numpy.typing import NDArray

from bundle import Audit, Bundle
from measure.audit import Lists, Population, Subject
from measure.masks import Mask
from measure.ranking import top_items
from measure.scoring import to_unit
from training.scoring import scorer_of

Modal = Mapping[str, NDArray[np.float32]]
"""Modality → (U, n) mean features of the items that each user has seen."""
_BLOCK_USERS = 8_192


def fair_vectors(bundle: Bundle, mask: Mask, rows: NDArray[np.int64] | None = None) -> NDArray[np.float32]:
    """(n, d) fair vectors of users under one mask: combined in float64, as serving does; without rows, of everybody."""
    combine = copy.deepcopy(bundle.encoder).double().combine
    flags = torch.tensor(bundle.description.mask(mask))
    rows = np.arange(len(bundle.users.ids)) if rows is None else rows
    blocks = []
    for start in range(0, len(rows), _BLOCK_USERS):
        parts = torch.from_numpy(bundle.users.of(rows[start : start + _BLOCK_USERS])).double()
        with torch.no_grad():
            blocks.append(combine(parts, flags.expand(len(parts), -1)).numpy().astype(np.float32))
    return np.concatenate(blocks)


def population_of(bundle: Bundle, audit: Audit, modal: Modal | None = None) -> Population:
    """Everyone in a bundle, as far as audits know them; modal means are of training alone, no bundle has features."""
    description = bundle.description
    return Population(
        attributes={each.name: each.classes for each in description.attributes},
        ordered={each.name: each.ordered for each in description.attributes},
        labels=audit.labels,
        base=audit.base,
        split=audit.split,
        folded_in=audit.folded_in,
        test=audit.test,
        seen_indptr=bundle.seen.indptr,
        seen_indices=bundle.seen.indices,
        positive=audit.positive,
        item_groups=bundle.items.groups,
        cold=bundle.items.cold,
        strict=description.mode == "strict",
        seed=description.seeds["run"],
        modal=modal or {},
    )


class Views(Subject):
    """Vectors and lists of users, by the bundle's own encoder."""

    def __init__(
        self, bundle: Bundle, audit: Audit, rows: NDArray[np.int64] | None = None, modal: Modal | None = None
    ) -> None:
        """Take a bundle and its audit/, which must be there; with rows (n,) these users alone are U, in that order."""
        self.bundle = bundle
        self._rows = np.arange(len(audit.split)) if rows is None else rows
        description = bundle.description
        population = population_of(bundle, audit, modal).only(self._rows)
        cosine = description.scorer == "cosine"
        items = to_unit(bundle.items.vectors) if cosine else bundle.items.vectors
        parts = [part.name for part in description.parts]
        before = None if audit.items is None else scorer_of(to_unit(audit.items) if cosine else audit.items, None)
        scorer = scorer_of(items, bundle.reranker)
        super().__init__(population, scorer, parts, unit_length=cosine, base_scorer=before)

    def part(self, place: int) -> NDArray[np.float32]:
        """(U, d) one part of every user, by its place in ``parts``."""
        return self.bundle.users.part(place, self._rows)

    def fair_vectors(self, mask: Mask) -> NDArray[np.float32]:
        """(U, d) fair vectors of every user under one mask, as scored."""
        return self.scored(fair_vectors(self.bundle, mask, self._rows))

    def lists_of(self, vectors: NDArray[np.float32], count: int, *, drop_seen: bool = False) -> Lists:
        """Top ``count`` lists for (U, d) vectors as scored; dropping seen items drops those of the user in that row."""
        seen = (self.population.seen_indptr, self.population.seen_indices) if drop_seen else None
        return top_items(vectors, self.scorer, count, seen)
