"""Lists for many users as a file, beside `recommend` of implicit.

    .venv/bin/python benchmarks/lists.py [--users 100000] [--items 100000] [--lists 100000] [--rounds 3]

A generated bundle: AFRL, clustered vectors of 64 dimensions, 20 to 100 seen items a user. Lists of 100 without seen
items, gender and age protected, every item compared (EVENHAND_INDEX=torch). *Ours* is the whole command after the
imports: the bundle is loaded, plans and fair vectors are made, lists are put into the exact order, and a Parquet file
is written. *Ranker* is the part of it that implicit does too: fair vectors in, exact lists out. *implicit* is its
`recommend` alone: it gets the same fair vectors and seen items as arrays, and returns rows. Both with one thread,
then with two, in turn; wall time, and processor time, which other work on the machine changes less. A ratio is of one
round. Lists are compared once: implicit orders by float32 scores, so that near ties may change places. implicit is in
the extra `train`. Results go to results/lists.json and lists.md.
"""

from __future__ import annotations

import os
import tempfile
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np
import pyarrow.parquet as pq
from command import Command
from generated import Size, generated_bundle
from index_peers import Implicit
from machine import circumstances
from numpy.typing import NDArray
from report import write_report
from threadpoolctl import threadpool_limits

from bundle import Bundle, read_bundle, write_bundle
from service.index import SearchBatch
from service.lists.command import Asked, make_lists
from service.lists.maker import BLOCK
from service.model.encoder import UserEncoder
from service.model.inference import use_one_thread
from service.model.loaded import Model, load_model
from service.settings import Settings

K, SEEN = 100, 100
PROTECTED = ("gender", "age")
THREADS = (1, 2)
CLOCKS = ("wall_s", "processor_s")
AT_A_TIME = 1024
"""Users whose fair vectors are made at once."""
PACKAGES = ("implicit", "torch", "numpy", "scipy")


def fair_vectors(bundle: Bundle, users: int) -> NDArray[np.float32]:
    """(users, d) of the first users, as serving makes them."""
    encoder = UserEncoder(bundle.encoder, bundle.users, unit_length=False)
    mask = bundle.description.mask(PROTECTED)
    blocks = [range(start, min(start + AT_A_TIME, users)) for start in range(0, users, AT_A_TIME)]
    return np.concatenate([encoder.fair_vectors(rows, [mask] * len(rows)) for rows in blocks])


def timed(work: Callable[[], Any]) -> tuple[dict[str, float], Any]:
    """Seconds by the clock and of processors, and what came out."""
    wall, processor = time.perf_counter(), time.process_time()
    found = work()
    return {"wall_s": time.perf_counter() - wall, "processor_s": time.process_time() - processor}, found


def ranked(model: Model, fair: NDArray[np.float32], threads: int) -> None:
    """Lists of given fair vectors, as the command has them made."""

    def some(start: int) -> None:
        rows = range(start, min(start + BLOCK, len(fair)))
        dropped = [model.bundle.seen.of(row) for row in rows]
        model.ranker.top(SearchBatch(fair[start : start + BLOCK], dropped, [K] * len(rows)))

    with ThreadPoolExecutor(threads, initializer=use_one_thread) as pool:
        list(pool.map(some, range(0, len(fair), BLOCK)))


def compared(theirs: NDArray[np.int64], out: Path) -> dict[str, float]:
    """How many lists are the same in every place, and how many items the two share."""
    lists = [list(map(int, row)) for row in pq.read_table(out, columns=["items"])["items"].to_pylist()]
    pairs = list(zip(lists, theirs.tolist(), strict=True))
    same = sum(ours == other for ours, other in pairs) / len(pairs)
    return {"same_lists": same, "same_items": sum(len({*ours} & {*other}) for ours, other in pairs) / (K * len(pairs))}


