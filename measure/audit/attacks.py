"""The work behind the rows, as functions of plain data that any process can run."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from measure.audit.reasons import Reason, reason_of
from measure.errors import MeasureError
from measure.features import Features, Forms
from measure.leakage import Leakage, Users, leakage
from measure.profiles import Profile
from measure.tuning import DEFAULTS, Tuned, tune


@dataclass(frozen=True)
class Tuning:
    """The choice of the attackers' settings for one attribute."""

    features: Features
    """u of the select users."""
    labels: NDArray[np.int64]
    ordered: bool
    """Whether the classes stand in an order."""
    profile: Profile
    seed: int


@dataclass(frozen=True)
class Attack:
    """One row of the card."""

    features: Features | Forms
    labels: NDArray[np.int64]
    ordered: bool
    users: Users
    profile: Profile
    attribute: str
    target: str
    tuned: Tuned
    seed: int


@dataclass(frozen=True)
class NotMeasured:
    """Why there is no such row."""

    code: Reason
    reason: str


def tuned_on(tuning: Tuning) -> Tuned:
    """Tune the profile's attackers; the default settings where the select users are too few to choose by."""
    try:
        return tune(tuning.features, tuning.labels, tuning.seed, tuning.profile.attackers, ordered=tuning.ordered)
    except MeasureError:
        return DEFAULTS


def attacked(attack: Attack) -> Leakage | NotMeasured:
    """Measure one row; an expected refusal comes back as its reason, which can leave a process."""
    try:
        return leakage(
            attack.features,
            attack.labels,
            attack.users,
            attack.profile,
            attribute=attack.attribute,
            target=attack.target,
            tuned=attack.tuned,
            ordered=attack.ordered,
            seed=attack.seed,
        )
    except MeasureError as error:
        return NotMeasured(reason_of(error), str(error))
