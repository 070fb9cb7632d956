"""One request: model → plan → cache → batcher → fair vector → search → request log → answer.

Where two models answer, the user's id says which one. A plan says what is protected, whose list it is, and which items
to drop (`service.recommend.plan`). The worker thread makes the list (`service.model.inference`) and passes its record
on to the log's writer. An answer leaves only after its record is durable. Where the user's state or the hidden items
have changed by then, the list is planned and made again.
"""

from __future__ import annotations

from time import monotonic
from typing import NamedTuple

import numpy as np

from service.cache import AnswerCache, CachedAnswer
from service.errors import NotReadyError, OutdatedError
from service.index import Position, Ranking
from service.metrics import Metrics
from service.model.active import ServedModel, Serving
from service.model.inference import BundleUser, Task, compute, use_one_thread
from service.model.loaded import Model
from service.recommend.batcher import Batcher, Computed
from service.recommend.cursor import Cursors
from service.recommend.plan import Plan, plan_list
from service.recommend.queries import AnyQuery, PopularQuery, SimilarQuery, UserQuery
from service.requirement import Policy, Requirement, covering_mask
from service.stages import Stage
from service.store import LoggedBalance, LogRecord, Purpose, Store, now_us

ATTEMPTS = 5
"""How many times a list is made at most, where its user's state or the hidden items keep changing."""


class Asker(NamedTuple):
    """The caller, as the request log names them."""

    request_id: str
    purpose: Purpose
    key_id: int | None = None


class Recommendation(NamedTuple):
    """A list, and how it was made."""

    plan: Plan
    ranking: Ranking
    next_cursor: str | None
    computed: Computed[Ranking] | None
    """None where the list was in the cache."""
    recorded: float
    """`monotonic` time at which its record was passed to the log's writer."""
    durable: float
    """`monotonic` time at which the record was durable."""

    @property
    def cached(self) -> bool:
        """Whether the list was made before."""
        return self.computed is None

    @property
    def stages(self) -> list[Stage]:
        """Its time outside the event loop, stage by stage."""
        commit = Stage("commit", self.recorded, self.durable)
        if (made := self.computed) is None:
            return [commit]
        return [Stage("queue", made.asked, made.started), *made.stages, commit]

    @property
    def model(self) -> Model:
        """The model that made it."""
        return self.plan.served.model

    @property
    def requirement(self) -> Requirement:
        """The attributes protected in it."""
        return self.plan.resolved.requirement


class _Made(NamedTuple):
    """Up to k + 1 items: the extra one tells that the list continues."""

    ranking: Ranking
    computed: Computed[Ranking] | None
    recorded: float
    stale: bool
    """Whether the record was refused, because the user's state or the hidden items have changed."""


