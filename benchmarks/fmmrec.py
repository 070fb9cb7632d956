"""FMMRec's table on MovieLens-1M: AL, CAL, FairGo, FMMRec and the lattice on one LATTICE base.

    python benchmarks/fmmrec.py --data ML1M_FOLDER [--only fmmrec lattice …] [--times 10] [--write-only]
    python benchmarks/fmmrec.py --data ML1M_FOLDER --bases freedom dragon mmgcn

Every run is training/configs/ml1m-mm-lattice-fmmrec.toml with another method, all attributes protected together; what
is in --out already is not run again, and all runs share one base. In `strict`: labels of train users alone are learned
from, audit users are attacked. R@20 and N@20 are over all users, training and validation positives dropped. `E` is the
user's vector, `I` the mean of the vectors of the items that the user liked in training. The paper's own figures are
made again beside our attackers: a network of the discriminator's shape, the AUC of its predicted label or the share of
users whose class it names, after a fixed number of epochs (the paper takes the best on the users it tests on), with
the share of the largest class beside it. Writes fmmrec.json and the tables of fmmrec.md.

With --bases: other bases in LATTICE's place, as short, no method behind them (unless --only names some). Writes
fmmrec-bases.json and the table of bases.
"""

from __future__ import annotations

import argparse
import json
import logging
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
import torch
from command import ROOT, Command
from fmmrec_table import write_bases, write_tables
from numpy.typing import NDArray
from scipy.sparse import csr_matrix
from sklearn.metrics import balanced_accuracy_score

from bundle import Bundle, read_bundle
from measure.leakage import Users, leakage
from measure.profiles import QUICK
from measure.ranking import top_items
from measure.scoring import Scorer
from measure.several import hits_of
from measure.split import AUDIT, TRAIN
from training.base.train import train_base
from training.card import fair_vectors
from training.config import RunConfig, read_config
from training.data.load import load
from training.demands import experiment_of
from training.experiment import Experiment
from training.fair.filters.discriminators import Discriminators
from training.run import run

CONFIG = ROOT / "training" / "configs" / "ml1m-mm-lattice-fmmrec.toml"
RESULTS = ROOT / "docs" / "results"
METHODS = ("al", "cal", "fairgo", "fmmrec", "lattice")
BASES = ("lightgcn", "mm_lattice", "freedom", "dragon", "mmgcn")
K = 20
EPOCHS, BATCH = 100, 128
"""Of the paper's attacker."""


def main() -> int:
    """Run what is asked for and missing, then write."""
    options = _options()
    logging.basicConfig(level=logging.INFO, format="%(message)s", stream=sys.stderr)
    torch.set_num_threads(1)
    options.out.mkdir(parents=True, exist_ok=True)
    whole = read_config(options.config, options.set)
    if not options.write_only:
        for name in options.bases:
            path = options.out / "beside" / f"{name}.json"
            if not path.exists():
                found = _base(_on(whole, name), options.data, path.parent)
                path.write_text(json.dumps(found, indent=1) + "\n", encoding="utf-8")
        for method in options.only or (() if options.bases else METHODS):
            path = options.out / f"{method}{_dearer(options.times)}.json"
            if not path.exists():
                found = _method(_with(whole, method, options.times), options.data, options.out)
                path.write_text(json.dumps(found, indent=1) + "\n", encoding="utf-8")
    paths = [path for path in options.out.glob("*.json") if path.stem.split(" ")[0] in METHODS]
    paths.sort(key=lambda path: (METHODS.index(path.stem.split(" ")[0]), path.stem))
    runs = {path.stem: json.loads(path.read_text("utf-8")) for path in paths}
    if runs:
        print(write_tables(runs, options.results))
    if bases := {path.stem: json.loads(path.read_text("utf-8")) for path in options.out.glob("beside/*.json")}:
        print(write_bases(bases, options.results))
    return 0


def _on(whole: RunConfig, name: str) -> RunConfig:
    """The configuration on another base, of the same size and for as long."""
    base = {key: value for key, value in whole.base.model_dump().items() if key in ("dimensions", "steps", "schedule")}
    return RunConfig.model_validate(whole.model_dump() | {"name": name, "base": {"model": name, **base}})


def _base(config: RunConfig, data: Path, out: Path) -> dict[str, Any]:
    """A base alone: its accuracy over all users, and what audit users' vectors give away."""
    out.mkdir(parents=True, exist_ok=True)
    experiment = experiment_of(config, load(config.data, data))
    started = time.process_time()
    checkpoint = out / f"{config.base.model}.safetensors"
    base = train_base(experiment, config.base, checkpoint, torch.device("cpu"))
    took = time.process_time() - started
    whom = _whom(experiment)
    found = {
        name: leakage(
            base.users,
            experiment.labels_of(name),
            whom,
            QUICK,
            attribute=name,
            target="base",
            ordered=experiment.ordered[name],
            seed=0,
        ).auc
        for name in experiment.attributes
    }
    epochs = config.base.schedule.epochs
    return {"epochs": epochs, "processor_s": took, **_accuracy(experiment, base.users, base.items), "ours": found}


def _dearer(times: float) -> str:
    """What a row is called besides its method."""
    return "" if times == 1 else f" x{times:g}"


def _with(whole: RunConfig, method: str, times: float) -> RunConfig:
    """The configuration with another method, and prices of leakage so many times as high."""
    fields = whole.model_dump()
    if method == "lattice":
        fields["fair"] = {"method": "lattice"}
    else:
        own = {key: fields["fair"][key] for key in ("schedule", "user_weight", "batch", "pairs")}
        own |= {} if method in ("al", "cal") else {"item_weight": fields["fair"]["item_weight"]}
        fields["fair"] = fields["fair"] if method == whole.fair.method else {"method": method, **own}
    for price in {"user_weight", "item_weight"} & fields["fair"].keys():
        fields["fair"][price] *= times
    return RunConfig.model_validate(fields | {"name": f"{whole.name}-{method}"})


