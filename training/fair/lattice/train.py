"""The lattice as the fair stage of a run, and the front over its strengths."""

from __future__ import annotations

import logging
from typing import Any

import numpy as np

from bundle import FairEncoder, left_alone
from training.base.contract import Base
from training.experiment import Experiment, allowed_labels, evenly
from training.fair.contract import Fair
from training.fair.lattice.beginning import begin
from training.fair.lattice.choices import next_choices
from training.fair.lattice.config import LatticeConfig
from training.fair.lattice.fit import Lattice, fit_lattice
from training.fair.pareto_front import measure_front
from training.fair.select import shown_by, unmeasured_on_select
from training.threads import held_to

log = logging.getLogger(__name__)


def train_lattice(experiment: Experiment, base: Base, config: LatticeConfig) -> Fair:
    """Fit in closed form, on users that the base has met; where these are very many, on some, evenly spread."""
    labels = allowed_labels(experiment)
    met = evenly(np.flatnonzero(~experiment.folded_in), config.fitted_on)
    varying = base.users.shape[1] - base.constants
    log.info("fair: fitted on %s of %s users", f"{len(met):,}", f"{len(labels):,}")
    show, choices = shown_by(experiment, base), next_choices(experiment, base)
    for name, why in unmeasured_on_select(experiment).items():
        log.warning("fair: leakage of %s is not checked: %s", name, why)

    def fit_with(chosen: LatticeConfig) -> Lattice:
        return fit_lattice(
            begun,
            experiment.attributes,
            chosen,
            lambda fitted, mask: show(left_alone(fitted, base.constants), mask),
            choices,
        )

    def strength_alone(strength: int) -> FairEncoder:
        chosen = config.model_copy(update={"leakage_at_most": 1.0, "strength": strength})
        return left_alone(fit_with(chosen).encoder, base.constants)

    with held_to(1):  # thousands of steps too small to share: two threads would mostly wait for each other
        vectors = base.users[met, :varying], base.items[:, :varying]
        begun = begin(*vectors, labels[met], experiment.class_counts, config.folds, experiment.seed)
        found = fit_with(config)
        front = measure_front(experiment, base, config.front, strength_alone)
    fair = left_alone(found.encoder, base.constants)
    checked = _checked(found, config)
    return Fair(base, fair, found.network, found.parts, "base", front=front, checked=checked)


def _checked(found: Lattice, config: LatticeConfig) -> dict[str, Any]:
    """What was demanded, what select users show, and the attributes of which they show too much."""
    unmet = [name for name, excess in found.excess(config.select_users_show_at_most).items() if excess > 0]
    if unmet:
        log.warning("fair: no number of coordinates keeps what select users show of %s low enough", ", ".join(unmet))
    shown = {name: each._asdict() for name, each in found.shown.items()}
    return {"leakage_at_most": config.demanded, "select_users": shown, "unmet": unmet}
