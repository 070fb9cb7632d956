"""What of the mean given the scores may come back, since the rest of the vectors hides it.

A step that takes the whole mean away pays for all of it, though an attacker could have read only the part that stands
out from the rest: a direction in which users differ much for other reasons hides a small shift of a class. What comes
back is chosen by least squares under a limit on how far classes may differ then, so that cheap terms come back first.

Letters: U users, d dimensions, n score coordinates, T terms of φ without the constant.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from numpy.typing import NDArray

from bundle.networks.lattice_layers import Independent, MeanGivenScores
from measure.errors import MeasureError
from measure.labels import merge_rare
from training.experiment import evenly
from training.fair.lattice.closed_form import LEAST, Matrix

USERS, OTHERS = 10_000, 100
"""Users whose class means are taken, and values of the other attributes' scores that these are taken at."""
ROUNDS = 100
"""Of the search for prices at which classes differ by what is allowed."""
NEAR = 0.01
"""How near, of what is allowed."""
NOTHING = 1e-9


def give_back(
    shared: Independent,
    sigma: Matrix,
    left: Matrix,
    labels: NDArray[np.int16],
    owner: NDArray[np.intp],
    most: float,
) -> None:
    """J6: put terms of the first mean, which J4 took away, back into the second.

    In the principal axes of what is left, with variance λ_i and the mean's terms B_i (T,) in axis i, the terms V_i that
    come back are those with the least

        Σ_i (B_i - V_i)ᵀ Γ (B_i - V_i) + Σ_a μ_a V_iᵀ K_a V_i / λ_i

    Γ is the covariance of the terms, K_a what classes of attribute a differ by in them (`class_differences`), and the
    prices μ_a are such that Σ_i V_iᵀ K_a V_i / λ_i, the mean squared distance of a class from the others in standard
    deviations of what is left, is at most ``most``.

    Args:
        shared: the means and transports, fitted; its second mean is changed.
        sigma: (U, n).
        left: (U, d), what the fitted module leaves of these users.
        labels: (U, M), -1 for those not to be learned from.
        owner: (n,) the attribute that each coordinate is of.
        most: squared distance that is allowed.
    """
    terms = _terms(shared.mean, sigma)
    spread = np.atleast_2d(np.cov(terms.T, bias=True))
    variances, axes = np.linalg.eigh(np.atleast_2d(np.cov(left.T, bias=True)))
    variances = np.maximum(variances, max(LEAST * variances[-1], NOTHING))
    taken = shared.mean.weight[1:].double().numpy() @ axes
    differ = [class_differences(shared.mean, sigma, each, owner == place) for place, each in enumerate(labels.T)]
    back = least_squares(taken, spread, variances, differ, most) @ axes.T
    shared.mean_again.weight[1:] -= torch.from_numpy(back)
    shared.mean_again.weight[0] += torch.from_numpy(terms.mean(0) @ back)


def class_differences(
    mean: MeanGivenScores, sigma: Matrix, labels: NDArray[np.int16], own: NDArray[np.bool_]
) -> Matrix:
    """K of one attribute: the mean over classes of δ δᵀ, δ how far a class's mean of the terms is from the others'.

    Where the attribute alone is protected, the scores of the others are served too, less their mean given its own. An
    attacker that knows them sees a product of both kinds as plainly as the attribute's own score. So class means are
    taken with the others' scores held at some user's, and K is the mean over such users. The error of a class mean is
    in δ and stays there: terms are chosen by K, so they would be those whose difference looks smaller than it is.

    Args:
        mean: whose terms.
        sigma: (U, n).
        labels: (U,), -1 for those not to be learned from. Where classes are too small to be told apart, every term
            counts as if it were a class's.
        own: (n,) which coordinates are of this attribute.

    Returns:
        (T, T).
    """
    known = evenly(np.flatnonzero(labels >= 0), USERS)
    try:
        classes = merge_rare(labels, known).apply(labels[known])
    except MeasureError:
        return np.atleast_2d(np.cov(_terms(mean, sigma).T, bias=True))
    member = classes[:, None] == np.arange(classes.max() + 1)
    weights = member / member.sum(0) - ~member / (~member).sum(0)
    quadratic = MeanGivenScores(int(own.sum()), 1).terms(torch.from_numpy(sigma[:, own])).numpy()
    expected = quadratic @ np.linalg.lstsq(quadratic, sigma[:, ~own], rcond=None)[0]
    at, chosen = sigma[known].copy(), evenly(np.arange(len(sigma)), OTHERS)
    total = np.zeros((len(mean.weight) - 1,) * 2)
    for other in chosen:
        at[:, ~own] = expected[known] + sigma[other, ~own] - expected[other]
        delta = weights.T @ _terms(mean, at)
        total += delta.T @ delta / len(delta)
    return np.asarray(total / len(chosen))


def least_squares(taken: Matrix, spread: Matrix, variances: Matrix, differ: Sequence[Matrix], most: float) -> Matrix:
    """The terms that come back, (T, d), by the formula of `give_back`; prices by fixed-point steps.

    Args:
        taken: (T, d), B.
        spread: (T, T), Γ.
        variances: (d,), λ.
        differ: of each attribute (T, T), K.
        most: squared distance that is allowed.
    """
    goal = (spread @ taken).T[..., None]
    left = spread + NOTHING * np.eye(len(spread))
    prices, together = np.full(len(differ), variances.mean()), np.stack(differ)
    for _ in range(ROUNDS):
        price = np.einsum("a,aij->ij", prices, together)
        back = np.linalg.solve(left + price / variances[:, None, None], goal)[..., 0].T
        distance = np.array([np.sum((each @ back) * back / variances) for each in differ])
        if np.all(np.abs(distance / most - 1) < NEAR):
            break
        prices *= np.clip(np.sqrt(distance / most), 0.2, 5)
    return np.asarray(back * min(1.0, float(np.sqrt(most / max(distance.max(), NOTHING)))))


def _terms(mean: MeanGivenScores, sigma: Matrix) -> Matrix:
    """φ without the constant, (U, T)."""
    return np.asarray(mean.terms(torch.from_numpy(sigma)).numpy()[:, 1:])
