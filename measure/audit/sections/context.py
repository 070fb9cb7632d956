"""The audited users, their groups, and the lists of each mask for them; made once for all sections.

Arrays have one row for each of the n audit users that the base model saw.
"""

from __future__ import annotations

from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from measure.accuracy import hit_at, ndcg_at
from measure.audit.subject import Lists, Subject
from measure.errors import MeasureError
from measure.fairness import exposure, parity
from measure.fairness.estimate import Bootstrap
from measure.fairness.groups import Groups, Withheld, by_class, crossed
from measure.fairness.items import ItemGroups, cold_and_others, item_groups, of_items
from measure.fairness.shuffles import Shuffles
from measure.labels import RARE_BELOW
from measure.masks import Mask

Row = dict[str, Any]
K = 10
"""Length of the lists."""
AT_LEAST = RARE_BELOW
"""Audit users that a group needs."""


class Context:
    """The audit users of a subject, and the draws of them."""

    def __init__(self, subject: Subject, seed: int) -> None:
        """Take a subject; everything is drawn by the seed.

        Raises:
            TooFewUsersError: there are no audit users.
        """
        self.subject, self.seed = subject, seed
        population = subject.population
        self.rows = np.flatnonzero(population.audited)
        self.item_count = len(subject.scorer.items)
        self.bootstrap = Bootstrap(len(self.rows), seed)
        self.items: ItemGroups = item_groups(population.item_groups or [()] * self.item_count)
        self.cold = cold_and_others(population.cold) if population.cold is not None and population.cold.any() else None
        """The items that nobody has touched beside the others; None where there are none."""
        self.groups: dict[str, Groups] = {}
        """Attribute → the classes of the users; without those that cannot be measured."""
        self.withheld: list[Withheld] = []
        for name, classes in population.attributes.items():
            try:
                labels, ordered = population.label(name)[self.rows], population.in_order(name)
                self.groups[name], merged = by_class(name, labels, classes, AT_LEAST, ordered=ordered)
                self.withheld += merged
            except MeasureError as error:
                self.withheld.append(Withheld(name, tuple(classes), str(error)))
        self._shuffles: dict[tuple[str, str | None], Shuffles] = {}

    @property
    def several_item_groups(self) -> bool:
        """Whether items are in groups at all."""
        return len(self.items) > 1

    @cached_property
    def crossed(self) -> tuple[str, Groups] | None:
        """Which attributes are crossed, and the intersections; None where there is no attribute to measure."""
        if not self.groups:
            return None
        name, groups, withheld = crossed(self.groups, AT_LEAST)
        self.withheld += withheld
        return name, groups

    def clients_of(self, attribute: str) -> str | None:
        """The other attribute with the most classes, whose classes are taken for clients; None where there is none."""
        others = [name for name in self.groups if name != attribute]
        return max(others, key=lambda name: len(self.groups[name]), default=None)

    def shuffles(self, attribute: str, within: str | None = None) -> Shuffles:
        """The classes of an attribute dealt anew, inside the classes of another one where that is named."""
        key = attribute, within
        if key not in self._shuffles:
            inside = self.groups[within] if within else None
            self._shuffles[key] = Shuffles(self.groups[attribute], self.seed, inside)
        return self._shuffles[key]

    @cached_property
    def positives(self) -> NDArray[np.float64]:
        """(n, C) whether the held-out positive is in each item group."""
        test = self.subject.population.test[self.rows]
        there = np.flatnonzero(test >= 0)
        return of_items(there, test[there], np.ones(len(there)), len(test), self.items, shared=False)

    @cached_property
    def history(self) -> NDArray[np.float64]:
        """(n, C) how much of each item group is in the user's positives, the held-out one aside."""
        population = self.subject.population
        owner = np.repeat(np.arange(len(population.split)), np.diff(population.seen_indptr))
        place = np.full(len(population.split), -1)
        place[self.rows] = np.arange(len(self.rows))
        learned = population.positive & (population.seen_indices != population.test[owner]) & (place[owner] >= 0)
        items = population.seen_indices[learned]
        return of_items(place[owner[learned]], items, np.ones(len(items)), len(self.rows), self.items, shared=True)

    @cached_property
    def interactions(self) -> NDArray[np.int64]:
        """(n,) of each user, the held-out one included."""
        return np.diff(self.subject.population.seen_indptr)[self.rows]


class Answers:
    """The lists that one mask shows the users of a context."""

    def __init__(self, context: Context, mask: Mask) -> None:
        """Make the lists as they are served. Held-out positives count as seen, so they are ranked and never listed."""
        self.mask = mask
        self.lists: Lists = context.subject.lists(mask, K, drop_seen=True)[context.rows]
        self._context = context

    @cached_property
    def ranks(self) -> NDArray[np.int64]:
        """(n,) rank of the held-out positive, from 0; -1 for none."""
        return self._context.subject.full_ranks(self.mask)[self._context.rows]

    @cached_property
    def hits(self) -> NDArray[np.float64]:
        """(n,) whether it is among the first k; NaN for none."""
        return hit_at(K, self.ranks)

    @cached_property
    def ndcg(self) -> NDArray[np.float64]:
        """(n,) the gain of its rank; NaN for none."""
        return ndcg_at(K, self.ranks)

    @cached_property
    def exposure(self) -> NDArray[np.float64]:
        """(n, C) position-weighted exposure of each item group."""
        return exposure.rows_of(self.lists, self._context.items)

    @cached_property
    def shown(self) -> NDArray[np.float64]:
        """(n, C) whether each item group is in the list."""
        return parity.shown(self.lists, self._context.items)
