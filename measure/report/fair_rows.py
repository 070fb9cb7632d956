"""Rows on lists and groups, from the sections of a card's ``fairness``. Absent means not measured."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

Mask = tuple[str, ...]


@dataclass(frozen=True)
class Estimate:
    """A number, and where it falls when the users are drawn again."""

    value: float
    ci: tuple[float, float] | None = None
    between: Mask = ()
    """The two classes that it is found between."""
    item: str = ""
    """The item or item group that it is found for."""
    bound: float | None = None
    """95 % point under shuffled groups, which is the effect of chance alone."""


@dataclass(frozen=True)
class ClassRow:
    """Users of one class, or of one client, and their measurements."""

    label: str
    n: int | None
    values: Mapping[str, float]
    shares: Mapping[str, float] = field(default_factory=dict)
    """By item group."""
    positives: int | None = None
    """How many of the n users have a held-out item."""


@dataclass(frozen=True)
class MaskRow:
    """Numbers of all users under one mask."""

    sensitive: Mask
    n: int | None
    values: Mapping[str, Estimate]


@dataclass(frozen=True)
class Exposure:
    """Shares of item groups shown to the classes of one attribute."""

    sensitive: Mask
    attribute: str
    classes: tuple[ClassRow, ...]
    variation: Estimate | None


@dataclass(frozen=True)
class ColdGap:
    """How far the classes of one attribute are apart in what they are shown of items that nobody has touched."""

    sensitive: Mask
    attribute: str
    classes: tuple[ClassRow, ...]
    gap: Estimate | None


@dataclass(frozen=True)
class Parity:
    """How far the classes of one attribute are apart."""

    sensitive: Mask
    attribute: str
    classes: tuple[ClassRow, ...]
    demographic: Estimate | None
    opportunity: Estimate | None
    differential: Estimate | None


@dataclass(frozen=True)
class ErrorGap:
    """How much more often one class is shown wrong items than another."""

    attribute: str
    between: Mask
    n: int | None
    values: Mapping[str, float]


@dataclass(frozen=True)
class Utility:
    """Shares of each item group shown to intersections of user groups."""

    sensitive: Mask
    metric: str
    """Which utility: "utility@10"."""
    users: tuple[ClassRow, ...]
    items: tuple[ClassRow, ...]
    cells: tuple[tuple[float | None, ...], ...]
    """A row per user group, a column per item group: None where withheld, NaN where it cannot be read."""
    intervals: tuple[tuple[tuple[float, float] | None, ...], ...]
    """95 % intervals of the cells, where they are known."""
    positives: tuple[tuple[float | None, ...], ...]
    """Users behind each cell, where they were counted."""
    spread: Mapping[str, Estimate]
    """cv, min, ucv, icv."""
    errors: tuple[ErrorGap, ...]


@dataclass(frozen=True)
class Activity:
    """The most active users beside the others."""

    sensitive: Mask
    gap: Estimate
    active: ClassRow
    others: ClassRow


@dataclass(frozen=True)
class Clients:
    """A difference between classes over all users, and inside each client."""

    sensitive: Mask
    attribute: str
    clients: str
    """The attribute that defines clients: "occupation"."""
    item_group: str
    overall: float | None
    local: Mapping[str, float]
    """max, mean."""
    bound: float | None
    """95 % point of the largest local one under shuffled groups."""
    by_client: tuple[ClassRow, ...]
    withheld: Mask
    """Clients with too few users of each class."""


@dataclass(frozen=True)
class Withheld:
    """Classes that are too small to be told of."""

    attribute: str
    classes: Mask
    reason: str


@dataclass(frozen=True)
class Fairness:
    """A card's ``fairness``."""

    protocol: Mapping[str, Any] = field(default_factory=dict)
    reference: Mask | None = None
    """The mask that lists of others are compared with."""
    item_groups: Mask = ()
    at_least: int | None = None
    """Users that a group needs."""
    withheld: Sequence[Withheld] = ()
    overlap: tuple[MaskRow, ...] = ()
    exposure: tuple[Exposure, ...] = ()
    parity: tuple[Parity, ...] = ()
    utility: tuple[Utility, ...] = ()
    activity: tuple[Activity, ...] = ()
    clients: tuple[Clients, ...] = ()
    calibration: tuple[MaskRow, ...] = ()
    catalogue: tuple[MaskRow, ...] = ()
    cold: tuple[MaskRow, ...] = ()
    cold_gaps: tuple[ColdGap, ...] = ()
