"""Exact search by torch: every item is compared, on the CPU or on one GPU, and lists are made where the vectors are.

On the CPU that is `service.index.whole`. On a GPU a batch stays there until few items of each row are left: one matrix
product in float32, what must not be shown masked, the best groups of items, the best items of these, and their scores
in float64. Nothing is waited for in between.

Such a score is summed in another order than on the CPU. Two float64 sums round to the same `STEP` unless they lie
within their error of where the rounding changes; such an item is scored again on the CPU. So lists are the same ones.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from typing import Literal, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray

from bundle import tensor_over
from service.index.exact import Widening
from service.index.interface import Dropped
from service.index.order import DECIMALS, STEP, Position, Ranking
from service.index.whole import WholeRanker, group_size
from service.replay import Replayed

SCORES_BYTES = 2**31
"""Memory on the GPU, at most, for the float32 scores of one step; a batch takes several where its scores are more."""
WIDEST = 4096
"""Most items of a row that leave the GPU; who needs more is answered on the CPU."""
FINER = 2.0**-29
"""What a sum in float64 is off by, relative to one in float32."""


class Proposed(NamedTuple):
    """The best items of each row that may be shown."""

    items: NDArray[np.int64]
    """(B, n) item rows."""
    sums: NDArray[np.float64]
    """(B, n) of them in float64, descending; minus infinity where no more items are left."""
    ends: NDArray[np.float64]
    """(B,) float32 scores that no other item exceeds; minus infinity where there is no other."""


class TorchIndex:
    """The item vectors, where torch compares them."""

    kind: Literal["torch"] = "torch"
    trouble = None

    def __init__(self, vectors: NDArray[np.float32], device: Literal["cpu", "cuda"]) -> None:
        """Take the (I, d) item vectors; on a GPU copy them there.

        Raises:
            RuntimeError: they do not fit.
        """
        self.device: Literal["cpu", "cuda"] = device
        self.vectors = tensor_over(vectors).to(device)
        self._best = Replayed(partial(_found, self.vectors), self.vectors.device, (0.0, -1))
        self._step = 1 << max(0, (SCORES_BYTES // (4 * max(1, len(vectors)))).bit_length() - 1)

    def propose(self, fair: NDArray[np.float32], width: int, dropped: Dropped) -> Proposed:
        """(B, d) vectors → the best ``width`` items of each that may be shown, all where they are fewer."""
        steps = [slice(start, start + self._step) for start in range(0, len(fair), self._step)]
        found = np.concatenate([self._some(fair[step], width, dropped[step]) for step in steps])
        width = found.shape[1] // 2
        return Proposed(found[:, :width].astype(np.int64), found[:, width:-1], found[:, -1])

    def _some(self, fair: NDArray[np.float32], width: int, dropped: Dropped) -> NDArray[np.float64]:
        """(B, 2 n + 1): items, sums, ends."""
        deep = group_size(len(self.vectors), width)
        wide = 4 * (len(self.vectors) // (4 * deep) + 1)  # a cell at least behind the last item; rows begin at 16 bytes
        begins = np.repeat(np.arange(len(fair)) * (deep * wide), [len(gone) for gone in dropped])
        return self._best(fair, begins + np.concatenate(dropped), shaping=(deep, wide, width))


class TorchRanker(Widening):
    """Orders what a `TorchIndex` proposes."""

    margin = 16

    def __init__(self, index: TorchIndex, whole: WholeRanker) -> None:
        """Take the index, and what compares the same items on the CPU."""
        super().__init__(whole, WIDEST if whole.items else 0)
        self._index = index

    def _settle(
        self,
        fair: NDArray[np.float32],
        width: int,
        dropped: Dropped,
        counts: Sequence[int],
        after: Sequence[Position | None],
    ) -> list[Ranking | None]:
        error = self._exact.error(fair)
        items, sums, ends = self._index.propose(fair, width, dropped)
        exact = self._rounded(fair, items, sums, error)
        left = (exact > -np.inf).sum(axis=1)
        for row in np.flatnonzero((exact[:, 1:] >= exact[:, :-1]).any(axis=1)).tolist():  # ties
            order = np.lexsort((items[row], -exact[row]))
            items[row], exact[row] = items[row, order], exact[row, order]
        starts = np.zeros(len(fair), np.int64)
        for row, begin in enumerate(after):
            if begin is not None:
                (last,) = self._exact.of(fair[row], np.array([begin.row]))
                starts[row] = ((exact[row] > last) | ((exact[row] == last) & (items[row] <= begin.row))).sum()
        stops = np.minimum(starts + counts, left)
        enough = stops - starts == counts
        lasts = exact[np.arange(len(fair)), np.maximum(stops - 1, 0)]
        settled = (ends == -np.inf) | (enough & (ends < lasts - error - 2 * STEP))
        return [
            Ranking(items[row, start:stop], exact[row, start:stop]) if sure else None
            for row, (start, stop, sure) in enumerate(
                zip(starts.tolist(), stops.tolist(), settled.tolist(), strict=True)
            )
        ]

    def _rounded(
        self,
        fair: NDArray[np.float32],
        items: NDArray[np.int64],
        sums: NDArray[np.float64],
        error: NDArray[np.float64],
    ) -> NDArray[np.float64]:
        """(B, n) scores as `ExactScores.of` has them, minus infinity where there is no item."""
        gone = sums == -np.inf
        steps = np.where(gone, 0.0, sums) * 10.0**DECIMALS
        off = error[:, None] * (FINER * 10.0**DECIMALS) + np.abs(steps) * 2.0**-52
        exact = np.rint(steps) / 10.0**DECIMALS + 0.0
        rows, columns = np.nonzero((np.abs(steps - np.floor(steps) - 0.5) <= off) & ~gone)
        if len(rows):
            exact[rows, columns] = self._exact.of(fair, items[rows, columns], rows)
        exact[gone] = -np.inf
        return exact


def _found(
    vectors: torch.Tensor, u: torch.Tensor, gone: torch.Tensor, deep: int, wide: int, width: int
) -> torch.Tensor:
    """(B, d) vectors and the cells of what must not be shown → items, sums, ends."""
    scores = _scores(vectors, u, gone, deep, wide)
    bests, groups = scores.amax(1).topk(min(width, wide))
    cells = scores.transpose(1, 2)[torch.arange(len(u), device=u.device)[:, None], groups].flatten(1)
    near, places = cells.topk(min(width, cells.shape[1]))
    items = places % deep * wide + groups.gather(1, places // deep)
    sums = (vectors[items.clamp(max=len(vectors) - 1)].double() * u.double()[:, None]).sum(2)
    sums, order = sums.masked_fill(near == -torch.inf, -torch.inf).sort(descending=True)
    ends = torch.full_like(near[:, :1], -torch.inf)
    if groups.shape[1] < wide:
        ends = bests[:, -1:]
    if near.shape[1] < cells.shape[1]:
        ends = torch.maximum(ends, near[:, -1:])
    return torch.cat([items.gather(1, order).double(), sums, ends.double()], 1)


def _scores(vectors: torch.Tensor, u: torch.Tensor, gone: torch.Tensor, deep: int, wide: int) -> torch.Tensor:
    """(B, deep, wide) float32, a group of items in each column; minus infinity where nothing may be shown."""
    items = len(vectors)
    scores = torch.empty((len(u), deep * wide), device=u.device)
    scores[:, items:] = -torch.inf
    torch.mm(u, vectors.T, out=scores[:, :items])
    scores.view(-1).index_fill_(0, gone, -torch.inf)
    return scores.view(len(u), deep, wide)
