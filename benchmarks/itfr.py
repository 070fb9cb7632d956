"""ITFR's table on MovieLens-1M: objectives of a table base in the paper's protocol, and ITFR with a lattice behind it.

    python benchmarks/itfr.py --data ML1M_FOLDER [--only itfr bpr …] [--seeds 1 2 3] [--lattice] [--write-only]

Every run is training/configs/ml1m-pmf-itfr.toml with another objective and seed; what is in --out already is not
trained again. Labels of all users are learned from, as the paper does; with --lattice those of train users alone, and
both bases are exported with the lattice. Writes itfr.json and the tables of itfr.md.
"""

from __future__ import annotations

import argparse
import json
import logging
import sys
import time
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from command import ROOT, Command
from itfr_table import write_tables
from numpy.typing import NDArray

from bundle import read_bundle
from measure.fairness.groups import Groups
from measure.fairness.items import item_groups
from measure.ranking import top_items
from measure.scoring import Scorer, to_unit
from measure.several import hits_of, spread_of_recall
from training.base.train import train_base
from training.card import fair_vectors
from training.checkpoint import load as load_checkpoint
from training.config import RunConfig, read_config
from training.data.load import load
from training.demands import experiment_of
from training.experiment import Experiment
from training.run import run

CONFIG = ROOT / "training" / "configs" / "ml1m-pmf-itfr.toml"
RESULTS = ROOT / "docs" / "results"
SEEDS = (1, 2, 3)
K = 20
OBJECTIVES: Mapping[str, Mapping[str, Any]] = {
    "bpr": {},
    "bpr_cosine": {"kind": "bpr", "temperature": 0.2},
    "group_dro": {},
    "stream_dro": {},
    "dpr": {},
    "fairneg": {},
    "multifr": {},
    "itfr": {},
}
"""Row of the table → fields that differ from the defaults of the kind of that name."""
ITEMS_ALONE = ("dpr", "fairneg")


def main() -> int:
    """Train what is asked for and missing, then write."""
    options = _options()
    logging.basicConfig(level=logging.INFO, format="%(message)s", stream=sys.stderr)
    torch.set_num_threads(1)
    epochs = [] if options.epochs is None else [f"base.schedule.epochs={options.epochs}"]
    whole = read_config(options.config, epochs)
    options.out.mkdir(parents=True, exist_ok=True)
    if not options.write_only:
        experiment = replace(experiment_of(whole, load(whole.data, options.data)), mode="reproduce")
        for seed in options.seeds:
            for kind in options.only or OBJECTIVES:
                path = options.out / f"{kind}-{seed}.json"
                if not path.exists():
                    found = _objective(replace(experiment, seed=seed), _with(whole, kind, seed), options.out)
                    path.write_text(json.dumps({"kind": kind, "seed": seed} | found, indent=1) + "\n", encoding="utf-8")
                    print(path.name, {key: value for key, value in found.items() if key != "utility"}, flush=True)
        if options.lattice:
            for kind in ("bpr", "itfr"):
                path = options.out / f"lattice-{kind}.json"
                if not path.exists():
                    rows = _protected(_with(whole, kind, whole.seed), options.data, options.out)
                    path.write_text(json.dumps(rows, indent=1) + "\n", encoding="utf-8")
    runs = [json.loads(path.read_text("utf-8")) for path in sorted(options.out.glob("[!l]*-*.json"))]
    protected = [
        row for path in sorted(options.out.glob("lattice-*.json")) for row in json.loads(path.read_text("utf-8"))
    ]
    print(write_tables(runs, protected, options.results))
    return 0


def _with(whole: RunConfig, kind: str, seed: int) -> RunConfig:
    """The configuration with another objective over the same groups."""
    fields = whole.model_dump()
    groups = {name: fields["base"]["objective"][name] for name in ("users", "items")}
    if kind.startswith("bpr"):
        groups = {}
    elif kind in ITEMS_ALONE:
        del groups["users"]
    own = fields["base"]["objective"] if kind == fields["base"]["objective"]["kind"] else {}
    fields["base"]["objective"] = {**own, "kind": kind, **groups, **OBJECTIVES[kind]}
    return RunConfig.model_validate(fields | {"seed": seed, "name": f"{whole.name}-{kind.replace('_', '-')}"})


