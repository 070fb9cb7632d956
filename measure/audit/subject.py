"""The subject of an audit: the users and items of one bundle, and the vectors and lists made for them.

Letters: U users, I items, d dimensions, M attributes, N interactions.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from measure.accuracy import full_ranks
from measure.errors import TooFewUsersError
from measure.labels import in_order
from measure.light import light_up_to
from measure.masks import Mask
from measure.ranking import top_items
from measure.scoring import Scorer, to_unit
from measure.split import AUDIT, SELECT, TRAIN

TUNED_ON_AT_MOST = 2_000
"""Select users that settings of attackers are chosen on."""
Lists = NDArray[np.int32]
"""(U, k) item rows by rank, -1 for an empty place."""


@dataclass(frozen=True)
class Population:
    """The audited users, and their known facts."""

    attributes: Mapping[str, Sequence[str]]
    """Attribute → its classes, in the order of every mask."""
    labels: NDArray[np.int16]
    """(U, M) class of each attribute, -1 where unknown."""
    base: NDArray[np.float32]
    """(U, d) user vectors u."""
    split: NDArray[np.uint8]
    """(U,) a part of `measure.split`."""
    folded_in: NDArray[np.bool_]
    """(U,) audit users that the base model never saw."""
    test: NDArray[np.int32]
    """(U,) item row of the held-out positive, -1 for none."""
    seen_indptr: NDArray[np.int64]
    """(U + 1,)"""
    seen_indices: NDArray[np.int32]
    """(N,) item rows of every interaction known."""
    positive: NDArray[np.bool_]
    """(N,) whether that interaction counts as positive."""
    item_groups: Sequence[Sequence[str]]
    """(I,) groups of each item; may be empty."""
    strict: bool
    """Whether training left the labels of audit users alone."""
    seed: int
    """Seed of the training run, and of an audit's draws unless that has its own."""
    left_out: NDArray[np.bool_] | None = None
    """(U,) users that this audit does not look at."""
    bound: int | None = None
    """Of `light_up_to`, where it was found among more users than these."""
    ordered: Mapping[str, bool | None] = field(default_factory=dict)
    """Attribute → whether its classes stand from low to high; None or absent: as their names say."""
    cold: NDArray[np.bool_] | None = None
    """(I,) items that nobody has touched; None where there are none."""
    modal: Mapping[str, NDArray[np.float32]] = field(default_factory=dict)
    """Modality → (U, n) mean features of the items that each user has seen; empty where features are not at hand."""

    @property
    def names(self) -> tuple[str, ...]:
        """The attributes."""
        return tuple(self.attributes)

    @cached_property
    def looked_at(self) -> NDArray[np.bool_]:
        """(U,) audit users that this audit looks at."""
        found: NDArray[np.bool_] = (self.split == AUDIT) & self._in
        return found

    @cached_property
    def audited(self) -> NDArray[np.bool_]:
        """(U,) those of them that the base model saw."""
        return self.looked_at & ~self.folded_in

    @cached_property
    def rated(self) -> NDArray[np.bool_]:
        """(U,) users whose accuracy counts: the audited ones; in `reproduce` all that the base model saw."""
        return self.audited if self.strict else ~self.folded_in & self._in

    @cached_property
    def held_out(self) -> NDArray[np.int32]:
        """(U,) item row of the positive that is ranked, -1 for none and for users that are not looked at."""
        return np.where(self.rated | self.new, self.test, -1).astype(np.int32)

    @cached_property
    def not_ranked_against(self) -> tuple[NDArray[np.int64], NDArray[np.int32]]:
        """Items that a positive is not ranked against (CSR): seen ones; in `reproduce`, the user's positives."""
        if self.strict:
            return self.seen_indptr, self.seen_indices
        ends = np.concatenate([[0], np.cumsum(self.positive)])
        return ends[self.seen_indptr].astype(np.int64), self.seen_indices[self.positive]

    @cached_property
    def new(self) -> NDArray[np.bool_]:
        """(U,) those that it never saw."""
        return self.folded_in & self._in

    @cached_property
    def light_up_to(self) -> int:
        """The most interactions that a light user has, found among all audit users that the base model saw."""
        if self.bound is not None:
            return self.bound
        return light_up_to(self._interactions[(self.split == AUDIT) & ~self.folded_in])

    @cached_property
    def light(self) -> NDArray[np.bool_]:
        """(U,) audited users with the fewest interactions; may be nobody."""
        found: NDArray[np.bool_] = self.audited & (self._interactions <= self.light_up_to)
        return found

    @cached_property
    def light_train(self) -> NDArray[np.bool_]:
        """(U,) train users with as few."""
        found: NDArray[np.bool_] = (self.split == TRAIN) & (self._interactions <= self.light_up_to)
        return found

    @cached_property
    def _interactions(self) -> NDArray[np.int64]:
        return np.diff(self.seen_indptr)

    @cached_property
    def _in(self) -> NDArray[np.bool_]:
        return np.ones(len(self.split), np.bool_) if self.left_out is None else ~self.left_out

    def label(self, attribute: str) -> NDArray[np.int64]:
        """(U,) class of one attribute, -1 where unknown."""
        return self.labels[:, self.names.index(attribute)].astype(np.int64)

    def in_order(self, attribute: str) -> bool:
        """Whether the classes of one attribute stand from low to high."""
        declared = self.ordered.get(attribute)
        return in_order(self.attributes[attribute]) if declared is None else declared

    def at_most(self, users: int, seed: int) -> Population:
        """The same with so many audit users, drawn at random; the others are not looked at.

        Raises:
            TooFewUsersError: fewer than one is asked for.
        """
        if users < 1:
            raise TooFewUsersError("audit users", users, 1)
        rows = np.flatnonzero(self.looked_at)
        left_out = np.zeros(len(self.split), np.bool_)
        if users < len(rows):
            left_out[np.random.default_rng(seed).choice(rows, len(rows) - users, replace=False)] = True
        return replace(self, left_out=left_out)

    def needed(self, learned: int, seed: int) -> NDArray[np.int64]:
        """Rows (n,) of the users without whom this audit could not be made, ascending.

        Attackers learn from so many train users and are tuned on `TUNED_ON_AT_MOST` select users, drawn from those with
        a label. In `reproduce` everybody is measured.

        Args:
            learned: train users, at most; as many as an attacker is fitted on.
            seed: of the draws.
        """
        if not self.strict:
            return np.flatnonzero(self.rated | self.new | self.looked_at)
        rng = np.random.default_rng([seed, len(self.split)])
        labelled: NDArray[np.bool_] = np.any(self.labels >= 0, axis=1)
        rows = [np.flatnonzero(self.looked_at)]
        for part, most in ((TRAIN, learned), (SELECT, TUNED_ON_AT_MOST)):
            there = np.flatnonzero(self.split == part)
            if len(there) > most:
                there = there[labelled[there]]
                there = rng.choice(there, min(most, len(there)), replace=False)
            rows.append(there)
        return np.sort(np.concatenate(rows))

    def only(self, rows: NDArray[np.int64]) -> Population:
        """The same with these users alone (n,), in that order."""
        if len(rows) == len(self.split):
            return self
        counts = np.diff(self.seen_indptr)[rows]
        indptr = np.concatenate([[0], np.cumsum(counts)]).astype(np.int64)
        places = np.repeat(self.seen_indptr[rows] - indptr[:-1], counts) + np.arange(indptr[-1])
        of_users = ("labels", "base", "split", "folded_in", "test")
        return replace(
            self,
            **{name: getattr(self, name)[rows] for name in of_users},
            modal={name: means[rows] for name, means in self.modal.items()},
            left_out=None if self.left_out is None else self.left_out[rows],
            bound=self.light_up_to,
            seen_indptr=indptr,
            seen_indices=self.seen_indices[places],
            positive=self.positive[places],
        )


