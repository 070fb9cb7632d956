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

from bundle.networks.lattice_layers import Scores

LINEAR_EPOCHS = MLP_EPOCHS = 25
MLPS_PER_FOLD = 2
MLP_HIDDEN = 64
MOST_STEPS = 1_500
"""Of one such network, where users are very many: fewer epochs then, as each has more to learn from."""
FEWEST_STEPS = 150
"""Of one such network, where users are few: more epochs then, or it would hardly have begun to learn."""
STUDENT_STEPS = 600
BATCH, STUDENT_BATCH = 256, 512
LEADS, KNOWN = 2 / 3, 0.1
"""Of the first coordinate's inertia; and at all: of an attribute that u hardly tells, all coordinates are as small."""


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
    """J2: log-probabilities of the classes, linear and MLP averaged.

    Args:
        w: (U, d) whitened user vectors, or `stacked` ones.
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
        passes = max(min(epochs, -(-MOST_STEPS // batches)), -(-FEWEST_STEPS // batches))
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


def stacked(x: Tensor, log_p: Sequence[Tensor]) -> Tensor:
    """The vectors with the log-probabilities of all attributes beside them, (U, d + ΣC), these at variance 1.

    Teachers that see what others found of *other* attributes learn more of their own: few users tell an age apart, and
    who is a pupil was learned from other labels.
    """
    centred = [each - each.mean(1, keepdim=True) for each in log_p]
    return torch.cat([x, *((each - each.mean(0)) / each.std(0).clamp_min(1e-6) for each in centred)], dim=1)


def coordinates_of(log_p: Tensor, count: int) -> Tensor:
    """J3: the first coordinates of the classes' probabilities by inertia; (U, count), variance 1.

    Left singular vectors of (p - π) / √π, π the mean of p: a rare class weighs as much as a frequent one, as in the
    macro AUC of attackers. Source: correspondence analysis, Benzécri 1973.
    """
    vectors, _ = _principal(log_p)
    unit: Tensor = vectors[:, :count] * len(log_p) ** 0.5
    return unit.float()


def leading(log_p: Tensor) -> int:
    """How many coordinates lead: the first, and those whose inertia is at least `LEADS` of its, and `KNOWN`.

    An attribute in an order, or of two classes, has one. Of thirty countries with five languages four lead: what goes
    with one language is as large as what goes with the next. Inertia is 1 where classes are known for sure.
    """
    _, values = _principal(log_p)
    inertia = values**2 / len(log_p)
    return max(1, int((inertia >= max(LEADS * float(inertia[0]), KNOWN)).sum()))


def _principal(log_p: Tensor) -> tuple[Tensor, Tensor]:
    """Left singular vectors (U, C) and singular values (C,) of (p - π) / √π."""
    p = torch.softmax(log_p.double(), 1)
    mean = p.mean(0)
    vectors, values, _ = torch.linalg.svd((p - mean) / mean.clamp_min(1e-12).sqrt(), full_matrices=False)
    return vectors, values


def distil(scores: Scores, w: Tensor, targets: Tensor, rng: torch.Generator) -> None:
    """J3: teach the exported network the coordinates, so that they are a function of u alone; then its quantiles."""
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
