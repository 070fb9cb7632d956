"""The four kinds of lists that callers may want.

The parameters of a personal list are written here once: a cursor is bound to all of them, and the key of a cached list
holds them.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, NamedTuple

from service.balance import AskedBalance
from service.cache import Option

Fallback = Literal["popular"]


@dataclass(slots=True, kw_only=True)  # never changed; `frozen` would make one four times as slow to create
class PersonalQuery:
    """The parameters of a list for one person, known by id or not, with the names of the API's parameters."""

    sensitive: tuple[str, ...] | None = None
    """Attributes to protect; None leaves that to the operator's default, () switches the default off."""
    k: int = 10
    exclude_seen: bool = True
    """Leave out the items that the person has interacted with."""
    exclude: tuple[str, ...] = ()
    """Ids of items that must not be shown. Unknown ids change nothing."""
    group: tuple[str, ...] = ()
    """Only items in one of these groups; () for all items."""
    fallback: Fallback | None = None
    """The list for an unknown person; None refuses such a request."""
    cursor: str | None = None
    balance: AskedBalance | None = None
    """The target of the list; None leaves that to the operator's default, ``none`` switches the default off."""
    balance_weight: float | None = None
    """How much the target counts, in [0, 1]; None for the operator's."""

    @property
    def options(self) -> tuple[Option, ...]:
        """The parameters that change the list as they are, part of the cache's key; others are resolved first."""
        return self.k, self.exclude_seen, self.exclude, self.group

    @property
    def asked(self) -> tuple[object, ...]:
        """Every parameter but the person and the cursor; a cursor is bound to them."""
        return self.sensitive, *self.options, self.fallback, self.balance, self.balance_weight


@dataclass(slots=True)
class UserQuery(PersonalQuery):
    """A list for a user by id."""

    user: str


@dataclass(slots=True)
class SessionQuery(PersonalQuery):
    """A list for somebody of whom only items are known."""

    history: tuple[str, ...]
    """Item ids, oldest first. Unknown ids are left out, and the answer names them."""


class SimilarQuery(NamedTuple):
    """Items like an item."""

    item: str
    k: int = 10

    @property
    def options(self) -> tuple[Option, ...]:
        """The parameters that change the list, besides the item."""
        return (self.k,)


class PopularQuery(NamedTuple):
    """Items that many users like."""

    k: int = 10
    group: tuple[str, ...] = ()

    @property
    def options(self) -> tuple[Option, ...]:
        """The parameters that change the list."""
        return self.k, self.group


AnyQuery = UserQuery | SessionQuery | SimilarQuery | PopularQuery
