"""AFRL's training speed against the loop of the public reference, in one run on one core, and its time to quality.

    .venv/bin/python benchmarks/afrl_training.py --data ML1M --bases FOLDER [--reference-steps 200] [--speed-only]

The reference loop is written anew from its description (docs/algorithms/afrl.md): M + 1 separate encoders, an optimiser
for every network, 256 interaction rows a step with one negative each, one mask a batch, negatives by Python loops. Only
its speed is measured, so its initial weights are torch's. Time to quality: seconds of training until the share of the
base's validation N@10 that is kept with every attribute protected reaches what the reference's settings kept after 14
epochs, and the leakage that is left at the end. Times on a shared machine mean little, processor seconds more.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import time
from datetime import UTC, datetime
from itertools import pairwise
from pathlib import Path

import numpy as np
import torch
from command import ROOT, Command
from numpy.typing import NDArray
from torch import Tensor, nn

from measure.leakage import Users, leakage
from measure.profiles import QUICK
from training.base.contract import Base, RankingLoss
from training.base.train import train_base
from training.config import RunConfig, read_config
from training.data.load import load
from training.data.split import AUDIT, TRAIN, hold_out, split_users
from training.experiment import Experiment, allowed_labels
from training.fair.afrl.config import AfrlConfig
from training.fair.afrl.networks import FairNets
from training.fair.afrl.stage import AfrlStage
from training.fair.select import Validation, selection
from training.negatives import NegativeSampler
from training.work import base_file

CONFIG = ROOT / "training" / "configs" / "ml1m-pmf-afrl-reproduce.toml"
KEPT = 0.919
"""Share of the base's test N@10 kept by the reference's settings at their best epoch, every attribute protected."""
LEAKED = {"gender": 0.555, "age": 0.531, "occupation": 0.522}
"""What the strongest quick attacker then found."""
CPU = torch.device("cpu")


class Reference:
    """The reference's step, network by network."""

    def __init__(self, base: Base, experiment: Experiment, config: AfrlConfig) -> None:
        torch.manual_seed(experiment.seed)
        d, classes = base.users.shape[1], experiment.class_counts
        widths = [d, 2 * d, 4 * d, 8 * d, 4 * d, 2 * d, d]
        self.encoders = [nn.Sequential(nn.LayerNorm(d), *layers(widths)) for _ in range(1 + len(classes))]
        self.classifiers = [nn.Sequential(*layers([d, d, count])) for count in classes]
        self.adversaries = [nn.Sequential(*layers([d, d, count])) for count in classes]
        wide = (1 + len(classes)) * d
        self.combine = nn.Sequential(*layers([wide, 2 * wide, wide, d]))
        self.adams = {net: adam(net) for net in (*self.encoders, *self.classifiers, *self.adversaries, self.combine)}
        self.labels = torch.from_numpy(allowed_labels(experiment)).long()
        self.weights = [
            1 / torch.bincount(column, minlength=count).clamp(min=1)
            for column, count in zip(self.labels.T, classes, strict=True)
        ]
        self.users, self.items = torch.from_numpy(base.users), torch.from_numpy(base.items)
        self.beta, self.lam = config.alignment_weight, config.adversary_weight

        indptr, indices = experiment.train
        self.rows = np.stack([np.repeat(np.arange(len(indptr) - 1), np.diff(indptr)), indices], axis=1)
        bounds, touched = experiment.no_negatives
        self.touched = [set(touched[low:high].tolist()) for low, high in pairwise(bounds)]
        self.rng = np.random.default_rng(experiment.seed)

    def batches(self, size: int = 256) -> list[np.ndarray]:
        """One epoch's rows in random order."""
        order = self.rng.permutation(len(self.rows))
        return [self.rows[order[start : start + size]] for start in range(0, len(order), size)]

    def step(self, rows: np.ndarray) -> None:
        """One update on (B, 2) rows of user and item."""
        negatives = []
        for user in rows[:, 0]:
            item = int(self.rng.integers(len(self.items)))
            while item in self.touched[user]:
                item = int(self.rng.integers(len(self.items)))
            negatives.append(item)
        u, a = self.users[rows[:, 0]], self.labels[rows[:, 0]]
        mask = self.rng.integers(0, 2, size=a.shape[1])
        parts = [encoder(u) for encoder in self.encoders]

        align = sum(
            self.named(net, part, a, index) + self.beta * part.norm(dim=-1).mean()
            for index, (net, part) in enumerate(zip(self.classifiers, parts[1:], strict=True))
        )
        self.descend(align, *self.encoders[1:], *self.classifiers)
        leak = sum(self.named(net, parts[0], a, index) for index, net in enumerate(self.adversaries))
        self.descend(nn.functional.mse_loss(parts[0], u) - self.lam * leak, self.encoders[0])
        leak = sum(self.named(net, parts[0].detach(), a, index) for index, net in enumerate(self.adversaries))
        self.descend(leak, *self.adversaries)

        opened = [part.detach() * float(flag == 0) for part, flag in zip(parts[1:], mask, strict=True)]
        fair = self.combine(torch.cat([parts[0].detach(), *opened], dim=1))
        positive, negative = self.items[rows[:, 1]], self.items[negatives]
        margin = (fair * positive).sum(1) - (fair * negative).sum(1)
        self.descend(nn.functional.softplus(-margin).mean(), self.combine)

    def named(self, net: nn.Module, part: Tensor, labels: Tensor, index: int) -> Tensor:
        """Class-weighted loss of one classifier."""
        return nn.functional.nll_loss(net(part).log_softmax(1), labels[:, index], self.weights[index])

    def descend(self, loss: Tensor, *nets: nn.Module) -> None:
        """One step of these networks' optimisers."""
        for net in nets:
            self.adams[net].zero_grad()
        loss.backward()
        for net in nets:
            self.adams[net].step()


