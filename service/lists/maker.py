"""Users → plans → lists, as a request goes, with some threads instead of one worker."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from typing import TypeAlias

import numpy as np

from service.cache import CachedAnswer
from service.errors import BalanceRevealsError, StartError, UnknownUserError, UnsupportedRequirementError
from service.model.active import ServedModel
from service.model.inference import compute, use_one_thread
from service.recommend.cursor import Cursors
from service.recommend.plan import Plan, plan_list
from service.recommend.queries import UserQuery
from service.store import StateCache

BLOCK = 256
"""Users whose lists a thread makes together; a list does not depend on its company, and memory does."""
Items: TypeAlias = CachedAnswer
"""Of one list."""


class ListMaker:
    """Makes the lists of one command."""

    def __init__(
        self,
        served: ServedModel,
        ask: Callable[[str], UserQuery],
        known: StateCache,
        threads: int,
        *,
        scored: bool = False,
    ) -> None:
        """Start the threads.

        Args:
            served: the model, with the operator's policy.
            ask: a user → what is asked for them.
            known: the stored state, as of when a plan is made.
            threads: how many make lists.
            scored: whether lists come with scores.
        """
        self._served = served
        self._ask = ask
        self._known = known
        self._cursors = Cursors(None, ttl_s=1)
        self._scored = scored
        self._pool = ThreadPoolExecutor(threads, "lists", initializer=use_one_thread)

    def plan(self, user: str) -> Plan | None:
        """The plan of a user's list as of now; None for whom a request would be answered 404.

        Raises:
            StartError: the requirement cannot be met, or the balance would reveal what it withholds; names the user.
            ServiceError: refused by `plan_list` for everybody.
        """
        try:
            return plan_list(self._ask(user), self._served, self._known, self._cursors)
        except UnknownUserError:
            return None
        except (UnsupportedRequirementError, BalanceRevealsError) as error:
            raise StartError(f"user {user!r:.80}: {error}") from error

    def start(self, plans: Sequence[Plan]) -> Future[list[Items | None]]:
        """Have a thread make the lists of some plans: `BLOCK` of them or fewer.

        Returns:
            For each plan its items; None where vectors allow no comparison, which is a request's 500.
        """
        return self._pool.submit(_lists, plans, self._scored)

    def close(self) -> None:
        """End the threads."""
        self._pool.shutdown(cancel_futures=True)


def _lists(plans: Sequence[Plan], scored: bool) -> list[Items | None]:
    try:
        rankings = compute([plan.task for plan in plans])
    except ArithmeticError:  # of one of them: `FairVectorError`, `ScoreError`
        return [None] if len(plans) == 1 else [items for plan in plans for items in _lists([plan], scored)]
    made: list[Items | None] = []
    for plan, ranking in zip(plans, rankings, strict=True):
        k = plan.query.k
        scores = ranking.scores[:k] if scored else None
        made.append(CachedAnswer(ranking.rows[:k].astype(np.int32), scores, ranking.divergence))
    return made
