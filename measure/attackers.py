"""Five attackers of different kinds: each is fitted on some users and scores others.

The strongest differs from case to case, so leakage is the maximum over them. Settings were chosen so that what a
linear map leaves behind is still found: narrow kernels, few neighbours, an MLP trained long enough.
"""

import warnings
from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from sklearn.ensemble import HistGradientBoostingClassifier
from sklearn.exceptions import ConvergenceWarning
from sklearn.linear_model import LogisticRegression
from sklearn.metrics.pairwise import rbf_kernel
from sklearn.svm import SVC

from measure.auc import as_columns, columns
from measure.features import Prepared, met
from measure.neighbours import shares
from measure.perceptron import probabilities

Settings = Mapping[str, float]

_LOGISTIC_STEPS = 15  # of many columns, later ones fit what is there by chance
_LOGISTIC_TOLERANCE = 1e-3
_SVM_TOLERANCE = 0.01  # ten times libsvm's: the order of the scores is the same, a third of the time is saved
_KERNEL_ROWS = 5_000  # up to here the kernel is one product of matrices, 200 MB at most


@dataclass(frozen=True)
class Attempt:
    """One fit: users to learn from, users to score. Both are scaled already, by the statistics of the former."""

    fitting: Prepared
    labels: NDArray[np.int64]
    """Shape (fitting users,), 0, 1, …; a class may be absent."""
    scored: Prepared
    class_count: int
    seed: int
    members: int = 1


def attack(name: str, attempt: Attempt, settings: Settings) -> NDArray[np.float64]:
    """Score users with one attacker; shape (scored users, K), columns as in `measure.auc`.

    When the fitting users form a single class nothing can be learned and every score is 0.
    """
    known = np.unique(attempt.labels)
    if len(known) < 2:
        return np.zeros((len(attempt.scored.dense), columns(attempt.class_count)))
    return as_columns(ATTACKERS[name](attempt, settings), known.tolist(), attempt.class_count)


def _logistic(attempt: Attempt, settings: Settings) -> NDArray[np.float64]:
    """Logistic regression with an L2 penalty, ``c`` its inverse weight; sees sparse columns as they are."""
    model = LogisticRegression(C=settings["c"], max_iter=_LOGISTIC_STEPS, tol=_LOGISTIC_TOLERANCE)
    with warnings.catch_warnings():  # so many steps are enough to score with, converged or not
        warnings.simplefilter("ignore", ConvergenceWarning)
        known, scored = met(attempt.fitting.wide, attempt.scored.wide)
        model.fit(known, attempt.labels)
    return np.asarray(model.decision_function(scored))


def _mlp(attempt: Attempt, settings: Settings) -> NDArray[np.float64]:
    """Mean of perceptrons with 128 hidden units, a fixed number of epochs and an L2 penalty ``alpha``."""
    classes, labels = np.unique(attempt.labels, return_inverse=True)
    found = probabilities(
        attempt.fitting.dense,
        labels,
        attempt.scored.dense,
        penalty=settings["alpha"],
        members=attempt.members,
        seed=attempt.seed,
    )
    return found[:, 1] if len(classes) == 2 else found


def _boosting(attempt: Attempt, settings: Settings) -> NDArray[np.float64]:
    """Histogram gradient boosting; ``trees`` in all, shared among the classes, ``leaf`` users in a leaf at least."""
    model = HistGradientBoostingClassifier(
        max_iter=max(12, int(settings["trees"] / columns(attempt.class_count))),
        learning_rate=0.15,
        max_leaf_nodes=8,
        min_samples_leaf=int(settings["leaf"]),
        max_features=0.3,
        max_bins=63,
        early_stopping=False,
        random_state=attempt.seed,
    )
    model.fit(attempt.fitting.dense, attempt.labels)
    return np.asarray(model.predict_proba(attempt.scored.dense))


def _knn(attempt: Attempt, settings: Settings) -> NDArray[np.float64]:
    """Vote of the ``k`` nearest users, each by the inverse of its distance."""
    classes, labels = np.unique(attempt.labels, return_inverse=True)
    found = shares(attempt.fitting.dense, labels, attempt.scored.dense, min(int(settings["k"]), len(labels)))
    return found[:, 1] if len(classes) == 2 else found


def _svm(attempt: Attempt, settings: Settings) -> NDArray[np.float64]:
    """SVM with an RBF kernel exp(-``gamma`` |x - y|² / d); beyond two classes, votes of pairs and their margins."""
    known, scored = attempt.fitting.dense, attempt.scored.dense
    gamma = settings["gamma"] / known.shape[1]
    if len(known) > _KERNEL_ROWS:
        model = SVC(C=settings["c"], gamma=gamma, tol=_SVM_TOLERANCE, shrinking=False, cache_size=500)
        return np.asarray(model.fit(known, attempt.labels).decision_function(scored))
    model = SVC(C=settings["c"], kernel="precomputed", tol=_SVM_TOLERANCE, shrinking=False, cache_size=500)
    model.fit(rbf_kernel(known, gamma=gamma), attempt.labels)
    return np.asarray(model.decision_function(rbf_kernel(scored, known, gamma=gamma)))


ATTACKERS: Mapping[str, Callable[[Attempt, Settings], NDArray[np.float64]]] = {
    "logistic": _logistic,
    "mlp": _mlp,
    "boosting": _boosting,
    "knn": _knn,
    "svm": _svm,
}
