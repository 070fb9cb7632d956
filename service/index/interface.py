"""The interface of an index: it compares items with fair vectors by inner product, and rankers make lists with it.

An exact index compares every item. An approximate one searches where good items are likely: more thoroughly for a
higher *effort*, and through *windows*, each wider than the one before. The indexes of other libraries propose items in
float32, and a ranker orders these proposals.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Literal, Protocol, TypeAlias, runtime_checkable

import numpy as np
from numpy.typing import NDArray

from service.index.order import Position, Ranking

Device = Literal["auto", "cpu", "cuda"]
"""The device that the operator wants the index on."""
Kind = Literal["auto", "flat", "ivf", "hnsw", "torch", "milvus"]
"""The kind of index that the operator wants."""
IndexDevice = Literal["cpu", "cuda", "remote"]
"""The device that an index searches on."""
Proposals: TypeAlias = tuple[NDArray[np.int64], NDArray[np.float32]]
"""Rows (B, count), -1 where there is no further item, and scores (B, count); best first."""
Dropped: TypeAlias = Sequence[NDArray[np.int32]]
"""For each of B rows the item rows that must not be shown. A `Proposing` index may leave them out of its proposals,
which saves wider searches; callers must filter them anyway."""

SPARSE = 16
"""A search for more than 1 / `SPARSE` of the items is slower than scoring all of them (3,500 items, d = 64)."""
WINDOWS = (64, 512, 4096)
"""How many items an approximate index is asked for, one window after the other."""


class SearchBatch:
    """Lists to make together, one for each of B rows. Never changed."""

    __slots__ = ("after", "counts", "dropped", "fair")

    def __init__(
        self,
        fair: NDArray[np.float32],
        dropped: Dropped,
        counts: Sequence[int],
        after: Sequence[Position | None] | None = None,
    ) -> None:
        """Put the rows together.

        Args:
            fair: (B, d) fair vectors.
            dropped: for each row the item rows that must not be shown.
            counts: for each row how many items to show, at least 1; the k of a ranker's description.
            after: for each row the position that its list continues from; None, or None in it, for the beginning.
        """
        self.fair = fair
        self.dropped = dropped
        self.counts = counts
        self.after = [None] * len(fair) if after is None else after

    def __len__(self) -> int:
        return len(self.fair)

    @property
    def depths(self) -> list[int]:
        """For each row how many items its list has up to the last one to show, earlier pages included."""
        pairs = zip(self.counts, self.after, strict=True)
        return [count if position is None else count + position.shown for count, position in pairs]

    def take(self, rows: Sequence[int]) -> SearchBatch:
        """Some of the rows, in this order."""
        dropped, counts = [self.dropped[row] for row in rows], [self.counts[row] for row in rows]
        return SearchBatch(self.fair[rows], dropped, counts, [self.after[row] for row in rows])

    def steps(self, size: int) -> Iterator[SearchBatch]:
        """All rows, up to ``size`` at a time; nothing is copied."""
        for start in range(0, len(self), size):
            step = slice(start, start + size)
            yield SearchBatch(self.fair[step], self.dropped[step], self.counts[step], self.after[step])


class Ranker(Protocol):
    """Fair vectors in, lists out."""

    def top(self, batch: SearchBatch) -> list[Ranking]:
        """Rank the catalogue for each row; each ranking is a function of its row alone.

        Raises:
            ScoreError: these vectors cannot be compared.
        """
        ...


class Index(Protocol):
    """Holds items; they have rows 0 … I - 1. Several threads may search at once."""

    @property
    def kind(self) -> Kind:
        """The kind of this index; never `auto`."""
        ...

    @property
    def device(self) -> IndexDevice:
        """The device that it searches on."""
        ...

    @property
    def trouble(self) -> str | None:
        """The present fault; None where there is none."""
        ...


class Proposing(Index, Protocol):
    """Proposes items."""

    max_count: int
    """Most items that one search returns."""

    def search(self, vectors: NDArray[np.float32], count: int, dropped: Dropped) -> Proposals:
        """(B, d) vectors → the best ``count`` items of each, 1 ≤ count ≤ ``max_count``."""
        ...


@runtime_checkable
class Approximate(Proposing, Protocol):
    """Proposes good items, and misses some: its proposals to a row are a function of that row and the count alone."""

    windows: tuple[int, ...]
    """Useful counts, ascending: a wider search would take as long as scoring everything."""

    @property
    def parameters(self) -> str:
        """Its build parameters and its effort, for operators."""
        ...

    def at(self, effort: int) -> Approximate | None:
        """The same index at an effort, from 1 up; None where scoring everything would be as quick."""
        ...
