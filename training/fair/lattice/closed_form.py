"""The constants that need no training: whitening, transports, erasure, residuals. float64 throughout.

Letters: U users, d dimensions, n score coordinates, K bins.
"""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from bundle.networks.lattice import Affine, Transports

Matrix = NDArray[np.float64]
FLOOR = 1e-6


def set_affine(affine: Affine, weight: Matrix, bias: Matrix) -> None:
    """Give an affine map its constants."""
    affine.weight.copy_(torch.from_numpy(weight))
    affine.bias.copy_(torch.from_numpy(bias))


def fit_whitening(affine: Affine, u: Matrix) -> None:
    """L1: w = (u - mean) E λ^-½, principal axes with variance 1."""
    mean = u.mean(0)
    values, vectors = np.linalg.eigh(np.cov(u.T, bias=True))
    weight = vectors / np.sqrt(np.maximum(values, 1e-5 * values[-1]))
    set_affine(affine, weight, -mean @ weight)


def fit_transports(transports: Transports, w: Tensor, sigma: Tensor, shrink: float) -> Tensor:
    """L5: for each coordinate in turn, carry each of its bins to where all users are; gives the transported w.

    A bin that nobody is in is left where it is.

    ``shrink`` users of the common covariance are added to each bin's own.

    Gaussian optimal transport from the bin's mean and covariance (shrunk towards the common one) to the common ones:
    T = C_k^-½ (C_k^½ C C_k^½)^½ C_k^-½. Source: Gelbrich, Mathematische Nachrichten 147, 1990.
    """
    for index in range(len(transports.centres)):
        s = sigma[:, index]
        bins = transports.centres.shape[1]
        transports.centres[index] = torch.quantile(s, (torch.arange(bins) + 0.5) / bins)
        weights = transports.bin_weights(index, s).double().numpy()
        x = w.double().numpy()
        mean, covariance = x.mean(0), np.cov(x.T)
        for number in range(bins):
            count = weights[:, number].sum()
            if not count:  # where many users have the same score, bins share a centre: nobody is in the later ones
                transports.maps[index, number] = torch.eye(x.shape[1])
                continue
            own_mean = weights[:, number] @ x / count
            centred = x - own_mean
            own = ((weights[:, number, None] * centred).T @ centred + shrink * covariance) / (count + shrink)
            root, inverse = _power(own, 0.5), _power(own, -0.5)
            carry = inverse @ _power(root @ covariance @ root, 0.5) @ inverse
            transports.maps[index, number] = torch.from_numpy(carry)
            transports.offsets[index, number] = torch.from_numpy(mean - own_mean @ carry)
        w = transports.step(index, w, s)
    return w


def skip_transports(transports: Transports) -> None:
    """In place of L5 at strength 0: every map is the identity."""
    transports.centres.copy_(torch.linspace(-1, 1, transports.centres.shape[1]).expand_as(transports.centres))
    transports.maps.copy_(torch.eye(transports.maps.shape[-1]).expand_as(transports.maps))


def fit_erasure(affine: Affine, x: Matrix, sigma: Matrix) -> None:
    """L6: whiten, and keep the complement of every direction that correlates with σ (d → d - n).

    What is left is linearly independent of σ. Source: Belrose et al., *LEACE*, NeurIPS 2023, theorem 4.2.
    """
    z, mean = sigma - sigma.mean(0), x.mean(0)
    centred = x - mean
    white = _power(centred.T @ centred / len(x), -0.5)
    directions = np.linalg.svd(white @ (centred.T @ z), full_matrices=True)[0]
    weight = white @ directions[:, sigma.shape[1] :]
    set_affine(affine, weight, -mean @ weight)


def residual(sigma: Matrix, own: NDArray[np.bool_]) -> tuple[Matrix, Matrix]:
    """L7: the coordinates of a set S less their linear regression on all others.

    Linear, so that the residual of a smaller set is a function of a larger one's.

    Args:
        sigma: (U, n).
        own: (n,) which coordinates are of S.

    Returns:
        Weight (n, n) and bias (n,); columns that are not of S are 0.
    """
    weight, bias = np.zeros((sigma.shape[1],) * 2), np.zeros(sigma.shape[1])
    centred = sigma - sigma.mean(0)
    weight[own, own] = 1
    weight[np.ix_(~own, own)] = -np.linalg.lstsq(centred[:, ~own], centred[:, own], rcond=None)[0]
    bias[own] = -sigma.mean(0) @ weight[:, own]
    return weight, bias


def _power(covariance: Matrix, exponent: float) -> Matrix:
    values, vectors = np.linalg.eigh(covariance)
    return np.asarray((vectors * np.maximum(values, FLOOR) ** exponent) @ vectors.T)
