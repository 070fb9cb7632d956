"""What an index is to the rest: it compares items with fair vectors by inner product; rankers make lists with it.

An exact index compares every item. An approximate one looks where good items are likely, harder the more *effort* it is
told to make, and is searched through *windows*, each wider than the one before. Those of other libraries propose items
in float32, and a ranker orders what they propose.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal, Protocol, TypeAlias, runtime_checkable

import numpy as np
from numpy.typing import NDArray

Device = Literal["auto", "cpu", "cuda"]
"""Where the operator wants the index."""
Kind = Literal["auto", "flat", "ivf", "hnsw", "torch", "milvus"]
"""Which one the operator wants."""
Place = Literal["cpu", "cuda", "remote"]
"""Where an index is searched."""
Proposals: TypeAlias = tuple[NDArray[np.int64], NDArray[np.float32]]
"""Rows (B, count), -1 where there is no further item, and scores (B, count); best first."""
Dropped: TypeAlias = Sequence[NDArray[np.int32]]
"""For each of B rows the item rows that will not be shown. A `Proposing` index that can leaves them out of what it
proposes, which saves wider searches; whoever asks drops them all the same."""

SPARSE = 16
"""Asking for more than one in so many items is slower than scoring all of them (measured at 3,500 items, d = 64)."""
WINDOWS = (64, 512, 4096)
"""Items that an approximate index is asked for, one window after the other."""


class Index(Protocol):
    """Holds items; they have rows 0 … I - 1. Several threads may search at once."""

    @property
    def kind(self) -> Kind:
        """Which one it is; never `auto`."""
        ...

    @property
    def device(self) -> Place:
        """Where it searches."""
        ...

    @property
    def trouble(self) -> str | None:
        """What it goes without at this moment; None where nothing is wrong."""
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
    """Proposes good items, and misses some: what it proposes to a row is a function of that row and the count alone."""

    windows: tuple[int, ...]
    """Counts that are worth asking for, ascending: a wider search would take as long as scoring everything."""

    @property
    def parameters(self) -> str:
        """How it was built and how hard it looks, for operators."""
        ...

    def at(self, effort: int) -> Approximate | None:
        """The same index, looking harder (from 1 up); None where scoring everything would be as quick."""
        ...
