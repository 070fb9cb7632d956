"""Lists on one GPU, beside FAISS alone, torch alone and this machine's CPU: one table, under ten minutes.

    .venv/bin/python benchmarks/gpu.py [--items 100000 1000000]

Clustered catalogues of 64 dimensions as in `index.py`. *Alone* is the library's own search for 10 items; *ours* are
lists of 10 as a request gets them, proposals put into the exact order. p50 and p99 are those of whole batches. Results
go to results/gpu.json and gpu.md. On a machine without a GPU it says so and ends with status 0.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import faiss
import numpy as np
import torch
from index import NOTHING, SPREAD, Vectors
from machine import circumstances
from report import write_report

from service.index import Ranker, Ranking, Sample, make_ranker
from service.index.build import build
from service.index.gpu import GPU_SCRATCH_BYTES, no_gpu
from service.index.tune import K, recalls, tuned
from service.index.whole import WholeRanker

D, CLUSTERS, USERS = 64, 1000, 4096
BATCHES = (1, 64, 1024)
EACH_S = 4.0
"""Time for one backend with one size of batch."""
PACKAGES = ("faiss-gpu", "faiss-cpu", "torch")
COLUMNS = ("items", "search", "batch", "users/s", "p50 ms", "p99 ms", "recall@10", "")


@dataclass
class Row:
    """One search with one size of batch."""

    items: int
    search: str
    batch: int
    users_per_s: float
    p50_ms: float
    p99_ms: float
    recall: float
    note: str = ""


def catalogue(items: int) -> tuple[Vectors, Vectors]:
    """Items and users."""
    rng = np.random.default_rng(items)
    centres = rng.normal(size=(CLUSTERS, D)).astype(np.float32)
    noise = np.float32(SPREAD) * rng.standard_normal((items + USERS, D), np.float32)
    drawn = centres[rng.integers(0, CLUSTERS, items + USERS)] + noise
    return drawn[:items], drawn[items:]


def faiss_alone(vectors: Vectors) -> Callable[[Vectors], Any]:
    """Its flat index, as its documentation uses it."""
    resources = faiss.StandardGpuResources()
    resources.setTempMemory(GPU_SCRATCH_BYTES)
    index = faiss.GpuIndexFlatIP(resources, D)
    index.add(vectors)
    return lambda fair, _=resources: index.search(fair, K)[1]


def torch_alone(vectors: Vectors) -> Callable[[Vectors], Any]:
    """A matrix product and the top of it."""
    there = torch.from_numpy(vectors).cuda().T.contiguous()

    def search(fair: Vectors) -> Any:
        with torch.inference_mode():
            return torch.topk(torch.from_numpy(fair).cuda() @ there, K).indices.cpu().numpy()

    return search


def ours(kind: str, device: str, vectors: Vectors, users: Vectors, exact: Sequence[Ranking]) -> tuple[Any, str]:
    """Lists as they are served, and how hard an approximate index looks for them."""
    index = build(kind, vectors, device).index
    note = ""
    if kind == "ivf":
        enough, most = tuned(index, WholeRanker(vectors), Sample(users[:200], [NOTHING] * 200), exact[:200])
        if enough is None:
            return None, f"recall {most or 0:.3f} at most"
        index, note = enough.index, enough.index.parameters
    ranker = make_ranker(index, WholeRanker(vectors))
    return lambda fair: ranker.top(fair, [NOTHING] * len(fair), [K] * len(fair)), note


def as_lists(found: Any, vectors: Vectors, fair: Vectors) -> list[Ranking]:
    """Whatever a search returns, with exact scores."""
    if isinstance(found, list):
        return found
    scores = np.round(np.einsum("nkd,nd->nk", vectors[found].astype(np.float64), fair.astype(np.float64)), 6)
    return [Ranking(rows, near) for rows, near in zip(found, scores, strict=True)]


def measured(items: int) -> Iterator[Row]:
    """Every search on one catalogue."""
    vectors, users = catalogue(items)
    whole = Ranker(build("torch", vectors, "cuda").index, WholeRanker(vectors))
    exact = whole.top(users[:1024], [NOTHING] * 1024, [K] * 1024)
    searches: list[tuple[str, Callable[[], tuple[Any, str]]]] = [
        ("FAISS alone, GPU", lambda: (faiss_alone(vectors), "")),
        ("torch alone, GPU", lambda: (torch_alone(vectors), "")),
        ("ours, flat, GPU", lambda: ours("flat", "cuda", vectors, users, exact)),
        ("ours, torch, GPU", lambda: ours("torch", "cuda", vectors, users, exact)),
        ("ours, ivf, GPU", lambda: ours("ivf", "cuda", vectors, users, exact)),
        ("ours, ivf, CPU", lambda: ours("ivf", "cpu", vectors, users, exact)),
        ("ours, flat, CPU", lambda: ours("flat", "cpu", vectors, users, exact)),
    ]
    for name, make in searches:
        search, note = make()
        if search is None:
            yield Row(items, name, 0, 0.0, 0.0, 0.0, 0.0, note)
            continue
        for batch in BATCHES:
            found = [found for part in parts(users, batch) for found in as_lists(search(part), vectors, part)]
            recall = float(recalls(found, exact[: len(found)]).mean())
            took = times(search, users, batch)
            rate = batch / float(np.mean(took))
            p50, p99 = (1e3 * float(np.quantile(took, share)) for share in (0.5, 0.99))
            yield Row(items, name, batch, rate, p50, p99, recall, note)


def parts(users: Vectors, batch: int) -> list[Vectors]:
    """The users whose lists are compared with exact ones, 64 at least."""
    return [users[start : start + batch] for start in range(0, max(64, batch), batch)]


def times(search: Callable[[Vectors], Any], users: Vectors, batch: int) -> Sequence[float]:
    """Seconds of each batch, for `EACH_S` and at least ten of them."""
    took: list[float] = []
    until = time.perf_counter() + EACH_S
    while len(took) < 10 or time.perf_counter() < until:
        start = batch * len(took) % (USERS - batch + 1)
        fair = np.ascontiguousarray(users[start : start + batch])
        started = time.perf_counter()
        search(fair)
        took.append(time.perf_counter() - started)
    return took


def as_text(rows: Sequence[Row]) -> str:
    """Results as a table, and where they were measured."""
    lines = [f"| {' | '.join(COLUMNS)} |", "|---" * len(COLUMNS) + "|"]
    for row in rows:
        cells = [f"{row.items:,}", row.search, str(row.batch), f"{row.users_per_s:,.0f}", f"{row.p50_ms:.3f}"]
        lines.append(f"| {' | '.join([*cells, f'{row.p99_ms:.3f}', f'{row.recall:.3f}', row.note])} |")
    return "\n".join([*lines, "", f"{torch.cuda.get_device_name()}; one CPU thread."])


def main() -> int:
    """Measure, print and write; 0 where there is nothing to measure on."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--items", type=int, nargs="+", default=[100_000, 1_000_000])
    given = parser.parse_args()
    if reason := no_gpu() or (None if torch.cuda.is_available() else "torch finds no GPU"):
        print(f"nothing to measure here: {reason}")
        return 0
    faiss.omp_set_num_threads(1)
    torch.set_num_threads(1)
    facts = circumstances(PACKAGES)
    rows: list[Row] = []
    for items in given.items:
        for row in measured(items):
            rows.append(row)
            print(json.dumps(asdict(row)), flush=True)
    write_report("gpu", "Lists on one GPU", facts | {"rows": [asdict(row) for row in rows]}, as_text(rows))
    return 0


if __name__ == "__main__":
    sys.exit(main())
