"""Classes of too few train users to be learned become larger ones; which can be attacked, each audit sees for itself.

Train users alone are counted: what is withheld must not follow from the labels of select and audit users.
"""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import TypedDict

import numpy as np
from numpy.typing import NDArray

from measure.labels import REST
from training.data.classes import ordered, run_names
from training.data.dataset import UNKNOWN, Attribute, Dataset


class Merged(TypedDict):
    """A class that stands for several of the data's."""

    of: list[str]
    users: int
    """Of all parts."""


def merge_small(dataset: Dataset, counted: NDArray[np.bool_]) -> Dataset:
    """Merge the classes that fewer counted users have than their attribute needs; a second time changes nothing.

    Args:
        dataset: as it was loaded.
        counted: (U,) flags of the train users.
    """
    if all(attribute.classes_at_least == 1 for attribute in dataset.attributes):
        return dataset
    merged = [
        _merged(attribute, labels, counted)
        for attribute, labels in zip(dataset.attributes, dataset.labels.T, strict=True)
    ]
    labels = np.stack([labels for _, labels in merged], axis=1)
    return replace(dataset, attributes=tuple(attribute for attribute, _ in merged), labels=labels)


def too_small(attribute: Attribute, labels: NDArray[np.int16], counted: NDArray[np.bool_]) -> dict[str, int]:
    """Class → train users, where they are fewer than the attribute needs."""
    counts = _counts(attribute, labels[counted])
    return {
        name: count for name, count in zip(attribute.classes, counts, strict=True) if count < attribute.classes_at_least
    }


def merged_classes(dataset: Dataset) -> dict[str, dict[str, Merged]]:
    """Attribute → class → what it stands for, where that is several classes of the data."""
    return {
        attribute.name: {
            name: {"of": list(of), "users": int((labels == attribute.classes.index(name)).sum())}
            for name, of in attribute.merged.items()
        }
        for attribute, labels in zip(dataset.attributes, dataset.labels.T, strict=True)
        if attribute.merged
    }


def groups_of(counts: Sequence[int], at_least: int, *, in_order: bool) -> list[list[int]]:
    """Which classes become one.

    Args:
        counts: users of each class, by place.
        at_least: users that a class needs.
        in_order: whether the classes stand from low to high.

    Returns:
        Places of the classes of each group. Ordered classes form runs, each of them ended as soon as it has enough;
        the last one, where it has not, joins the one before it. Of unordered ones the small are one group, the last,
        however few they are together; a small one alone stays. Where no two groups are left, each class is its own.
    """
    small = [place for place, count in enumerate(counts) if count < at_least]
    if in_order:
        groups = _runs(counts, at_least)
    elif len(small) > 1:
        groups = [[place] for place in range(len(counts)) if place not in small] + [small]
    else:
        groups = []
    return groups if len(groups) > 1 else [[place] for place in range(len(counts))]


def _runs(counts: Sequence[int], at_least: int) -> list[list[int]]:
    runs: list[list[int]] = [[]]
    held = 0
    for place, count in enumerate(counts):
        if held >= at_least:
            runs.append([])
            held = 0
        runs[-1].append(place)
        held += count
    if held < at_least and len(runs) > 1:
        last = runs.pop()
        runs[-1] += last
    return runs


def _merged(
    attribute: Attribute, labels: NDArray[np.int16], counted: NDArray[np.bool_]
) -> tuple[Attribute, NDArray[np.int16]]:
    counts = _counts(attribute, labels[counted])
    groups = groups_of(counts, attribute.classes_at_least, in_order=attribute.ordered)
    if len(groups) == len(counts):
        return attribute, labels
    names = _names(groups, attribute)
    classes = names if attribute.ordered else ordered(names)
    place = np.empty(len(counts), np.int16)
    for name, members in zip(names, groups, strict=True):
        place[members] = classes.index(name)
    merged = {
        name: tuple(value for member in members for value in _values(attribute.merged, attribute.classes[member]))
        for name, members in zip(names, groups, strict=True)
        if len(members) > 1 or attribute.classes[members[0]] in attribute.merged
    }
    renumbered = np.where(labels == UNKNOWN, UNKNOWN, place[labels]).astype(np.int16)
    return replace(attribute, classes=classes, merged=merged), renumbered


def _names(groups: Sequence[Sequence[int]], attribute: Attribute) -> tuple[str, ...]:
    named = [[attribute.classes[member] for member in members] for members in groups]
    if attribute.ordered:
        return run_names(named)
    kept, rest = [alone for alone, *others in named if not others], REST
    while rest in kept:
        rest = f"{rest} (together)"
    return (*kept, rest)


def _values(merged: Mapping[str, tuple[str, ...]], name: str) -> tuple[str, ...]:
    return merged.get(name, (name,))


def _counts(attribute: Attribute, labels: NDArray[np.int16]) -> list[int]:
    counts: list[int] = np.bincount(labels[labels != UNKNOWN], minlength=len(attribute.classes)).tolist()
    return counts
