"""Groups of users: the classes of an attribute, and their intersections, each with users enough to be measured."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from measure.errors import ShapeError, TooFewUsersError
from measure.labels import RARE_BELOW, UNKNOWN, Labels, in_order, merge_rare

CROSS = " × "
"""Joins the names of an intersection."""
HELD = 0.5
"""Share of the users that intersections must keep in groups that are large enough."""


@dataclass(frozen=True)
class Groups:
    """Users dealt into groups; some may be in none."""

    names: tuple[str, ...]
    of: NDArray[np.int64]
    """(n,) group of each user, -1 for none."""

    def __post_init__(self) -> None:
        if self.of.ndim != 1 or (len(self.of) and not UNKNOWN <= self.of.min() <= self.of.max() < len(self.names)):
            raise ShapeError("groups", self.of.shape, f"(n,) whole numbers from -1 to {len(self.names) - 1}")

    def __len__(self) -> int:
        return len(self.names)

    @cached_property
    def sizes(self) -> NDArray[np.int64]:
        """(G,) users in each."""
        return np.bincount(self.of[self.of >= 0], minlength=len(self.names))

    @cached_property
    def members(self) -> list[NDArray[np.intp]]:
        """The rows of each group's users."""
        return [np.flatnonzero(self.of == group) for group in range(len(self.names))]


@dataclass(frozen=True)
class Withheld:
    """Classes of an attribute, or of several crossed, that are not measured on their own."""

    attribute: str
    classes: tuple[str, ...]
    reason: str

    def as_row(self) -> dict[str, Any]:
        """As the card has it."""
        return {"attribute": self.attribute, "classes": list(self.classes), "reason": self.reason}


def by_class(
    attribute: str, labels: Labels, classes: Sequence[str], at_least: int = RARE_BELOW, *, ordered: bool | None = None
) -> tuple[Groups, list[Withheld]]:
    """Deal users into the classes of one attribute, rare ones merged as `merge_rare` does.

    Args:
        attribute: its name, for what is withheld.
        labels: shape (n,), class of each user, -1 where unknown: in no group.
        classes: names by label.
        at_least: users that a group needs.
        ordered: whether the classes stand from low to high; None: as their names say.

    Raises:
        TooFewUsersError: too few for two groups.
        SingleClassError: only one group would be left.
    """
    ordered = in_order(classes) if ordered is None else ordered
    merge = merge_rare(labels, np.arange(len(labels)), at_least, ordered=ordered)
    names = merge.names(classes)
    withheld = [
        Withheld(
            attribute,
            tuple(classes[member] for member in members),
            f"too few audit users in a class of them (under {at_least}): measured together as {name!r}",
        )
        for name, members in zip(names, merge.classes, strict=True)
        if len(members) > 1
    ]
    return Groups(names, merge.apply(labels)), withheld


def crossed(parts: Mapping[str, Groups], at_least: int = RARE_BELOW) -> tuple[str, Groups, list[Withheld]]:
    """Cross the groups of several attributes, as many as leave most users in groups that are large enough.

    Attributes are taken in order, the first one always. A further one is crossed in where at least two intersections
    have ``at_least`` users and at least half of the users are in such ones; else it is left out.

    Args:
        parts: attribute → groups of the same n users; at least one.
        at_least: users that an intersection needs.

    Returns:
        The names of the attributes crossed, joined; the intersections that are large enough; the others, withheld.

    Raises:
        TooFewUsersError: there is no attribute.
    """
    if not parts:
        raise TooFewUsersError("attributes to cross", 0, 1)
    (name, groups), *others = parts.items()
    for further, more in others:
        wider = _product(groups, more)
        large = wider.sizes >= at_least
        if large.sum() >= 2 and wider.sizes[large].sum() >= HELD * wider.sizes.sum():
            name, groups = name + CROSS + further, wider
    return name, *_large(name, groups, at_least)


def _product(first: Groups, second: Groups) -> Groups:
    both = (first.of >= 0) & (second.of >= 0)
    names = tuple(one + CROSS + other for one in first.names for other in second.names)
    return Groups(names, np.where(both, first.of * len(second) + second.of, UNKNOWN))


def _large(name: str, groups: Groups, at_least: int) -> tuple[Groups, list[Withheld]]:
    """Number those anew that are large enough; name those that somebody is in."""
    large = groups.sizes >= at_least
    place = np.append(np.where(large, np.cumsum(large) - 1, UNKNOWN), UNKNOWN)  # the last one is for no group
    small = tuple(label for label, size in zip(groups.names, groups.sizes, strict=True) if 0 < size < at_least)
    kept = tuple(label for label, enough in zip(groups.names, large, strict=True) if enough)
    withheld = [Withheld(name, small, f"under {at_least} audit users")] if small else []
    return Groups(kept, place[groups.of]), withheld
