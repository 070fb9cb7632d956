"""The trace of scores orders strengths of the lattice as leakage does, with a smaller error."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import torch

from measure.attackers import Attempt, attack
from measure.features import prepare
from measure.leakage import Users, leakage
from measure.profiles import Profile
from measure.trace import coordinates, trace
from training.fair.lattice.beginning import begin
from training.fair.lattice.config import LatticeConfig
from training.fair.lattice.fit import fit_lattice

LOOK = Profile("look", ("logistic", "mlp"), 3, 1, 1, 100, 1, fit_rows=4_000, verdict=False)
USERS, TRAIN, D = 3_000, 1_800, 12


def planted():
    """Three regions, each in a direction of its own: strength is how many of the two coordinates are withheld."""
    rng = np.random.default_rng(5)
    region = rng.integers(3, size=USERS)
    u = rng.normal(size=(USERS, D))
    u[:, 0] += 1.8 * (region == 1)
    u[:, 1] += 1.4 * (region == 2)
    u = u.astype(np.float32)
    vectors = prepare(u)
    fitting = vectors.rows(np.arange(TRAIN))
    attempt = Attempt(fitting.scaled(fitting), region[:TRAIN], vectors.scaled(fitting), 3, seed=0)
    return u, region, coordinates(attack("logistic", attempt, {"c": 0.01}))


def test_strengths_of_the_lattice_come_in_the_order_of_their_leakage():
    u, region, scores = planted()
    known = np.where(np.arange(USERS) < TRAIN, region, -1).astype(np.int16)[:, None]
    items = np.random.default_rng(6).normal(size=(60, D)).astype(np.float32)
    users = Users(np.arange(TRAIN, USERS), np.arange(TRAIN))
    protected = torch.ones((USERS, 1), dtype=torch.bool)

    traces, leaks = [], []
    begun = begin(u, items, known, (3,), LatticeConfig().folds, seed=3)
    for strength in (0, 1, 2):
        encoder = fit_lattice(begun, ("region",), LatticeConfig(strength=strength)).encoder
        with torch.no_grad():
            fair = encoder.combine(encoder.split(torch.from_numpy(u)), protected).numpy()
        traces.append(trace(fair, scores, seed=0))
        leaks.append(leakage(fair, region, users, LOOK, attribute="region", target="fair"))

    strongest = [each.attackers[each.strongest] for each in leaks]
    widths = [high - low for low, high in (each.ci95 for each in traces)]
    for more, less in pairwise(range(3)):
        assert strongest[more].auc > strongest[less].auc + 0.03
        assert traces[more].auc > traces[less].auc + 0.03
    assert max(widths) < min(high - low for low, high in (each.ci95 for each in strongest))
