"""The one shape of data that everything after loading works on."""

import hashlib
import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from bundle import limits
from training.data.modality import Modality

RESERVED = ("all", "none", "nothing", "shared", "accuracy")
"""What reports and verdicts call masks, a part, and what they judge besides attributes."""
NAME_ALLOWED = f"{limits.NAME_ALLOWED}; none of {', '.join(RESERVED)}"
UNKNOWN = -1

_ATTRIBUTE_NAME = re.compile(limits.ATTRIBUTE_NAME)


def can_name(name: str) -> bool:
    """Whether an attribute may have this name; bundles written elsewhere may have reserved ones."""
    return _ATTRIBUTE_NAME.fullmatch(name) is not None and name not in RESERVED


@dataclass(frozen=True)
class Attribute:
    """Something users are labelled with, and may ask to have withheld; a label is an index into `classes`."""

    name: str
    classes: tuple[str, ...]

    ordered: bool = False
    """Whether they stand from low to high."""

    merged: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    """Class → the classes of the data that it stands for; the others stand for themselves."""

    classes_at_least: int = 1
    """Train users that each needs; the small ones are merged when users are split (`training.data.small_classes`)."""

    def __post_init__(self) -> None:
        if not can_name(self.name):
            raise ValueError(f"attribute name {self.name!r}; allowed: {NAME_ALLOWED}")


@dataclass(frozen=True)
class ColdItems:
    """Items with features that nobody has touched, C of them; training never meets them.

    Attributes:
        ids: (C,), in the same kind of order as those of the others.
        titles: (C,); '' where unknown.
        groups: (C,); empty where unknown.
    """

    ids: tuple[str, ...] = ()
    titles: tuple[str, ...] = ()
    groups: tuple[tuple[str, ...], ...] = ()


@dataclass(frozen=True, eq=False)
class Dataset:
    """Users, items, labels and interactions, all addressed by row.

    Attributes:
        users: ids, (U,); all-digit ids in numeric order, else lexicographic.
        items: ids of the catalogue, (I,), in the same kind of order. Every item has a positive.
        titles: (I,); '' where unknown.
        groups: (I,); genres and the like, empty where unknown.
        attributes: (M,), in the order of the columns of `labels`.
        labels: int16 (U, M), index of the class; -1 where unknown.
        indptr: int64 (U + 1,); interactions of user row u are `indptr[u]:indptr[u + 1]`.
        indices: int32 (nnz,), item rows; within a user in time order, each item once.
        positive: bool (nnz,); False where the item is only seen.
        source: where it came from, in words.
        left_out: what of the files is not in here, in words, and how many.
        modalities: features of items, (I + C,) rows each: those of `items`, then the cold ones; by name.
        cold: items besides, for which there are features alone.
    """

    users: tuple[str, ...]
    items: tuple[str, ...]
    titles: tuple[str, ...]
    groups: tuple[tuple[str, ...], ...]
    attributes: tuple[Attribute, ...]
    labels: NDArray[np.int16]
    indptr: NDArray[np.int64]
    indices: NDArray[np.int32]
    positive: NDArray[np.bool_]
    source: str
    left_out: Mapping[str, int] = field(default_factory=dict)
    modalities: tuple[Modality, ...] = ()
    cold: ColdItems = ColdItems()

    @cached_property
    def fingerprint(self) -> str:
        """SHA-256 (hex) over ids, classes, labels, interactions and features; not over titles, groups or source."""
        digest = hashlib.sha256()
        words: list[object] = [self.users, self.items, [(a.name, a.classes) for a in self.attributes]]
        if self.modalities:
            words += [self.cold.ids, [each.fingerprint for each in self.modalities]]
        arrays = [self.labels.astype("<i2"), self.indptr.astype("<i8"), self.indices.astype("<i4"), self.positive]
        for part in (json.dumps(words).encode(), *(array.tobytes() for array in arrays)):
            digest.update(len(part).to_bytes(8, "little"))
            digest.update(part)
        return digest.hexdigest()
