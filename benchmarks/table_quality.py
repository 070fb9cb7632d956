"""PMF trained by the row and by dense Adam: whether its rankings are as good (docs/decisions/0040).

    .venv/bin/python benchmarks/table_quality.py --data ML1M [--config CONFIG] [--seeds 2020 1 2]

The base of the configuration alone, trained to its own best epoch in both ways with each seed; batches and negatives
are the same for both, so that a seed's two rows differ by nothing else. N@10 of the test positive of each audit user
that training has met: among 99 sampled items, the mean of three draws, and among all. One thread, processor seconds.
Results go to results/table_quality.json and table_quality.md.
"""

from __future__ import annotations

import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from statistics import mean
from typing import Any

import numpy as np
import torch
from command import ROOT, Command
from machine import circumstances
from numpy.typing import NDArray
from report import write_report

from measure.accuracy import full_ranks, ndcg_at, sample_negatives, sampled_ranks
from measure.scoring import Scorer
from measure.split import AUDIT
from training.base.pmf import Pmf, PmfConfig
from training.base.tables import TableConfig, TableModel, TableStage, table
from training.base.validation import validation_ndcg
from training.config import read_config
from training.data.load import load
from training.demands import experiment_of
from training.experiment import Experiment, rows_of
from training.loop import fit

CONFIG = ROOT / "training" / "configs" / "ml1m-pmf-lattice.toml"
SEEDS = [2020, 1, 2]
DRAWS = 3
KINDS = ("sampled", "full")
BUDGET = 0.005
"""How far the mean over seeds may be from dense Adam's."""
PACKAGES = ("torch", "numpy")


class DenseStage(TableStage):
    """The same stage with Adam over all rows."""

    def __init__(
        self, model: TableModel, config: TableConfig, experiment: Experiment, validate: Callable[[], float]
    ) -> None:
        super().__init__(model, config, experiment, validate)
        rate, decay = config.learning_rate, config.weight_decay
        self._adam = torch.optim.Adam(model.parameters(), rate, weight_decay=decay, fused=True)
        self._optimisers = {"tables": self._adam}

    def step(self, *batch_and_rng: Any) -> None:
        """Adam on both tables."""
        self._adam.zero_grad()
        self._model(*batch_and_rng).backward()
        self._adam.step()


WAYS: Mapping[str, type[TableStage]] = {"by the row": TableStage, "dense Adam": DenseStage}


def main() -> None:
    """Train, rank, write."""
    command = Command(__doc__)
    command.add_argument("--data", type=Path)
    command.add_size("--config", type=Path, default=CONFIG)
    command.add_size("--seeds", type=int, nargs="+", default=SEEDS)
    options = command.options()
    torch.set_num_threads(1)
    rows = [one_run(options, way, seed) for seed in options.seeds for way in WAYS]
    result = circumstances(PACKAGES) | {"rows": rows}
    write_report(options.results, "table_quality", "Tables by the row: quality", result, as_text(rows))


def one_run(options: Any, way: str, seed: int) -> dict[str, Any]:
    """Train in one way with one seed, and rank."""
    config = read_config(options.config, [], seed=seed)
    assert isinstance(config.base, PmfConfig)
    experiment = experiment_of(config, load(config.data, options.data))
    model = Pmf(len(experiment.dataset.users), len(experiment.dataset.items), config.base, seed)

    def vectors() -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        return table(model.users), table(model.items)

    stage = WAYS[way](model, config.base, experiment, lambda: validation_ndcg(experiment, *vectors()))
    started = time.process_time()
    with tempfile.TemporaryDirectory() as folder:
        fit(stage, config.base.schedule, seed, Path(folder) / "base.safetensors", torch.device("cpu"))
    row = {"way": way, "seed": seed, "processor_s": time.process_time() - started} | ranked(experiment, *vectors())
    print(row, flush=True)
    return row


def ranked(experiment: Experiment, users: NDArray[np.float32], items: NDArray[np.float32]) -> dict[str, Any]:
    """N@10 on the audit users."""
    dataset, held_out = experiment.dataset, experiment.held_out.test
    rows = np.flatnonzero((experiment.user_split == AUDIT) & ~experiment.folded_in & (held_out >= 0))
    seen = rows_of(rows, (dataset.indptr, dataset.indices))
    own, scorer, positives = users[rows], Scorer(items), held_out[rows]
    sampled = [
        sampled_ranks(own, scorer, positives, sample_negatives(*seen, len(dataset.items), seed=draw))
        for draw in range(DRAWS)
    ]
    full = full_ranks(own, scorer, positives, *seen)
    found = {"sampled": mean(float(ndcg_at(10, ranks).mean()) for ranks in sampled)}
    return {"n": len(rows), **found, "full": float(ndcg_at(10, full).mean())}


def as_text(rows: Sequence[Mapping[str, Any]]) -> str:
    """The page."""
    lines = ["| seed | way | sampled N@10 | full N@10 | s of a processor |", "|---|---|---|---|---|"]
    for row in rows:
        numbers = f"{row['sampled']:.4f} | {row['full']:.4f} | {row['processor_s']:,.0f}"
        lines.append(f"| {row['seed']} | {row['way']} | {numbers} |")
    means = {}
    for way in WAYS:
        own = [row for row in rows if row["way"] == way]
        means[way] = {kind: mean(row[kind] for row in own) for kind in KINDS}
        cells = [
            f"**{means[way][kind]:.4f}** ({min(row[kind] for row in own):.4f} - {max(row[kind] for row in own):.4f})"
            for kind in KINDS
        ]
        took_s = mean(row["processor_s"] for row in own)
        lines.append(f"| mean (range) | {way} | {' | '.join(cells)} | {took_s:,.0f} |")
    ours, theirs = means.values()
    apart = {kind: ours[kind] - theirs[kind] for kind in KINDS}
    met = "yes" if max(map(abs, apart.values())) <= BUDGET else "no"
    differences = ", ".join(f"{kind} {apart[kind]:+.4f}" for kind in KINDS)
    said = f"{rows[0]['n']:,} audit users. By the row less dense Adam: {differences}; within {BUDGET}: **{met}**."
    return "\n".join([said, "", *lines])


if __name__ == "__main__":
    main()
