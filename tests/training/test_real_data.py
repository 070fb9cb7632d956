"""MovieLens-100K, trained for seconds: the base learns, the lattice withholds."""

from __future__ import annotations

import os
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from measure.accuracy import accuracy, full_ranks, sample_negatives, sampled_ranks
from measure.leakage import Users, leakage
from measure.profiles import QUICK
from measure.scoring import Scorer
from measure.split import AUDIT, TRAIN
from training.base.pmf import PmfConfig
from training.base.train import train_base
from training.data.config import MovieLensConfig
from training.data.load import load
from training.data.split import hold_out, split_users
from training.experiment import Experiment
from training.fair.lattice.config import LatticeConfig
from training.fair.train import train_fair
from training.loop import Schedule

pytestmark = [
    pytest.mark.data,
    pytest.mark.skipif("EVENHAND_DATA" not in os.environ, reason="EVENHAND_DATA is not set"),
]


SEEDS = (2020, 1)


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    torch.set_num_threads(1)
    dataset = load(MovieLensConfig(), Path(os.environ["EVENHAND_DATA"]) / "ml-100k")
    experiment = Experiment(dataset, hold_out(dataset), split_users(dataset.users, "evenhand"), "strict", 2020)
    work, cpu = tmp_path_factory.mktemp("work"), torch.device("cpu")
    config = PmfConfig(learning_rate=4e-3, schedule=Schedule(epochs=40, validate_every=5, patience=2))
    base = train_base(experiment, config, work / "base.safetensors", cpu)
    seeded = [replace(experiment, seed=seed) for seed in SEEDS]
    return (
        experiment,
        base,
        [train_fair(each, base, LatticeConfig(), tmp_path_factory.mktemp("fair"), cpu) for each in seeded],
    )


def test_the_base_ranks_far_better_than_popularity(trained):
    experiment, base, _ = trained
    seen = experiment.dataset.indptr, experiment.dataset.indices
    negatives = sample_negatives(*seen, len(base.items), seed=1)

    def ndcg(users, items):
        near = sampled_ranks(users, Scorer(items), experiment.held_out.test, negatives)
        far = full_ranks(users, Scorer(items), experiment.held_out.test, *seen)
        return accuracy(near, far)["sampled"]["ndcg@10"]

    popularity = np.bincount(experiment.train[1], minlength=len(base.items)).astype(np.float32)[:, None]
    popular = ndcg(np.ones((len(base.users), 1), np.float32), popularity)

    assert ndcg(base.users, base.items) > max(0.33, popular + 0.05)


def test_gender_is_withheld_from_attackers_on_audit_users(trained):
    """With either of two training seeds, from some 540 train users."""
    experiment, base, fair = trained
    labels = experiment.dataset.labels[:, experiment.attributes.index("gender")].astype(np.int64)
    users = Users(*(np.flatnonzero(experiment.user_split == part) for part in (AUDIT, TRAIN)))
    mask = torch.tensor([name == "gender" for name in experiment.attributes]).expand(len(base.users), -1)

    def leaked(features):
        return leakage(features, labels, users, QUICK, attribute="gender", target="fair").auc

    def protected(encoder):
        with torch.no_grad():
            return encoder.combine(encoder.split(torch.from_numpy(base.users)), mask).numpy()

    assert leaked(base.users) > 0.68
    assert max(leaked(protected(each.encoder)) for each in fair) < leaked(base.users) - 0.07
