"""Search alone, by every backend.

    .venv/bin/python benchmarks/index.py [--items 10000 100000 1000000] [--build-s 60]

Two kinds of catalogue, 64 dimensions: a mixture of 1,000 clusters, and iid Gaussian vectors, the worst case for
anything approximate. A backend is built with all cores and searched with one thread, as the service's worker does.
*List* is what a request waits for: lists of 10, proposals put into the exact order; *search* is the library's own part
of it. Batches are given in processor time, which other work on the machine changes less. Approximate backends look as
hard as they must for recall@10 of 0.98 on 200 users, and are measured on 200 others. hnswlib and usearch take part
where they are installed (`pip install hnswlib usearch`). A graph that would take longer to build than --build-s is left
out, as in the service. Results go to results/index.json and index.md.
"""

from __future__ import annotations

import argparse
import ctypes
import gc
import importlib.util
import json
import math
import os
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import Any

import faiss
import numpy as np
from index_peers import PEERS, Peer
from numpy.typing import NDArray

from service.index import Ranker, Ranking, Sample, make_ranker
from service.index.build import build
from service.index.flat import one_thread
from service.index.hnsw import PILOT, expected_build_s
from service.index.interface import WINDOWS
from service.index.tune import TARGET, K, Ranks, recalls, tuned

RESULTS = Path(__file__).parent / "results"
D, CLUSTERS, SPREAD, USERS, BATCH = 64, 1000, 0.5, 200, 64
ALONE_S, FEWEST = 5.0, 20
"""Time for one kind of search, at most; but so many are made."""
NOTHING = np.zeros(0, np.int32)
Vectors = NDArray[np.float32]


@dataclass
class Row:
    """One backend on one catalogue."""

    catalogue: str
    items: int
    backend: str
    build_s: float
    memory_mib: float
    recall: float
    list_p50_ms: float
    list_p99_ms: float
    list_batch_ms: float
    search_p50_ms: float
    note: str = ""


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
    search: Callable[[Vectors], Any], asked: Sequence[Vectors], clock: Callable[[], float] = time.perf_counter
) -> NDArray[np.float64]:
    """How long each takes; the first one is made once before. Of many slow ones not all are made."""
    search(asked[0])
    took: list[float] = []
    until = time.perf_counter() + ALONE_S
    for fair in asked:
        if len(took) >= FEWEST and time.perf_counter() > until:
            break
        started = clock()
        search(fair)
        took.append(1e3 * (clock() - started))
    return np.array(took)


def measured(
    ranker: Ranks, search: Callable[[Vectors], Any], users: Sample, exact: Sequence[Ranking]
) -> dict[str, float]:
    """What a request, a batch and a search take, and what lists hold."""

    def lists(fair: Vectors) -> list[Ranking]:
        return ranker.top(fair, [NOTHING] * len(fair), [K] * len(fair))

    with one_thread():
        each = [users.fair[row : row + 1] for row in range(USERS)]
        alone, raw = times_ms(lists, each), times_ms(search, each)
        shared = [users.fair[start : start + BATCH] for start in range(0, USERS - BATCH, BATCH)]
        batches = times_ms(lists, shared, time.process_time)
        found = lists(users.fair)
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
    return int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE") / 2**20


def ours(kind: str, items: int, build_s: float) -> Iterator[Row]:
    """Every backend of the service that is worth a try."""
    vectors, tuning, users = catalogue(kind, items)
    whole = Ranker(build("torch", vectors, "cpu").index, vectors)
    exact, first = users.lists(whole), tuning.lists(whole)
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
            enough, most = tuned(index, vectors, tuning, first)
            took += time.perf_counter() - started
            if enough is None:
                note = f"recall {most or 0:.3f} at most before comparing everything is as quick: not served"
                yield Row(kind, items, f"faiss {backend}", took, memory, most or 0.0, *[math.nan] * 4, note)
                continue
            index, note = enough.index, enough.index.parameters
        search = lambda fair, index=index: index.search(fair, WINDOWS[0], [NOTHING] * len(fair))  # noqa: E731
        name = "torch" if backend == "torch" else f"faiss {backend}"
        yield Row(
            kind, items, name, took, memory, **measured(make_ranker(index, vectors), search, users, exact), note=note
        )
    yield from peers(kind, vectors, tuning, first, users, exact, build_s)


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


