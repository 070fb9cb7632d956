"""Measures an approximate index on lists as they are served, and finds the effort that it needs."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import islice
from time import perf_counter
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

from bundle import Pause, go_on
from service.index.approximate import ApproximateRanker
from service.index.exhaustive_ranker import ExhaustiveRanker
from service.index.flat import one_thread
from service.index.interface import Approximate, Ranker, SearchBatch
from service.index.order import Ranking

K = 10
"""Recall is measured on lists of so many items."""
TARGET = 0.98
EFFORTS = (1, 2, 3, 4, 6, 8, 12, 16, 24, 32, 48, 64, 96, 128, 192, 256, 384, 512, 768, 1024)
TOGETHER, TIMED = 16, 4
"""Requests of a timed batch, as under load; number of timed batches, after one that is not timed."""

SHORT = 1e-3
"""Share of the longest item's length: shorter items are nobody's taste."""

Result = TypeVar("Result")


@dataclass(frozen=True)
class Sample:
    """Requests for a measurement."""

    fair: NDArray[np.float32]
    """(S, d) fair vectors."""
    dropped: Sequence[NDArray[np.int32]]
    """For each the rows of the items that this user has seen."""

    def telling(self) -> Sample:
        """Without zero vectors, for which any list is as good as any other: finding one says nothing of an index."""
        rows = np.flatnonzero(self.fair.any(axis=1))
        return Sample(self.fair[rows], [self.dropped[row] for row in rows.tolist()])

    def batch(self, k: int = K) -> SearchBatch:
        """A list of k items for each."""
        return SearchBatch(self.fair, self.dropped, [k] * len(self.fair))

    def lists(self, ranker: Ranker, k: int = K) -> list[Ranking]:
        """The lists that a ranker makes."""
        return ranker.top(self.batch(k))


@dataclass(frozen=True)
class Tuned:
    """An index at a sufficient effort."""

    index: Approximate
    ranker: ApproximateRanker
    recall: float


def plain_sample(vectors: NDArray[np.float32], size: int) -> Sample:
    """Items in the place of users, nothing seen: for a catalogue without users.

    Items close to zero are left out: their scores all round to the same number, so that any list would do.
    """
    lengths = np.sqrt(np.einsum("ij,ij->i", vectors, vectors))
    known = np.flatnonzero(lengths >= SHORT * lengths.max(initial=0.0))
    rows = known[np.linspace(0, len(known) - 1, min(size, len(known))).astype(np.int64)]
    return Sample(vectors[rows], [np.zeros(0, np.int32)] * len(rows))


def recalls(found: Sequence[Ranking], exact: Sequence[Ranking]) -> NDArray[np.float64]:
    """For each list the share of places with an item as good as the exact list's last one; any of tied items counts.

    Returns:
        (S,); 1 where the exact list is empty.
    """
    shares = [
        min(1.0, float((one.scores >= best.scores[-1]).sum()) / len(best.rows)) if len(best.rows) else 1.0
        for one, best in zip(found, exact, strict=True)
    ]
    return np.array(shares)


def tuned(
    index: Approximate, whole: ExhaustiveRanker, sample: Sample, exact: Sequence[Ranking]
) -> tuple[Tuned | None, float | None]:
    """Find the least effort whose recall is at least `TARGET`, its standard error taken off.

    Args:
        index: as built.
        whole: compares the items that it was built from.
        sample: requests.
        exact: their exact lists.

    Returns:
        The index at that effort, None where no useful effort suffices; the best recall that was measured, None where
        none was.
    """
    most: float | None = None
    plain = ApproximateRanker(index, whole)
    for effort in EFFORTS:
        harder = index.at(effort)
        if harder is None:
            break
        ranker = plain.over(harder)
        each = recalls(sample.lists(ranker), exact)
        recall, error = float(each.mean()), float(each.std() / np.sqrt(len(each)))
        most = max(most or 0.0, recall)
        if recall - error >= TARGET:
            return Tuned(harder, ranker, recall), most
    return None, most


def search_ms(ranker: Ranker, sample: Sample, pause: Pause = go_on) -> float:
    """Median time of a request among `TOGETHER`, in one thread, as the worker makes them under load.

    ``pause`` is called between batches. What it lets happen empties caches, as under load.
    """
    times = []
    with one_thread():
        for batch in islice(sample.batch().steps(TOGETHER), 1 + TIMED):
            started = perf_counter()
            found = ranker.top(batch)
            times.append(1e3 * (perf_counter() - started) / len(found))
            pause()
    return float(np.median(times[1:] or times or [0.0]))


def timed(work: Callable[[], Result]) -> tuple[Result, float]:
    """The result of some work, and the seconds that it took."""
    started = perf_counter()
    return work(), perf_counter() - started
