"""A loaded model as an audit sees it: its vectors and lists are made by the code that makes them for requests.

Letters: U users, d dimensions.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from bundle import Audit, ExactReranker
from measure.audit.subject import Lists, Population, Subject
from measure.masks import Mask
from measure.scoring import Scorer, to_unit
from service.balance import NO_BALANCE, Balance
from service.index import Ranking, SearchBatch
from service.model.balanced import Targets
from service.model.inference import BundleUser, Task, compute
from service.model.loaded import Model

BLOCK = 256
"""Users whose lists are made together; a list does not depend on its company, and memory does."""
_NOTHING = np.zeros(0, np.int32)


class ServedSubject(Subject):
    """The users and lists of one model."""

    def __init__(
        self,
        model: Model,
        population: Population,
        rows: NDArray[np.int64] | None = None,
        balance: Balance | None = None,
        targets: Targets | None = None,
    ) -> None:
        """Take a model and its `population_of`.

        Args:
            model: as it serves.
            population: everybody.
            rows: (n,) these users alone are U, in that order.
            balance: of lists under a mask, those of user vectors stay as they are; a target that is the same for
                everybody, or a function of fair vectors.
            targets: of the model, the operator's among them; None for those of every model.
        """
        self._model = model
        self._balance = balance
        self._targets = targets or Targets(model.item_shares, NO_BALANCE)
        self._rows = np.arange(len(population.split)) if rows is None else rows
        population = population.only(self._rows)
        bundle = model.bundle
        cosine = bundle.description.scorer == "cosine"
        items = to_unit(bundle.items.vectors) if cosine else bundle.items.vectors
        if bundle.reranker is None:
            scorer = Scorer(items)
        else:
            scorer = Scorer(items, ExactReranker(bundle.reranker), bundle.reranker.spec.candidates)
        parts = [part.name for part in bundle.description.parts]
        audit, before = bundle.audit, None
        if audit is not None and audit.items is not None:
            before = Scorer(to_unit(audit.items) if cosine else audit.items)
        super().__init__(population, scorer, parts, unit_length=cosine, base_scorer=before)

    def part(self, place: int) -> NDArray[np.float32]:
        """(U, d) one part of every user, by its place in ``parts``."""
        return self._model.bundle.users.part(place, self._rows)

    def fair_vectors(self, mask: Mask) -> NDArray[np.float32]:
        """(U, d) fair vectors of every user under one mask; the encoder has brought them to length."""
        flags = self._model.bundle.description.mask(mask)
        blocks = [
            self._model.encoder.fair_vectors(self._rows[places].tolist(), [flags] * len(places))
            for places in self._blocks()
        ]
        return np.concatenate(blocks)

    def lists_of(self, vectors: NDArray[np.float32], count: int, *, drop_seen: bool = False) -> Lists:
        """Top ``count`` lists for (U, d) vectors as scored; dropping seen items drops those of the user in that row."""
        found: list[Ranking] = []
        for places in self._blocks():
            block = np.ascontiguousarray(vectors[places])
            dropped = [self._dropped(row, drop_seen) for row in self._rows[places].tolist()]
            found += self._model.ranker.top(SearchBatch(block, dropped, [count] * len(places)))
        return _as_lists(found, count)

    def _made(self, mask: Mask | None, count: int, drop_seen: bool) -> Lists:
        """Lists under a mask come from the function that answers requests."""
        if mask is None:
            return super()._made(mask, count, drop_seen)
        flags = self._model.bundle.description.mask(mask)
        towards = self._balance and self._targets.towards(self._balance, (), 0, count, flags)
        found: list[Ranking] = []
        for places in self._blocks():
            rows = self._rows[places].tolist()
            found += compute(
                [
                    Task(self._model, BundleUser(row, flags), self._dropped(row, drop_seen), count, None, towards)
                    for row in rows
                ]
            )
        return _as_lists(found, count)

    def _begins_as(self, longer: int, count: int) -> bool:
        """An approximate index looks further for any longer list, and a balanced one is chosen from a larger pool."""
        plain = self._balance is None and self._model.index_report.exact
        return super()._begins_as(longer, count) if plain else longer == count

    def _dropped(self, row: int, drop_seen: bool) -> NDArray[np.int32]:
        return self._model.bundle.seen.of(row) if drop_seen else _NOTHING

    def _blocks(self) -> list[range]:
        users = len(self._rows)
        return [range(start, min(start + BLOCK, users)) for start in range(0, users, BLOCK)]


def population_of(model: Model, audit: Audit) -> Population:
    """Everyone in a bundle, as far as audits know them."""
    bundle = model.bundle
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
    )


def _as_lists(rankings: Sequence[Ranking], count: int) -> Lists:
    """(U, count) item rows, -1 where fewer items are left."""
    lists = np.full((len(rankings), count), -1, np.int32)
    for row, ranking in enumerate(rankings):
        shown = ranking.rows[:count]  # a balanced ranking has one item more where it goes on
        lists[row, : len(shown)] = shown
    return lists
