"""Selects the index that serves: the demanded one, or the best of measurements at load (docs/decisions/0021).

Comparing every item is exact and needs no tuning, so `auto` does only that while a request takes at most `QUICK_MS`
under load. Above that, approximate indexes are built and tuned; one of them serves if its recall suffices and it takes
at most half the time. An index whose recall does not suffice never serves: every item is compared instead, and the
report says so.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from bundle import Pause, go_on
from service.errors import StartError
from service.index.approximate import ApproximateRanker
from service.index.build import AnyIndex, Built, approximate_kinds, build, build_exact, build_milvus
from service.index.dense import TorchIndex
from service.index.exhaustive_ranker import ExhaustiveRanker
from service.index.hnsw import expected_build_s
from service.index.interface import SPARSE, WINDOWS, Approximate, Device, Kind, Ranker
from service.index.order import Ranking
from service.index.proposal_ranker import ProposalRanker
from service.index.report import IndexReport, Tried
from service.index.torch_ranker import TorchRanker
from service.index.tune import TARGET, TIMED, TOGETHER, K, Sample, plain_sample, recalls, search_ms, timed, tuned

QUICK_MS = 0.5
"""While an exact search takes a request at most this long, no item is missed to save time."""
FASTER = 2.0
"""Factor by which an approximate search must be faster."""
CLUSTERS = 4
"""Items that FAISS needs to make lists of."""
FEWEST = SPARSE * WINDOWS[0]
"""Fewest items for an approximate index: scoring fewer of them all is quicker."""
APPROXIMATE_KINDS: tuple[Kind, ...] = ("ivf", "hnsw", "milvus")
BUILD_S = 60.0
"""`auto` builds no graph that is expected to take longer; IVF lists take a minute for some ten million items."""
SAMPLE = 200
UNMEASURABLE = "no index can be measured: all vectors to ask with are zero"
DEEP = 100


@dataclass(frozen=True)
class Opened:
    """An index that can be searched."""

    index: AnyIndex
    ranker: Ranker
    """Makes lists with it."""
    note: str | None
    """Why it is not on a GPU although one was looked for."""
    report: IndexReport


def make_ranker(index: AnyIndex, whole: ExhaustiveRanker) -> Ranker:
    """The ranker for an index of the vectors that ``whole`` compares."""
    if isinstance(index, TorchIndex):
        return whole if index.device == "cpu" else TorchRanker(index, whole)
    return ApproximateRanker(index, whole) if isinstance(index, Approximate) else ProposalRanker(index, whole)


def open_index(
    vectors: NDArray[np.float32],
    device: Device = "auto",
    kind: Kind = "auto",
    *,
    sample: Callable[[int], Sample] | None = None,
    milvus_url: str | None = None,
    pause: Pause = go_on,
) -> Opened:
    """Build the index that the operator wants, on the device that they want; takes minutes for millions of items.

    Args:
        vectors: (I, d) item vectors; kept, not changed.
        device: the device that it searches on.
        kind: the kind of index; `auto` measures.
        sample: draws so many requests to measure an approximate index with; without it, items stand in for users.
        milvus_url: address of Milvus, for that kind.
        pause: called between searches that are timed.

    Raises:
        StartError: ``cuda`` is demanded and not there or too small; Milvus is demanded and cannot be used.
    """
    ask = sample or (lambda size: plain_sample(vectors, size))
    return _opened(vectors, device, kind, lambda size: ask(size).telling(), milvus_url, pause)


def _opened(
    vectors: NDArray[np.float32],
    device: Device,
    kind: Kind,
    draw: Callable[[int], Sample],
    milvus_url: str | None,
    pause: Pause,
) -> Opened:
    if kind == "auto":
        return _Choice(vectors, build_exact(vectors, device), pause).among(device, draw)
    if kind in APPROXIMATE_KINDS and len(vectors) < FEWEST:
        few = f"EVENHAND_INDEX is {kind}, which has nothing to gain on {len(vectors)} items"
        return _Choice(vectors, build_exact(vectors, device), pause).exactly(few)
    built = build_milvus(vectors, milvus_url) if kind == "milvus" else build(kind, vectors, device)
    if not isinstance(built.index, Approximate):
        return _Choice(vectors, built, pause).exactly(f"EVENHAND_INDEX is {kind}")
    whole = build_exact(vectors, "cpu" if kind == "milvus" else device)
    return _Choice(vectors, whole, pause).demanded(built, draw(SAMPLE))


class _Choice:
    """The choice between an index that compares every item and approximate ones."""

    def __init__(self, vectors: NDArray[np.float32], whole: Built, pause: Pause) -> None:
        self._vectors = vectors
        self._pause = pause
        self._whole = whole
        self._comparing = ExhaustiveRanker(vectors)
        self._ranker = make_ranker(whole.index, self._comparing)
        self._tried: list[Tried] = []

    @cached_property
    def _exact_ms(self) -> float:
        """What comparing every item takes a request."""
        return search_ms(self._ranker, plain_sample(self._vectors, (1 + TIMED) * TOGETHER), self._pause)

    def exactly(self, reason: str) -> Opened:
        """Compare every item."""
        index, ms = self._whole.index, self._exact_ms
        report = IndexReport(index.kind, index.device, True, "", reason, 1.0, 1.0, self._whole.seconds, ms)
        return Opened(index, self._ranker, self._whole.note, replace(report, tried=tuple(self._tried)))

    def among(self, device: Device, draw: Callable[[int], Sample]) -> Opened:
        """Choose as `auto` does."""
        if (ms := self._exact_ms) <= QUICK_MS:
            return self.exactly(f"comparing every item takes a request {ms:.2g} ms, and {QUICK_MS:g} ms may be")
        if len(self._vectors) < CLUSTERS:  # however busy the machine is that they seem slow on
            return self.exactly(f"there is nothing to gain on {len(self._vectors)} items")
        sample = draw(SAMPLE)
        if not len(sample.fair):
            return self.exactly(UNMEASURABLE)
        exact = sample.lists(self._ranker, DEEP)
        ms = search_ms(self._ranker, sample, self._pause)
        self._tried.append(Tried(self._whole.index.kind, self._whole.seconds, ms, 1.0))
        found: list[Opened] = []
        for kind in approximate_kinds(self._whole.index.device):
            if kind == "hnsw" and (expected_s := expected_build_s(self._vectors)) > BUILD_S:
                self._tried.append(Tried(kind, expected_s, None, None))
                continue
            opened = self._tuned(build(kind, self._vectors, device), sample, exact)
            if opened is not None and FASTER * opened.report.search_ms <= ms:
                found.append(opened)
                if opened.report.search_ms <= QUICK_MS:
                    break
        if not found:
            return self.exactly(f"nothing finds {TARGET:.0%} of the best {K} in 1/{FASTER:g} of its {ms:.2g} ms")
        best = min(found, key=lambda opened: opened.report.search_ms)
        reason = f"{best.report.search_ms:.2g} ms a request, comparing every item {ms:.2g} ms"
        return self._explained(best, reason)

    def demanded(self, built: Built, sample: Sample) -> Opened:
        """Use an approximate index, unless its recall is too low."""
        kind = built.index.kind
        if not len(sample.fair):
            return self.exactly(f"EVENHAND_INDEX is {kind}, but {UNMEASURABLE}")
        opened = self._tuned(built, sample, sample.lists(self._ranker, DEEP))
        if opened is not None:
            return self._explained(opened, f"EVENHAND_INDEX is {kind}")
        recall = self._tried[-1].recall
        lack = f"has nothing to gain on {len(self._vectors)} items"
        if recall is not None:
            lack = f"finds {recall:.1%} of the best {K} before it takes as long as comparing every item"
        return self.exactly(f"EVENHAND_INDEX is {kind}, which {lack}")

    def _tuned(self, built: Built, sample: Sample, exact: Sequence[Ranking]) -> Opened | None:
        """An approximate index at the least effort whose recall suffices; None where none does."""
        index = built.index
        assert isinstance(index, Approximate)  # noqa: S101  for the type checker
        first = [Ranking(one.rows[:K], one.scores[:K]) for one in exact]
        (enough, most), took_s = timed(lambda: tuned(index, self._comparing, sample, first))
        if index.trouble:
            raise StartError(index.trouble)  # the measurement is not one of the index
        build_s = built.seconds + took_s
        if enough is None:
            self._tried.append(Tried(index.kind, build_s, None, most))
            return None
        ranker = enough.ranker
        ms = search_ms(ranker, sample, self._pause)
        self._tried.append(Tried(index.kind, build_s, ms, enough.recall))
        deep = float(recalls(sample.lists(ranker, DEEP), exact).mean())
        parameters = enough.index.parameters
        report = IndexReport(index.kind, index.device, False, parameters, "", enough.recall, deep, build_s, ms)
        return Opened(enough.index, ranker, built.note, report)

    def _explained(self, opened: Opened, reason: str) -> Opened:
        return replace(opened, report=replace(opened.report, reason=reason, tried=tuple(self._tried)))
