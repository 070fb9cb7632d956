"""Small populations whose leakage is known because it was planted."""

from dataclasses import dataclass

import numpy as np
import pytest
from numpy.typing import NDArray

from measure.leakage import Users


@dataclass(frozen=True)
class Population:
    features: NDArray[np.float32]
    labels: NDArray[np.int64]
    users: Users


@pytest.fixture
def a_population():
    """Build users whose vectors are noise, plus ``signal`` along one direction per class, or an exclusive or."""

    def build(classes=2, signal=0.0, exclusive_or=False, audit=300, train=300, width=6, seed=0):
        rng = np.random.default_rng(seed)
        n = audit + train
        labels = rng.permutation(np.arange(n) % classes)
        features = rng.normal(size=(n, width)) + signal * np.eye(classes, width)[labels]
        if exclusive_or:
            labels = (features[:, 0] * features[:, 1] > 0).astype(np.int64)
        rows = rng.permutation(n)
        return Population(features.astype(np.float32), labels, Users(rows[:audit], rows[audit:] if train else None))

    return build