def _objective(experiment: Experiment, config: RunConfig, out: Path) -> dict[str, Any]:
    """Train a base, and measure it."""
    checkpoint = out / f"{config.name}-{config.seed}.safetensors"
    started = time.monotonic()
    base = train_base(experiment, config.base, checkpoint, torch.device("cpu"))
    took = time.monotonic() - started
    saved = load_checkpoint(checkpoint)
    if saved is None:
        raise SystemExit(f"{checkpoint} is gone")
    progress = saved[1]
    epochs = {"epochs": progress.epoch, "best_epoch": progress.best_epoch}
    return {"seconds": took} | epochs | _measured(experiment, base.users, Scorer(base.items))


def _measured(experiment: Experiment, users: NDArray[np.float32], scorer: Scorer) -> dict[str, Any]:
    """Accuracy and the spread of utility on the test positives, all other items but those before them ranked."""
    shares = experiment.held_out.shares
    if shares is None:
        raise SystemExit("the configuration holds no shares out")
    lists = top_items(users, scorer, K, experiment.held_out.before_test())
    hits = hits_of(lists, *shares.test)
    gender = experiment.attributes.index("gender")
    classes = Groups(experiment.dataset.attributes[gender].classes, experiment.labels_of("gender"))
    found = spread_of_recall(lists, hits, *shares.test, classes, item_groups(experiment.dataset.groups))
    means = {name: float(np.nanmean(getattr(hits, name)())) for name in ("precision", "recall", "ndcg")}
    return means | {
        "min": found.min,
        "cv": found.cv,
        "ucv": found.ucv,
        "icv": found.icv,
        "utility": found.utility.tolist(),
    }


def _protected(config: RunConfig, data: Path, out: Path) -> list[dict[str, Any]]:
    """Run the whole of it in `strict`; measure the base and the fair vectors of one bundle."""
    experiment = experiment_of(config, load(config.data, data))
    path = run(config, data, out / "bundles", torch.device("cpu"))
    if path is None:
        raise SystemExit("another process trains")
    bundle = read_bundle(path)
    if bundle.audit is None:
        raise SystemExit("the bundle has no audit/")
    cosine = bundle.description.scorer == "cosine"
    scorer = Scorer(to_unit(bundle.items.vectors) if cosine else bundle.items.vectors)
    leaks = {
        (tuple(row["sensitive"]), row["target"]): row["strongest"]["auc"]
        for row in bundle.card["leakage"]["by_mask"]
        if row["attribute"] == "gender"
    }
    rows = []
    for mask, vectors in (((), bundle.audit.base), (("gender",), fair_vectors(bundle, ("gender",)))):
        auc = leaks[mask, "fair" if mask else "base"]
        rows.append(
            {"kind": config.base.objective.kind, "sensitive": list(mask), "auc": auc}  # type: ignore[union-attr]
            | _measured(experiment, np.asarray(vectors), scorer)
        )
    return rows


def _options() -> argparse.Namespace:
    command = Command(__doc__, RESULTS)
    command.add_argument("--data", type=Path, help="folder of MovieLens-1M")
    command.add_argument("--out", type=Path, default=Path("bundles/itfr"))
    command.add_argument("--only", nargs="+", choices=list(OBJECTIVES), help="train only these objectives")
    command.add_argument("--lattice", action="store_true", help="also both bases with the lattice behind them")
    command.add_size("--seeds", type=int, nargs="+", default=SEEDS)
    command.add_size("--epochs", type=int, help="at most (else the configuration's)")
    command.add_size("--config", type=Path, default=CONFIG)
    command.add_argument("--write-only", action="store_true", help="train nothing")
    return command.options()


if __name__ == "__main__":
    sys.exit(main())
