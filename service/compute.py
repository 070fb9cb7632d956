"""One batch, in the worker thread: what was planned in, rankings out. Tasks of two models may meet in a batch.

Every answer is a function of its own task alone: parts made from a history are made one user at a time, fair vectors
and lists as `service.encoder` and `service.index` say.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from service import encoder, index
from service.index import Position, Ranking
from service.model import Model


class KnownUser(NamedTuple):
    """By the fair vector of a user whose parts the bundle has."""

    row: int
    mask: tuple[bool, ...]


class History(NamedTuple):
    """By the fair vector of somebody of whom only items are known."""

    rows: tuple[int, ...]
    """Oldest first; at least one."""
    mask: tuple[bool, ...]


class SimilarTo(NamedTuple):
    """By likeness to an item."""

    row: int


@dataclass(frozen=True, slots=True)
class ByPopularity:
    """The same for everybody."""


Order = KnownUser | History | SimilarTo | ByPopularity


class Task(NamedTuple):
    """A list to make."""

    model: Model
    order: Order
    dropped: NDArray[np.int32]
    k: int
    """Items to show, where there are so many."""
    after: Position | None


def compute(tasks: Sequence[Task]) -> list[Ranking]:
    """A ranking for each task, in order."""
    rankings: dict[int, Ranking] = {}
    personal: dict[int, list[int]] = {}
    for place, task in enumerate(tasks):
        match task.order:
            case SimilarTo(row):
                rankings[place] = task.model.neighbours.top(row, task.dropped, task.k)
            case ByPopularity():
                rankings[place] = task.model.popular.top(task.dropped, task.k, task.after)
            case _:
                personal.setdefault(id(task.model), []).append(place)
    for places in personal.values():
        chosen = [tasks[place] for place in places]
        rankings.update(zip(places, _personal(chosen[0].model, chosen), strict=True))
    return [rankings[place] for place in range(len(tasks))]


def use_one_thread() -> None:
    """Called first in the worker thread."""
    encoder.use_one_thread()
    index.use_one_thread()


def _personal(model: Model, tasks: Sequence[Task]) -> list[Ranking]:
    """Parts → combine → search: lists of one model, ordered by fair vectors."""
    masks = [task.order.mask for task in tasks if isinstance(task.order, KnownUser | History)]
    fair = model.encoder.combine(_parts(model, tasks), masks)
    return model.ranker.top(
        fair, [task.dropped for task in tasks], [task.k for task in tasks], [task.after for task in tasks]
    )


def _parts(model: Model, tasks: Sequence[Task]) -> NDArray[np.float32]:
    """(B, P, d)."""
    known = [task.order.row for task in tasks if isinstance(task.order, KnownUser)]
    if len(known) == len(tasks):
        return model.encoder.parts(known)
    return np.stack([_parts_of(model, task.order) for task in tasks])


def _parts_of(model: Model, order: Order) -> NDArray[np.float32]:
    """(P, d)."""
    if isinstance(order, History):
        return _parts_of_history(model, order)
    assert isinstance(order, KnownUser)  # noqa: S101  the others have no parts
    parts: NDArray[np.float32] = model.encoder.parts([order.row])[0]
    return parts


def _parts_of_history(model: Model, order: History) -> NDArray[np.float32]:
    """History → user vector → parts (P, d); alone, so that company does not change the last bits."""
    history = np.array(order.rows, np.int32)
    (u,) = model.bundle.history.user_vectors([history], model.bundle.items.vectors)
    return model.encoder.split(u)