def layers(widths: list[int]) -> list[nn.Module]:
    """Linear and ReLU in turn, none at the end."""
    pairs = [part for n, m in pairwise(widths) for part in (nn.Linear(n, m), nn.ReLU())]
    return pairs[:-1]


def adam(net: nn.Module) -> torch.optim.Adam:
    """The reference's optimiser."""
    return torch.optim.Adam(net.parameters(), lr=5e-5, weight_decay=1e-8)


def main() -> None:
    """Measure both, print a table, keep the numbers."""
    command = Command(__doc__)
    command.add_argument("--data", type=Path, help="folder of MovieLens-1M")
    command.add_argument("--bases", type=Path, required=True, help="folder where the trained base is kept")
    command.add_size("--config", type=Path, default=CONFIG)
    command.add_size("--reference-steps", type=int, default=200)
    command.add_size("--speed-only", action="store_true", help="leave the time to quality out")
    options = command.options()
    torch.set_num_threads(1)
    config = read_config(options.config)
    experiment, base = prepare(config, options.data, options.bases)
    rows = {"reference loop": reference_speed(experiment, base, config.fair, options.reference_steps)}
    rows["this configuration"], quality = ours(experiment, base, config.fair, options)
    report(options.results, rows, quality)


def prepare(config: RunConfig, data: Path, bases: Path) -> tuple[Experiment, Base]:
    """The run's data and its base, trained where it is not kept."""
    dataset = load(config.data, data)
    users = split_users(dataset.users, config.split_salt)
    experiment = Experiment(dataset, hold_out(dataset), users, config.mode, config.seed, 0.0, config.split_salt)
    return experiment, train_base(experiment, config.base, bases / base_file(config, dataset.fingerprint), CPU)


def reference_speed(experiment: Experiment, base: Base, config: AfrlConfig, steps: int) -> dict[str, float]:
    """Rows a second of the reference's loop."""
    reference = Reference(base, experiment, config)
    batches = reference.batches()
    for batch in batches[:10]:
        reference.step(batch)
    clock = Clock()
    for batch in batches[10 : 10 + steps]:
        reference.step(batch)
    return clock.rates(sum(map(len, batches[10 : 10 + steps])), steps)


