"""A bundle in memory: `write_bundle` takes one, `read_bundle` returns one whose arrays are read-only views of files.

Letters: U users, I items, d dimensions, P parts, K supported masks, M attributes, N interactions.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from bundle.columns import Rows, some
from bundle.history import History
from bundle.manifest import Description
from bundle.networks import FairEncoder, MlpReranker

Parts: TypeAlias = NDArray[np.float32] | NDArray[np.float16]

AUDIT_USER = 2
"""An audit user's entry in `Audit.split`."""


@dataclass(frozen=True)
class Items:
    """The catalogue; ids, titles and groups are columns (`bundle.columns`) where they were read."""

    ids: Sequence[str]
    titles: Sequence[str]
    groups: Sequence[Sequence[str]]
    popularity: NDArray[np.int64]
    """(I,) training positives of each item."""
    vectors: NDArray[np.float32]
    """(I, d)."""
    cold: NDArray[np.bool_]
    """(I,) whether nobody had touched it: its vector comes from its features alone."""

    @cached_property
    def row(self) -> Mapping[str, int]:
        """Item id → row."""
        return Rows(self.ids)

    def named(self, rows: Sequence[int]) -> tuple[list[str], list[str]]:
        """Ids and titles of some rows."""
        return some(self.ids, rows), some(self.titles, rows)


@dataclass(frozen=True)
class Users:
    """Users, with the arrays that their fair vectors are made from."""

    ids: Sequence[str]
    parts: Parts
    """(U, P, d) parts in manifest order; where the layout is ``fair``, (U, K, d) fair vectors by supported mask.

    float16 is a way to store them: rows become float32 as they are taken.
    """

    def of(self, rows: NDArray[np.integer[Any]] | slice) -> NDArray[np.float32]:
        """(n, P, d) parts of some users, by their rows; a copy."""
        return self.parts[rows].astype(np.float32)

    def part(self, place: int, rows: NDArray[np.integer[Any]] | slice = slice(None)) -> NDArray[np.float32]:
        """(n, d) one part of some users, by its place; a copy."""
        return self.parts[rows, place].astype(np.float32)

    @cached_property
    def row(self) -> Mapping[str, int]:
        """User id → row."""
        return Rows(self.ids)


@dataclass(frozen=True)
class Seen:
    """Every interaction known at export, any rating, held-out ones included, as CSR; sorted within a user."""

    indptr: NDArray[np.int64]
    """(U + 1,)."""
    indices: NDArray[np.int32]
    """(N,) item rows."""

    def of(self, user_row: int) -> NDArray[np.int32]:
        """Item rows that this user has seen, ascending."""
        return self.indices[self.indptr[user_row] : self.indptr[user_row + 1]]


@dataclass(frozen=True)
class Audit:
    """Data that audits need and serving does not. A bundle may come without it."""

    base: NDArray[np.float32]
    """(U, d) user vectors u."""
    labels: NDArray[np.int16]
    """(U, M) class of each attribute, -1 where unknown."""
    validation: NDArray[np.int32]
    """(U,) item row of the held-out positive used for selection, -1 for none."""
    test: NDArray[np.int32]
    """(U,) item row of the held-out positive used for reporting, -1 for none."""
    split: NDArray[np.uint8]
    """(U,) 0 train, 1 select, 2 audit."""
    folded_in: NDArray[np.bool_]
    """(U,) audit users that the base model never saw: their u is folded in from their history."""
    positive: NDArray[np.bool_]
    """(N,) whether the interaction of `Seen.indices` counts as positive."""
    items: NDArray[np.float32] | None = None
    """(I, d) item vectors that u goes with, where those that are served were changed along with the users."""


@dataclass(frozen=True)
class Tilts:
    """The numbers of `Description.balance`: docs/algorithms/reranking.md, P1."""

    target: NDArray[np.float64]
    """(G,) the distribution over item groups that users' targets have on average."""
    tilts: NDArray[np.float64]
    """(1 + masks, G) λ for all masks together, which serves those without one of their own, then of each listed mask;
    0 where the target is 0."""


@dataclass(frozen=True)
class Bundle:
    """One version of one bundle. Frozen: a version never changes."""

    description: Description
    items: Items
    users: Users
    encoder: FairEncoder
    history: History
    seen: Seen
    card: Mapping[str, Any]
    audit: Audit | None = None
    reranker: MlpReranker | None = None
    """Where the scorer is ``rerank``."""
    balance: Tilts | None = None
    """Where the description has it."""
