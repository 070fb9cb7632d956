"""The constants that need no training: whitening, metric, means, transports. float64 throughout.

Letters: U users, d dimensions, n score coordinates, K bins.
"""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray

from bundle.networks.lattice_layers import Affine, Independent, MeanGivenScores, Transports
from training.fair.lattice.config import LatticeConfig

Matrix = NDArray[np.float64]
FLOOR = 1e-12
"""Smallest eigenvalue, relative to the largest."""
TINY = 1e-60
LEAST = 1e-6
"""Variance that a bin has in any direction, of the largest of all users: where nobody differs, nothing is moved."""
BARYCENTRE_ROUNDS = 20


def set_affine(affine: Affine, weight: Matrix, bias: Matrix) -> None:
    """Give an affine map its constants."""
    affine.weight.copy_(torch.from_numpy(weight))
    affine.bias.copy_(torch.from_numpy(bias))


def fit_whitening(affine: Affine, u: Matrix) -> None:
    """J2: w = (û - mean) E λ^-½, principal axes with variance 1."""
    mean = u.mean(0)
    values, vectors = np.linalg.eigh(np.cov(u.T, bias=True))
    least = max(1e-5 * values[-1], 1e-10 * float((u**2).sum(1).mean()), TINY)  # below: round-off, where all are alike
    weight = vectors / np.sqrt(np.maximum(values, least))
    set_affine(affine, weight, -mean @ weight)


def fit_metric(affine: Affine, u: Matrix, items: Matrix) -> None:
    """J1: y = (û - mean) G^½, G the covariance of item vectors: |y - y'|² is how far two users' scores differ."""
    weight = power(np.cov(items.T, bias=True), 0.5)
    set_affine(affine, weight, -u.mean(0) @ weight)


def fit_independent(
    module: Independent, x: Matrix, sigma: Matrix, config: LatticeConfig, of: int | None = None
) -> Matrix:
    """J4 - J6: the mean given σ, the covariances (not at strength 0), and the mean once more.

    Args:
        module: takes the constants.
        x: (U, d), to be made independent.
        sigma: (U, n), of these.
        config: strength, ridge, sweeps, shrinkage.
        of: as in `fit_mean`.

    Returns:
        What is left of x on these users.
    """
    x = fit_mean(module.mean, x, sigma, config.ridge, of)
    if config.strength:
        by = sigma[:, module.transported]
        x = fit_transports(module.transports, x, by, config.sweeps, config.shrink * x.shape[1])
    else:
        skip_transports(module.transports)
    return fit_mean(module.mean_again, x, sigma, config.ridge, of)


def fit_mean(given: MeanGivenScores, x: Matrix, sigma: Matrix, ridge: float, of: int | None = None) -> Matrix:
    """J4, J6: ridge regression of x on φ(σ), all coordinates together; gives x less it, with the mean that x had.

    Jointly, because steps for one coordinate after the other undo each other's work.

    Args:
        given: takes the weights.
        x: (U, d).
        sigma: (U, n).
        ridge: penalty of all terms but the constant.
        of: take away the terms with one of so many first coordinates in them, so that x may still tell the others, but
            the same of them whatever these are; None for all terms.
    """
    terms = given.terms(torch.from_numpy(sigma)).numpy()
    penalty = ridge * np.eye(terms.shape[1])
    penalty[0, 0] = 0
    weight = np.linalg.solve(terms.T @ terms + penalty, terms.T @ x)
    if of is not None:
        weight[~given.has_first(of).numpy()] = 0
    weight[0] = -terms[:, 1:].mean(0) @ weight[1:]
    given.weight.copy_(torch.from_numpy(weight))
    return np.asarray(x - terms @ weight)


