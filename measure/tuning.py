"""Settings of the attackers, chosen once per attribute on the base user vectors of the select users."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import product

import numpy as np
from sklearn.model_selection import StratifiedKFold

from measure.attackers import ATTACKERS, Attempt, Settings, attack
from measure.auc import macro_auc
from measure.errors import ShapeError, UnknownAttackerError
from measure.features import Features, prepare
from measure.labels import Labels, merge_rare

SELECT_RARE_BELOW = 10
"""Select users that a class needs for tuning: a third of the audit users it needs, as there are a third as many."""

_FOLDS = 3

# What is best on base vectors, whose trace of an attribute is mostly linear, can be blind on fair ones, whose linear
# trace is gone. So the grids stay where both are attacked well: an alpha of 3, a gamma of .1 or 100 neighbours score
# a little better on the former and lose up to .2 AUC on the latter.
GRIDS: Mapping[str, Mapping[str, Sequence[float]]] = {
    "logistic": {"c": (0.003, 0.01, 0.1, 1.0)},
    "mlp": {"alpha": (0.3, 1.0)},
    "boosting": {"trees": (80.0,), "leaf": (10.0, 30.0)},
    "knn": {"k": (15.0, 30.0, 60.0)},
    "svm": {"c": (1.0, 10.0), "gamma": (0.5, 1.0)},
}


@dataclass(frozen=True)
class Tuned:
    """Settings per attacker, and the AUC that chose them where they were tuned."""

    settings: Mapping[str, Settings]
    aucs: Mapping[str, float]


DEFAULTS = Tuned(
    settings={
        "logistic": {"c": 0.01},
        "mlp": {"alpha": 1.0},
        "boosting": {"trees": 80.0, "leaf": 30.0},
        "knn": {"k": 30.0},
        "svm": {"c": 10.0, "gamma": 0.5},
    },
    aucs={},
)
"""Where there are no select users to tune on."""


def tune(
    features: Features,
    labels: Labels,
    seed: int,
    attackers: Sequence[str] = tuple(ATTACKERS),
    *,
    ordered: bool = False,
) -> Tuned:
    """Choose each attacker's settings by cross-validated AUC.

    Args:
        features: of the select users only, shape (n, d); the base user vectors.
        labels: shape (n,), -1 for unknown (left out). Classes under 10 users are merged.
        seed: of folds and attackers.
        attackers: which to tune; the others keep `DEFAULTS`.
        ordered: whether the classes stand in an order.

    Raises:
        MeasureError: the features are not finite, the shapes disagree, or there are too few users or classes.
    """
    if labels.shape != (features.shape[0],):
        raise ShapeError("labels", labels.shape, f"({features.shape[0]},)")
    for name in attackers:
        if name not in ATTACKERS:
            raise UnknownAttackerError(name, tuple(ATTACKERS))
    everyone = np.arange(len(labels))
    merged = merge_rare(labels, everyone, SELECT_RARE_BELOW, ordered=ordered).apply(labels)
    known = np.flatnonzero(merged >= 0)
    target, users = merged[known], prepare(features).rows(known)
    class_count = int(target.max()) + 1

    attempts = []
    for fitting, held in StratifiedKFold(_FOLDS, shuffle=True, random_state=seed).split(target, target):
        base = users.rows(fitting)
        attempt = Attempt(base.scaled(base), target[fitting], users.rows(held).scaled(base), class_count, seed)
        attempts.append((attempt, target[held]))

    best: dict[str, tuple[float, Settings]] = {}
    for name in attackers:
        grid = GRIDS[name]
        for values in product(*grid.values()):
            settings = dict(zip(grid, values, strict=True))
            auc = float(np.mean([macro_auc(attack(name, attempt, settings), truth) for attempt, truth in attempts]))
            if name not in best or auc > best[name][0]:
                best[name] = (auc, settings)
    return Tuned(
        settings={**DEFAULTS.settings, **{name: settings for name, (_, settings) in best.items()}},
        aucs={name: auc for name, (auc, _) in best.items()},
    )