def _method(config: RunConfig, data: Path, out: Path) -> dict[str, Any]:
    """One bundle: its base, and its fair vectors with everything protected."""
    experiment = experiment_of(config, load(config.data, data))
    started = time.monotonic()
    path = run(config, data, out / "bundles", torch.device("cpu"), out / "bases")
    if path is None:
        raise SystemExit("another process trains")
    took = time.monotonic() - started
    bundle = read_bundle(path)
    if bundle.audit is None:
        raise SystemExit("the bundle has no audit/")
    names = experiment.attributes
    before = bundle.items.vectors if bundle.audit.items is None else bundle.audit.items
    return {
        "seconds": took,
        "base": _row(experiment, bundle, np.asarray(bundle.audit.base), np.asarray(before), "base"),
        "fair": _row(experiment, bundle, fair_vectors(bundle, names), np.asarray(bundle.items.vectors), "fair"),
        "modal": {
            f"{row['target'].removeprefix('modal:')} {row['attribute']}": row["strongest"]["auc"]
            for row in bundle.card["leakage"]["by_mask"]
            if row["target"].startswith("modal:")
        },
    }


def _row(
    experiment: Experiment, bundle: Bundle, users: NDArray[np.float32], items: NDArray[np.float32], target: str
) -> dict[str, Any]:
    """Accuracy over all users, and what audit users' vectors (E) and liked items (I) give away."""
    found: dict[str, Any] = dict(_accuracy(experiment, users, items))
    ours = {
        row["attribute"]: row["strongest"]["auc"]
        for row in bundle.card["leakage"]["by_mask"]
        if row["target"] == target and (target == "base" or set(row["sensitive"]) == set(experiment.attributes))
    }
    liked = _means(experiment, items)
    whom = _whom(experiment)
    for name in experiment.attributes:
        labels = experiment.labels_of(name)
        implicit = leakage(
            liked, labels, whom, QUICK, attribute=name, target="I", ordered=experiment.ordered[name], seed=0
        )
        found[name] = {
            "ours": {"E": ours[name], "I": implicit.auc},
            "paper": {"E": _paper(users, labels, whom), "I": _paper(liked, labels, whom)},
            "floor": 0.5 if labels.max() == 1 else float(np.bincount(labels[whom.audit]).max() / len(whom.audit)),
        }
    return found


def _accuracy(experiment: Experiment, users: NDArray[np.float32], items: NDArray[np.float32]) -> dict[str, float]:
    """R@20 and N@20 on the test share, over all users."""
    shares = experiment.held_out.shares
    if shares is None:
        raise SystemExit("the configuration holds no shares out")
    hits = hits_of(top_items(users, Scorer(items), K, experiment.held_out.before_test()), *shares.test)
    return {name: float(np.nanmean(getattr(hits, name)())) for name in ("recall", "ndcg")}


def _whom(experiment: Experiment) -> Users:
    """Who is attacked, and whose labels attackers know."""
    split = experiment.user_split
    return Users(np.flatnonzero(split == AUDIT), np.flatnonzero(split == TRAIN))


def _means(experiment: Experiment, items: NDArray[np.float32]) -> NDArray[np.float32]:
    """(U, d) mean vectors of the items that each user liked in training."""
    indptr, indices = experiment.train
    counts = np.maximum(np.diff(indptr), 1)[:, None]
    liked = csr_matrix((np.ones(len(indices), np.float32), indices, indptr), (len(indptr) - 1, len(items)))
    return np.asarray((liked @ items) / counts, np.float32)


def _paper(vectors: NDArray[np.float32], labels: NDArray[np.int64], whom: Users) -> float:
    """The paper's figure: balanced accuracy of a binary label, share of right classes of another."""
    rng, classes = torch.Generator().manual_seed(0), int(labels.max()) + 1
    attacker = Discriminators(vectors.shape[1], [classes], 0.2, rng)
    adam = torch.optim.Adam(attacker.parameters(), lr=1e-3, weight_decay=1e-4, fused=True)
    x, y = torch.tensor(vectors), torch.tensor(labels)
    train = torch.from_numpy(whom.train)
    for _ in range(EPOCHS):
        for rows in torch.split(train[torch.randperm(len(train), generator=rng)], BATCH):
            adam.zero_grad()
            attacker(x[rows], y[rows, None], rng).backward()
            adam.step()
    with torch.no_grad():
        said = attacker.logits(0, x[whom.audit]).argmax(1).numpy()
    truth = labels[whom.audit]
    if classes == 2:
        return float(balanced_accuracy_score(truth, said))
    return float((said == truth).mean())


def _options() -> argparse.Namespace:
    command = Command(__doc__, RESULTS)
    command.add_argument("--data", type=Path, help="folder of MovieLens-1M")
    command.add_argument("--out", type=Path, default=Path("bundles/fmmrec"))
    command.add_argument("--only", nargs="+", choices=METHODS, help="run only these methods")
    command.add_argument("--bases", nargs="+", default=[], choices=BASES, help="train these, and no method")
    command.add_argument("--times", type=float, default=1, help="of the prices of leakage; rows of their own")
    command.add_size("--config", type=Path, default=CONFIG)
    command.add_size("--set", nargs="+", default=[], metavar="KEY=VALUE")
    command.add_argument("--write-only", action="store_true", help="run nothing")
    return command.options()


if __name__ == "__main__":
    sys.exit(main())