COLUMNS = (
    "catalogue",
    "items",
    "backend",
    "build s",
    "memory MiB",
    "recall@10",
    "list p50 ms",
    "list p99 ms",
    "list in a batch of 64, processor ms",
    "search p50 ms",
    "list p50, × faster than flat",
    "",
)


def markdown(rows: Sequence[Row], machine: str) -> str:
    """Results as a table."""
    flat = {(row.catalogue, row.items): row.list_p50_ms for row in rows if row.backend == "faiss flat"}
    lines = ["# Search alone", "", "`.venv/bin/python benchmarks/index.py`, which says at its top what is what.", ""]

    for row in rows:
        if (row.catalogue, row.items) == ("clustered", 1_000_000) and row.backend == "faiss ivf":
            ratio = flat[row.catalogue, row.items] / row.list_p50_ms
            lines += [
                f"Budget (DESIGN 7), at least 20 at recall@10 of 0.98: **{ratio:.0f}** at {row.recall:.3f}.",
                "",
            ]

    lines += [f"| {' | '.join(COLUMNS)} |", "|---" * len(COLUMNS) + "|"]

    def figure(value: float, form: str) -> str:
        return "-" if math.isnan(value) else format(value, form)

    for row in rows:
        faster = flat[row.catalogue, row.items] / row.list_p50_ms
        cells = [
            row.catalogue,
            f"{row.items:,}",
            row.backend,
            figure(row.build_s, ".1f"),
            figure(max(0.0, row.memory_mib), ".0f"),
            figure(row.recall, ".3f"),
            figure(row.list_p50_ms, ".3f"),
            figure(row.list_p99_ms, ".3f"),
            figure(row.list_batch_ms, ".3f"),
            figure(row.search_p50_ms, ".3f"),
            figure(faster, ".1f"),
            row.note,
        ]
        lines.append(f"| {' | '.join(cells)} |")
    return "\n".join([*lines, "", machine, ""])


def main() -> None:
    """Measure, print and write."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--items", type=int, nargs="+", default=[10_000, 100_000, 1_000_000])
    parser.add_argument("--build-s", type=float, default=60.0)
    given = parser.parse_args()
    rows: list[Row] = []
    load = os.getloadavg()[0]
    for items in given.items:
        for kind in ("clustered", "gaussian"):
            for row in ours(kind, items, given.build_s):
                rows.append(row)
                print(json.dumps(asdict(row)), flush=True)
    load = max(load, os.getloadavg()[0])
    libraries = ", ".join(
        f"{name} {version(name)}" for name in ("faiss-cpu", "torch", "hnswlib", "usearch") if _installed(name)
    )
    day = datetime.now(UTC).date().isoformat()
    machine = f"{day}; {os.cpu_count()} cores, up to {load:.0f} processes on them; {libraries}; FAISS's "
    machine += f"{' '.join(faiss.get_compile_options().split())}."
    RESULTS.mkdir(exist_ok=True)
    facts = {"machine": machine, "rows": [asdict(row) for row in rows]}
    text = json.dumps(facts, indent=1).replace("NaN", "null")
    (RESULTS / "index.json").write_text(text + "\n", encoding="utf-8")
    table = markdown(rows, machine)
    (RESULTS / "index.md").write_text(table, encoding="utf-8")
    print("\n" + table)


def _installed(name: str) -> bool:
    try:
        version(name)
    except ModuleNotFoundError:
        return False
    return True


if __name__ == "__main__":
    main()
