"""DifFaiRec's table on MovieLens-1M: DiffRec, and DifFaiRec by attribute, condition and taste, in an 8:1:1 split.

    python benchmarks/diffusion.py --data ML1M_FOLDER [--only posterior-mean …] [--write-only]

Every row is training/configs/ml1m-diffrec-diffairec-reproduce.toml with another attribute, condition and taste; the
base is trained once, and what is in --out already is not trained again. Lists of seven among all items that a user has
neither in training nor in validation. Writes diffusion.json.
"""

from __future__ import annotations

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
from numpy.typing import NDArray

from bundle import Diffairec
from measure.fairness.utility import errors
from measure.ranking import top_items
from measure.scoring import Scorer
from measure.several import hits_of
from training.base.contract import Base
from training.base.train import train_base
from training.config import RunConfig, read_config
from training.data.load import load
from training.demands import experiment_of
from training.experiment import Experiment
from training.fair.train import train_fair

CONFIG = ROOT / "training" / "configs" / "ml1m-diffrec-diffairec-reproduce.toml"
RESULTS = ROOT / "docs" / "results"
K = 7
CPU = torch.device("cpu")
METHODS: Mapping[str, Mapping[str, str]] = {
    "own-mean": {"condition": "own", "taste": "mean"},
    "own-component": {"condition": "own", "taste": "component"},
    "posterior-mean": {"condition": "posterior", "taste": "mean"},
    "posterior-component": {"condition": "posterior", "taste": "component"},
}


def main() -> int:
    """Train what is asked for and missing, then write."""
    command = Command(__doc__, RESULTS)
    command.add_argument("--data", type=Path)
    command.add_argument("--out", type=Path, default=ROOT / "build" / "diffusion")
    command.add_argument("--only", nargs="+", choices=METHODS, default=list(METHODS))
    command.add_argument("--write-only", action="store_true")
    command.add_size("--config", type=Path, default=CONFIG)
    options = command.options()
    logging.basicConfig(level=logging.INFO, format="%(message)s", stream=sys.stderr)
    torch.set_num_threads(1)
    whole = read_config(options.config)
    options.out.mkdir(parents=True, exist_ok=True)
    if not options.write_only:
        experiment = experiment_of(whole, load(whole.data, options.data))
        base, seconds = _timed(lambda: train_base(experiment, whole.base, options.out / "base.safetensors", CPU))
        row = {"method": "diffrec"} | _measured(experiment, base, base.users) | {"processor_s": seconds}
        _write(options.out / "diffrec.json", row)
        for attribute in experiment.attributes:
            for name in options.only:
                path = options.out / f"{attribute}-{name}.json"
                if not path.exists():
                    _conditioned(path, name, attribute, whole, experiment, base)
    rows = [json.loads(path.read_text("utf-8")) for path in sorted(options.out.glob("*.json"))]
    (options.results / "diffusion.json").write_text(json.dumps(rows, indent=1) + "\n", encoding="utf-8")
    for row in rows:
        print(json.dumps(row))
    return 0


def _timed(train: Any) -> tuple[Any, float]:
    began = time.process_time()
    return train(), time.process_time() - began


def _conditioned(path: Path, name: str, attribute: str, whole: RunConfig, experiment: Experiment, base: Base) -> None:
    """Train and measure one row."""
    fields = whole.model_dump()
    config = RunConfig.model_validate(fields | {"fair": fields["fair"] | {"attribute": attribute, **METHODS[name]}})
    fair, seconds = _timed(lambda: train_fair(experiment, base, config.fair, path.with_suffix(""), CPU))
    users = fair.base.users if fair.vectors is None else fair.vectors[:, 0]
    measured = _measured(experiment, base, users) | _swapped(experiment, fair.base, users)
    row = {"method": f"diffairec-{name}", "attribute": attribute} | measured | {"processor_s": seconds}
    _write(path, row)


def _write(path: Path, row: Mapping[str, Any]) -> None:
    path.write_text(json.dumps(row, indent=1) + "\n", encoding="utf-8")
    print(json.dumps(row), flush=True)


def _measured(experiment: Experiment, base: Base, users: NDArray[np.float32]) -> dict[str, Any]:
    """Of (U, d) vectors on the test positives."""
    shares = experiment.held_out.shares
    if shares is None:
        raise SystemExit("the configuration holds no shares out")
    lists = _lists(experiment, base, users)
    hits = hits_of(lists, *shares.test)
    found = {"recall": float(np.nanmean(hits.recall())), "ndcg": float(np.nanmean(hits.ndcg()))}
    gaps = {attribute: _gaps(hits.precision(), experiment.labels_of(attribute)) for attribute in experiment.attributes}
    return {**found, "gaps": gaps, "items_unlike_diffrec": _unlike(lists, _lists(experiment, base, base.users))}


def _swapped(experiment: Experiment, base: Base, users: NDArray[np.float32]) -> dict[str, float]:
    """How many of the items in a list are others where the two classes change places in the condition."""
    if not isinstance(base.history, Diffairec):
        return {}  # vectors under the own label are finished ones: no other condition can be asked for
    histories = [experiment.held_out.history(user, with_validation=True) for user in range(len(users))]
    other = base.history.vectors_under(histories, base.history.weights_of(histories)[:, ::-1].copy())
    return {"items_moved_by_a_swap": _unlike(_lists(experiment, base, users), _lists(experiment, base, other))}


def _lists(experiment: Experiment, base: Base, users: NDArray[np.float32]) -> NDArray[np.int64]:
    """(U, 7) item rows."""
    return np.asarray(top_items(users, Scorer(base.items), K, experiment.held_out.before_test()))


def _unlike(lists: NDArray[np.int64], others: NDArray[np.int64]) -> float:
    """Share of the items of a list that the other list of the same user lacks."""
    return float(
        np.mean([len(set(one) - set(other)) / K for one, other in zip(lists.tolist(), others.tolist(), strict=True)])
    )


def _gaps(precision: NDArray[np.float64], labels: NDArray[np.int64]) -> dict[str, float]:
    """A@k and E@k of the two classes, and the standard error of A: with positives alone, A is the gap of precision."""
    of_class = [precision[(labels == each) & ~np.isnan(precision)] for each in (0, 1)]
    means = [float(each.mean()) for each in of_class]
    found = errors(K * means[0], K * means[1], K)
    error = float(np.sqrt(sum(each.var(ddof=1) / len(each) for each in of_class)))
    gaps = {"a": found.precision, "a_standard_error": error, "e": found.e}
    return gaps | {"precision_first": means[0], "precision_second": means[1]}


if __name__ == "__main__":
    sys.exit(main())
