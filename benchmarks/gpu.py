"""Lists on one GPU, beside FAISS alone, torch alone and this machine's CPU: one table, under ten minutes.

    .venv/bin/python benchmarks/gpu.py [--items 100000 1000000]

Clustered catalogues of 64 dimensions as in `index.py`. Searched with are fair vectors of an AFRL encoder for three
attributes, each under some mask, near the users' own vectors. *Alone* is the library's own search for 10 items, given
these vectors; *ours* are lists of 10 as a request gets them, proposals put into the exact order. The *whole path* has
rows of users and masks to begin with: parts, mask, combine, search, exact lists; below the table stands how many times
longer than FAISS alone it takes for the largest batch. p50 and p99 are those of whole batches. Results go to
results/gpu.json and gpu.md. On a machine without a GPU it says so and ends with status 0.
"""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import faiss
import numpy as np
import torch
from command import Command
from generated import Size, generated_bundle
from index import NOTHING, SPREAD, Vectors
from machine import circumstances
from report import write_report

from bundle import Users
from service.index import Device, Kind, Ranker, Ranking, Sample, SearchBatch, make_ranker
from service.index.build import build, build_exact
from service.index.exhaustive_ranker import ExhaustiveRanker
from service.index.gpu import GPU_SCRATCH_BYTES, no_gpu
from service.index.interface import Approximate
from service.index.tune import K, recalls, tuned
from service.model.encoder import UserEncoder

D, CLUSTERS, USERS = 64, 1000, 4096
BATCHES = (1, 64, 1024)
EACH_S, FEWEST = 2.0, 5
"""Time for one search with one size of batch, and batches that are timed at least."""
ALONE, WHOLE = "FAISS alone, GPU", "ours, whole path, GPU"
WANTED = 1.5
"""Times as long as FAISS alone, at most."""
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


@dataclass(frozen=True)
class Requests:
    """What is asked."""

    encoder: UserEncoder
    """On the CPU."""
    masks: Sequence[Sequence[bool]]
    """For each user."""
    fair: Vectors
    """(U, d) fair vectors of the users under them."""


Search = Callable[[slice], Any]
"""Some of the requests, answered."""


def requests(users: Vectors) -> Requests:
    """(U, d) user vectors, through an encoder as in `generated.py`."""
    network = generated_bundle(size=Size(users=2, items=1_000, taste="clustered")).encoder
    with torch.no_grad():
        parts = network.split(torch.from_numpy(users)).contiguous().numpy()
    encoder = UserEncoder(network, Users(tuple(map(str, range(len(users)))), parts), unit_length=False)
    masks = (np.random.default_rng(1).random((len(users), 3)) < 0.5).tolist()
    return Requests(encoder, masks, encoder.fair_vectors(range(len(users)), masks))


def faiss_alone(vectors: Vectors, fair: Vectors) -> Search:
    """Its flat index, as its documentation uses it."""
    resources = faiss.StandardGpuResources()
    resources.setTempMemory(GPU_SCRATCH_BYTES)
    index = faiss.GpuIndexFlatIP(resources, D)
    index.add(vectors)
    return lambda some, _=resources: index.search(fair[some], K)[1]


def torch_alone(vectors: Vectors, fair: Vectors) -> Search:
    """A matrix product and the top of it."""
    there = torch.from_numpy(vectors).cuda().T.contiguous()

    def search(some: slice) -> Any:
        with torch.inference_mode():
            return torch.topk(torch.from_numpy(fair[some]).cuda() @ there, K).indices.cpu().numpy()

    return search


def ours(
    kind: Kind, device: Device, vectors: Vectors, fair: Vectors, exact: Sequence[Ranking]
) -> tuple[Search | None, str]:
    """Lists as they are served, and how hard an approximate index looks for them."""
    index = build(kind, vectors, device).index
    note = ""
    if isinstance(index, Approximate):
        enough, most = tuned(index, ExhaustiveRanker(vectors), Sample(fair[:200], [NOTHING] * 200), exact[:200])
        if enough is None:
            return None, f"recall {most or 0:.3f} at most"
        index, note = enough.index, enough.index.parameters
    return lists(make_ranker(index, ExhaustiveRanker(vectors)), lambda some: fair[some]), note


def whole_path(device: Device, vectors: Vectors, asked: Requests) -> Search:
    """From rows of users and masks on, as `auto` does it: encoder and exact search on one device."""
    encoder = asked.encoder if device == "cpu" else asked.encoder.on(device)
    ranker = make_ranker(build_exact(vectors, device).index, ExhaustiveRanker(vectors))
    rows = range(USERS)
    return lists(ranker, lambda some: encoder.fair_vectors(rows[some], asked.masks[some]))