class Subject(ABC):
    """A bundle as an audit sees it; each of its vectors and lists is made once."""

    def __init__(
        self,
        population: Population,
        scorer: Scorer,
        parts: Sequence[str],
        *,
        unit_length: bool,
        base_scorer: Scorer | None = None,
    ) -> None:
        """Describe the subject.

        Args:
            population: who.
            scorer: what orders items, of vectors as they are scored.
            parts: names of the users' parts.
            unit_length: whether vectors are brought to length 1 before they are scored, as for the cosine.
            base_scorer: what orders items for user vectors u, where items were changed along with the fair vectors.
        """
        self.population = population
        self.scorer = scorer
        self.base_scorer = scorer if base_scorer is None else base_scorer
        self.parts = tuple(parts)
        self._unit_length = unit_length
        self._fair: dict[Mask, NDArray[np.float32]] = {}
        self._lists: dict[tuple[Mask | None, bool], Lists] = {}
        self._ranks: dict[Mask | None, NDArray[np.int64]] = {}

    @abstractmethod
    def part(self, place: int) -> NDArray[np.float32]:
        """(U, d) one part of every user, by its place in ``parts``."""

    @abstractmethod
    def fair_vectors(self, mask: Mask) -> NDArray[np.float32]:
        """(U, d) fair vectors of every user under one mask, as scored."""

    @abstractmethod
    def lists_of(self, vectors: NDArray[np.float32], count: int, *, drop_seen: bool = False) -> Lists:
        """Top ``count`` lists for (U, d) vectors as scored; dropping seen items drops those of the user in that row."""

    def scored(self, vectors: NDArray[np.float32]) -> NDArray[np.float32]:
        """Vectors as they enter a score; a zero vector stays zero."""
        return to_unit(vectors) if self._unit_length else vectors

    def fair(self, mask: Mask) -> NDArray[np.float32]:
        """(U, d) fair vectors under ``mask``, as scored."""
        if mask not in self._fair:
            self._fair[mask] = self.fair_vectors(mask)
        return self._fair[mask]

    @cached_property
    def base(self) -> NDArray[np.float32]:
        """(U, d) user vectors, as scored."""
        return self.scored(self.population.base)

    def lists(self, mask: Mask, count: int, *, drop_seen: bool = False) -> Lists:
        """(U, ``count``) lists of every user under ``mask``."""
        return self._listed(mask, count, drop_seen)

    def base_lists(self, count: int, *, drop_seen: bool = False) -> Lists:
        """(U, ``count``) lists by the user vectors themselves."""
        return self._listed(None, count, drop_seen)

    def full_ranks(self, mask: Mask) -> NDArray[np.int64]:
        """(U,) rank of the held-out positive under ``mask`` among all items to rank it against; -1 for none."""
        return self._ranked(mask)

    def base_ranks(self) -> NDArray[np.int64]:
        """The same by the user vectors themselves."""
        return self._ranked(None)

    def _vectors(self, mask: Mask | None) -> NDArray[np.float32]:
        return self.base if mask is None else self.fair(mask)

    def _listed(self, mask: Mask | None, count: int, drop_seen: bool) -> Lists:
        key = mask, drop_seen
        if key not in self._lists or not self._begins_as(self._lists[key].shape[1], count):
            self._lists[key] = self._made(mask, count, drop_seen)
        return self._lists[key][:, :count]

    def _made(self, mask: Mask | None, count: int, drop_seen: bool) -> Lists:
        if mask is None and self.base_scorer is not self.scorer:
            seen = (self.population.seen_indptr, self.population.seen_indices) if drop_seen else None
            return top_items(self.base, self.base_scorer, count, seen)
        return self.lists_of(self._vectors(mask), count, drop_seen=drop_seen)

    def _begins_as(self, longer: int, count: int) -> bool:
        """Whether a list begins as a longer one does: a reranker orders more candidates for one longer than them."""
        return longer == count or (longer > count and (self.scorer.own is None or longer <= self.scorer.candidates))

    def _ranked(self, mask: Mask | None) -> NDArray[np.int64]:
        if mask not in self._ranks:
            held_out, against = self.population.held_out, self.population.not_ranked_against
            scorer = self.base_scorer if mask is None else self.scorer
            self._ranks[mask] = full_ranks(self._vectors(mask), scorer, held_out, *against)
        return self._ranks[mask]
