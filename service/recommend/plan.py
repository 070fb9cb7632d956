"""The plan of one list: requirement → balance → user → items to drop → where the list continues. No list is made here.

A plan is made from one state of the user and of the hidden items, and holds the revisions of both: the request log
refuses the answer if these are not the present ones.
"""

from __future__ import annotations

from collections.abc import Sequence
from hashlib import blake2b
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from service.balance import Balance
from service.cache import AnswerKey
from service.errors import (
    NoHistoryError,
    SessionsUnsupportedError,
    UnknownGroupError,
    UnknownItemError,
    UnknownUserError,
)
from service.index import Position
from service.model.active import Resolved, ServedModel
from service.model.balanced import Towards
from service.model.inference import Basis, BundleUser, ByPopularity, History, SimilarTo, Task
from service.model.item_lookup import ItemLookup
from service.recommend.cursor import Bound, Cursors
from service.recommend.queries import (
    AnyQuery,
    Fallback,
    PopularQuery,
    SessionQuery,
    SimilarQuery,
    UserQuery,
)
from service.requirement import Requirement
from service.store import HiddenItems, LoggedProtection, StateCache, UserState

NOTHING = np.zeros(0, np.int32)
NOBODY = Resolved(Requirement({}, ()), LoggedProtection())
"""Of lists that are the same for everybody: they show nothing of anybody, so there is nothing to withhold."""


class Plan(NamedTuple):
    """Everything that one list depends on."""

    query: AnyQuery
    served: ServedModel
    resolved: Resolved
    basis: Basis
    dropped: NDArray[np.int32]
    after: Position | None
    """Where the list continues; None for its beginning."""
    fallback: Fallback | None
    """The kind of list where it is not a personal one."""
    unknown_items: tuple[str, ...]
    """Items of the history that the bundle does not have."""
    logged_user: str | None
    """The user in the request log; None for lists of nobody, and of erased users."""
    user_revision: int
    hidden_revision: int
    balance: Balance | None = None
    """The target and weight of the list; None for the ranking as it is."""
    history: tuple[Sequence[int] | NDArray[np.int32], ...] = ()
    """Rows of the items that the user has met, in parts, whether they may be shown again or not."""

    @property
    def task(self) -> Task:
        """The list to make. It has an item more than is shown: that one tells whether the list continues."""
        return Task(self.served.model, self.basis, self.dropped, self.query.k + 1, self.after, self._towards())

    def _towards(self) -> Towards | None:
        """How to balance the list; None for the ranking as it is."""
        balance, page = self.balance, self.query.k
        if balance is None:
            return None
        counted = self.served.counted(balance.digest).exposure if balance.target == "quotas" else None
        return self.served.targets.towards(balance, self.history, self.shown_before, page, self.mask, counted)

    @property
    def shown_before(self) -> int:
        """Items on the pages before this one."""
        return self.after.shown if self.after else 0

    @property
    def bound(self) -> Bound:
        """The request, bundle and mask that a cursor into this list is bound to."""
        query = self.query
        if isinstance(query, UserQuery):
            whose: list[object] = ["user", query.user]
        elif isinstance(query, SessionQuery):
            whose = ["session", query.history]
        else:
            raise TypeError("this kind of list has no pages")
        made_of = f"{self.served.model.content_hash} {_material(self.basis)}"
        if self.balance is not None:  # what is left out decides on the order of the rest
            made_of += f" {self.balance.key} {self.user_revision} {self.hidden_revision}"
        return Bound([*whose, *query.asked], made_of, self.mask)

    @property
    def mask(self) -> tuple[bool, ...]:
        """One flag per attribute; True = protect."""
        return self.resolved.requirement.mask

    @property
    def cache_key(self) -> AnswerKey:
        """Two plans with the same key have the same list."""
        query = self.query
        return AnswerKey(
            content_hash=self.served.model.content_hash,
            route=type(query).__name__,
            user=query.user if isinstance(query, UserQuery) else _material(self.basis),
            mask=self.mask,
            options=query.options,
            fallback=self.fallback,
            balance=self.balance.key if self.balance else None,
            after=self.after.row if self.after else None,
            user_revision=self.user_revision,
            hidden_revision=self.hidden_revision,
        )


class _Person(NamedTuple):
    """The person to make a list for."""

    basis: Basis
    seen: NDArray[np.int32] | None = None
    """Rows of the items seen at export."""
    posted: Sequence[int] = ()
    """Rows of the items in interactions posted since."""
    fallback: Fallback | None = None
    unknown_items: tuple[str, ...] = ()


def plan_list(query: AnyQuery, served: ServedModel, known: StateCache, cursors: Cursors) -> Plan:
    """Decide on the inputs of one list.

    Args:
        query: the caller's wishes.
        served: the model that makes the list.
        known: the stored state, as of now.
        cursors: reads the query's cursor.

    Raises:
        UnknownAttributeError, UnsupportedRequirementError: the requirement cannot be met.
        BalanceRevealsError: the list would follow a history while something is protected.
        UnknownUserError, UnknownItemError, UnknownGroupError: the bundle does not have it.
        NoHistoryError: the bundle has no item of the history.
        SessionsUnsupportedError: the bundle cannot make a vector from a history.
        InvalidQueryError, StaleCursorError: the balance or the cursor is refused.
    """
    hidden = known.hidden
    match query:
        case UserQuery():
            state = known.user(query.user)
            resolved = served.resolve(query.sensitive, state.requirement)
            person = _user(query, served, state, resolved.requirement.mask)
            logged_user = None if state.suppressed else query.user
            return _personal(query, served, resolved, person, hidden, cursors, logged_user, state.revision)
        case SessionQuery():
            resolved = served.resolve(query.sensitive, None)
            person = _session(query, served, resolved.requirement.mask)
            return _personal(query, served, resolved, person, hidden, cursors, None, 0)
        case SimilarQuery():
            row = served.model.bundle.items.row.get(query.item)
            if row is None:
                raise UnknownItemError(query.item)
            return _for_nobody(query, served, SimilarTo(row), (), hidden)
        case PopularQuery():
            return _for_nobody(query, served, ByPopularity(), query.group, hidden)


