"""Ids as numbers: the text of an id is held once, however many interactions it has."""

import numpy as np
import polars as pl
from numpy.typing import NDArray


class Codes:
    """Gives every id met a number: from 0 up without gaps, and the same whenever the id is met again."""

    def __init__(self) -> None:
        self._kind = pl.Categorical(pl.Categories.random())
        self._met = [pl.Series([], dtype=self._kind)]  # each id once; Polars forgets categories that no column has
        self._count = 0

    def of(self, ids: pl.Series) -> NDArray[np.int32]:
        """Number ids, text (N,), none missing; shape (N,)."""
        categories = ids.cast(self._kind)
        codes: NDArray[np.int32] = categories.to_physical().to_numpy().astype(np.int32)
        new = np.flatnonzero(codes >= self._count)
        numbers, first = np.unique(codes[new], return_index=True)
        self._met.append(categories[new[first]])
        self._count += len(numbers)
        return codes

    def ids(self) -> pl.Series:
        """Give the ids met so far, each in the place that its number says."""
        met = pl.concat(self._met)
        return met.cast(pl.String)[np.argsort(met.to_physical().to_numpy())]


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
