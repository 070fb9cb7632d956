"""The lattice as the fair stage of a run, and the front over its strengths."""

from __future__ import annotations

import logging

import numpy as np

from bundle import FairEncoder, Network, Part, left_alone
from training.base.contract import Base
from training.experiment import Experiment, evenly
from training.fair.contract import Fair, allowed_labels
from training.fair.lattice.config import LatticeConfig
from training.fair.lattice.fit import fit_lattice
from training.fair.pareto_front import measure_front
from training.fair.select import leaked_where_protected_alone, unmeasured_on_select
from training.threads import held_to

log = logging.getLogger(__name__)


def train_lattice(experiment: Experiment, base: Base, config: LatticeConfig) -> Fair:
    """Fit in closed form, on users that the base has met; where these are very many, on some, evenly spread."""
    labels = allowed_labels(experiment)
    met = evenly(np.flatnonzero(~experiment.folded_in), config.fitted_on)
    varying = base.users.shape[1] - base.constants
    log.info("fair: fitted on %s of %s users", f"{len(met):,}", f"{len(labels):,}")
    leaked = leaked_where_protected_alone(experiment, base)
    for name, why in unmeasured_on_select(experiment).items():
        log.warning("fair: leakage of %s is not checked: %s", name, why)
    biases = base.items[:, varying:].sum(1)

    def fit_with(chosen: LatticeConfig) -> tuple[FairEncoder, Network, list[Part]]:
        encoder, network, parts = fit_lattice(
            base.users[met, :varying],
            base.items[:, :varying],
            labels[met],
            experiment.attributes,
            experiment.class_counts,
            chosen,
            experiment.seed,
            lambda fitted, name: leaked(left_alone(fitted, base.constants), name),
            biases,
        )
        return left_alone(encoder, base.constants), network, parts

    def at_strength(strength: int) -> FairEncoder:
        return fit_with(plain.model_copy(update={"strength": strength}))[0]

    plain = config.model_copy(update={"leakage_at_most": 1.0})
    with held_to(1):  # thousands of steps too small to share: two threads would mostly wait for each other
        encoder, network, parts = fit_with(config)
        front = measure_front(experiment, base, config.front, at_strength)
    return Fair(base, encoder, network, parts, "base", front=front)
