"""One user's lists under every mask that this user could get, side by side.

They are made on the one way that requests go (`service.recommend.recommender`), one request each: protected as those
are, logged as those are, for a purpose that never counts as exposure. No attribute value is looked at: a mask is what
differs.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass

from measure.fairness.overlap import overlap
from measure.masks import Mask, masks_to_measure
from service.errors import OutdatedError, PinnedRequirementError, UnsupportedRequirementError
from service.model.active import ServedModel
from service.recommend.queries import UserQuery
from service.recommend.recommender import Recommendation

MOST = 256
"""Lists of one user at once, as in a batch; where there are more masks, those of two attributes are left out."""
TOGETHER = 16
"""Lists that are under way at once."""
ATTEMPTS = 3
"""How often the lists are made where another model takes over in between."""

Asked = Mask | None
"""Attributes that a request names; None where it names none, which leaves that to the operator."""


@dataclass(frozen=True)
class Logged:
    """One list, and where the request log has it."""

    request_id: str
    made: Recommendation

    @property
    def mask(self) -> tuple[bool, ...]:
        """One flag per attribute; True = protect."""
        return self.made.requirement.mask


Ask = Callable[[UserQuery], Awaitable[Logged]]


@dataclass(frozen=True)
class Left:
    """An item of the reference that a list does not have."""

    row: int
    was: int
    """Its rank there."""


@dataclass(frozen=True)
class ListComparison:
    """One list beside the reference."""

    request_id: str
    made: Recommendation
    was: tuple[int | None, ...]
    """Rank in the reference of each item of the list, from 1; None for an item that came."""
    left: tuple[Left, ...]
    jaccard: float
    """NaN where both lists are empty; so is `rbo`."""
    rbo: float

    @property
    def protected(self) -> Mask:
        """The attributes protected in it."""
        return tuple(self.made.requirement.sources)

    @property
    def stay(self) -> int:
        """How many items both have."""
        return sum(rank is not None for rank in self.was)


def masks_of(served: ServedModel, stored: Mask | None, sensitive: Mask | None) -> list[Asked]:
    """The requests that make every list this user could get once, the narrowest first.

    Args:
        served: the model, and what is always protected in its answers.
        stored: attributes of the user's stored requirement.
        sensitive: where given, the narrowest and this one are all.

    Raises:
        UnknownAttributeError, UnsupportedRequirementError, PinnedRequirementError: of ``sensitive``, or of a user for
            whom no list can be made at all.
    """
    bundle = served.model.bundle.description
    measured = masks_to_measure(bundle.attribute_names)
    if len(measured) > MOST:
        measured = [mask for mask in measured if len(mask) != 2]
    candidates: list[Asked] = [*measured, *map(tuple, bundle.supported_masks.masks[:MOST]), None]
    found: dict[Mask, Asked] = {}
    for asked in candidates:
        try:
            found.setdefault(_resolved(served, asked, stored), asked)
        except (UnsupportedRequirementError, PinnedRequirementError):
            if asked is None and not found:
                raise
    narrowest_first = sorted(found, key=len)
    if sensitive is None:
        return [found[mask] for mask in narrowest_first]
    wanted = _resolved(served, sensitive, stored)
    return [*(found[mask] for mask in narrowest_first[:1] if mask != wanted), sensitive]


def _resolved(served: ServedModel, asked: Asked, stored: Mask | None) -> Mask:
    return tuple(served.resolve(asked, stored).requirement.sources)


async def side_by_side(queries: Sequence[UserQuery], ask: Ask) -> list[ListComparison]:
    """The lists of one user, each beside the first; all from one model.

    Args:
        queries: at least one; they differ in the mask, or in the balance.
        ask: makes a list and logs it.

    Raises:
        UnknownUserError: nothing is known of the user.
        UnavailableError: as every request; or the model changed again and again.
    """
    for _ in range(ATTEMPTS):
        made = await _made(queries, ask)
        if len({id(one.made.plan.served) for one in made}) == 1:
            different: dict[tuple[object, ...], Logged] = {}
            for one in made:  # a stored requirement may be new by now, and make two masks one
                different.setdefault((one.mask, one.made.plan.balance), one)
            lists = sorted(different.values(), key=lambda one: sum(one.mask))
            return [_beside(lists[0].made, one) for one in lists]
    raise OutdatedError("the active model changed while the lists were made")


async def _made(queries: Sequence[UserQuery], ask: Ask) -> list[Logged]:
    """Make the first list alone, so that a fault of all of them shows once."""
    first = await ask(queries[0])
    places = asyncio.Semaphore(TOGETHER)

    async def one(query: UserQuery) -> Logged:
        async with places:
            return await ask(query)

    made = [first]
    for other in await asyncio.gather(*map(one, queries[1:]), return_exceptions=True):
        if isinstance(other, BaseException):
            raise other
        made.append(other)
    return made


def _beside(reference: Recommendation, logged: Logged) -> ListComparison:
    made = logged.made
    before, after = reference.ranking.rows, made.ranking.rows
    rank = {row: place for place, row in enumerate(before.tolist(), 1)}
    there = set(after.tolist())
    alike = overlap(before[None], after[None], len(made.model.bundle.items.ids))
    return ListComparison(
        logged.request_id,
        made,
        tuple(rank.get(row) for row in after.tolist()),
        tuple(Left(row, was) for row, was in rank.items() if row not in there),
        float(alike.jaccard[0]),
        float(alike.rbo[0]),
    )


def find_users(ids: Sequence[str], prefix: str, limit: int, erased: frozenset[str]) -> tuple[list[str], int]:
    """Users whose ids begin so: the first ones in the bundle's order, and how many there are.

    Erased users are unknown: they are left out, although a bundle has them until the next training.
    """
    found = [user for user in ids if user.startswith(prefix) and user not in erased]
    return found[:limit], len(found)
