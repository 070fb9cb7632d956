"""What every fit of a lattice on the same users begins with: their frame, and the teachers of all attributes."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from bundle.networks.lattice_layers import Affine
from training.fair.lattice.closed_form import fit_metric, fit_whitening
from training.fair.lattice.scores import cross_fitted, stacked

TEACHERS = 2
"""Rounds of teachers: the second sees what the first found of all attributes."""


@dataclass(frozen=True)
class Beginning:
    """Steps J1 and J2: most of the time of a fit, and the same for all strengths and numbers of coordinates."""

    frame: Frame
    w: Tensor
    """(U, d), whitened users."""
    log_p: Sequence[Tensor]
    """Of each attribute, its teacher's log probabilities (U, C)."""
    classes: Sequence[int]
    """Number of classes of each attribute."""
    drawn: Tensor
    """State of the generator after the teachers."""

    def generator(self) -> torch.Generator:
        """For the draws of one fit; each fit begins with the same ones."""
        rng = torch.Generator()
        rng.set_state(self.drawn)
        return rng


def begin(
    users: NDArray[np.float32],
    items: NDArray[np.float32],
    labels: NDArray[np.int16],
    classes: Sequence[int],
    folds: int,
    seed: int,
) -> Beginning:
    """Measure users in their frame, and train the teachers.

    Args:
        users: (U, d) user vectors; all of them may be used, they carry no label.
        items: (I, d) item vectors.
        labels: (U, M), -1 for those not to be learned from.
        classes: number of classes of each attribute.
        folds: of the teachers' cross-fitting.
        seed: of every draw.
    """
    rng = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        frame = Frame.of(users, items)  # J1
        w = frame.whiten(frame.at_length.float())
    log_p: list[Tensor] = []
    for _ in range(TEACHERS):  # J2: the first from w alone
        seen = stacked(w, log_p) if log_p else w
        log_p = [
            cross_fitted(seen, labels[:, index].astype(np.int64), number, folds, rng)
            for index, number in enumerate(classes)
        ]
    return Beginning(frame, w, log_p, classes, rng.get_state())


@dataclass(frozen=True)
class Frame:
    """J1: what users are measured in, before any label is looked at."""

    length: float
    at_length: Tensor
    """(U, d) float64, user vectors at the mean length."""
    whiten: Affine
    metric: Affine

    @classmethod
    def of(cls, users: NDArray[np.float32], items: NDArray[np.float32]) -> Frame:
        """Of all users that may be fitted on, and all items."""
        d = users.shape[1]
        lengths = np.linalg.norm(users.astype(np.float64), axis=1)
        length = float(lengths.mean())
        at_length = users * (length / np.maximum(lengths, 1e-12))[:, None]
        whiten, metric = Affine(d, d), Affine(d, d)
        fit_whitening(whiten, at_length)
        fit_metric(metric, at_length, items.astype(np.float64))
        return cls(length, torch.from_numpy(at_length), whiten, metric)
