"""In-UCDS on MovieLens: how well the most active users and the others are served, beside the same base without it.

    .venv/bin/python benchmarks/in_ucds.py --data ML100K_FOLDER ML1M_FOLDER [--only WORDS] [--weights 1e-5 …]
        [--bases "d = 64" "d = 16"] [--seeds 1 2 3] [--cards] [--write-only]

Every run is training/configs/ml1m-pmf-in-ucds.toml with another objective and seed, in `reproduce`; what is in --out
already is not trained again. N@10 is sampled: a held-out positive among 99 items that are no positive of the user, the
same for all runs; *one* is the first held-out positive of each user, as published, *all* the mean over all of them.
Active are the users who close the top 5 % by interactions, as `measure.fairness.activity` parts them. With --cards
both variants are exported in `strict` with a lattice behind them, and their cards' user-oriented gap is read. Writes
in-ucds.json and the tables of in-ucds.md.
"""

from __future__ import annotations

import argparse
import json
import logging
import sys
import time
from collections.abc import Mapping
from dataclasses import replace
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np
import torch
from command import ROOT, Command
from in_ucds_table import summary, write_tables
from machine import circumstances
from numpy.typing import NDArray

from bundle import read_bundle
from measure.accuracy import full_ranks, ndcg_at, sample_negatives, sampled_ranks
from measure.fairness.activity import by_activity
from measure.profiles import PROTECTED
from training.base.contract import Base
from training.base.train import train_base
from training.card import make_card
from training.checkpoint import load as load_checkpoint
from training.config import RunConfig, read_config
from training.data.load import load
from training.demands import experiment_of
from training.experiment import Experiment
from training.run import run

CONFIG = ROOT / "training" / "configs" / "ml1m-pmf-in-ucds.toml"
RESULTS = ROOT / "docs" / "results"
CPU = torch.device("cpu")
SEEDS, WEIGHTS = (1, 2, 3), (1e-6, 3e-6, 1e-5, 1e-4, 1e-3)
K, DRAWN_BY = 10, 1
BACKBONE = "backbone"
BASES: Mapping[str, Mapping[str, Any]] = {
    "d = 64": {},
    "d = 16": {
        "dimensions": 16,
        "learning_rate": 1e-4,
        "weight_decay": 1e-5,
        "initial_deviation": 0.1,
        "schedule": {"epochs": 500, "validate_every": 10, "patience": 10},
    },
}
"""Name → fields of `[base]` that differ from the configuration's; those of d = 16 are the published ones."""
VARIANTS: Mapping[str, Mapping[str, Any]] = {
    "paper": {"sets": "paper", "pairs": "all"},
    "released": {"sets": "released", "pairs": "all"},
    "paper, constraint 10": {"sets": "paper", "pairs": "all", "constraint": 10},
    "paper, pairs of the batch": {"sets": "paper", "pairs": "batch"},
}
"""Row → fields of `[base.objective]`; each of them with every weight."""
CARDS = ("paper", "released")


def main() -> int:
    """Train what is asked for and missing, then write."""
    options = _options()
    logging.basicConfig(level=logging.INFO, format="%(message)s", stream=sys.stderr)
    torch.set_num_threads(1)
    options.out.mkdir(parents=True, exist_ok=True)
    epochs = [] if options.epochs is None else [f"base.schedule.epochs={options.epochs}"]
    whole = read_config(options.config, epochs)
    for folder in [] if options.write_only else options.data or [None]:
        _objectives(whole, folder, options)
        if options.cards:
            _cards(whole, folder, options.out)
    runs = [json.loads(path.read_text("utf-8")) for path in sorted(options.out.glob("run-*.json"))]
    values = {row["name"]: dict(np.load(options.out / f"{row['name']}.npz")) for row in runs}
    cards = [json.loads(path.read_text("utf-8")) for path in sorted(options.out.glob("card-*.json"))]
    found = {"rows": summary(runs, values), "runs": runs, "cards": cards}
    print(write_tables(circumstances(("numpy", "torch")) | found, options.results))
    return 0


def _objectives(whole: RunConfig, folder: Path | None, options: argparse.Namespace) -> None:
    """All rows of one data set."""
    experiment = replace(experiment_of(whole, load(whole.data, folder)), mode="reproduce")
    wanted = [(BACKBONE, 0.0), *((each, weight) for each in VARIANTS for weight in options.weights)]
    for seed in options.seeds:
        for base_name, (variant, weight) in product(options.bases, wanted):
            name = f"run-{_data(experiment)}-{base_name}-{variant}-{weight:g}-{seed}".replace(" ", "-")
            if (options.out / f"{name}.json").exists() or (variant != BACKBONE and options.only not in variant):
                continue
            config = _with(whole, base_name, variant, weight, seed)
            checkpoint, started = options.out / f"{name}.safetensors", time.monotonic()
            base = train_base(replace(experiment, seed=seed), config.base, checkpoint, CPU)
            row = {"name": name, "data": _data(experiment), "base": base_name, "variant": variant, "weight": weight}
            row |= {"seed": seed, "seconds": time.monotonic() - started} | _epochs(checkpoint)
            np.savez(options.out / f"{name}.npz", **_measured(experiment, base))
            (options.out / f"{name}.json").write_text(json.dumps(row, indent=1) + "\n", encoding="utf-8")
            print(row, flush=True)


