"""PoT-AU on MovieLens: what attackers find of gender before and after, what is kept, what two views together tell.

    .venv/bin/python benchmarks/pot_au.py --data ML1M_FOLDER ML100K_FOLDER [--bases als pmf lightgcn] [--only WORDS]
        [--epochs 60] [--out DIR] [--look]

Bases are trained once on each data set, by training/configs/ml1m-als-pot-au.toml with one or the other; vectors are
moved by the settings of `UPDATES`. What is in --out already is not made again. Everybody's label is learned from, as in
the paper. *theirs* is the attack of the paper's public code over all users: classes balanced by leaving users of the
larger one out, five folds three times, a perceptron and boosted trees; *ours* the full profile on the audit users,
fitted on them, on train users, and on both. Accuracy is N@10 of the test positive over all users, among 99 others that
are no positives and among all unseen items. With --look *theirs* is five folds once and *ours* the quick profile.
Writes pot-au.json and the tables of pot-au.md.
"""

from __future__ import annotations

import argparse
import json
import logging
import sys
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch
from command import ROOT, Command
from machine import circumstances
from numpy.typing import NDArray
from pot_au_attacks import ours, theirs
from pot_au_table import write_tables

from measure.accuracy import full_ranks, ndcg_at, sample_negatives, sampled_ranks
from measure.features import list_features, side_by_side
from measure.ranking import top_items
from training.base.contract import Base
from training.base.train import train_base
from training.config import RunConfig, read_config
from training.data.load import load
from training.demands import experiment_of
from training.experiment import Experiment
from training.fair.pot_au.config import PotAuConfig
from training.fair.pot_au.train import train_pot_au

CONFIG = ROOT / "training" / "configs" / "ml1m-als-pot-au.toml"
RESULTS = ROOT / "docs" / "results"
K = 10
BASES: Mapping[str, Mapping[str, Any]] = {
    "als": {},
    "pmf": {
        "model": "pmf",
        "dimensions": 64,
        "learning_rate": 1e-3,
        "batch": 1024,
        "weight_decay": 1e-8,
        "schedule": {"epochs": 500, "validate_every": 2, "patience": 6},
    },
    "lightgcn": {
        "model": "lightgcn",
        "dimensions": 64,
        "schedule": {"epochs": 200, "validate_every": 5, "patience": 4},
    },
}
"""Base → its table in place of the configuration's; nothing for that one."""
UPDATES: Mapping[str, Mapping[str, Any]] = {
    "D2D": {},
    "U2U": {"distance": "u2u"},
}
"""Update → fields of `[fair]` that differ from the configuration's."""


def main() -> int:
    """Train and measure what is asked for and missing, then write."""
    options = _options()
    logging.basicConfig(level=logging.INFO, format="%(message)s", stream=sys.stderr)
    torch.set_num_threads(1)
    options.out.mkdir(parents=True, exist_ok=True)
    whole = read_config(options.config, [] if options.steps is None else [f"fair.schedule.epochs={options.steps}"])
    for folder in options.data or [None]:
        _measure(whole, folder, options)
    found = [json.loads(path.read_text("utf-8")) for path in sorted(options.out.glob("*.json"))]
    print(write_tables(found, circumstances(("numpy", "torch", "scikit-learn")), options.results))
    return 0


def _measure(whole: RunConfig, folder: Path | None, options: argparse.Namespace) -> None:
    """Train and measure what is missing of one data set."""
    dataset = load(whole.data, folder)
    data = dataset.source.split(";")[0]
    for name in options.bases:
        wanted = [each for each in UPDATES if options.only in each]
        stem = f"{data.replace(' ', '-')}-{name}"
        end = "-look" if options.look else ""
        rows = {each: options.out / f"{stem}-{each}{end}.json" for each in ("before", *wanted)}
        if all(path.exists() for path in rows.values()):
            continue
        config = _with(whole, BASES[name], options.epochs)
        experiment = experiment_of(config, dataset)
        base = train_base(experiment, config.base, options.out / f"{stem}.safetensors", torch.device("cpu"))
        for update, path in rows.items():
            if not path.exists():
                work = options.out / f"{stem}-{update}{end}"
                row = _row(experiment, base, config, update, work, look=options.look)
                named = {"data": data, "base": name, "update": update}
                path.write_text(json.dumps(named | row, indent=1) + "\n", encoding="utf-8")
                print(data, name, update, row, flush=True)


def _with(whole: RunConfig, base: Mapping[str, Any], epochs: int | None) -> RunConfig:
    fields = whole.model_dump()
    if base and epochs is not None:
        base = {**base, "schedule": base["schedule"] | {"epochs": epochs}}
    return RunConfig.model_validate(fields | ({"base": base} if base else {}))


def _row(
    experiment: Experiment, base: Base, config: RunConfig, update: str, work: Path, *, look: bool
) -> dict[str, Any]:
    """One state of the vectors: before, or after an update; what u and u* together show, where there are two."""
    u, seconds = base.users, 0.0
    assert isinstance(config.fair, PotAuConfig)
    (attribute,) = config.fair.protect
    if update != "before":
        fair = PotAuConfig.model_validate(config.fair.model_dump() | UPDATES[update])
        work.mkdir(exist_ok=True)
        started = time.monotonic()
        moved = train_pot_au(experiment, base, fair, work, torch.device("cpu")).vectors
        seconds = time.monotonic() - started
        assert moved is not None
        u = moved[:, 0]
    labels = experiment.labels_of(attribute)
    row: dict[str, Any] = {"seconds": seconds, "look": look, "theirs": theirs(u, labels, times=1 if look else 3)}
    row["ours"] = ours(u, experiment, labels, look=look)
    row |= _accuracy(u, experiment, base)
    if update != "before":
        row["moved"] = float(np.linalg.norm(u - base.users) / np.linalg.norm(base.users))
        row["together"] = ours(np.hstack([base.users, u - base.users]), experiment, labels, look=True)
        lists = [list_features(top_items(each, base.scorer, K), len(base.items)) for each in (base.users, u)]
        row["lists"] = {
            "before": ours(lists[0], experiment, labels, look=True),
            "after": ours(lists[1], experiment, labels, look=True),
            "together": ours(side_by_side(lists), experiment, labels, look=True),
        }
    return row


def _accuracy(u: NDArray[np.float32], experiment: Experiment, base: Base) -> dict[str, float]:
    dataset, test = experiment.dataset, experiment.held_out.test
    negatives = sample_negatives(*experiment.positives, len(base.items), seed=experiment.seed)
    sampled = sampled_ranks(u, base.scorer, test, negatives)
    full = full_ranks(u, base.scorer, test, dataset.indptr, dataset.indices)
    return {name: float(ndcg_at(K, ranks[ranks >= 0]).mean()) for name, ranks in (("sampled", sampled), ("full", full))}


def _options() -> argparse.Namespace:
    command = Command(__doc__, RESULTS)
    command.add_argument("--data", type=Path, nargs="+", help="folders of MovieLens-1M and -100K")
    command.add_argument("--look", action="store_true", help="attack in a minute")
    command.add_argument("--out", type=Path, default=Path("bundles/pot-au"))
    command.add_size("--bases", nargs="+", choices=list(BASES), default=list(BASES))
    command.add_size("--only", default="", help="updates with this in their name")
    command.add_size("--config", type=Path, default=CONFIG)
    command.add_size("--epochs", type=int, help="of a base that trains by epochs, at most (else its own)")
    command.add_size("--steps", type=int, help="of an update (else the configuration's)")
    return command.options()


if __name__ == "__main__":
    sys.exit(main())
