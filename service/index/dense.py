"""An index that compares all items with torch: on the CPU, or on one GPU.

On the CPU, `service.index.exhaustive_ranker` makes lists from the scores. A GPU proposes, in these steps: one matrix
product in float32, a mask over dropped items, the best groups of items, the best items of these groups, and their
scores in float64. The CPU waits for none of them, and for batches of a few rows all steps after the mask are one CUDA
graph.
"""

from __future__ import annotations

from functools import partial
from typing import Literal, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray

from bundle import tensor_over
from service.cuda_graphs import MOST, SIZES, Graphs, give_back_with, size_of
from service.index.interface import Dropped
from service.index.passing import group_size

SCRATCH_BYTES = 5 * 2**29
"""Most memory on a GPU for one step of a batch; a batch with more scores takes several steps."""
NARROWEST = 4096
"""Fewest groups of items: a GPU searches through fewer no quicker."""
WIDTHS = (32, 64, 128)
"""Numbers of proposals to a row that have graphs: for lists of 16, of 48, and of 112 items."""


class Proposed(NamedTuple):
    """The best items of each row that may be shown."""

    items: NDArray[np.int64]
    """(B, n) item rows."""
    sums: NDArray[np.float64]
    """(B, n) their scores in float64, descending; minus infinity where no more items are left."""
    ends: NDArray[np.float64]
    """(B,) float32 scores that no other item exceeds; minus infinity where there is no other."""


class TorchIndex:
    """Compares every item; several threads may ask. Its memory is freed with it."""

    kind: Literal["torch"] = "torch"
    trouble = None

    def __init__(self, vectors: NDArray[np.float32], device: Literal["cpu", "cuda"]) -> None:
        """Take the (I, d) item vectors; on a GPU copy them there, and take the memory for batches.

        Raises:
            RuntimeError: they do not fit.
        """
        self.device: Literal["cpu", "cuda"] = device
        self.scratch_bytes = 0
        """Memory for the scores of batches of up to `MOST` rows."""
        if device == "cuda":
            give_back_with(self)
        self.vectors = tensor_over(vectors).to(device)
        self._graphs = Graphs(self.vectors.device)
        if device == "cuda" and len(vectors):
            self.capture()

    def capture(self) -> None:
        """Capture the graphs, and allocate their memory."""
        deep, wide = self._shape(WIDTHS[-1])
        most = min(MOST, self._step(WIDTHS[-1]))
        self._u = torch.zeros((most, self.vectors.shape[1]), device=self.vectors.device)
        self._scores = torch.zeros((most, deep * wide), device=self.vectors.device)
        self.scratch_bytes = self._scores.nbytes
        for width in WIDTHS:
            for size in (size for size in SIZES if size <= most):
                scores = self._scores[:size].view(size, deep, wide)
                self._graphs.capture((size, width), partial(_best, self.vectors, self._u[:size], scores, width))

    def propose(self, fair: NDArray[np.float32], width: int, dropped: Dropped) -> Proposed:
        """(B, d) vectors → the best ``width`` items of each, or all where there are fewer; never a dropped one."""
        step = self._step(width)
        with torch.inference_mode():
            steps = [slice(start, start + step) for start in range(0, len(fair), step)]
            found = np.concatenate([self._some(fair[some], width, dropped[some]) for some in steps])
        width = found.shape[1] // 2
        return Proposed(found[:, :width].astype(np.int64), found[:, width:-1], found[:, -1])

    def _some(self, fair: NDArray[np.float32], width: int, dropped: Dropped) -> NDArray[np.float64]:
        """(B, 2 n + 1): items, sums, ends."""
        count, size = len(fair), size_of(len(fair))
        if size is not None and (size, width) in self._graphs:

            def fill() -> None:
                self._u[:count] = torch.from_numpy(fair)
                self._compare(self._u[:size], self._scores[:size], dropped)

            return self._graphs.run((size, width), fill, count)
        deep, wide = self._shape(width)
        u = torch.from_numpy(fair).to(self.vectors.device)
        scores = torch.empty((count, deep * wide), device=u.device)
        self._compare(u, scores, dropped)
        return _best(self.vectors, u, scores.view(count, deep, wide), width).cpu().numpy()

    def _step(self, width: int) -> int:
        """Rows of one step, a power of two: each needs its scores, and the float64 vectors of its proposals."""
        deep, wide = self._shape(width)
        row_bytes = 4 * deep * wide + 24 * width * (deep + self.vectors.shape[1])
        return 1 << max(0, (SCRATCH_BYTES // row_bytes).bit_length() - 1)

    def _shape(self, width: int) -> tuple[int, int]:
        """(items in a group, groups); together the cells of a row. The last cells hold no item."""
        deep = group_size(len(self.vectors), width, NARROWEST)
        return deep, 4 * (len(self.vectors) // (4 * deep) + 1)  # rows begin at multiples of 16 bytes

    def _compare(self, u: torch.Tensor, scores: torch.Tensor, dropped: Dropped) -> None:
        """(B, d) vectors → (B, cells) float32; minus infinity for dropped items."""
        sizes = [len(gone) for gone in dropped]
        cells = np.concatenate(dropped) + np.repeat(np.arange(len(dropped)) * scores.shape[1], sizes)
        there = torch.from_numpy(cells).to(scores.device)  # waits for the launches before it
        torch.mm(u, self.vectors.T, out=scores[:, : len(self.vectors)])
        if len(cells):
            scores.view(-1).index_fill_(0, there, -torch.inf)


def _best(vectors: torch.Tensor, u: torch.Tensor, scores: torch.Tensor, width: int) -> torch.Tensor:
    """(B, deep, wide) scores, a group of items in each column → (B, 2 n + 1) float64: items, sums, ends."""
    rows, deep, wide = scores.shape
    scores.view(rows, -1)[:, len(vectors) :] = -torch.inf
    bests, groups = scores.amax(1).topk(min(width, wide))
    cells = scores.transpose(1, 2)[torch.arange(rows, device=u.device)[:, None], groups].flatten(1)
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
