"""PMF's tables at three sizes: rows trained a second by the row and by dense Adam, and the memory that training takes.

    .venv/bin/python benchmarks/tables.py [--sizes 6040x3706x562719 ...] [--seconds 5]

A size is users x items x positives; d = 64, 1,024 positives a step, one thread. Positives are drawn at random. Two
processes for each size:

* **rates**: both ways take turns for some seconds each, three rounds, on the same batches; the median of the rounds'
  ratios. Batches are made by the stage; the time for them is in neither rate.
* **epoch**: a whole one through `training.loop.fit`: the model's first weights, shuffling, negatives, steps, settling,
  checkpoint, best weights written and read again. Training's memory is the most that was resident beyond the
  interpreter, its libraries and the positives; it tells something where the tables are larger than what comes and goes.

Results go to results/tables.json and tables.md.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import tempfile
import time
from collections.abc import Mapping, Sequence
from itertools import islice
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import torch
from command import Command
from data import child
from loopback import resident_mib
from machine import circumstances
from report import write_report

from training.base.pmf import Pmf, PmfConfig
from training.base.tables import TableStage
from training.base.triples import Triples
from training.loop import Schedule, fit

SIZES = ["6040x3706x562719", "100000x20000x1000000", "1000000x100000x10000000"]
ROUNDS, SEED, MIB = 3, 1, 2**20
PACKAGES = ("torch", "numpy", "safetensors")
CPU = torch.device("cpu")
HEAD = (
    "| users x items | positives | dense Adam rows/s | by the row | ratio (smallest - largest) | a whole epoch, rows/s "
    "| tables MiB | training's peak MiB | x tables |\n|---|---|---|---|---|---|---|---|---|"
)


def main() -> None:
    """Run one step of it where a process was started for that, else all of it."""
    command = Command(__doc__)
    command.add_size("--sizes", nargs="+", default=SIZES, help="users x items x positives, as 6040x3706x562719")
    command.add_size("--seconds", type=float, default=5.0, help="of each way in each round")
    command.add_argument("--step", choices=STEPS, help=argparse.SUPPRESS)
    options = command.options()
    if options.step:
        torch.set_num_threads(1)
        (size,) = options.sizes
        print(json.dumps(STEPS[options.step](*map(int, size.split("x")), options.seconds)))
        return
    facts = circumstances(PACKAGES)
    rows = [measure(size, options.seconds) for size in options.sizes]
    write_report(options.results, "tables", "Tables by the row", facts | {"rows": rows}, as_text(rows))


def measure(size: str, seconds: float) -> dict[str, Any]:
    """All of one size."""
    found: dict[str, Any] = dict(zip(("users", "items", "positives"), map(int, size.split("x")), strict=True))
    for step in STEPS:
        done = child([__file__, "--step", step, "--sizes", size, "--seconds", str(seconds)])
        found |= json.loads(done["said"])
    print(_line(found), flush=True)
    return found


def rates(users: int, items: int, positives: int, seconds: float) -> dict[str, Any]:
    """Rows a second of processor time, by turns."""
    experiment = drawn(users, items, positives)
    config = PmfConfig()
    model, other = (Pmf(users, items, config, SEED) for _ in range(2))
    stage = TableStage(model, config, experiment, lambda: 0.0)
    adam = torch.optim.Adam(other.parameters(), config.learning_rate, weight_decay=config.weight_decay, fused=True)
    rng = torch.Generator().manual_seed(SEED)

    def dense(*batch: torch.Tensor) -> None:
        adam.zero_grad()
        other(*batch, rng).backward()
        adam.step()

    def by_row(*batch: torch.Tensor) -> None:
        stage.step(*batch, rng)

    batches = list(islice(Triples(experiment, torch.device("cpu")).batches(config.batch, rng), 512))
    found: dict[str, list[float]] = {"dense": [], "by_row": []}
    for _ in range(1 + ROUNDS):  # the first one is not counted: memory is taken from the system there
        for name, step in (("dense", dense), ("by_row", by_row)):
            found[name].append(rate(step, batches, seconds))
    dense_rates, by_row_rates = found["dense"][1:], found["by_row"][1:]
    ratios = [mine / theirs for mine, theirs in zip(by_row_rates, dense_rates, strict=True)]
    return {"dense": dense_rates, "by_row": by_row_rates, "ratios": ratios}


def rate(step: Any, batches: Sequence[tuple[torch.Tensor, ...]], seconds: float) -> float:
    """Rows a second of processor time in about so many seconds."""
    rows, started = 0, time.process_time()
    while True:
        for batch in batches:
            step(*batch)
            rows += len(batch[0])
            took = time.process_time() - started
            if took > seconds:
                return rows / took


def epoch(users: int, items: int, positives: int, seconds: float) -> dict[str, Any]:
    """A whole one, as in a run, and what it adds to the memory in use; validation is nothing but a number here."""
    del seconds
    fitted(drawn(100, 100, 1_000), 100, 100)  # libraries are loaded before memory is looked at
    experiment = drawn(users, items, positives)
    resident, started = resident_mib(os.getpid()), time.process_time()
    tables = fitted(experiment, users, items)
    took = time.process_time() - started
    return {
        "epoch": positives / took,
        "training_mib": resident_mib(os.getpid(), "VmHWM") - resident,
        "tables_mib": tables / MIB,
    }


def fitted(experiment: Any, users: int, items: int) -> int:
    """Train for an epoch; gives the tables' bytes."""
    model = Pmf(users, items, PmfConfig(), SEED)
    stage = TableStage(model, PmfConfig(), experiment, lambda: 0.0)
    with tempfile.TemporaryDirectory() as folder:
        fit(stage, Schedule(epochs=1, checkpoint_s=0), SEED, Path(folder) / "base.safetensors", CPU)
    return sum(weight.numel() * weight.element_size() for weight in model.parameters())


def drawn(users: int, items: int, positives: int) -> Any:
    """What a stage reads of an experiment: as many positives for each user, of items at random."""
    rng = np.random.default_rng(SEED)
    indptr = np.linspace(0, positives, users + 1).astype(np.int64)
    rows = (indptr, rng.integers(0, items, positives, dtype=np.int32))
    return SimpleNamespace(train=rows, no_negatives=rows, dataset=SimpleNamespace(items=range(items)))


STEPS = {"rates": rates, "epoch": epoch}


def as_text(rows: Sequence[Mapping[str, Any]]) -> str:
    """The page."""
    by_row, dense = (_median(rows[-1], key) / _median(rows[0], key) for key in ("by_row", "dense"))
    text = (
        f"At the last size, {by_row:.2f} of the first one's rate is left by the row, {dense:.4f} of dense Adam's. "
        f"Rates are medians of {ROUNDS} rounds, in rows for each second of processor time."
    )
    return "\n".join([HEAD, *map(_line, rows), "", text])


def _median(row: Mapping[str, Any], key: str) -> float:
    return statistics.median(row[key])


def _line(row: Mapping[str, Any]) -> str:
    least, most = min(row["ratios"]), max(row["ratios"])
    ratio = f"**{_median(row, 'ratios'):.2f}** ({least:.2f} - {most:.2f})"
    return (
        f"| {row['users']:,} x {row['items']:,} | {row['positives']:,} | {_median(row, 'dense'):,.0f} "
        f"| {_median(row, 'by_row'):,.0f} | {ratio} | {row['epoch']:,.0f} "
        f"| {row['tables_mib']:,.1f} | {row['training_mib']:,.0f} | {row['training_mib'] / row['tables_mib']:.2f} |"
    )


if __name__ == "__main__":
    main()
