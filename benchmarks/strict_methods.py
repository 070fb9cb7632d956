"""What protection costs on MovieLens-1M, and what attackers still find: splits of the users times base recommenders.

    python benchmarks/strict_methods.py --data ML1M_FOLDER --out FOLDER [--bases als pmf sasrec] [--salts d e f …]
        [--fair CONFIG.toml] [--workers 2] [--quick]

Every base is trained once, by training/configs/ml1m-BASE-lattice.toml. Then each salt splits the users 60/10/30 anew,
the method is fitted on the frozen base with the labels of train users, and audit users are attacked, in three ways: by
every attacker of the full profile where one attribute or all are protected, and where all masks that protect an
attribute are seen together, by three of them where two are. --quick has the three alone, in fewer folds.
--fair takes the method from another configuration. What is in FOLDER already is not computed again. Writes the table of
docs/results/strict-methods.md, and strict-methods.json beside it.
"""

from __future__ import annotations

import json
import logging
import sys
import time
from argparse import Namespace
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import torch
from command import ROOT, Command
from machine import circumstances
from numpy.typing import NDArray
from strict_methods_attacks import Attackers, attacked_rows, kept_of
from strict_methods_table import write_table

from measure.profiles import FULL
from training.base.contract import Base
from training.base.train import train_base
from training.card.views import Views
from training.config import RunConfig, read_config
from training.data.load import load
from training.data.split import split_users
from training.demands import experiment_of
from training.experiment import Experiment
from training.export import export
from training.fair.lattice.config import LatticeConfig
from training.fair.train import train_fair
from training.threads import held_to
from training.work import base_file

CONFIGS, RESULTS = ROOT / "training" / "configs", ROOT / "docs" / "results"
BASES, SALTS = ("als", "pmf", "sasrec"), ("d", "e", "f", "evenhand", "c")
THREE = replace(FULL, name="three", attackers=("logistic", "mlp", "svm"), both=("logistic", "mlp"), folds=3, repeats=1)
"""For rows that are many or wide."""
ATTACKERS = {False: Attackers(FULL, THREE, FULL), True: Attackers(THREE, THREE, THREE)}
"""Quick → who attacks what."""
PACKAGES = ("torch", "numpy", "scikit-learn", "implicit")


@dataclass(frozen=True)
class SplitAgain(Experiment):
    """An experiment whose users are split by another salt than its base was trained with."""

    never_met: NDArray[np.bool_] | None = None
    """(U,) users that the base was not trained on, by the split it was trained with."""

    @cached_property
    def folded_in(self) -> NDArray[np.bool_]:
        """These, whatever part they are in now."""
        return super().folded_in if self.never_met is None else self.never_met


def main() -> int:
    """Train, fit and attack what is missing, then write."""
    options = _options()
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(message)s", stream=sys.stderr)
    options.out.mkdir(parents=True, exist_ok=True)
    rows = []
    for name in options.bases:
        config = read_config(options.configs / f"ml1m-{name}-lattice.toml")
        fair = read_config(options.fair).fair if options.fair else config.fair
        if isinstance(fair, LatticeConfig):
            fair = fair.model_copy(update={"front": ()})
        config = config.model_copy(update={"fair": fair})
        path = options.out / f"{name}-{fair.method}{'-quick' if options.quick else ''}.json"
        with held_to(1):
            rows += _of_base(name, config, path, options)
    if options.fair is None:
        print(write_table(rows, circumstances(PACKAGES), options.results))
    return 0


def _of_base(name: str, config: RunConfig, path: Path, options: Namespace) -> list[dict[str, Any]]:
    """A row for each salt; those that ``path`` has are taken from there."""
    known = json.loads(path.read_text("utf-8")) if path.exists() else {}
    missing = [salt for salt in options.salts if salt not in known]
    if missing:
        dataset = load(config.data, options.data)
        experiment = experiment_of(config, dataset)
        checkpoint = options.out / base_file(config, dataset.fingerprint)
        base = train_base(experiment, config.base, checkpoint, torch.device("cpu"))
    for salt in missing:
        started = time.monotonic()
        known[salt] = {"base": name, "salt": salt} | _of_salt(experiment, base, config, salt, options)
        known[salt] |= {"seconds": round(time.monotonic() - started)}
        path.write_text(json.dumps(known, indent=1) + "\n", encoding="utf-8")
        print(json.dumps(known[salt]), flush=True)
    return [known[salt] for salt in options.salts]


def _of_salt(experiment: Experiment, base: Base, config: RunConfig, salt: str, options: Namespace) -> dict[str, Any]:
    """Split, fit, export, measure what was exported."""
    split = split_users(experiment.dataset.users, salt)
    again = SplitAgain(**vars_of(experiment) | {"user_split": split}, never_met=experiment.folded_in)
    work = options.out / f"{base.model}-{salt}-{config.fair.method}"
    work.mkdir(exist_ok=True)
    fair = train_fair(again, base, config.fair, work, torch.device("cpu"))
    draft = export(config, again, fair)
    assert draft.audit is not None  # export gives one
    views = Views(draft, draft.audit)
    found: dict[str, Any] = {"n": list(fair.network.sizes.get("coordinates", [])), "check": fair.checked}
    found |= {"audit_users": int(views.population.audited.sum()), "kept": kept_of(views, config.seed)}
    return found | {"leakage": attacked_rows(views, ATTACKERS[options.quick], config.seed, options.workers)}


def vars_of(experiment: Experiment) -> dict[str, Any]:
    """Its fields, without what it has computed from them."""
    return {name: getattr(experiment, name) for name in Experiment.__dataclass_fields__}


def _options() -> Namespace:
    command = Command(__doc__, RESULTS)
    command.add_argument("--data", type=Path, help="folder of MovieLens-1M")
    command.add_argument("--out", type=Path, default=ROOT / "build" / "strict-methods")
    command.add_argument("--workers", type=int, default=1, help="processes that attack side by side")
    command.add_argument("--fair", type=Path, help="a configuration whose [fair] is fitted; its rows are only printed")
    command.add_size("--bases", nargs="+", default=BASES)
    command.add_size("--salts", nargs="+", default=SALTS)
    command.add_size("--configs", type=Path, default=CONFIGS, help="folder with an ml1m-BASE-lattice.toml of each base")
    command.add_size("--quick", action="store_true")
    return command.options()


if __name__ == "__main__":
    sys.exit(main())
