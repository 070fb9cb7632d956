"""Five attackers of different kinds: each is fitted on some users and scores others.

The strongest differs from case to case, so leakage is the maximum over them. Settings were chosen so that what a
linear map leaves behind is still found: narrow kernels, few neighbours, an MLP trained long enough.
"""

import warnings
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sklearn.ensemble import HistGradientBoostingClassifier
from sklearn.exceptions import ConvergenceWarning
from sklearn.linear_model import LogisticRegression
from sklearn.neighbors import KNeighborsClassifier
from sklearn.neural_network import MLPClassifier
from sklearn.svm import SVC

from measure.auc import as_columns, columns
from measure.features import Prepared

Settings = Mapping[str, float]

_MLP_EPOCHS = 30
_MLP_BATCH = 128


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
    model = LogisticRegression(C=settings["c"], max_iter=500)
    with warnings.catch_warnings():  # 500 steps are enough to score with, converged or not
        warnings.simplefilter("ignore", ConvergenceWarning)
        model.fit(attempt.fitting.wide, attempt.labels)
    return np.asarray(model.decision_function(attempt.scored.wide))


def _mlp(attempt: Attempt, settings: Settings) -> NDArray[np.float64]:
    """Mean of MLPs with 128 hidden units, a fixed number of epochs and an L2 penalty ``alpha``."""
    total: Any = 0.0
    classes = np.unique(attempt.labels)
    for member in range(attempt.members):
        model = MLPClassifier(
            (128,),
            alpha=settings["alpha"],
            learning_rate_init=0.003,
            batch_size=min(_MLP_BATCH, len(attempt.labels)),
            random_state=attempt.seed + member,
        )
        for _ in range(_MLP_EPOCHS):  # one epoch each: the number of epochs is ours, so nothing has to converge
            model.partial_fit(attempt.fitting.dense, attempt.labels, classes=classes)
        total = total + model.predict_proba(attempt.scored.dense)
    return np.asarray(total / attempt.members, dtype=np.float64)


def _boosting(attempt: Attempt, settings: Settings) -> NDArray[np.float64]:
    """Histogram gradient boosting; ``trees`` in all, shared among the classes, ``leaf`` users in a leaf at least."""
    model = HistGradientBoostingClassifier(
        max_iter=max(20, int(settings["trees"] / columns(attempt.class_count))),
        learning_rate=0.1,
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
    k = min(int(settings["k"]), len(attempt.labels))
    model = KNeighborsClassifier(k, weights="distance", algorithm="brute")
    model.fit(attempt.fitting.dense, attempt.labels)
    return np.asarray(model.predict_proba(attempt.scored.dense))


def _svm(attempt: Attempt, settings: Settings) -> NDArray[np.float64]:
    """SVM with an RBF kernel exp(-``gamma`` |x - y|² / d); beyond two classes, votes of pairs and their margins."""
    width = attempt.fitting.dense.shape[1]
    model = SVC(C=settings["c"], gamma=settings["gamma"] / width, cache_size=500)
    model.fit(attempt.fitting.dense, attempt.labels)
    return np.asarray(model.decision_function(attempt.scored.dense))


ATTACKERS: Mapping[str, Callable[[Attempt, Settings], NDArray[np.float64]]] = {
    "logistic": _logistic,
    "mlp": _mlp,
    "boosting": _boosting,
    "knn": _knn,
    "svm": _svm,
}