def ours(
    experiment: Experiment, base: Base, config: AfrlConfig, options: argparse.Namespace
) -> tuple[dict[str, float], dict[str, object]]:
    """Rows a second of the product's stage, and how soon it is as good."""
    names, classes = experiment.attributes, experiment.class_counts
    stage = AfrlStage(
        FairNets.create(base.users.shape[1], names, classes, experiment.seed),
        config,
        experiment.mode,
        base.contexts,
        allowed_labels(experiment),
        classes,
        RankingLoss(base, CPU),
        NegativeSampler(*experiment.no_negatives, len(base.items), CPU),
        selection(experiment, base, config.leakage_price),
        CPU,
    )
    everyone = Validation(
        base.selection, base.scorer, experiment.validation, experiment.validation_negatives, experiment.attributes
    )
    full = everyone.ndcg(base.selection)
    wall = cpu = 0.0
    pairs, kept, reached = 0, {}, None
    for epoch in range(1, (3 if options.speed_only else config.schedule.epochs) + 1):
        clock = Clock()
        pairs += stage.epoch(torch.Generator().manual_seed(epoch))
        wall, cpu = wall + clock.wall(), cpu + clock.cpu()
        if not options.speed_only and epoch % config.schedule.validate_every == 0:
            kept[epoch] = everyone.ndcg(everyone.fair(stage.encoder, names)) / full
            if reached is None and kept[epoch] >= KEPT:
                reached = {"epoch": epoch, "wall_s": wall, "cpu_s": cpu}
    rates = {
        "rows_per_s": pairs / wall,
        "rows_per_cpu_s": pairs / cpu,
        "contexts_per_cpu_s": pairs / config.pairs / cpu,
    }
    if options.speed_only:
        return rates, {}
    quality = {
        "target": KEPT,
        "kept_at_end": kept[max(kept)],
        "reached": reached,
        "kept": kept,
        "wall_s": wall,
        "cpu_s": cpu,
    }
    return rates, quality | {"leaked": leaked(experiment, everyone.fair(stage.encoder, names)), "target_leaked": LEAKED}


def leaked(experiment: Experiment, vectors: NDArray[np.float32]) -> dict[str, float]:
    """What the strongest quick attacker finds of each attribute in (U, d) fair vectors, as the card measures it."""
    audit, train = (np.flatnonzero(experiment.user_split == part) for part in (AUDIT, TRAIN))
    users, labels = Users(audit=audit, train=train), experiment.dataset.labels.astype(np.int64)
    return {
        name: leakage(vectors, labels[:, index], users, QUICK, attribute=name, target="fair", seed=experiment.seed).auc
        for index, name in enumerate(experiment.attributes)
    }


class Clock:
    """Wall and processor seconds since it was made; the latter do not count what other programs take."""

    def __init__(self) -> None:
        self._wall, self._cpu = time.perf_counter(), time.process_time()

    def wall(self) -> float:
        """Elapsed."""
        return time.perf_counter() - self._wall

    def cpu(self) -> float:
        """Of this process."""
        return time.process_time() - self._cpu

    def rates(self, rows: int, steps: int) -> dict[str, float]:
        """What was done since."""
        wall, cpu = self.wall(), self.cpu()
        return {"rows_per_s": rows / wall, "rows_per_cpu_s": rows / cpu, "ms_per_step": 1e3 * cpu / steps}


def report(folder: Path, rows: dict[str, dict[str, float]], quality: dict[str, object]) -> None:
    """Print a Markdown table and keep the numbers."""
    reference, ours = rows.values()
    ratio = ours["rows_per_cpu_s"] / reference["rows_per_cpu_s"]
    print("| one core | rows/s | rows per processor second |\n|---|---|---|")
    for name, row in rows.items():
        print(f"| {name} | {row['rows_per_s']:,.0f} | {row['rows_per_cpu_s']:,.0f} |")
    print(f"| ratio | {ours['rows_per_s'] / reference['rows_per_s']:.1f} | {ratio:.1f} |")
    if quality:
        print(f"\n{KEPT:.1%} of N@10 kept with every attribute protected: {quality['reached'] or 'not reached'}")
        print(f"at the end, after {quality['wall_s']:.0f} s: {quality['kept_at_end']:.1%} kept, {quality['leaked']}")
    machine = {"cpus": os.cpu_count(), "machine": platform.machine(), "python": platform.python_version()}
    result = {"date": datetime.now(UTC).date().isoformat(), "machine": machine, "torch": torch.__version__}
    text = json.dumps({**result, "rows": rows, "ratio": ratio, "quality": quality}, indent=1)
    (folder / "afrl_training.json").write_text(text + "\n")


if __name__ == "__main__":
    main()
