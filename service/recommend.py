"""One request: requirement → user → what to drop → batcher → combine → search → answer (DESIGN 6)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from service import encoder, index
from service.batcher import Batcher
from service.errors import NotReadyError, UnknownUserError
from service.index import Ranking
from service.metrics import Metrics
from service.model import Model
from service.requirement import Policy, Requirement, check_policy, covering_mask, resolve
from service.seen import dropped_rows


@dataclass(frozen=True, slots=True)
class Query:
    """What a caller wants."""

    user: str
    sensitive: tuple[str, ...] | None = None
    """Attributes to protect; None leaves that to the operator's default, () switches the default off."""
    k: int = 10
    exclude_seen: bool = True
    exclude: tuple[str, ...] = ()
    """Item ids never to show. Unknown ones could not be shown anyway and change nothing."""


@dataclass(frozen=True, slots=True)
class Recommendation:
    """A list, and what was done to make it."""

    query: Query
    model: Model
    requirement: Requirement
    ranking: Ranking
    queue_ms: float
    compute_ms: float


@dataclass(frozen=True, slots=True)
class _Task:
    """What the worker needs of one request."""

    user: int
    mask: tuple[bool, ...]
    dropped: NDArray[np.int32]
    k: int


class Recommender:
    """Answers queries from one model."""

    def __init__(
        self,
        model: Model,
        policy: Policy,
        metrics: Metrics,
        *,
        max_batch: int,
        queue_size: int,
        deadline_s: float,
    ) -> None:
        """Take what start-up loaded and the operator's limits; nothing runs before `start`.

        Raises:
            StartError: this bundle cannot meet the policy.
        """
        check_policy(model.bundle.description, policy)
        self.model = model
        self.policy = policy
        self._warm = False
        self._batcher: Batcher[_Task, Ranking] = Batcher(
            self._compute,
            metrics,
            prepare=_use_one_thread,
            max_batch=max_batch,
            queue_size=queue_size,
            deadline_s=deadline_s,
        )

    async def recommend(self, query: Query) -> Recommendation:
        """Recommend up to k items to one user, withholding what the query and the policy protect.

        Raises:
            UnknownAttributeError: the query protects an attribute the bundle does not know.
            UnsupportedRequirementError: the bundle has no list for this combination of attributes.
            UnknownUserError: the bundle does not know the user.
            UnavailableError: too many requests wait, or this one waited too long.
        """
        model = self.model
        requirement = resolve(model.bundle.description, self.policy, query.sensitive)
        user = model.bundle.users.row.get(query.user)
        if user is None:
            raise UnknownUserError(query.user)
        seen = model.bundle.seen.of(user) if query.exclude_seen else None
        dropped = dropped_rows(seen, query.exclude, model.bundle.items.row)
        done = await self._batcher.submit(_Task(user, requirement.mask, dropped, query.k))
        return Recommendation(query, model, requirement, done.answer, done.queue_ms, done.compute_ms)

    def check_ready(self) -> None:
        """Pass only where a recommendation would be answered.

        Raises:
            NotReadyError: says why not.
        """
        if not self._warm:
            raise NotReadyError("the service is starting or stopping")
        if trouble := self._batcher.trouble:
            raise NotReadyError(trouble)

    async def start(self) -> None:
        """Start the worker and prove it with a real recommendation."""
        self._batcher.start()
        users = self.model.bundle.users.ids
        if users:
            mask = covering_mask(self.model.bundle.description, self.policy) or ()
            await self.recommend(Query(users[0], sensitive=tuple(mask)))
        self._warm = True

    async def close(self) -> None:
        """Answer what waits and stop."""
        self._warm = False
        await self._batcher.close()

    def _compute(self, tasks: Sequence[_Task]) -> list[Ranking]:
        """One batch, in the worker thread: combine, search, drop, order."""
        fair = self.model.encoder.fair_vectors([task.user for task in tasks], [task.mask for task in tasks])
        return self.model.ranker.top(fair, [task.dropped for task in tasks], [task.k for task in tasks])


def _use_one_thread() -> None:
    encoder.use_one_thread()
    index.use_one_thread()
