"""What callers may want: four kinds of lists."""

from __future__ import annotations

from typing import Literal, NamedTuple

Fallback = Literal["popular"]


class Query(NamedTuple):
    """A list for a user by id."""

    user: str
    sensitive: tuple[str, ...] | None = None
    """Attributes to protect; None leaves that to the operator's default, () switches the default off."""
    k: int = 10
    exclude_seen: bool = True
    exclude: tuple[str, ...] = ()
    """Item ids never to show. Unknown ones could not be shown anyway and change nothing."""
    groups: tuple[str, ...] = ()
    """Only items in one of these groups; () for all items."""
    fallback: Fallback | None = None
    """What an unknown user gets instead of a refusal."""
    cursor: str | None = None


class SessionQuery(NamedTuple):
    """A list for somebody of whom only items are known."""

    history: tuple[str, ...]
    """Item ids, oldest first. Unknown ones are left out, and the answer says which."""
    sensitive: tuple[str, ...] | None = None
    k: int = 10
    exclude_seen: bool = True
    """Leave out the items of the history."""
    exclude: tuple[str, ...] = ()
    groups: tuple[str, ...] = ()
    fallback: Fallback | None = None
    """What a history without a known item gets instead of a refusal."""
    cursor: str | None = None


class SimilarQuery(NamedTuple):
    """Items like an item."""

    item: str
    k: int = 10


class PopularQuery(NamedTuple):
    """Items that many users like."""

    k: int = 10
    groups: tuple[str, ...] = ()


AnyQuery = Query | SessionQuery | SimilarQuery | PopularQuery
