"""Lists that cannot be made as they are asked for, and users of whom nothing is stored."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Literal

from service.errors.base import ServiceError


class UnknownAttributeError(ServiceError):
    """The request protects an attribute that this bundle was not trained on."""

    status = 422
    code = "unknown_attribute"

    def __init__(self, name: str, known: Sequence[str], field: str = "sensitive") -> None:
        super().__init__(f"cannot protect {name!r}; this bundle knows {', '.join(known) or 'no attribute'}")
        self.field = field
        self.value = name
        self.allowed = list(known)


class UnsupportedRequirementError(ServiceError):
    """The attributes to protect are known, but not as this combination. Nothing is widened or narrowed silently."""

    status = 422
    code = "unsupported_requirement"

    def __init__(
        self, applied: Sequence[Mapping[str, str]], supported_masks: Mapping[str, Any], field: str = "sensitive"
    ) -> None:
        wanted = ", ".join(f"{row['attribute']} ({row['source']})" for row in applied) or "nothing"
        super().__init__(f"this bundle has no list that protects exactly: {wanted}")
        self.field = field
        self.applied = list(applied)
        self.supported_masks = supported_masks


class PinnedRequirementError(ServiceError):
    """The operator alone says what is protected here, and the request asks for something else."""

    status = 422
    code = "requirement_pinned"

    def __init__(self, asked: Sequence[str], pinned: Sequence[str]) -> None:
        names = ", ".join(pinned) or "nothing"
        super().__init__(f"this service protects {names} in every answer; a request cannot choose anything else")
        self.field = "sensitive"
        self.value = list(asked)
        self.allowed = list(pinned)


class BalanceRevealsError(ServiceError):
    """A target made from a user's history shows what the protection withholds."""

    status = 422
    code = "balance_reveals"

    def __init__(self, target: str, applied: Sequence[Mapping[str, str]], allowed: Sequence[str]) -> None:
        names = ", ".join(f"{row['attribute']} ({row['source']})" for row in applied)
        super().__init__(f"balance={target} would show what is withheld: {names}; {', '.join(allowed)} would not")
        self.field = "balance"
        self.value = target
        self.applied = list(applied)
        self.allowed = list(allowed)


class RerankRevealsError(BalanceRevealsError):
    """Lists that depend on the group their user is in show what the protection withholds."""

    def __init__(self, kind: str, users: str, protected: Mapping[str, str]) -> None:
        names = ", ".join(f"{name} ({source})" for name, source in protected.items())
        ServiceError.__init__(
            self,
            f"--rerank {kind} by {users} would make lists by users' groups, and show what is withheld: {names}; "
            "without --rerank-users it would not",
        )
        self.field = "rerank_users"
        self.value = users
        self.applied = [{"attribute": name, "source": source} for name, source in protected.items()]
        self.allowed = []


class UnknownUserError(ServiceError):
    """The bundle does not know this user."""

    status = 404
    code = "unknown_user"

    def __init__(self, user: str) -> None:
        super().__init__(f"no user {user!r} in this bundle")
        self.field = "user"
        self.value = user


class UserSuppressedError(ServiceError):
    """The user is erased: nothing of them is stored until that is lifted."""

    status = 409
    code = "user_suppressed"

    def __init__(self) -> None:
        super().__init__("this user is erased, so nothing is stored; DELETE /users/{user}/suppression lifts that")
        self.field = "user"


class UnknownItemError(ServiceError):
    """The bundle does not know this item."""

    status = 404
    code = "unknown_item"

    def __init__(self, item: str) -> None:
        super().__init__(f"no item {item!r} in this bundle")
        self.field = "item"
        self.value = item


class UnknownGroupError(ServiceError):
    """No item of this bundle is in that group. `allowed` lists up to 100 groups."""

    status = 422
    code = "unknown_group"

    def __init__(self, group: str, known: Sequence[str]) -> None:
        super().__init__(f"no item is in group {group!r}; this bundle has {len(known)} groups")
        self.field = "group"
        self.value = group
        self.allowed = list(known[:100])


class NoHistoryError(ServiceError):
    """The history names no item of this bundle, so that there is nothing to make a list from."""

    status = 422
    code = "no_history"

    def __init__(self, unknown: Sequence[str]) -> None:
        super().__init__("no item of the history is in this bundle; fallback=popular would give the popular list")
        self.field = "history"
        self.unknown_items = list(unknown[:100])


class SessionsUnsupportedError(ServiceError):
    """This bundle makes no vector from a history: it holds finished fair vectors, or user vectors that were brought."""

    status = 422
    code = "sessions_unsupported"

    def __init__(self) -> None:
        super().__init__("this bundle cannot make a vector from a history; it serves its own users only")


class StaleCursorError(ServiceError):
    """The cursor was good once: it has expired, another bundle serves, or another requirement applies by now."""

    status = 409
    code = "stale_cursor"

    def __init__(self, reason: Literal["expired", "bundle", "requirement"]) -> None:
        why = {
            "expired": "it has expired",
            "bundle": "the list is made from something else by now: another bundle, a longer history, or, as it is "
            "balanced, other items left out",
            "requirement": "what must be protected has changed",
        }
        super().__init__(f"this cursor cannot be continued: {why[reason]}; start again without one")
        self.field = "cursor"
        self.reason = reason
