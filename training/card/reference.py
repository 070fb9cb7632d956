"""The reference implementation's own leakage figure, to be set beside the paper's tables and nothing else.

One attacker of the discriminator's shape for each attribute, fitted on train users' fair vectors, stopped on select
users, tested on audit users. For two classes the AUC is that of the predicted *label*, which equals balanced accuracy
and hides what a score would show; otherwise macro one-vs-rest of scores. A mask's figure is the mean over what it
protects. docs/fairness.md says why it says little: the card's ``leakage`` is the one to go by.

Source: AFRL's public code, as described in docs/results/paper-table.md.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from measure.auc import fold, macro_auc
from measure.audit import Population
from measure.masks import Mask
from measure.split import AUDIT, SELECT, TRAIN

Vectors = NDArray[np.float32]

EPOCHS, FIRST, PATIENCE, BATCH = 300, 100, 10, 128
"""At most, before stopping is thought of, evaluations without a new best, users in a step."""


def reference_of(population: Population, fair: Callable[[Mask], Vectors], masks: Sequence[Mask]) -> dict[str, Any]:
    """The card's ``reference``: one row per mask that protects something, and the leakage of u itself.

    Args:
        population: who.
        fair: (U, d) fair vectors under a mask.
        masks: which.
    """
    base = {name: reference_auc(population, population.base, name) for name in population.names}
    rows = []
    for mask in filter(None, masks):
        vectors = fair(mask)
        aucs = {name: reference_auc(population, vectors, name) for name in mask}
        means = {"mean": float(np.mean(list(aucs.values()))), "base": float(np.mean([base[name] for name in mask]))}
        rows.append({"sensitive": list(mask), "auc": aucs, **means})
    protocol = {"attacker": "the discriminator's shape", "two classes": "AUC of predicted labels", "users": "audit"}
    return {"protocol": protocol, "by_mask": rows}


def reference_auc(population: Population, vectors: Vectors, attribute: str) -> float:
    """Folded AUC of one attribute, as the reference takes it, from (U, d) vectors."""
    labels, split = population.label(attribute), population.split
    known = [np.flatnonzero((split == part) & (labels >= 0)) for part in (TRAIN, SELECT, AUDIT)]
    train, select, audit = ((torch.from_numpy(vectors[rows]), torch.from_numpy(labels[rows])) for rows in known)
    attacker = _fitted(train, select, len(population.attributes[attribute]), population.seed)
    return float(fold(label_auc(attacker, *audit)))


def _fitted(train: tuple[Tensor, Tensor], select: tuple[Tensor, Tensor], classes: int, seed: int) -> nn.Module:
    """Train until the select users' AUC has stopped rising; the last epoch's weights are used, not the best."""
    rng = torch.Generator().manual_seed(seed)
    d = train[0].shape[1]
    attacker = nn.Sequential(nn.Linear(d, d), nn.ReLU(), nn.Linear(d, classes))
    with torch.no_grad():
        for parameter in attacker.parameters():
            parameter.normal_(0, 0.01, generator=rng)
    inverse = 1 / torch.bincount(train[1], minlength=classes).clamp(min=1).float()
    loss = nn.CrossEntropyLoss(inverse / inverse.sum())
    adam = torch.optim.Adam(attacker.parameters(), lr=1e-3, weight_decay=1e-4, fused=True)
    found: list[float] = []
    for epoch in range(EPOCHS):
        for rows in torch.split(torch.randperm(len(train[0]), generator=rng), BATCH):
            adam.zero_grad()
            loss(attacker(train[0][rows]), train[1][rows]).backward()
            adam.step()
        if epoch >= FIRST:
            found.append(label_auc(attacker, *select))
            falling = len(found) > 5 and all(low < high for high, low in zip(found[-6:], found[-5:], strict=False))
            if falling or len(found) - int(np.argmax(found)) > PATIENCE:
                break
    return attacker


def label_auc(attacker: nn.Module, vectors: Tensor, labels: Tensor) -> float:
    """AUC of (n, d) vectors against (n,) labels, of predicted labels where there are two classes; not folded."""
    with torch.no_grad():
        scores = attacker(vectors).log_softmax(1)
    if scores.shape[1] == 2:
        predicted = scores.argmax(1, keepdim=True).numpy().astype(np.float64)
        return macro_auc(predicted, labels.numpy())
    return macro_auc(scores.numpy(), labels.numpy())
