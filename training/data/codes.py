"""Ids as numbers: the text of an id is held once, however many interactions it has."""

from typing import cast

import numpy as np
import polars as pl
from numpy.typing import NDArray


class Codes:
    """Gives every id met a number: from 0 up without gaps, and the same whenever the id is met again."""

    def __init__(self) -> None:
        self._categories = pl.Categories.random()
        self._kind = pl.Categorical(self._categories)
        self._held = pl.Series([], dtype=self._kind)  # Polars forgets categories of which no column is left

    def of(self, ids: pl.Series) -> NDArray[np.int32]:
        """Number ids, text (N,), none missing; shape (N,)."""
        codes = ids.cast(self._kind).to_physical().to_numpy()
        return cast("NDArray[np.int32]", codes.astype(np.int32))

    def ids(self) -> pl.Series:
        """Give the ids met so far, each in the place that its number says."""
        return self._categories.to_series().cast(pl.String)


class Rows:
    """Finds the row of an id among ids that are all known beforehand."""

    def __init__(self, ids: pl.Series) -> None:
        self._codes = Codes()
        known = self._codes.of(ids)
        self._rows = np.empty_like(known)
        self._rows[known] = np.arange(len(known), dtype=np.int32)

    def of(self, ids: pl.Series) -> NDArray[np.int32]:
        """Rows of ids, text (N,), none missing; -1 for an id that is not among them."""
        codes = self._codes.of(ids)
        known = codes < len(self._rows)
        return np.where(known, self._rows[np.where(known, codes, 0)], np.int32(-1))
