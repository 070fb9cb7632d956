"""The attacks, and the rows they become."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from measure.errors import MeasureError
from measure.features import Features
from measure.labels import merge_rare
from measure.leakage import Leakage, Users, leakage
from measure.profiles import Profile
from measure.tuning import DEFAULTS, Tuned, tune
from training.card.targets import UNLISTED, Target, targets_of
from training.card.views import Views
from training.card.workers import Workers
from training.data.split import AUDIT, SELECT, TRAIN
from training.masks import Mask

Row = dict[str, Any]
NotMeasured = str
"""Why not."""


@dataclass(frozen=True)
class Attack:
    """One row of the card, ready to be measured in any process."""

    features: Features
    labels: NDArray[np.int64]
    users: Users
    profile: Profile
    attribute: str
    target: Target
    tuned: Tuned
    seed: int


@dataclass(frozen=True)
class Tuning:
    """The choice of the attackers' settings for one attribute, on u of the select users."""

    features: Features
    labels: NDArray[np.int64]
    profile: Profile
    seed: int


def leakage_of(views: Views, masks: Sequence[Mask], profile: Profile, workers: int) -> Row:
    """The card's ``leakage``: one row per (sensitive, attribute, target), in the order of the targets."""
    audit, description = views.audit, views.bundle.description
    seed = description.seeds["run"]
    labels, skipped = _measurable(views)
    targets = [replace(each, attributes=tuple(n for n in each.attributes if n in labels)) for each in targets_of(views, masks, profile)]
    users = {
        "audit": Users(np.flatnonzero((audit.split == AUDIT) & ~audit.folded_in), np.flatnonzero(audit.split == TRAIN)),
        "folded_in": Users(np.flatnonzero(audit.folded_in), np.flatnonzero(audit.split == TRAIN)),
    }
    select = audit.split == SELECT
    rows = [(target, name) for target in targets for name in target.attributes]

    with Workers(workers) as pool:
        tunings = (Tuning(audit.base[select], known[select], profile, seed) for known in labels.values())
        settings = dict(zip(labels, pool.run(tuned_on, tunings, len(labels), "tuning"), strict=True))

        def attacks() -> Iterator[Attack]:
            for target in targets:
                features = target.features() if target.attributes else None
                for name in target.attributes:
                    yield Attack(features, labels[name], users[target.users], profile, name, target, settings[name] or DEFAULTS, seed)

        found = dict(zip(rows, pool.run(attacked, attacks(), len(rows), "leakage"), strict=True))

    return {
        "protocol": {
            "profile": profile.name,
            "verdict": profile.verdict,
            "users": "audit",
            "labels": "train users only" if description.mode == "strict" else "all users: transductive",
            "score": "macro one-vs-rest AUC of scores, .5 + |AUC - .5|, the worse of cross-validated and fitted on train",
            "lists": "as served: float64 scores rounded to 1e-6, ties by item row",
            "not_tuned": [name for name, tuned in settings.items() if tuned is None],
            "not_measured": skipped + _reasons(found),
            "seed": seed,
        },
        "by_mask": list(_rows(found)),
    }


def attacked(attack: Attack) -> Leakage | NotMeasured:
    """Measure one row, in whichever process."""
    try:
        return leakage(
            attack.features, attack.labels, attack.users, attack.profile,
            attribute=attack.attribute, target=attack.target.name, tuned=attack.tuned, seed=attack.seed,
        )  # fmt: skip
    except MeasureError as error:
        return str(error)