class Recommender:
    """Makes lists, or takes them from the cache, and logs them."""

    def __init__(
        self,
        serving: Serving,
        store: Store,
        cache: AnswerCache,
        cursors: Cursors,
        metrics: Metrics,
        *,
        with_scores: bool,
        max_batch: int,
        queue_size: int,
        deadline_s: float,
    ) -> None:
        """Take the loaded parts and the operator's limits; nothing runs before `start`."""
        self.serving = serving
        self._store = store
        self._cache = cache
        self._cursors = cursors
        self._metrics = metrics
        self._with_scores = with_scores
        self._warm = False
        self._batcher: Batcher[Task, Ranking] = Batcher(
            compute,
            metrics,
            prepare=use_one_thread,
            pass_on=store.log_from_worker,
            max_batch=max_batch,
            queue_size=queue_size,
            deadline_s=deadline_s,
        )

    async def recommend(self, query: AnyQuery, asker: Asker) -> Recommendation:
        """Make one list of up to k items, withhold the attributes that are protected, and log it.

        Those that the query names, the user has stored a requirement for, or the policy demands.

        Raises:
            ServiceError: refused by `plan_list`.
            UnavailableError: too many requests wait, or this one waited too long; the log cannot be written; the
                user's state or the hidden items kept changing.
        """
        served = self.serving.arms.of(query.user if isinstance(query, UserQuery) else None)
        for _ in range(ATTEMPTS):
            plan = plan_list(query, served, self._store.known, self._cursors)
            made = await self._from_cache(plan, asker) if self._cache.keeps else None
            made = made or await self._from_worker(plan, asker)
            if not made.stale:
                rows, scores, divergence = made.ranking
                page = Ranking(rows[: query.k], scores[: query.k], divergence)
                cursor = self._next_cursor(plan, made.ranking)
                return Recommendation(plan, page, cursor, made.computed, made.recorded, monotonic())
            self._metrics.outdated.inc()
        raise OutdatedError("what this answer depends on keeps changing")

    async def _from_cache(self, plan: Plan, asker: Asker) -> _Made | None:
        """A cached list, after its record is durable or refused; None where there is none."""
        found = await self._cache.get(plan.cache_key)
        if found is None or (found.scores is None and self._with_scores):
            return None
        scores = np.full(len(found.rows), np.nan) if found.scores is None else found.scores
        ranking = Ranking(found.rows.astype(np.int64), scores, found.divergence)
        recorded = monotonic()
        stale = await self._store.log([log_record(plan, ranking, asker, cached=True)])
        return _Made(ranking, None, recorded, bool(stale))

    async def _from_worker(self, plan: Plan, asker: Asker) -> _Made:
        """A new list, after its record is durable or refused."""

        def record_in_worker(ranking: Ranking) -> LogRecord:
            """The worker calls this, and passes the record straight on to the log's writer."""
            return log_record(plan, ranking, asker, cached=False)

        done, stale = await self._batcher.submit_then(plan.task, record_in_worker)
        ranking = done.answer
        if self._cache.keeps:
            scores = ranking.scores if self._with_scores else None
            self._cache.put(plan.cache_key, CachedAnswer(ranking.rows.astype(np.int32), scores, ranking.divergence))
        return _Made(ranking, done, done.ended, bool(stale))

    def _next_cursor(self, plan: Plan, ranking: Ranking) -> str | None:
        k = plan.query.k
        if len(ranking.rows) <= k or isinstance(plan.query, SimilarQuery | PopularQuery):
            return None
        return self._cursors.make(Position(int(ranking.rows[k - 1]), plan.shown_before + k), plan.bound)

    @property
    def model(self) -> Model:
        """The active model."""
        return self.serving.arms.active.model

    @property
    def policy(self) -> Policy:
        """The operator's policy."""
        return self.serving.arms.active.policy

    @property
    def trouble(self) -> str | None:
        """Why the worker does not answer; None where it does."""
        return self._batcher.trouble

    def check_ready(self) -> None:
        """Pass only if a recommendation would be answered now.

        Raises:
            NotReadyError: says why not.
        """
        if not self._warm:
            raise NotReadyError("the service is starting or stopping")
        if trouble := self._batcher.trouble or self._store.trouble:
            raise NotReadyError(trouble)

    async def start(self) -> None:
        """Start the worker, and make a real list as a test."""
        self._batcher.start()
        await self.warm(self.serving.arms.active)
        self._warm = True

    async def warm(self, served: ServedModel) -> None:
        """Make one list from a model, active or not yet, so that a fault shows here and not in a request.

        Nobody sees the list, and it is not logged.

        Raises:
            Exception: the fault that a request would meet.
        """
        bundle = served.model.bundle
        if bundle.users.ids:
            mask = covering_mask(bundle.description, served.policy) or ()
            basis = BundleUser(0, bundle.description.mask(mask))
            await self._batcher.submit(Task(served.model, basis, bundle.seen.of(0), 10, None))

    async def close(self) -> None:
        """Answer the waiting requests and stop."""
        self._warm = False
        await self._batcher.close()


def log_record(plan: Plan, ranking: Ranking | CachedAnswer, asker: Asker, *, cached: bool) -> LogRecord:
    """The log's record of a list. It holds the items that are shown, not the extra one."""
    protection, balance, rows = plan.resolved.logged, plan.balance, ranking.rows
    return LogRecord(
        request_id=asker.request_id,
        time_us=now_us(),
        purpose=asker.purpose,
        model_id=plan.served.id,
        items=rows[: plan.query.k].astype(np.int32),
        k=plan.query.k,
        user=plan.logged_user,
        user_revision=plan.user_revision,
        hidden_revision=plan.hidden_revision,
        key_id=asker.key_id,
        requested=protection.requested,
        applied=protection.applied,
        sources=protection.sources,
        fallback=plan.fallback,
        cached=cached,
        balance=balance and LoggedBalance(balance.target, balance.weight, ranking.divergence),
    )
