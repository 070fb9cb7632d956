"""The whole service by the size of its bundle, and by the number of attributes.

    .venv/bin/python benchmarks/scale.py [--items 10000 100000 1000000] [--attributes 1 2 4 8 16]

Needs wrk (Debian's package). Bundles are generated (`generated.py`): a mixture of 1,000 clusters, or iid Gaussian
vectors, the worst case for anything approximate; 64 dimensions, 20 to 50 seen items a user, an AFRL encoder. Each is
started three times, its files in the page cache: first (every file verified), later (the stamp is trusted), and for the
load of 16 connections: users at random, masks at random, log on, cache off. The index is what `auto` chose, built with
all cores, its recall what the service measured. *Anonymous* memory is the process's own; the rest of what is resident
are pages of files.

How long a request takes must not grow with 2^M: AFRL and lattice bundles with M attributes on a small catalogue, under
random masks.

The Gaussian bundles, and all with fewer than 1,000,000 items, have 100,000 users. Everything takes a quarter of an hour
on two cores, 2 GiB of disk and 5 GiB of memory. Results go to results/scale.json and scale.md; pictures beside them
where matplotlib is installed (`scale_plots.py`).
"""

from __future__ import annotations

import importlib.util
import itertools
import json
import os
import re
import resource
import shutil
import statistics
import tempfile
import time
import urllib.request
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import numpy as np
from command import Command
from generated import Method, Size, Taste, generated_bundle
from loopback import (
    CONNECTIONS,
    check_wrk,
    free_ports,
    load,
    resident_mib,
    seconds_to_ready,
    service,
    warm,
    write_script,
)
from machine import circumstances
from report import write_report
from scale_table import as_text

from bundle import write_bundle

(PORT,) = free_ports(1)
MANY, SEEN = 1_000_000, 50
ASKING, MASKS = 20_000, 256
"""Users and masks, at most, that a load is made of."""
MASK_ITEMS, MASK_USERS = 10_000, 10_000
TASTES: tuple[Taste, ...] = ("gaussian", "clustered")
METHODS: tuple[Method, ...] = ("afrl", "lattice")
PACKAGES = ("fastapi", "uvicorn", "sqlalchemy", "pyarrow", "numpy", "torch", "faiss-cpu")
STAGES = ("queue", "compute", "commit")
MEMORY = ("VmRSS", "RssAnon", "RssFile", "VmHWM")


def main() -> None:
    """By size, then by attributes."""
    command = Command(__doc__)
    command.add_size("--items", type=int, nargs="*", default=[10_000, 100_000, 1_000_000])
    command.add_size("--attributes", type=int, nargs="*", default=[1, 2, 4, 8, 16])
    command.add_size("--users", type=int, default=100_000)
    command.add_size("--tastes", nargs="+", choices=TASTES, default=TASTES)
    command.add_size("--methods", nargs="+", choices=METHODS, default=METHODS)
    command.add_size("--threads", type=int, default=os.cpu_count(), help="all cores, as where nobody says otherwise")
    command.add_size("--seconds", type=int, default=4)
    command.add_size("--rounds", type=int, default=3)
    options = command.options()
    check_wrk()
    facts = circumstances(PACKAGES) | {"connections": CONNECTIONS, "seconds": options.seconds}
    kinds = {
        "sizes": by_size(options.items, options.tastes, options.users),
        "masks": by_attributes(options.attributes, options.methods, min(options.users, MASK_USERS)),
    }
    result = facts | {kind: [measure(size, options) for size in sizes] for kind, sizes in kinds.items()}
    write_report(options.results, "scale", "The whole service by size", result, as_text(result))
    if importlib.util.find_spec("matplotlib"):
        from scale_plots import draw

        draw(result, options.results)


def by_size(counts: Sequence[int], tastes: Sequence[Taste], users: int) -> Iterator[Size]:
    """Each taste at each number of items; at the largest, more users too."""
    for items in counts:
        for taste in tastes:
            yield Size(users, items, SEEN, taste=taste)
        if items >= MANY and "clustered" in tastes:
            yield Size(MANY, items, SEEN, taste="clustered")


def by_attributes(counts: Sequence[int], methods: Sequence[Method], users: int) -> Iterator[Size]:
    """Small bundles with so many attributes of two classes, by each method."""
    for count in counts:
        classes = {f"attribute_{n + 1}": 2 for n in range(count)}
        for method in methods:
            yield Size(users, MASK_ITEMS, SEEN, classes, "clustered", method)


