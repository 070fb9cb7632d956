"""PRISM on MovieLens-1M: SASRec alone, with plots, with audio, with both.

    python benchmarks/prism.py --data ML1M_FOLDER [--seeds 1 2 3] [--epochs 20] [--long 40] [--write-only]

Every run is the base of training/configs/ml1m-sasrec-prism.toml with other modalities, for at most --epochs epochs, the
best of them by validation; what is in --out already is not run again. The first seed has two rows more: experts that
pay nothing, and, for at most --long epochs, the base alone and with all modalities. Sampled N@10 (99 items not in seen)
and full N@10 of the test positive, over all users whom training met; a seed has its own weights and its own negatives,
the same for all rows. `s` are processor seconds of an epoch on one thread, validation left out. Leakage is the AUC of
the strongest of the quick profile's attackers on the vectors of audit users, nothing protected. Writes prism.json and
the table of prism.md.
"""

from __future__ import annotations

import argparse
import json
import logging
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from itertools import chain, combinations
from pathlib import Path
from typing import Any

import numpy as np
import torch
from command import ROOT, Command
from machine import circumstances, sentence
from report import write_between

from measure.accuracy import full_ranks, ndcg_at, sample_negatives, sampled_ranks
from measure.leakage import Users, leakage
from measure.profiles import QUICK
from measure.split import AUDIT, TRAIN
from training import checkpoint
from training.base.contract import Base
from training.base.sequence.config import Bert4recConfig, SasrecConfig, SequenceConfig
from training.base.sequence.prism import experts_of
from training.base.sequence.prism_config import PrismConfig
from training.base.sequence.stage import SequenceModel, SequenceStage
from training.base.sequence.windows import Histories
from training.base.train import train_base
from training.config import RunConfig, read_config
from training.data.dataset import Dataset
from training.data.load import load
from training.demands import experiment_of
from training.experiment import Experiment
from training.negatives import NegativeSampler

CONFIG = ROOT / "training" / "configs" / "ml1m-sasrec-prism.toml"
RESULTS = ROOT / "docs" / "results"
ALONE = "alone"
NO_PRICES = "all, no prices"
ATTRIBUTES = ("gender", "age")
SECONDS = "seconds.json"


def main() -> int:
    """Run what is asked for and missing, then write."""
    options = _options()
    logging.basicConfig(level=logging.INFO, format="%(message)s", stream=sys.stderr)
    torch.set_num_threads(1)
    options.out.mkdir(parents=True, exist_ok=True)
    config = read_config(options.config)
    if not options.write_only:
        dataset = load(config.data, options.data)
        for name, seed, epochs in plan(list(variants(config, 1)), options.seeds, options.epochs, options.long):
            path = options.out / f"{name} {seed} {epochs}.json"
            if not path.exists():
                update = {"base": variants(config, epochs)[name], "seed": seed}
                found = measured(config.model_copy(update=update), dataset, options.out)
                whole = {"modalities": name, "seed": seed, "epochs": epochs} | found
                path.write_text(json.dumps(whole, indent=1) + "\n", "utf-8")
                print(path.stem, found, flush=True)
        if not (options.out / SECONDS).exists():
            (options.out / SECONDS).write_text(json.dumps(seconds(config, dataset), indent=1) + "\n", "utf-8")
    order = list(variants(config, 1))
    took = json.loads((options.out / SECONDS).read_text("utf-8"))
    rows = [json.loads(path.read_text("utf-8")) for path in options.out.glob("* *.json")]
    rows.sort(key=lambda row: (row["epochs"], order.index(row["modalities"]), row["seed"]))
    told = circumstances(("torch", "numpy", "scikit-learn"))
    kept = json.dumps(told | {"epoch_s": took, "rows": rows}, indent=1, allow_nan=False)
    (options.results / "prism.json").write_text(kept + "\n", "utf-8")
    tables = {"modalities": "\n".join(table(rows, took)), "circumstances": f"{sentence(told)}."}
    write_between(options.results / "prism.md", "PRISM on MovieLens-1M", tables)
    print(tables["modalities"])
    return 0


def plan(names: Sequence[str], seeds: Sequence[int], epochs: int, long: int) -> Iterator[tuple[str, int, int]]:
    """Rows to make: name, seed, epochs."""
    for seed in seeds:
        yield from ((name, seed, epochs) for name in names if name != NO_PRICES or seed == seeds[0])
    yield from ((name, seeds[0], long) for name in names if name != NO_PRICES)


def variants(config: RunConfig, epochs: int) -> Mapping[str, SequenceConfig]:
    """The base alone, with each modality, with each two of them …; with all of them, experts paying nothing."""
    if not isinstance(config.base, SequenceConfig) or config.base.prism is None:
        raise SystemExit("the configuration has no base.prism")
    base, prism = config.base, config.base.prism
    base = base.model_copy(update={"schedule": base.schedule.model_copy(update={"epochs": epochs})})
    known = prism.modalities or tuple(sorted(config.data.modalities))
    some = chain.from_iterable(combinations(known, count) for count in range(1, len(known) + 1))
    found = {ALONE: None} | {", ".join(names): {"modalities": names} for names in some}
    free = {"modalities": known, "uniqueness": 0, "synergy": 0, "redundancy": 0}
    settings: dict[str, Any] = found | ({NO_PRICES: free} if len(known) > 1 else {})
    return {
        name: base.model_copy(update={"prism": how and PrismConfig.model_validate(prism.model_dump() | how)})
        for name, how in settings.items()
    }


