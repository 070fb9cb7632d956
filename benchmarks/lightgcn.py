"""What an epoch of LightGCN costs beside one of PMF at the same batch, and at ten times the interactions.

    python benchmarks/lightgcn.py

Generated users and items of the shape of MovieLens-1M, then ten times the users. Each size and model in a process of
its own, two epochs, the faster one counts: seconds of one processor, rows a second, and the most memory that the
process had. Writes lightgcn.json.
"""

from __future__ import annotations

import json
import multiprocessing
import os
import sys
import time
from concurrent.futures import ProcessPoolExecutor
from typing import Any

import torch
from command import Command
from loopback import resident_mib
from machine import circumstances

from training.base.lightgcn import Graph, Lightgcn, LightgcnConfig, LightgcnStage
from training.base.pmf import Pmf, PmfConfig
from training.base.tables import TableStage
from training.data.generated_config import GeneratedConfig
from training.data.load import load
from training.data.split import hold_out, split_users
from training.experiment import Experiment

EPOCHS = 2
CPU = torch.device("cpu")
PACKAGES = ("torch", "numpy")


def main() -> int:
    """Measure both models at both sizes."""
    command = Command(__doc__)
    command.add_size("--users", type=int, default=6_000)
    command.add_size("--items", type=int, default=3_500)
    command.add_size("--interactions-per-user", type=int, default=95)
    command.add_size("--times", type=int, default=10, help="how many times the users the larger size has")
    options = command.options()
    rows = []
    for times in (1, options.times):
        size = times * options.users, options.items, options.interactions_per_user
        rows += [_apart(model, *size) for model in ("lightgcn", "pmf")]
    small, pmf, large, _ = rows
    found = {
        "rows": rows,
        "epoch_beside_pmf": small["epoch_s"] / pmf["epoch_s"],
        "interactions_times": large["interactions"] / small["interactions"],
        "epoch_times": large["epoch_s"] / small["epoch_s"],
        **circumstances(PACKAGES),
    }
    (options.results / "lightgcn.json").write_text(json.dumps(found, indent=2) + "\n", encoding="utf-8")
    for row in rows:
        print(json.dumps(row))
    print(f"an epoch {found['epoch_beside_pmf']:.2f} x PMF's; {found['interactions_times']:.1f} x the interactions")
    print(f"cost {found['epoch_times']:.1f} x")
    return 0


def _apart(*measured: Any) -> dict[str, Any]:
    """In a process of its own, so that its memory is its own."""
    with ProcessPoolExecutor(1, multiprocessing.get_context("spawn")) as process:
        return process.submit(_measure, *measured).result()


def _measure(name: str, users: int, items: int, interactions_per_user: int) -> dict[str, Any]:
    torch.set_num_threads(1)
    dataset = load(GeneratedConfig(users=users, items=items, interactions_per_user=interactions_per_user, seed=3), None)
    experiment = Experiment(dataset, hold_out(dataset), split_users(dataset.users, "s"), "strict", 5)
    before = resident_mib(os.getpid(), "VmHWM")
    config = LightgcnConfig()
    count = len(experiment.train[1])
    if name == "lightgcn":
        graph = Graph(experiment.train, len(dataset.items), config.layers, CPU)
        model = Lightgcn(graph, len(dataset.users), len(dataset.items), config, 5)
        stage: LightgcnStage | TableStage = LightgcnStage(model, config, experiment)
    else:
        same = PmfConfig(batch=-(-count // config.steps))
        stage = TableStage(Pmf(len(dataset.users), len(dataset.items), same, 5), same, experiment, lambda: 0.0)
    took = []
    for epoch in range(EPOCHS):
        began = time.process_time()
        stage.epoch(torch.Generator().manual_seed(epoch))
        took.append(time.process_time() - began)
    speed = {"epoch_s": min(took), "rows_per_s": count / min(took)}
    memory = {"mib_before_training": before, "peak_mib": resident_mib(os.getpid(), "VmHWM")}
    return {"model": name, "users": users, "interactions": count} | speed | memory


if __name__ == "__main__":
    sys.exit(main())
