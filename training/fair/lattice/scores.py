"""Information of u on the attributes: cross-fitted log-probabilities, their leading coordinates, a network for these.

Letters: U users, d dimensions, C classes, n coordinates, R networks side by side.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from bundle.networks.lattice import Scores

LINEAR_EPOCHS = MLP_EPOCHS = 25
MLPS_PER_FOLD = 2
MLP_HIDDEN = 64
MOST_STEPS = 1_500
"""Of one such network, where users are very many: fewer epochs then, as each has more to learn from."""
STUDENT_STEPS = 600
BATCH, STUDENT_BATCH = 256, 512


class SideBySide(nn.Module):
    """R equal networks, run as one: Linear, ReLU, dropout, … Linear."""

    def __init__(self, count: int, sizes: Sequence[int], dropout: float, rng: torch.Generator) -> None:
        super().__init__()
        deviations = [(2 / n) ** 0.5 for n in sizes[:-1]]
        deviations[-1] /= 2
        shapes = zip(pairwise(sizes), deviations, strict=True)
        self.weights = nn.ParameterList(
            nn.Parameter(torch.randn(count, n, m, generator=rng) * deviation) for (n, m), deviation in shapes
        )
        self.biases = nn.ParameterList(nn.Parameter(torch.zeros(count, 1, m)) for m in sizes[1:])
        self._dropout = dropout

    def forward(self, w: Tensor, rng: torch.Generator | None = None) -> Tensor:
        """(B, d) → (R, B, C); with dropout where a generator is given."""
        x = w.expand(len(self.weights[0]), *w.shape)
        last = len(self.weights) - 1
        for index, (weight, bias) in enumerate(zip(self.weights, self.biases, strict=True)):
            x = torch.baddbmm(bias, x, weight)
            if index < last:
                x = torch.relu(x)
                if rng is not None and self._dropout:
                    x = x * (torch.rand(x.shape, generator=rng) >= self._dropout) / (1 - self._dropout)
        return x


def cross_fitted(w: Tensor, labels: NDArray[np.int64], classes: int, folds: int, rng: torch.Generator) -> Tensor:
    """L2: log-probabilities of the classes, linear and MLP averaged.

    Args:
        w: (U, d) whitened user vectors.
        labels: (U,), -1 for those not to be learned from.
        classes: C.
        folds: users with a label are scored by networks that did not learn from their fold.
        rng: of folds, weights, batches and dropout.

    Returns:
        (U, C).
    """
    known = torch.from_numpy(np.flatnonzero(labels >= 0))
    targets = torch.from_numpy(labels)
    fold = torch.full((len(w),), -1)
    fold[known[torch.randperm(len(known), generator=rng)]] = torch.arange(len(known)) % folds
    d, total = w.shape[1], torch.zeros(len(w), classes)
    for sizes, count, epochs, rate, decay, dropout in (
        ([d, classes], folds, LINEAR_EPOCHS, 5e-3, 0.3, 0.0),
        ([d, MLP_HIDDEN, classes], folds * MLPS_PER_FOLD, MLP_EPOCHS, 2e-3, 0.03, 0.3),
    ):
        nets = SideBySide(count, sizes, dropout, rng)
        left_out = torch.arange(count) % folds
        adam = torch.optim.AdamW(nets.parameters(), lr=rate, weight_decay=decay, fused=True)
        batches = -(-len(known) // BATCH)
        passes = min(epochs, -(-MOST_STEPS // batches))
        steps = passes * batches
        schedule = torch.optim.lr_scheduler.OneCycleLR(adam, rate, total_steps=steps)
        for _ in range(passes):
            for users in torch.split(known[torch.randperm(len(known), generator=rng)], BATCH):
                logits = nets(w[users], rng)
                each = nn.functional.cross_entropy(logits.flatten(0, 1), targets[users].repeat(count), reduction="none")
                mine = fold[users] != left_out[:, None]
                loss = (each.view(count, -1) * mine).mean(1).sum()
                adam.zero_grad()
                loss.backward()  # type: ignore[no-untyped-call]
                adam.step()
                schedule.step()
        with torch.no_grad():
            log_p = torch.log_softmax(nets(w), -1)
            held = (fold == left_out[:, None]) | (fold < 0)
            total += (log_p * held[..., None]).sum(0) / held.sum(0)[:, None]
    mean: Tensor = total / 2
    return mean


def leading_coordinates(log_p: Tensor, count: int) -> Tensor:
    """L3: the first principal coordinates of log-probabilities centred by user and class; (U, count), variance 1."""
    x = log_p - log_p.mean(1, keepdim=True)
    vectors, _, _ = torch.linalg.svd(x - x.mean(0), full_matrices=False)
    unit: Tensor = vectors[:, :count] * len(x) ** 0.5
    return unit


def distil(scores: Scores, w: Tensor, targets: Tensor, rng: torch.Generator) -> None:
    """L4: teach the exported network the coordinates, so that they are a function of u alone; then its quantiles."""
    with torch.no_grad():
        for weight in scores.parameters():
            bound = weight.shape[-1] ** -0.5
            weight.uniform_(-bound, bound, generator=rng)
    adam = torch.optim.AdamW(scores.parameters(), lr=3e-3, weight_decay=1e-2, fused=True)
    schedule = torch.optim.lr_scheduler.OneCycleLR(adam, 3e-3, total_steps=STUDENT_STEPS)
    for _ in range(STUDENT_STEPS):
        users = torch.randint(len(w), (STUDENT_BATCH,), generator=rng)
        loss = nn.functional.mse_loss(scores.raw(w[users]), targets[users])
        adam.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]
        adam.step()
        schedule.step()
    with torch.no_grad():
        levels = (torch.arange(len(scores.levels)) + 0.5) / len(scores.levels)
        scores.levels.copy_(2**0.5 * torch.erfinv(2 * levels - 1))
        scores.knots.copy_(torch.quantile(scores.raw(w), levels, dim=0).T)
