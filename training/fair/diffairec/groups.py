"""What groups of users like, and what a history says of its user's group.

D1 and D2 of docs/algorithms/diffairec.md.

Letters: U users, I items, C classes.
"""

from __future__ import annotations

from typing import Literal

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_matrix
from scipy.sparse.linalg import LinearOperator, svds
from sklearn.linear_model import LogisticRegression

ITERATIONS = 2000


def tastes_of_others(
    rows: csr_matrix, labels: NDArray[np.int64], classes: int, kind: Literal["mean", "component"]
) -> NDArray[np.float32]:
    """D1: of each class, what the users of all other classes like, less its mean over the classes.

    What classes have in common is most of it, and a linear layer with a constant needs none of it.

    Args:
        rows: (U, I) zeros and ones.
        labels: (U,) class, negative for unknown.
        classes: C.
        kind: mean row, or first principal component; its sign is that with the larger sum of cubes.

    Returns:
        (C, I), of root mean square 1 each.
    """
    tastes = []
    for each in range(classes):
        others = rows[(labels >= 0) & (labels != each)]
        mean = np.asarray(others.mean(axis=0), np.float64).ravel()
        tastes.append(mean if kind == "mean" else _component(others, mean))
    found = np.array(tastes) - np.mean(tastes, axis=0)
    size = np.sqrt(np.square(found).mean(axis=1, keepdims=True))
    scaled: NDArray[np.float64] = found / np.where(size > 0, size, 1)
    return scaled.astype(np.float32)


def posterior_of(
    rows: csr_matrix, labels: NDArray[np.int64], classes: int
) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """D2: logits of the classes, linear in a row of length 1, by logistic regression on those who have label and row.

    Returns:
        (I, C) what an item adds, times the square root of the number of items, and (C,) the constant.
    """
    counts = np.asarray(rows.sum(axis=1)).ravel()
    learned = np.flatnonzero((labels >= 0) & (counts > 0))
    x = rows[learned].multiply(1 / np.sqrt(counts[learned])[:, None]).tocsr()
    model = LogisticRegression(max_iter=ITERATIONS).fit(x, labels[learned])
    weights, constants = model.coef_.T, model.intercept_
    if len(model.classes_) == 2:  # one column, of the second class
        weights, constants = np.hstack([-weights, weights]) / 2, np.array([-1, 1]) * constants / 2
    logits, bias = np.zeros((rows.shape[1], classes)), np.full(classes, NEVER)
    logits[:, model.classes_], bias[model.classes_] = weights, constants
    return logits.astype(np.float32), bias.astype(np.float32)


NEVER = -100.0
"""Logit of a class that nobody has who is learned from."""


def _component(rows: csr_matrix, mean: NDArray[np.float64]) -> NDArray[np.float64]:
    """(n, I) rows and their mean → (I,) the direction in which they differ most."""
    ones = np.ones(rows.shape[0])
    centred = LinearOperator(
        rows.shape,
        matvec=lambda x: rows @ x.ravel() - ones * (mean @ x.ravel()),
        rmatvec=lambda y: rows.T @ y.ravel() - mean * y.sum(),
        dtype=np.float64,
    )
    first: NDArray[np.float64] = svds(centred, k=1, v0=np.ones(min(rows.shape)), random_state=0)[2][0]
    return first if (first**3).sum() > 0 else -first
