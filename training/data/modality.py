"""Item features: vectors of what items are, by whatever is told of them."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import polars as pl
from numpy.typing import NDArray

from training.data.codes import Rows
from training.data.raw import Vectors
from training.errors import DataError


@dataclass(frozen=True, eq=False)
class Features:
    """One modality as it was read or encoded, items in any order.

    Attributes:
        name: of the modality.
        vectors: of the items that have it.
        source: where they come from, in words.
    """

    name: str
    vectors: Vectors
    source: str


@dataclass(frozen=True, eq=False)
class Modality:
    """One modality of a dataset's items, its cold ones behind the others.

    Attributes:
        name: as in the configuration.
        values: float32 (I + C, n). Rows of items without it are NaN, so that nothing takes them for zeros.
        present: bool (I + C,), whether the item has it.
        source: where it comes from, in words.
    """

    name: str
    values: NDArray[np.float32]
    present: NDArray[np.bool_]
    source: str

    @cached_property
    def fingerprint(self) -> str:
        """SHA-256 (hex) over name, flags and numbers."""
        digest = hashlib.sha256(f"{self.name} {self.values.shape}".encode())
        digest.update(self.present.tobytes())
        digest.update(self.values[self.present].astype("<f4").tobytes())
        return digest.hexdigest()


def refuse_unknown(features: Sequence[Features], items: pl.Series, allowed: str) -> None:
    """Refuse features of what is no item.

    Args:
        features: of all modalities.
        items: String, ids of every item that the data know, each once.
        allowed: where those are from, in words.

    Raises:
        DataError: names the first such id.
    """
    rows = Rows(items)
    for each in features:
        unknown = np.flatnonzero(rows.of(each.vectors.ids) < 0)
        if unknown.size:
            problem = f"is no item of the data ({unknown.size:,} such ids in modality {each.name!r})"
            value = each.vectors.ids[int(unknown[0])]
            raise DataError(each.vectors.file, problem, row=int(unknown[0]) + 1, value=value, allowed=allowed)


def have_any(features: Sequence[Features], items: pl.Series) -> NDArray[np.bool_]:
    """Tell which items (n,) have at least one modality."""
    found = np.zeros(len(items), np.bool_)
    for each in features:
        found |= Rows(each.vectors.ids).of(items) >= 0
    return found


def of_items(features: Features, items: pl.Series) -> Modality:
    """Lay a modality out by item (n,).

    Raises:
        DataError: none of the items has it.
    """
    rows = Rows(features.vectors.ids).of(items)
    present = rows >= 0
    if not present.any():
        problem = f"has none of the items kept (modality {features.name!r})"
        raise DataError(features.vectors.file, problem, allowed="features of items that are kept")
    values = features.vectors.values[np.where(present, rows, 0)]
    values[~present] = np.nan
    return Modality(features.name, values, present, features.source)
