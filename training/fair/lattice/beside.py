"""J7: what the scores of an attribute say beside those of the others."""

from __future__ import annotations

import numpy as np

from bundle.networks.lattice_layers import Beside, Independent, MeanGivenScores
from training.fair.lattice.closed_form import Matrix, fit_independent, fit_mean
from training.fair.lattice.config import LatticeConfig


def fit_beside(beside: Beside, sigma: Matrix, config: LatticeConfig) -> None:
    """Make the z of all attributes but a, and e_a, together independent of σ_a, for each a.

    z_a starts as σ_a less its mean given all other scores. Where all scores are normal together, that is all: the z of
    others are independent of σ_a because their covariances with it are 0. Elsewhere each attribute has its turn, in
    which the z of all others are made independent of its scores together, and the turns go round again, because the
    one of b moves the z that the one of a has moved.

    With normal scores, these z hold all that the others say beside σ_a; where scores go closely together, most of it is
    small in them, and what is not linear is lost. So from three attributes on e_a has it anew: the scores of all
    others, less what depends on σ_a whatever the z of others are, so that they stay independent of σ_a with these at
    hand.

    Args:
        beside: takes the constants.
        sigma: (U, n).
        config: ridge, sweeps, shrinkage.
    """
    z = sigma.copy()
    for own, others, mean in zip(beside.places, beside.others, beside.means, strict=True):
        assert isinstance(mean, MeanGivenScores)  # noqa: S101  for the types: a ModuleList forgets
        z[:, own] = fit_mean(mean, sigma[:, own], sigma[:, others], config.ridge)
    for step, independent in enumerate(beside.turns):
        own, others = beside.turn(step)
        assert isinstance(independent, Independent)  # noqa: S101
        z[:, others] = fit_independent(independent, z[:, others], sigma[:, own], config)
    for step, independent in enumerate(beside.all_but):
        own, others = beside.turn(step)
        assert isinstance(independent, Independent)  # noqa: S101
        by = np.concatenate([sigma[:, own], z[:, others]], 1)
        fit_independent(independent, sigma[:, others], by, config, of=len(own))
