"""What is filtered: users alone, with a base's items as they are, or users and items by the same filters.

Letters: U users, I items, C contexts, B batch, d dimensions, K filters.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

import torch
from torch import Tensor, nn
from torch.nn.functional import embedding, embedding_bag, normalize

from bundle import FairEncoder, Part
from bundle.networks.mean_filters import MlpFilter
from training.base.contract import Base, RankingLoss, softplus_loss
from training.data.split import Csr
from training.fair.filters.discriminators import initialise


class Towers(Protocol):
    """The two sides as a step sees them."""

    @property
    def encoder(self) -> FairEncoder:
        """Filters users."""
        ...

    def ranking_loss(self, fair: Tensor, positive: Tensor, negative: Tensor) -> Tensor:
        """BPR of (B, d) vectors for (B, R) positive and negative item rows."""

    def of_items(self, users: Tensor) -> Tensor | None:
        """(B,) user rows → (B, d) means of their filtered items; None where items are not filtered."""


class UserTower:
    """Users alone: the base ranks its own items."""

    def __init__(self, encoder: FairEncoder, base: Base, device: torch.device) -> None:
        self.encoder = encoder
        self._ranking = RankingLoss(base, device).requires_grad_(False)

    def ranking_loss(self, fair: Tensor, positive: Tensor, negative: Tensor) -> Tensor:
        """BPR through the base."""
        return self._ranking(fair, positive, negative)  # type: ignore[no-any-return]

    def of_items(self, users: Tensor) -> None:
        """Nothing is filtered."""


class SharedFilters(FairEncoder):
    """The mean of K filters, for one mask, over users and over items; a role tells them which of the two they read.

    As an encoder it has one part, the fair vector, whatever the mask.
    """

    def __init__(self, attributes: Sequence[str], filters: int, dimensions: int, hidden: int, roles: int) -> None:
        """Make filters without values.

        Args:
            attributes: all of the data's.
            filters: K.
            dimensions: d.
            hidden: of a filter.
            roles: numbers of a role vector; 0 for none.
        """
        super().__init__(attributes, [Part(name="fair", attributes=[], taken="always")])
        self.filters = nn.ModuleList(MlpFilter(dimensions + roles, hidden, dimensions) for _ in range(filters))
        self.roles = nn.Parameter(torch.zeros(2, roles)) if roles else None

    def begin(self, rng: torch.Generator) -> None:
        """Draw the first weights."""
        initialise(self, rng)

    def filtered(self, x: Tensor, *, items: bool) -> Tensor:
        """(n, d) → (n, d)."""
        if self.roles is not None:
            x = torch.cat([x, self.roles[int(items)].expand(len(x), -1)], dim=1)
        return torch.stack([each(x) for each in self.filters]).mean(0)

    def split(self, u: Tensor) -> Tensor:
        """(B, d) → (B, 1, d)."""
        return self.filtered(u, items=False)[:, None]

    def combine(self, parts: Tensor, mask: Tensor) -> Tensor:
        """The one part."""
        return parts[:, 0]


class BothTowers:
    """Users and items, by the same filters."""

    def __init__(self, encoder: SharedFilters, base: Base, positives: Csr, device: torch.device) -> None:
        """Take the frozen items, and what users liked in training."""
        self.encoder = encoder
        self._items, self._unit = torch.from_numpy(base.items).to(device), base.cosine
        self._indptr, self._indices = (torch.from_numpy(each).to(device) for each in positives)

    def items(self) -> Tensor:
        """(I, d) filtered item vectors, at length 1 where only directions count."""
        return self._scored(self.encoder.filtered(self._items, items=True))

    def ranking_loss(self, fair: Tensor, positive: Tensor, negative: Tensor) -> Tensor:
        """BPR over filtered items."""
        items = self.items()
        difference = embedding(positive, items) - embedding(negative, items)
        return softplus_loss((self._scored(fair)[:, None] * difference).sum(-1))

    def of_items(self, users: Tensor) -> Tensor:
        """(B,) user rows → (B, d) means of their filtered items; zero for a user without any."""
        counts = self._indptr[users + 1] - self._indptr[users]
        begins = counts.cumsum(0) - counts
        offsets = torch.arange(int(counts.sum()), device=users.device) - torch.repeat_interleave(begins, counts)
        liked = self._indices[torch.repeat_interleave(self._indptr[users], counts) + offsets].long()
        return embedding_bag(liked, self.items(), begins, mode="mean")

    def _scored(self, vectors: Tensor) -> Tensor:
        return normalize(vectors) if self._unit else vectors
