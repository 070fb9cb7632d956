"""Search alone, by every backend.

    .venv/bin/python benchmarks/index.py [--items 10000 100000 1000000] [--build-s 60]

Two kinds of catalogue, 64 dimensions: a mixture of 1,000 clusters, and iid Gaussian vectors, the worst case for
anything approximate. A backend is built with all cores and searched with one thread, as the service's worker does.
*List* is what a request waits for: lists of 10, proposals put into the exact order; *search* is the library's own part
of it. Batches are given in processor time, which other work on the machine changes less. Approximate backends look as
hard as they must for recall@10 of 0.98 on 200 users, and are measured on 200 others. The last rows of a catalogue are
lists without what the user has seen, 30 items at random and half of the best ten: by us and by `recommend` of implicit,
for the same vectors. hnswlib, usearch and implicit take part where they are installed (`pip install hnswlib usearch
implicit`). A graph that would take longer to build than --build-s is left out, as in the service. Results go to
results/index.json and index.md.
"""

from __future__ import annotations

import ctypes
import gc
import importlib.util
import json
import math
import os
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, replace
from typing import Any

import numpy as np
import torch
from command import Command
from index_peers import PEERS, Implicit, Peer
from index_table import WITHOUT, Row, markdown
from loopback import resident_mib
from machine import circumstances
from numpy.typing import NDArray
from report import write_report
from threadpoolctl import threadpool_limits

from service.index import Ranking, Sample, SearchBatch, make_ranker
from service.index.build import AnyIndex, build
from service.index.dense import TorchIndex
from service.index.exhaustive_ranker import ExhaustiveRanker
from service.index.flat import one_thread
from service.index.hnsw import PILOT, expected_build_s
from service.index.interface import WINDOWS, Approximate, Ranker
from service.index.tune import TARGET, K, recalls, tuned

D, CLUSTERS, SPREAD, USERS, BATCH = 64, 1000, 0.5, 200, 64
ALONE_S, FEWEST = 5.0, 20
"""Time for one kind of search, at most; but so many are made."""
NOTHING = np.zeros(0, np.int32)
ANY = 30
"""Seen items that are no favourites."""
PACKAGES = ("faiss-cpu", "torch", "numpy", "hnswlib", "usearch", "implicit")
Vectors = NDArray[np.float32]
Search = Callable[[Vectors, Any], Any]
"""The library's own part: (B, d) fair vectors, and what is dropped for each → proposals."""


def catalogue(kind: str, items: int) -> tuple[Vectors, Sample, Sample]:
    """Items, users to tune with, and others to measure with."""
    rng = np.random.default_rng(items)
    centres = rng.normal(size=(CLUSTERS, D)).astype(np.float32)

    def draw(count: int) -> Vectors:
        noise = rng.standard_normal((count, D), np.float32)
        return noise if kind == "gaussian" else centres[rng.integers(0, CLUSTERS, count)] + np.float32(SPREAD) * noise

    vectors = draw(items)
    return vectors, *(Sample(draw(USERS), [NOTHING] * USERS) for _ in range(2))


def times_ms(
    work: Callable[[slice], Any], asked: Sequence[slice], clock: Callable[[], float] = time.perf_counter
) -> NDArray[np.float64]:
    """How long each takes; the first one is made once before. Of many slow ones not all are made."""
    work(asked[0])
    took: list[float] = []
    until = time.perf_counter() + ALONE_S
    for users in asked:
        if len(took) >= FEWEST and time.perf_counter() > until:
            break
        started = clock()
        work(users)
        took.append(1e3 * (clock() - started))
    return np.array(took)


def measured(ranker: Ranker, search: Search, users: Sample, exact: Sequence[Ranking]) -> dict[str, float]:
    """What a request, a batch and a search take, and what lists hold."""

    def lists(part: slice) -> list[Ranking]:
        fair = users.fair[part]
        return ranker.top(SearchBatch(fair, users.dropped[part], [K] * len(fair)))

    with one_thread():
        each = [slice(row, row + 1) for row in range(USERS)]
        alone = times_ms(lists, each)
        raw = times_ms(lambda part: search(users.fair[part], users.dropped[part]), each)
        shared = [slice(start, start + BATCH) for start in range(0, USERS - BATCH, BATCH)]
        batches = times_ms(lists, shared, time.process_time)
        found = lists(slice(None))
    return {
        "recall": float(recalls(found, exact).mean()),
        "list_p50_ms": float(np.quantile(alone, 0.5)),
        "list_p99_ms": float(np.quantile(alone, 0.99)),
        "list_batch_ms": float(np.median(batches)) / BATCH,
        "search_p50_ms": float(np.quantile(raw, 0.5)),
    }


def rss_mib() -> float:
    """Resident memory, after what is free has been given back."""
    gc.collect()
    ctypes.CDLL(None).malloc_trim(0)
    return resident_mib(os.getpid())


