"""How often each requirement was asked for and applied, from counts of the request log."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import get_args

from measure.masks import Mask
from service.requirement import Source
from service.store import Purpose, RequirementCount

PERSONAL = (Purpose.RECOMMEND, Purpose.BATCH, Purpose.SESSION)
"""Lists that something may be withheld in: similar and popular items are the same for everybody."""
SOURCES: tuple[Source, ...] = get_args(Source)


@dataclass(frozen=True)
class AttributeUse:
    """The counts of one attribute."""

    requested: int
    """Lists whose request named it."""
    lists: int
    """Lists that protected it, from any source."""
    by_source: Mapping[str, int]
    """The same by the first source; every source is there."""


@dataclass(frozen=True)
class RequirementUse:
    """The requested and applied attributes."""

    lists: int
    requirements: Mapping[Mask, int]
    """Protected attributes → lists, the most frequent first."""
    attributes: Mapping[str, AttributeUse]
    """In the active bundle's order, then those that only earlier bundles had."""


def summarised(counts: Sequence[RequirementCount], attributes: Sequence[str]) -> RequirementUse:
    """Join the counts of all versions by the names of attributes.

    Args:
        counts: from `service.store.count_requirements`.
        attributes: of the active bundle, which are there even where nobody asked for them.
    """
    named = {name for count in counts for name in (*count.applied, *(count.requested or ()))}
    order = [*attributes, *sorted(named - set(attributes))]
    requirements: Counter[Mask] = Counter()
    requested: Counter[str] = Counter()
    applied: Counter[tuple[str, str]] = Counter()
    for count in counts:
        requirements[tuple(name for name in order if name in count.applied)] += count.lists
        requested.update(dict.fromkeys(count.requested or (), count.lists))
        applied.update(dict.fromkeys(count.applied.items(), count.lists))
    by_source: dict[str, dict[str, int]] = {
        name: {source: applied[name, source] for source in SOURCES} for name in order
    }
    return RequirementUse(
        requirements.total(),
        dict(requirements.most_common()),
        {name: AttributeUse(requested[name], sum(by_source[name].values()), by_source[name]) for name in order},
    )