def fit_transports(transports: Transports, x: Matrix, sigma: Matrix, sweeps: int, shrink: float) -> Matrix:
    """J5: for each coordinate in turn, ``sweeps`` times over, carry each bin's covariance to what all have in common.

    Gaussian optimal transport about the common mean, T = C_k^-½ (C_k^½ C̄ C_k^½)^½ C_k^-½, from a bin's covariance C_k
    (about the bin's own mean; `fit_mean` moves means) to the barycentre C̄ of all bins. A bin that nobody is in is left
    where it is. Source: Gelbrich, Mathematische Nachrichten 147, 1990.

    Args:
        transports: takes the maps, n for each sweep.
        x: (U, d).
        sigma: (U, n), coordinates to transport by.
        sweeps: how often every coordinate comes.
        shrink: users of the common covariance that are added to each bin's own.

    Returns:
        The transported x.
    """
    bins = transports.centres.shape[1]
    levels = (np.arange(bins) + 0.5) / bins
    for index in range(sweeps * sigma.shape[1]):
        s = torch.from_numpy(sigma[:, index % sigma.shape[1]])
        transports.centres[index] = torch.from_numpy(np.quantile(s.numpy(), levels))
        weights = transports.bin_weights(index, s).numpy()
        counts, mean, common = weights.sum(0), x.mean(0), np.atleast_2d(np.cov(x.T, bias=True))
        filled = np.flatnonzero(counts)  # where many users have the same score, bins share a centre
        least = LEAST * max(float(np.linalg.eigvalsh(common)[-1]), FLOOR) * np.eye(x.shape[1])
        own = np.stack([_covariance(x, weights[:, k], common, shrink) + least for k in filled])
        goal = barycentre(own, counts[filled] / counts.sum())
        moved = np.zeros_like(x)
        transports.maps[index] = torch.eye(x.shape[1])
        roots, inverses = power(own, 0.5), power(own, -0.5)
        carries = inverses @ power(roots @ goal @ roots, 0.5) @ inverses
        for k, carry in zip(filled, carries, strict=True):
            transports.maps[index, k] = torch.from_numpy(carry)
            transports.offsets[index, k] = torch.from_numpy(mean - mean @ carry)
            moved += weights[:, k, None] * (mean + (x - mean) @ carry)
        x = moved
    return x


def skip_transports(transports: Transports) -> None:
    """In place of J5 at strength 0: every map is the identity."""
    transports.centres.copy_(torch.linspace(-1, 1, transports.centres.shape[1]).expand_as(transports.centres))
    transports.maps.copy_(torch.eye(transports.maps.shape[-1]).expand_as(transports.maps))


def barycentre(covariances: Matrix, weights: Matrix) -> Matrix:
    """The covariance nearest to all of them, by the distance of optimal transport between Gaussians.

    Source: Alvarez-Esteban et al., J. Math. Anal. Appl. 441, 2016, equation 7.

    Args:
        covariances: (K, d, d).
        weights: (K,), summing to 1.
    """
    found = np.einsum("k,kij->ij", weights, covariances)
    for _ in range(BARYCENTRE_ROUNDS):
        root, inverse = power(found, 0.5), power(found, -0.5)
        roots = power(root @ covariances @ root, 0.5)
        mean = np.einsum("k,kij->ij", weights, roots)
        found = inverse @ mean @ mean @ inverse
    return np.asarray(found)


def power(covariance: Matrix, exponent: float) -> Matrix:
    """A power of symmetric matrices (…, d, d) without negative eigenvalues."""
    values, vectors = np.linalg.eigh(covariance)
    least = np.maximum(FLOOR * values[..., -1:], TINY)
    scaled = vectors * (np.maximum(values, least) ** exponent)[..., None, :]
    return np.asarray(scaled @ vectors.swapaxes(-1, -2))


def _covariance(x: Matrix, weights: Matrix, common: Matrix, shrink: float) -> Matrix:
    """Of weighted rows about their own mean, with ``shrink`` rows of the common one added."""
    count = weights.sum()
    centred = x - weights @ x / count
    return np.asarray(((weights[:, None] * centred).T @ centred + shrink * common) / (count + shrink))