def _data(experiment: Experiment) -> str:
    return experiment.dataset.source.split(";")[0]


def _with(whole: RunConfig, base: str, variant: str, weight: float, seed: int) -> RunConfig:
    fields = whole.model_dump()
    fields["base"] |= {name: value for name, value in BASES[base].items() if name != "schedule"}
    fields["base"]["schedule"] |= BASES[base].get("schedule", {})
    own = {"kind": "in_ucds", "weight": weight}
    fields["base"]["objective"] = {"kind": "bpr"} if variant == BACKBONE else own | VARIANTS[variant]
    return RunConfig.model_validate(fields | {"seed": seed})


def _epochs(checkpoint: Path) -> dict[str, int]:
    saved = load_checkpoint(checkpoint)
    if saved is None:
        raise SystemExit(f"{checkpoint} is gone")
    return {"epochs": saved[1].epoch, "best_epoch": saved[1].best_epoch}


def _measured(experiment: Experiment, base: Base) -> dict[str, NDArray[Any]]:
    """Gains by user, (U,), NaN where there is nothing held out, and the group that the user is in."""
    dataset, held_out = experiment.dataset, experiment.held_out
    if held_out.shares is None:
        raise SystemExit("the configuration holds no shares out")
    indptr, items = held_out.shares.test
    negatives = sample_negatives(*experiment.positives, len(base.items), seed=DRAWN_BY)
    owners = np.repeat(np.arange(len(base.users)), np.diff(indptr))
    gains = ndcg_at(K, sampled_ranks(base.users[owners], base.scorer, items, negatives[owners]))
    with np.errstate(invalid="ignore"):
        of_all = np.bincount(owners, gains, len(base.users)) / np.diff(indptr)
    full = full_ranks(base.users, base.scorer, held_out.test, dataset.indptr, dataset.indices)
    return {
        "one": ndcg_at(K, sampled_ranks(base.users, base.scorer, held_out.test, negatives)),
        "all": of_all,
        "full": ndcg_at(K, full),
        "group": by_activity(np.diff(dataset.indptr)).groups.of,
    }


def _cards(whole: RunConfig, folder: Path | None, out: Path) -> None:
    """The gap in the cards of the backbone, at whose training nobody looked at activity, and of both variants."""
    weight = whole.base.objective.weight  # type: ignore[union-attr]
    dataset = load(whole.data, folder)
    data = dataset.source.split(";")[0]
    for variant in (*CARDS, BACKBONE):
        path = out / f"card-{data}-{variant}.json".replace(" ", "-")
        if path.exists():
            continue
        config = _with(whole, "d = 64", variant, weight, whole.seed)
        name = f"{whole.name}-{data}-{variant}".replace(" ", "-").lower()
        at = run(config.model_copy(update={"name": name}), folder, out / "bundles", CPU)
        if at is None:
            raise SystemExit("another process trains")
        bundle = read_bundle(at)
        found = dict(bundle.card if variant != BACKBONE else make_card(bundle, PROTECTED, also=("activity",)))
        row: dict[str, Any] = {"data": data, "variant": variant, "weight": weight if variant != BACKBONE else 0.0}
        row["activity"] = (found.get("fairness") or {}).get("activity", [])
        path.write_text(json.dumps(row, indent=1) + "\n", encoding="utf-8")


def _options() -> argparse.Namespace:
    command = Command(__doc__, RESULTS)
    command.add_argument("--data", type=Path, nargs="+", help="folders of MovieLens-100K and -1M")
    command.add_argument("--out", type=Path, default=Path("bundles/in-ucds"))
    command.add_size("--bases", nargs="+", choices=list(BASES), default=["d = 64"])
    command.add_size("--only", default="", help="variants with this in their name, beside the backbone")
    command.add_argument("--cards", action="store_true", help="also bundles, and what their cards say")
    command.add_argument("--write-only", action="store_true", help="train nothing")
    command.add_size("--seeds", type=int, nargs="+", default=SEEDS)
    command.add_size("--weights", type=float, nargs="+", default=WEIGHTS)
    command.add_size("--epochs", type=int, help="at most (else the configuration's)")
    command.add_size("--config", type=Path, default=CONFIG)
    return command.options()


if __name__ == "__main__":
    sys.exit(main())
