"""One run: make every part, then settle and write them in order.

Parts are made with the stored state as of their own time, and that can be long ago where a run was broken off. So each
list is looked at once more before it goes to the file: where its user's state or the hidden items have changed, it is
made again. Records go to the request log only then, and a list goes to the file after its record is durable.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from concurrent.futures import Future
from hashlib import blake2b
from typing import NamedTuple, TypeAlias

from service.errors import OutdatedError
from service.lists.files import ListsFile, Rows
from service.lists.maker import BLOCK, Items, ListMaker
from service.lists.parts import Part, PartFiles
from service.lists.stored import Stored
from service.recommend.plan import Plan
from service.recommend.queries import UserQuery
from service.recommend.recommender import ATTEMPTS, Asker, log_record
from service.store import LogRecord, Purpose

PART = 4096
"""Users of one part: what is lost when a run is broken off, and what is in memory at once."""
Told: TypeAlias = Callable[[int], object]
"""Told how many users more are done."""


class Listed(NamedTuple):
    """One list as it stands."""

    plan: Plan
    items: Items

    @property
    def user(self) -> str:
        """Whose it is."""
        assert isinstance(self.plan.query, UserQuery)  # noqa: S101  nothing else is asked here
        return self.plan.query.user


class Run:
    """The lists of some users."""

    def __init__(
        self, people: Sequence[str], maker: ListMaker, stored: Stored, parts: PartFiles, part_size: int = PART
    ) -> None:
        """Put together what takes part."""
        self._people = people
        self._maker = maker
        self._stored = stored
        self._parts = parts
        self._size = part_size
        self.numbers = range(-(-len(people) // part_size))
        """Of the parts."""
        self.again = 0
        """Lists that were made again, as what they depend on had changed."""

    @property
    def made(self) -> int:
        """Users whose part is there."""
        return sum(len(self.users(number)) for number in self.numbers if self._parts.has(number))

    def make(self, tell: Told) -> None:
        """Make the parts that are not there."""
        for number in self.numbers:
            if not self._parts.has(number):
                users = self.users(number)
                self._stored.refresh()
                items: list[Items | None] = [None] * len(users)
                revision, _ = self._listed(users, items, 0)
                self._parts.write(number, Part(revision, items))
                tell(len(users))

    def finish(self, file: ListsFile, tell: Told, *, log: bool) -> int:
        """Write all lists, and log them if so; how many they are."""
        self._stored.refresh()
        count = 0
        for number in self.numbers:
            _, settled = self.settled(number, log=log)
            file.write(
                Rows(
                    [listed.user for listed in settled],
                    [tuple(listed.plan.resolved.requirement.sources) for listed in settled],
                    [listed.items.rows for listed in settled],
                    [listed.plan.fallback for listed in settled],
                )
            )
            count += len(settled)
            tell(len(self.users(number)))
        return count

    def refresh(self) -> None:
        """Read what has changed in the stored state."""
        self._stored.refresh()

    def keep(self, number: int, part: Part) -> None:
        """Take a part that was made elsewhere."""
        self._parts.write(number, part)

    def settled(self, number: int, *, log: bool) -> tuple[int, list[Listed]]:
        """The lists of one part as they stand now, with the state's revision; their records are durable, if so."""
        part = self._parts.read(number)
        assert part is not None  # noqa: S101  `make` has made it
        revision = part.revision
        for _ in range(ATTEMPTS):
            revision, settled = self._listed(self.users(number), part.items, revision)
            if not log or not self._stored.log([self._record(listed) for listed in settled]):
                return revision, settled
        raise OutdatedError("what these lists depend on keeps changing")

    def _listed(self, users: Sequence[str], items: list[Items | None], revision: int) -> tuple[int, list[Listed]]:
        """Make lists that are missing, or older than their user's state or the hidden items.

        Args:
            users: of one part.
            items: their lists; those made here are put in.
            revision: of the stored state that the lists were made with, or an earlier one.

        Returns:
            The same of the lists as they are now, and the lists of those who have one.
        """
        now = max(0, self._stored.known.revision)
        plans: list[Plan | None] = []
        begun: list[tuple[list[int], Future[list[Items | None]]]] = []
        for start in range(0, len(users), BLOCK):  # threads make the lists of one block while the next is planned
            block = [self._maker.plan(user) for user in users[start : start + BLOCK]]
            old = [
                place
                for place, plan in enumerate(block, start)
                # A revision from later than now is of a database that was put back since.
                if plan is not None
                and (items[place] is None or not max(plan.user_revision, plan.hidden_revision) <= revision <= now)
            ]
            plans += block
            self.again += sum(items[place] is not None for place in old)
            if old:
                begun.append((old, self._maker.start([plan for place in old if (plan := plans[place]) is not None])))
        for places, made in begun:
            for place, found in zip(places, made.result(), strict=True):
                items[place] = found
        return now, [
            Listed(plan, found)
            for plan, found in zip(plans, items, strict=True)
            if plan is not None and found is not None
        ]

    def _record(self, listed: Listed) -> LogRecord:
        """The same list has the same id when a run goes on, so that it is in the log once."""
        plan = listed.plan
        facts = f"{self._parts.run} {plan.user_revision} {plan.hidden_revision} {listed.user}"
        request_id = blake2b(facts.encode(), digest_size=16).hexdigest()
        return log_record(plan, listed.items, Asker(request_id, Purpose.BATCH), cached=False)

    def users(self, number: int) -> Sequence[str]:
        """Whom a part is of."""
        return self._people[number * self._size : (number + 1) * self._size]