def _user(query: UserQuery, served: ServedModel, state: UserState, mask: tuple[bool, ...]) -> _Person:
    """A user by id: from the bundle, else from posted interactions, else unknown."""
    model = served.model
    if state.suppressed:
        if query.fallback is None:
            raise UnknownUserError(query.user)
        return _Person(ByPopularity(), fallback=query.fallback)
    posted = model.item_lookup.rows(state.items) if state.items else ()
    row = model.bundle.users.row.get(query.user)
    if row is not None:
        return _Person(BundleUser(row, mask), model.bundle.seen.of(row), posted)
    if posted and model.reads_histories:
        return _Person(History(tuple(posted), mask), None, posted)
    if query.fallback is None:
        raise UnknownUserError(query.user)
    return _Person(ByPopularity(), None, posted, query.fallback)


def _session(query: SessionQuery, served: ServedModel, mask: tuple[bool, ...]) -> _Person:
    """A person of whom only items are known."""
    model = served.model
    if not model.reads_histories:
        raise SessionsUnsupportedError
    rows = model.item_lookup.rows(query.history)
    row = model.bundle.items.row
    unknown = tuple(dict.fromkeys(item for item in query.history if item not in row))
    if rows:
        return _Person(History(tuple(rows), mask), None, rows, None, unknown)
    if query.fallback is None:
        raise NoHistoryError(unknown)
    return _Person(ByPopularity(), fallback=query.fallback, unknown_items=unknown)


def _personal(
    query: UserQuery | SessionQuery,
    served: ServedModel,
    resolved: Resolved,
    person: _Person,
    hidden: HiddenItems,
    cursors: Cursors,
    logged_user: str | None,
    user_revision: int,
) -> Plan:
    balance = served.balance(query.balance, query.balance_weight, resolved.requirement)
    lookup = served.model.item_lookup
    named = lookup.rows(query.exclude) if query.exclude else []
    if query.exclude_seen:
        named = [*named, *person.posted]
    seen = person.seen if query.exclude_seen else None
    dropped = _dropped_rows(seen, named, lookup.hidden(hidden.items), _outside(query.group, lookup))
    plan = Plan(
        query=query,
        served=served,
        resolved=resolved,
        basis=person.basis,
        dropped=dropped,
        after=None,
        fallback=person.fallback,
        unknown_items=person.unknown_items,
        logged_user=logged_user,
        user_revision=user_revision,
        hidden_revision=hidden.revision,
        balance=balance,
        history=(person.posted,) if person.seen is None else (person.seen, person.posted),
    )
    return plan if query.cursor is None else plan._replace(after=cursors.read(query.cursor, plan.bound))


def _for_nobody(
    query: SimilarQuery | PopularQuery, served: ServedModel, basis: Basis, groups: Sequence[str], hidden: HiddenItems
) -> Plan:
    lookup = served.model.item_lookup
    dropped = _dropped_rows(None, (), lookup.hidden(hidden.items), _outside(groups, lookup))
    return Plan(
        query=query,
        served=served,
        resolved=NOBODY,
        basis=basis,
        dropped=dropped,
        after=None,
        fallback=None,
        unknown_items=(),
        logged_user=None,
        user_revision=0,
        hidden_revision=hidden.revision,
    )


def _dropped_rows(seen: NDArray[np.int32] | None, named: Sequence[int], *sets: NDArray[np.int32]) -> NDArray[np.int32]:
    """Rows to drop before counting to k.

    Args:
        seen: rows of the items this user had seen at export; None where they may be shown again.
        named: rows named one by one: posted interactions, exclusions.
        sets: rows prepared before: hidden items, items outside the wanted groups.

    Returns:
        Item rows, in any order, possibly repeated.
    """
    rows = [each for each in sets if len(each)]
    if seen is not None:
        rows.append(seen)
    if named:
        rows.append(np.array(named, np.int32))
    return rows[0] if len(rows) == 1 else np.concatenate(rows) if rows else np.zeros(0, np.int32)


def _outside(groups: Sequence[str], lookup: ItemLookup) -> NDArray[np.int32]:
    """Rows of the items in none of the wanted groups."""
    if not groups:
        return NOTHING
    for group in groups:
        if not lookup.has(group):
            raise UnknownGroupError(group, lookup.groups)
    return lookup.outside(groups)


def _material(basis: Basis) -> str:
    """The part of the basis that can change although bundle and request do not, as a text."""
    if isinstance(basis, History):
        return blake2b(np.array(basis.rows, np.int32).tobytes(), digest_size=16).hexdigest()
    return f"{basis.row}" if isinstance(basis, SimilarTo) else type(basis).__name__
