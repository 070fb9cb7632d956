"""The interface of base models for the fair models, for export and for serving.

Letters: U users, I items, d dimensions, C contexts, B batch, R items a row.
"""

from __future__ import annotations

import copy
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from bundle import History, MlpReranker
from measure.scoring import Scorer
from training.scoring import scorer_of


@dataclass(frozen=True)
class Contexts:
    """User vectors with the training positives that follow each: the rows that a fair model learns from.

    A base with one vector for each user has U contexts, each with all of the user's positives. A sequential base has
    one context for each moment of a history, with the one positive that came next.
    """

    vectors: NDArray[np.float32]
    """(C, d)."""
    users: NDArray[np.int64]
    """(C,) user row."""
    indptr: NDArray[np.int64]
    """(C + 1,) positives as CSR."""
    indices: NDArray[np.int32]
    """Item rows of the positives."""


@dataclass(frozen=True)
class Base:
    """A trained base model: frozen from here on."""

    model: str
    """Its name in a configuration and in the manifest."""
    users: NDArray[np.float32]
    """(U, d) u from all positives before the test positive; these are exported."""
    selection: NDArray[np.float32]
    """(U, d) u from the training positives alone, to rank validation positives with."""
    items: NDArray[np.float32]
    """(I, d) item vectors: inner products with them are the score, or propose candidates where a reranker scores."""
    contexts: Contexts
    history: History
    """How to get a u from a history alone."""
    constants: int = 0
    """How many dimensions, the last ones, are 1 for every user: items have biases there, which no fair map changes."""
    reranker: MlpReranker | None = None
    """Scores candidates where the model is no inner product."""
    cosine: bool = False
    """Whether only directions count: users and items then have length 1."""
    cold: NDArray[np.float32] | None = None
    """(C, d) vectors of cold items, where the model makes them itself of their features."""

    @cached_property
    def scorer(self) -> Scorer:
        """Scores items for a user vector of this base."""
        return scorer_of(self.items, self.reranker)


class RankingLoss(nn.Module):
    """BPR through the frozen base: mean of softplus(−(s⁺ − s⁻)).

    Source: Rendle et al., UAI 2009; AFRL eq. 18. With a reranker, its scores and those that propose candidates for it
    are two terms of one loss: a fair vector must do well in both.
    """

    def __init__(self, base: Base, device: torch.device) -> None:
        super().__init__()
        self._items = torch.from_numpy(base.items).to(device)
        self._reranker = copy.deepcopy(base.reranker).to(device) if base.reranker else None

    def forward(self, u: Tensor, positive: Tensor, negative: Tensor) -> Tensor:
        """Loss of (B, d) vectors for (B, R) positive and negative item rows."""
        items = self._items
        loss = softplus_loss((u[:, None] * (items[positive] - items[negative])).sum(-1))
        if self._reranker is not None:
            loss = loss + softplus_loss(self._reranker(u, positive) - self._reranker(u, negative))
        return loss


def softplus_loss(margin: Tensor) -> Tensor:
    """Mean of log(1 + exp(−margin)), margins s⁺ − s⁻ of any shape."""
    return nn.functional.softplus(-margin).mean()
