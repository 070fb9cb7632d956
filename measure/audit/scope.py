"""The measurements asked of an audit, and those that a verdict on a bundle must cover: `judge` goes by this list."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import NamedTuple

from measure.masks import Mask, telling_masks
from measure.profiles import Profile

JOINED = 10
"""Length of the lists whose answers to several masks are joined."""
LIGHT = "light"
"""The target of light users: they are in the other rows too, so theirs alone need not pass by its whole interval."""
METRICS_OF_ACCURACY = (("sampled", "ndcg@10"), ("full", "ndcg@10"))
"""Both: lists of popular items keep much of the first and little of the second."""


@dataclass(frozen=True)
class Wanted:
    """The measurements of an audit."""

    masks: tuple[Mask, ...]
    """Under which masks; those that the bundle supports."""
    profile: Profile
    """How much work a row of leakage is worth."""
    metrics: frozenset[str]
    """Of `measure.audit.METRICS`."""
    seed: int
    """Of everything that is drawn: the same one gives the same numbers."""

    def some(self, metrics: Iterable[str]) -> frozenset[str]:
        """Those of these metrics that are wanted."""
        return self.metrics & frozenset(metrics)


class Demand(NamedTuple):
    """One row that a verdict needs."""

    sensitive: Mask
    what: str
    """The target attacked, or the kind and name of a metric."""
    metric: str
    """Which metric of an audit measures it."""
    masks: tuple[Mask, ...]
    """Each of these gives such a row."""


@dataclass(frozen=True)
class Scope:
    """The rows that a verdict on a bundle covers, for any request to the audit."""

    attributes: tuple[str, ...]
    """All that the bundle knows."""
    masks: tuple[Mask, ...]
    """All that are measured of those that it supports: `measure.masks.supported_masks`."""
    new_users: bool
    """Whether it has users that the base model never saw."""
    light_users: bool
    """Whether some of its audit users can be told apart by few interactions."""
    strict: bool
    """Whether training left the labels of audit users alone."""

    def leaks(self, attribute: str, lists: tuple[int, ...]) -> Iterator[Demand]:
        """All targets that can leak an attribute protected by its user; empty where no mask protects it.

        Seen items that are missing from a list say something whatever the vectors do, so such lists do not count; the
        control ``constant@10:seen`` tells how much that is.

        Args:
            attribute: of them.
            lists: lengths of the lists that are attacked.
        """
        protecting = [mask for mask in self.masks if attribute in mask]
        if not protecting:
            return
        told = [mask for mask in telling_masks(self.masks) if attribute in mask]
        yield from (Demand(mask, "fair", "leakage", (mask,)) for mask in protecting)
        if self.new_users:
            yield from (Demand(mask, "folded_in", "leakage", (mask,)) for mask in told)
        if self.light_users:
            yield from (Demand(mask, LIGHT, "leakage", (mask,)) for mask in told)
        yield from (Demand(mask, f"list@{length}", "lists", (mask,)) for length in lists for mask in told)
        for together in ("protecting_masks", f"protecting_lists@{JOINED}"):
            yield Demand((attribute,), together, "joined", tuple(protecting))

    def accuracy(self) -> Iterator[Demand]:
        """The accuracy that every mask must keep."""
        for mask in self.masks:
            yield from (Demand(mask, f"{kind} {metric}", "accuracy", (mask,)) for kind, metric in METRICS_OF_ACCURACY)
