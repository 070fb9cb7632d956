"""Attackers of gender: those of PoT-AU's public code, and ours."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray
from sklearn.ensemble import GradientBoostingClassifier
from sklearn.metrics import accuracy_score, roc_auc_score
from sklearn.model_selection import StratifiedKFold
from sklearn.neural_network import MLPClassifier

from measure.features import Features
from measure.leakage import Users, leakage
from measure.profiles import FULL, QUICK
from measure.split import AUDIT, TRAIN
from training.experiment import Experiment

BALANCED_BY, FOLDS = 4, 5
"""Seed that users of the larger class are left out by; parts of a cross-validation."""


def theirs(u: NDArray[np.float32], labels: NDArray[np.int64], times: int) -> dict[str, dict[str, float]]:
    """AUC and balanced accuracy of each attacker on (n, d) vectors, mean over the folds of so many cross-validations.

    Trees are scikit-learn's in place of XGBoost's: as many, as deep, at XGBoost's own learning rate.
    """
    rows = _balanced(labels)
    x, y = u[rows].astype(np.float64), labels[rows]
    found: dict[str, dict[str, float]] = {}
    for name in ("perceptron", "trees"):
        aucs, accuracies = [], []
        for time in range(times):
            folds = StratifiedKFold(FOLDS, shuffle=True, random_state=time)
            for fit, test in folds.split(x, y):
                attacker = (
                    MLPClassifier((100,), alpha=1.0, random_state=time)
                    if name == "perceptron"
                    else GradientBoostingClassifier(
                        max_depth=4, n_estimators=50, learning_rate=0.3, max_features=8, random_state=time
                    )
                )
                scores = attacker.fit(x[fit], y[fit]).predict_proba(x[test])[:, 1]
                aucs.append(roc_auc_score(y[test], scores))
                accuracies.append(accuracy_score(y[test], scores > 0.5))  # classes are balanced
        found[name] = {"auc": float(np.mean(aucs)), "bacc": float(np.mean(accuracies))}
    return found


def ours(
    features: Features, experiment: Experiment, labels: NDArray[np.int64], *, look: bool = False
) -> dict[str, Any]:
    """Leakage to the strongest attacker, folded at .5, on the audit users; with ``look`` by the quick profile."""
    split = experiment.user_split
    users = Users(np.flatnonzero(split == AUDIT), np.flatnonzero(split == TRAIN))
    profile = QUICK if look else FULL
    found = leakage(features, labels, users, profile, attribute="gender", target="fair", seed=experiment.seed)
    best = found.attackers[found.strongest]
    return {
        "auc": best.auc,
        "ci95": best.ci95,
        "attacker": found.strongest,
        "chance95": found.permutation95,
        "n": found.n,
        "attackers": {name: each.auc for name, each in found.attackers.items()},
    }


def _balanced(labels: NDArray[np.int64]) -> NDArray[np.int64]:
    """As many rows of each class as the rarest has."""
    rng = np.random.default_rng(BALANCED_BY)
    classes = [np.flatnonzero(labels == each) for each in np.unique(labels[labels >= 0])]
    fewest = min(map(len, classes))
    return np.sort(np.concatenate([rng.choice(rows, fewest, replace=False) for rows in classes]))
