"""One batch in the worker thread: tasks in, rankings out. A batch may hold tasks of two models.

Every ranking is a function of its own task alone: user vectors are made from histories one user at a time, and
`service.model.encoder`, `service.index` and `service.model.balanced` promise the same of fair vectors and lists.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from time import monotonic
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from service import index
from service.index import Position, Ranking, SearchBatch
from service.model import encoder
from service.model.balanced import Towards, balanced
from service.model.loaded import Model
from service.stages import Stage

NOTHING = np.zeros(0, np.int32)


class BundleUser(NamedTuple):
    """The fair vector of a user whose parts the bundle has."""

    row: int
    mask: tuple[bool, ...]


class History(NamedTuple):
    """The fair vector of a person of whom only items are known."""

    rows: tuple[int, ...]
    """Oldest first; at least one."""
    mask: tuple[bool, ...]


class SimilarTo(NamedTuple):
    """Similarity to an item."""

    row: int


@dataclass(frozen=True, slots=True)
class ByPopularity:
    """Popularity, which is the same for everybody."""


Basis = BundleUser | History | SimilarTo | ByPopularity
"""The basis of a list: the score that orders its items."""


class Task(NamedTuple):
    """A list to make."""

    model: Model
    basis: Basis
    dropped: NDArray[np.int32]
    k: int
    """How many items to return, one more than are shown; fewer come only where fewer are left."""
    after: Position | None
    towards: Towards | None = None
    """How to balance the list. It is then ranked from its beginning, as deep as this needs; ``k`` and ``after`` are not
    read."""

    @property
    def ranked(self) -> Task:
        """What is to be ranked first: for a balanced page its pool, and all before it."""
        if self.towards is None:
            return self
        return Task(self.model, self.basis, self.dropped, self.towards.depth, None)

    def own(self, depth: int) -> Task:
        """What the same vector ranks first, nothing dropped: of that a user's own target is made."""
        return Task(self.model, self.basis, NOTHING, depth, None)


def compute(tasks: Sequence[Task], stages: list[Stage] | None = None) -> list[Ranking]:
    """A ranking for each task, in order: parts → combine → search, and where it is wished, balance.

    ``stages`` gets the times of *encode*, *search* and *balance*; with tasks of two models the first two twice.
    """
    stages = [] if stages is None else stages
    to_make = [
        (place, task.towards, task.own(task.towards.personal.depth))
        for place, task in enumerate(tasks)
        if task.towards is not None and task.towards.personal is not None
    ]
    rankings = _ranked([*(task.ranked for task in tasks), *(own for _, _, own in to_make)], stages)
    made = {
        place: towards.made_from(own.rows)
        for (place, towards, _), own in zip(to_make, rankings[len(tasks) :], strict=True)
    }
    del rankings[len(tasks) :]
    wishes = [(place, made.get(place, task.towards)) for place, task in enumerate(tasks) if task.towards is not None]
    if wishes:
        began = monotonic()
        places, towards = zip(*wishes, strict=True)
        for place, page in zip(places, balanced([rankings[place] for place in places], towards), strict=True):
            rankings[place] = page
        stages.append(Stage("balance", began, monotonic()))
    return rankings


def _ranked(tasks: Sequence[Task], stages: list[Stage]) -> list[Ranking]:
    rankings: dict[int, Ranking] = {}
    personal: dict[int, list[int]] = {}
    for place, task in enumerate(tasks):
        match task.basis:
            case SimilarTo(row):
                rankings[place] = task.model.neighbours.top(row, task.dropped, task.k)
            case ByPopularity():
                rankings[place] = task.model.popular.top(task.dropped, task.k, task.after)
            case _:
                personal.setdefault(id(task.model), []).append(place)
    for places in personal.values():
        chosen = [tasks[place] for place in places]
        rankings.update(zip(places, _personal(chosen[0].model, chosen, stages), strict=True))
    return [rankings[place] for place in range(len(tasks))]


def use_one_thread() -> None:
    """Called first in the worker thread."""
    encoder.use_one_thread()
    index.use_one_thread()


def _personal(model: Model, tasks: Sequence[Task], stages: list[Stage]) -> list[Ranking]:
    """Parts → combine → search: lists of one model, by fair vectors."""
    began = monotonic()
    masks = [task.basis.mask for task in tasks if isinstance(task.basis, BundleUser | History)]
    fair = model.vectors.fair_vectors([_user(model, task.basis) for task in tasks], masks)
    encoded = monotonic()
    rows = ([task.dropped for task in tasks], [task.k for task in tasks], [task.after for task in tasks])
    rankings = model.ranker.top(SearchBatch(fair, *rows))
    stages += (Stage("encode", began, encoded), Stage("search", encoded, monotonic()))
    return rankings


def _user(model: Model, basis: Basis) -> int | encoder.UserVector:
    """The row of a user of the bundle; or the user vector (d,) of a history, made alone: no batch changes its bits."""
    if isinstance(basis, BundleUser):
        return basis.row
    assert isinstance(basis, History)  # noqa: S101  the others have no parts
    history = np.array(basis.rows, np.int32)
    u: encoder.UserVector = model.bundle.history.user_vectors([history], model.bundle.items.vectors)[0]
    return u
