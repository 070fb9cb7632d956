"""The lattice as the fair stage of a run, and the front over its strengths."""

from __future__ import annotations

import logging

from bundle import FairEncoder, Network, Part
from training.base.contract import Base
from training.experiment import Experiment
from training.fair.contract import Fair, allowed_labels
from training.fair.lattice.config import LatticeConfig
from training.fair.lattice.fit import fit_lattice
from training.fair.pareto_front import measure_front
from training.fair.select import leaked_where_protected_alone, unmeasured_on_select

log = logging.getLogger(__name__)


def train_lattice(experiment: Experiment, base: Base, config: LatticeConfig) -> Fair:
    """Fit in closed form, on users that the base has met."""
    labels = allowed_labels(experiment)
    met = ~experiment.folded_in
    leaked = leaked_where_protected_alone(experiment, base)
    for name, why in unmeasured_on_select(experiment).items():
        log.warning("fair: leakage of %s is not checked: %s", name, why)

    def fit_with(chosen: LatticeConfig) -> tuple[FairEncoder, Network, list[Part]]:
        users, known = base.users[met], labels[met]
        names, classes = experiment.attributes, experiment.class_counts
        return fit_lattice(users, base.items, known, names, classes, chosen, experiment.seed, leaked)

    encoder, network, parts = fit_with(config)
    plain = config.model_copy(update={"leakage_at_most": 1.0})
    front = measure_front(
        experiment, base, config.front, lambda strength: fit_with(plain.model_copy(update={"strength": strength}))[0]
    )
    return Fair(base, encoder, network, parts, "base", front=front)