def measure(folder: Path, given: Any) -> dict[str, Any]:
    """Both, in turn."""
    size = Size(users=given.users, items=given.items, seen=SEEN, taste="clustered")
    where = write_bundle(generated_bundle(size=size), folder)
    bundle = read_bundle(where)
    fair = fair_vectors(bundle, given.lists)
    people = folder / "people.txt"
    people.write_text("".join(f"{user}\n" for user in range(given.lists)))
    out = folder / "lists.parquet"
    settings = Settings(bundle=where, device="cpu", index="torch")
    model = load_model(where, "cpu", "torch")
    asked = {"sensitive": PROTECTED, "k": K, "exclude_seen": True, "group": (), "fallback": None}
    rounds: list[dict[str, Any]] = []
    lists: dict[str, float] = {}
    for number in range(given.rounds):
        for threads in THREADS:
            us = Asked(**asked, users=str(people), out=out, database="none", threads=threads)
            peer = Implicit(bundle.items.vectors, threads)
            seen = peer.seen([bundle.seen.of(user) for user in range(given.lists)])
            ours, _ = timed(lambda us=us: make_lists(settings, us))
            ranker, _ = timed(lambda threads=threads: ranked(model, fair, threads))
            with threadpool_limits(1, "blas"):
                theirs, found = timed(lambda peer=peer, seen=seen: peer.search(fair, seen, K))
            lists = lists or compared(found, out)
            rounds.append({"round": number, "threads": threads, "ours": ours, "ranker": ranker, "implicit": theirs})
            print(rounds[-1], flush=True)
    sizes = {"users": given.users, "items": given.items, "lists": given.lists, "k": K, "file_bytes": out.stat().st_size}
    return {**sizes, **lists, "rounds": rounds}


def as_text(result: dict[str, Any]) -> str:
    """A row for each number of threads: medians of the rounds, and the ratios of each."""
    head = (
        "| threads | ours, users/s | implicit, users/s | ours / implicit | in processor time | ranker / implicit "
        "| in processor time |\n|---|---|---|---|---|---|---|"
    )
    rows = []
    for threads in THREADS:
        rounds = [each for each in result["rounds"] if each["threads"] == threads]
        speed = {who: result["lists"] / median(each[who]["wall_s"] for each in rounds) for who in ("ours", "implicit")}
        cells = [str(threads), f"{speed['ours']:,.0f}", f"{speed['implicit']:,.0f}"]
        for who in ("ours", "ranker"):
            cells += [_spread([each["implicit"][clock] / each[who][clock] for each in rounds]) for clock in CLOCKS]
        rows.append(f"| {' | '.join(cells)} |")
    about = (
        f"Lists of {result['k']} for {result['lists']:,} users of {result['users']:,}, {result['items']:,} items, "
        f"{' and '.join(PROTECTED)} protected; median of {len(result['rounds']) // len(THREADS)} rounds, and the "
        f"smallest and largest ratio. {result['same_lists']:.2%} of the lists are the same in every place, and "
        f"{result['same_items']:.4%} of the items. The file has {result['file_bytes'] / 2**20:,.0f} MiB."
    )
    return "\n".join([about, "", "Budget: users/s of implicit, at least.", "", head, *rows])


def _spread(ratios: Sequence[float]) -> str:
    return f"**{median(ratios):.2f}** ({min(ratios):.2f} - {max(ratios):.2f})"


def main() -> None:
    """Measure, print and write."""
    command = Command(__doc__)
    command.add_size("--users", type=int, default=100_000)
    command.add_size("--items", type=int, default=100_000)
    command.add_size("--lists", type=int, default=100_000)
    command.add_size("--rounds", type=int, default=3)
    given = command.options()
    os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
    with tempfile.TemporaryDirectory() as folder:
        result = circumstances(PACKAGES) | measure(Path(folder), given)
    write_report(given.results, "lists", "Lists for everybody", result, as_text(result))


if __name__ == "__main__":
    main()