def measured(config: RunConfig, dataset: Dataset, out: Path) -> dict[str, Any]:
    """One base."""
    experiment = experiment_of(config, dataset)
    path = out / "bases" / file_of(config)
    base = train_base(experiment, config.base, path, torch.device("cpu"))
    saved = checkpoint.load(path)
    assert saved is not None
    progress = saved[1]
    return {
        **accuracy(experiment, base),
        "trained": progress.epoch,
        "best_epoch": progress.best_epoch,
        "validation": progress.best_score,
        "leakage": {name: leaked(experiment, base, name) for name in ATTRIBUTES if name in experiment.attributes},
    }


def seconds(config: RunConfig, dataset: Dataset) -> dict[str, float]:
    """Processor seconds of one epoch of each row, no validation."""
    experiment, cpu, found = experiment_of(config, dataset), torch.device("cpu"), {}
    count = len(dataset.items)
    sampler, histories = NegativeSampler(*experiment.no_negatives, count, cpu), Histories(*experiment.train, cpu)
    for name, base in variants(config, 1).items():
        assert isinstance(base, SasrecConfig | Bert4recConfig)
        experts = None if base.prism is None else experts_of(experiment, base.prism, base.dimensions)
        model = SequenceModel(count, base, config.seed, experts)
        stage = SequenceStage(model, base, histories, sampler, lambda: 0.0)
        began = time.process_time()
        stage.epoch(torch.Generator().manual_seed(config.seed))
        found[name] = time.process_time() - began
    return found


def file_of(config: RunConfig) -> str:
    """A checkpoint's name, another one for each base and seed."""
    assert isinstance(config.base, SequenceConfig)
    prism, epochs = config.base.prism, config.base.schedule.epochs
    prices = "" if prism is None or prism.uniqueness else "-free"
    return f"{config.seed}-{epochs}-{ALONE if prism is None else '-'.join(prism.modalities)}{prices}.safetensors"


def accuracy(experiment: Experiment, base: Base) -> dict[str, float]:
    """N@10 of the test positives of those whom training met."""
    dataset = experiment.dataset
    test = np.where(experiment.folded_in, np.int32(-1), experiment.held_out.test)
    seen, scorer = (dataset.indptr, dataset.indices), base.scorer
    negatives = sample_negatives(*seen, len(dataset.items), seed=experiment.seed)
    sampled = sampled_ranks(base.users, scorer, test, negatives)
    full = full_ranks(base.users, scorer, test, *seen)
    return {
        "users": int((test >= 0).sum()),
        "sampled": float(ndcg_at(10, sampled[sampled >= 0]).mean()),
        "full": float(ndcg_at(10, full[full >= 0]).mean()),
    }


def leaked(experiment: Experiment, base: Base, name: str) -> float:
    """AUC of the strongest quick attacker of the vectors themselves."""
    split = experiment.user_split
    whom = Users(np.flatnonzero(split == AUDIT), np.flatnonzero(split == TRAIN))
    labels, ordered = experiment.labels_of(name), experiment.ordered[name]
    return leakage(base.users, labels, whom, QUICK, attribute=name, target="base", ordered=ordered, seed=0).auc


def table(rows: Sequence[Mapping[str, Any]], took: Mapping[str, float]) -> Iterator[str]:
    """Means and spreads over seeds, and what changed beside the base alone of the same seed and as many epochs."""
    alone = {(row["seed"], row["epochs"]): row for row in rows if row["modalities"] == ALONE}
    heads = "epochs | SASRec with | seeds | sampled N@10 | change | full N@10 | change | s | best epoch | gender | age"
    yield f"| {heads} |"
    yield "|---" * len(heads.split("|")) + "|"
    for epochs, name in dict.fromkeys((row["epochs"], row["modalities"]) for row in rows):
        mine = [row for row in rows if (row["epochs"], row["modalities"]) == (epochs, name)]
        cells = [str(epochs), name, str(len(mine))]
        for kind in ("sampled", "full"):
            paired = [row[kind] - alone[row["seed"], epochs][kind] for row in mine if (row["seed"], epochs) in alone]
            cells += [_mean([row[kind] for row in mine]), "" if name == ALONE or not paired else _mean(paired, "+.4f")]
        cells += [
            f"{took[name]:.1f}",
            ", ".join(str(row["best_epoch"]) for row in mine),
        ]
        cells += [_mean([row["leakage"][each] for row in mine], ".3f") for each in ATTRIBUTES]
        yield f"| {' | '.join(cells)} |"


def _mean(values: Sequence[float], form: str = ".4f") -> str:
    spread = f" ± {np.std(values, ddof=1):{form.lstrip('+')}}" if len(values) > 1 else ""
    return f"{np.mean(values):{form}}{spread}"


def _options() -> argparse.Namespace:
    command = Command(__doc__, RESULTS)
    command.add_argument("--data", type=Path, help="folder of MovieLens-1M")
    command.add_argument("--out", type=Path, default=Path("bundles/prism"))
    command.add_size("--config", type=Path, default=CONFIG)
    command.add_size("--seeds", type=int, nargs="+", default=[1, 2, 3])
    command.add_size("--epochs", type=int, default=20)
    command.add_size("--long", type=int, default=40)
    command.add_argument("--write-only", action="store_true", help="run nothing")
    return command.options()


if __name__ == "__main__":
    sys.exit(main())