def lists(ranker: Ranker, fair: Callable[[slice], Vectors]) -> Search:
    """Lists of 10, nothing left out of them."""

    def search(some: slice) -> list[Ranking]:
        vectors = fair(some)
        return ranker.top(SearchBatch(vectors, [NOTHING] * len(vectors), [K] * len(vectors)))

    return search


def as_lists(found: Any, vectors: Vectors, fair: Vectors) -> list[Ranking]:
    """Whatever a search returns, with exact scores."""
    if isinstance(found, list):
        return found
    scores = np.round(np.einsum("nkd,nd->nk", vectors[found].astype(np.float64), fair.astype(np.float64)), 6)
    return [Ranking(rows, near) for rows, near in zip(found, scores, strict=True)]


def measured(items: int) -> Iterator[Row]:
    """Every search on one catalogue."""
    vectors, users = catalogue(items)
    asked = requests(users)
    fair = asked.fair
    exact = ExhaustiveRanker(vectors).top(SearchBatch(fair[:1024], [NOTHING] * 1024, [K] * 1024))
    searches: list[tuple[str, Callable[[], tuple[Search | None, str]]]] = [
        (ALONE, lambda: (faiss_alone(vectors, fair), "")),
        ("torch alone, GPU", lambda: (torch_alone(vectors, fair), "")),
        ("ours, flat, GPU", lambda: ours("flat", "cuda", vectors, fair, exact)),
        ("ours, torch, GPU", lambda: ours("torch", "cuda", vectors, fair, exact)),
        ("ours, ivf, GPU", lambda: ours("ivf", "cuda", vectors, fair, exact)),
        (WHOLE, lambda: (whole_path("cuda", vectors, asked), "")),
        ("ours, ivf, CPU", lambda: ours("ivf", "cpu", vectors, fair, exact)),
        ("ours, whole path, CPU", lambda: (whole_path("cpu", vectors, asked), "")),
    ]
    for name, make in searches:
        search, note = make()
        if search is None:
            yield Row(items, name, 0, 0.0, 0.0, 0.0, 0.0, note)
            continue
        for batch in BATCHES:
            found = [one for some in first(batch) for one in as_lists(search(some), vectors, fair[some])]
            recall = float(recalls(found, exact[: len(found)]).mean())
            took = times(search, batch)
            rate = batch / float(np.mean(took))
            p50, p99 = (1e3 * float(np.quantile(took, share)) for share in (0.5, 0.99))
            yield Row(items, name, batch, rate, p50, p99, recall, note)


def first(batch: int) -> list[slice]:
    """The requests whose lists are compared with exact ones, 64 at least."""
    return [slice(start, start + batch) for start in range(0, max(64, batch), batch)]


def times(search: Search, batch: int) -> Sequence[float]:
    """Seconds of each batch, for `EACH_S` and at least `FEWEST` of them."""
    took: list[float] = []
    until = time.perf_counter() + EACH_S
    while len(took) < FEWEST or time.perf_counter() < until:
        start = batch * len(took) % (USERS - batch + 1)
        started = time.perf_counter()
        search(slice(start, start + batch))
        took.append(time.perf_counter() - started)
    return took


def ratios(rows: Sequence[Row]) -> Mapping[str, float]:
    """Number of items → how many times longer than FAISS alone the whole path takes for the largest batch."""
    rate = {(row.items, row.search): row.users_per_s for row in rows if row.batch == BATCHES[-1]}
    return {str(items): rate[items, ALONE] / rate[items, WHOLE] for items, search in rate if search == WHOLE}


def as_text(rows: Sequence[Row]) -> str:
    """Results as a table, and where they were measured."""
    lines = [f"| {' | '.join(COLUMNS)} |", "|---" * len(COLUMNS) + "|"]
    for row in rows:
        cells = [f"{row.items:,}", row.search, str(row.batch), f"{row.users_per_s:,.0f}", f"{row.p50_ms:.3f}"]
        lines.append(f"| {' | '.join([*cells, f'{row.p99_ms:.3f}', f'{row.recall:.3f}', row.note])} |")
    lines.append("")
    for items, ratio in ratios(rows).items():
        lines.append(
            f"The whole path at {int(items):,} items: {ratio:.2f} times FAISS alone; wanted: {WANTED} at most."
        )
    return "\n".join([*lines, "", f"{torch.cuda.get_device_name()}; one CPU thread."])


def main() -> int:
    """Measure, print and write; 0 where there is nothing to measure on."""
    command = Command(__doc__)
    command.add_size("--items", type=int, nargs="+", default=[100_000, 1_000_000])
    given = command.options()
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
    results = {"rows": [asdict(row) for row in rows], "whole_path_to_faiss_alone": ratios(rows)}
    write_report(given.results, "gpu", "Lists on one GPU", facts | results, as_text(rows))
    return 0


if __name__ == "__main__":
    sys.exit(main())