def ours(kind: str, items: int, build_s: float) -> Iterator[Row]:
    """Every backend of the service that is worth a try."""
    vectors, tuning, users = catalogue(kind, items)
    whole = ExhaustiveRanker(vectors)
    exact, first = users.lists(whole), tuning.lists(whole)
    found: list[tuple[Row, AnyIndex]] = []
    for backend in ("flat", "torch", "ivf", "hnsw"):
        if backend == "hnsw" and (expected := expected_build_s(vectors)) > build_s:
            yield Row(kind, items, backend, expected, *[math.nan] * 6, "not built: expected to take longer")
            continue
        before = rss_mib()
        built = build(backend, vectors, "cpu")
        memory, took, index = rss_mib() - before, built.seconds, built.index
        note = ""
        if backend in ("ivf", "hnsw"):
            started = time.perf_counter()
            enough, most = tuned(index, whole, tuning, first)
            took += time.perf_counter() - started
            if enough is None:
                note = f"recall {most or 0:.3f} at most before comparing everything is as quick: not served"
                yield Row(kind, items, f"faiss {backend}", took, memory, most or 0.0, *[math.nan] * 4, note)
                continue
            index, note = enough.index, enough.index.parameters
        name = "torch" if backend == "torch" else f"faiss {backend}"
        figures = measured(make_ranker(index, whole), _search(index), users, exact)
        found.append((Row(kind, items, name, took, memory, **figures, note=note), index))
        yield found[-1][0]
    yield from peers(kind, vectors, tuning, first, users, exact, build_s)
    yield from unseen(vectors, tuning, users, whole, found)


def unseen(
    vectors: Vectors, tuning: Sample, users: Sample, whole: ExhaustiveRanker, ours: Sequence[tuple[Row, AnyIndex]]
) -> Iterator[Row]:
    """Lists without what was seen: ours again, and those of a library that makes such lists too."""
    tuning, users = (_with_seen(each, whole, len(vectors)) for each in (tuning, users))
    exact, first = users.lists(whole), tuning.lists(whole)
    for row, index in ours:
        note = WITHOUT
        if isinstance(index, Approximate):
            enough, _ = tuned(index, whole, tuning, first)
            if enough is None:
                continue
            index, note = enough.index, f"{enough.index.parameters}; {WITHOUT}"
        yield replace(row, **measured(make_ranker(index, whole), _search(index), users, exact), note=note)
    if importlib.util.find_spec("implicit"):
        peer = Implicit(vectors)
        rows = Sample(users.fair, peer.seen(users.dropped))
        with threadpool_limits(1, "blas"):
            found = measured(peer, peer.search, rows, exact)
        yield Row(ours[0][0].catalogue, len(vectors), "implicit", 0.0, 0.0, **found, note=WITHOUT)


def _search(index: AnyIndex) -> Search:
    if isinstance(index, TorchIndex):  # which proposes nothing on a CPU: the product, and the best of it
        return lambda fair, _: torch.topk(torch.from_numpy(fair) @ index.vectors.T, min(WINDOWS[0], len(index.vectors)))
    return lambda fair, dropped: index.search(fair, WINDOWS[0], dropped)


def _with_seen(users: Sample, whole: ExhaustiveRanker, items: int) -> Sample:
    rng = np.random.default_rng(items)
    both = [np.concatenate([rng.integers(0, items, ANY), best.rows[::2]]) for best in users.lists(whole)]
    return Sample(users.fair, [np.unique(rows).astype(np.int32) for rows in both])


def peers(
    kind: str,
    vectors: Vectors,
    tuning: Sample,
    first: list[Ranking],
    users: Sample,
    exact: list[Ranking],
    build_s: float,
) -> Iterator[Row]:
    """Two other libraries, where they are installed, made to reach the same recall."""
    threads = os.cpu_count() or 1
    for name in PEERS:
        if importlib.util.find_spec(name) is None:
            continue
        items = len(vectors)
        started = time.perf_counter()
        Peer(name, vectors[:PILOT], threads)
        pilot = time.perf_counter() - started
        expected = pilot * items * math.log(items) / (PILOT * math.log(PILOT))
        if expected > build_s:
            yield Row(kind, items, name, expected, *[math.nan] * 6, "not built: expected to take longer")
            continue
        before, started = rss_mib(), time.perf_counter()
        peer = Peer(name, vectors, threads)
        took, memory = time.perf_counter() - started, rss_mib() - before
        for ef in (16, 32, 64, 96, 128, 192, 256, 384, 512, 1024, 2048):
            peer.effort(ef)
            if recalls(tuning.lists(peer), first).mean() >= TARGET:
                break
        yield Row(kind, items, name, took, memory, **measured(peer, peer.search, users, exact), note=f"ef={ef}")


def main() -> None:
    """Measure, print and write."""
    command = Command(__doc__)
    command.add_size("--items", type=int, nargs="+", default=[10_000, 100_000, 1_000_000])
    command.add_size("--build-s", type=float, default=60.0)
    given = command.options()
    facts, rows = circumstances(PACKAGES), []
    for items in given.items:
        for kind in ("clustered", "gaussian"):
            for row in ours(kind, items, given.build_s):
                rows.append(row)
                print(json.dumps(asdict(row)), flush=True)
    plain = [{name: None if value != value else value for name, value in asdict(row).items()} for row in rows]
    write_report(given.results, "index", "Search alone", facts | {"rows": plain}, markdown(rows))


if __name__ == "__main__":
    main()