def measure(size: Size, options: Any) -> dict[str, Any]:
    """One bundle: made, started, loaded, deleted."""
    folder, threads = Path(tempfile.mkdtemp(prefix="evenhand-scale-")), str(options.threads)
    try:
        with ProcessPoolExecutor(1, get_context("spawn")) as pool:  # this process stays small
            made = pool.submit(make, size, folder).result()
        found = {
            "taste": size.taste,
            "method": size.method,
            "items": size.items,
            "users": size.users,
            "attributes": len(size.classes),
            "making": made,
            "starts": [start(folder, after, threads) for after in ("first", "later")],
            **serve(size, folder, threads, options.seconds, options.rounds),
        }
    finally:
        shutil.rmtree(folder)
    print(json.dumps(found), flush=True)
    return found


def make(size: Size, folder: Path) -> dict[str, float]:
    """Generate and write a bundle, in a process of its own; what that took, and how many parts a user has."""
    began = time.perf_counter()
    bundle = generated_bundle(1, size)
    version = write_bundle(bundle, folder)
    took_s = time.perf_counter() - began
    size_mib = sum(path.stat().st_size for path in version.rglob("*") if path.is_file()) / 2**20
    peak_mib = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**10
    parts = len(bundle.description.parts)
    return {"took_s": took_s, "peak_mib": peak_mib, "size_mib": size_mib, "parts": parts}


def start(folder: Path, which: str, threads: str) -> dict[str, Any]:
    """Seconds until it is ready, and what the service says of them."""
    log = folder / f"{which}.log"
    settings = {"EVENHAND_LOG_LEVEL": "info", "OMP_NUM_THREADS": threads}
    ready_s = seconds_to_ready(served(folder), PORT, folder / "start.db", log, **settings)
    said = {event["event"]: event for event in map(json.loads, log.read_text().splitlines())}
    timings_ms = {name: value for name, value in said["ready"].items() if name.endswith("_ms")}
    return {"start": which, "ready_s": ready_s, **timings_ms, "tried": said["index"].get("tried", [])}


def served(folder: Path) -> Path:
    """The version that `make` wrote."""
    return folder / "generated" / "1"


def serve(size: Size, folder: Path, threads: str, seconds: int, rounds: int) -> dict[str, Any]:
    """Index, memory and load of a service."""
    rng = np.random.default_rng(0)
    users = rng.choice(size.users, min(ASKING, size.users), replace=False).astype(str).tolist()
    script = write_script(folder / "users.lua", users, some_masks(rng, list(size.classes)))
    with service(served(folder), PORT, folder / "log.db", OMP_NUM_THREADS=threads) as pid:
        started = {kind: resident_mib(pid, kind) for kind in MEMORY}
        warm(PORT, script, seconds)
        before = scraped()
        loads = [load(PORT, script, seconds, pid) for _ in range(rounds)]
        after = scraped()
        loaded = {kind: resident_mib(pid, kind) for kind in MEMORY}
    return {
        "index": after["index"],
        "memory_mib": {"started": started, "loaded": loaded},
        "rounds": loads,
        "median": {name: statistics.median(one[name] for one in loads) for name in loads[0]},
        "stages_ms": stages_ms(before["numbers"], after["numbers"]),
    }


def some_masks(rng: np.random.Generator, names: Sequence[str]) -> list[str]:
    """All of them, or some at random where there are more: names, joined by commas."""
    if 2 ** len(names) <= MASKS:
        flags = itertools.product((False, True), repeat=len(names))
    else:
        flags = map(tuple, rng.random((MASKS, len(names))) < 0.5)
    return [",".join(itertools.compress(names, each)) for each in flags]


def scraped() -> dict[str, Any]:
    """What the service exports: plain numbers, and which index it is."""
    with urllib.request.urlopen(f"http://127.0.0.1:{PORT}/metrics", timeout=60) as answer:
        text = answer.read().decode()
    numbers = {name: float(value) for name, value in re.findall(r"^evenhand_(\w+) (\S+)$", text, re.MULTILINE)}
    described = re.search(r"^evenhand_index_info\{(.*)\}", text, re.MULTILINE)
    assert described is not None
    index = dict(re.findall(r'(\w+)="([^"]*)"', described[1]))
    measured = {name: numbers[f"index_{name}"] for name in ("recall", "build_seconds", "search_seconds")}
    return {"numbers": numbers, "index": index | measured}


def stages_ms(before: Mapping[str, float], after: Mapping[str, float]) -> dict[str, float]:
    """Mean time of each stage between two scrapes: a request's wait, a batch, a commit; and requests in a batch."""

    def mean(name: str) -> float:
        total, count = (after[f"{name}_{of}"] - before[f"{name}_{of}"] for of in ("sum", "count"))
        return total / count

    return {stage: 1e3 * mean(f"{stage}_seconds") for stage in STAGES} | {"batch": mean("batch_size")}


if __name__ == "__main__":
    main()
