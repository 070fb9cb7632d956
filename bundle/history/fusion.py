"""What modalities say of the items of a history, weighed by who reads it (PRISM's fusion).

    w_t = softmax((W_2 gelu(W_1 [f_t1 … f_tE, √d · m_t] + b_1) + b_2) / τ)
    v'_t = v_t + s · (e_t + Σ_k w_tk f_tk)

e_t is the sum of an item's projected modalities, f_tk what expert k makes of them, m_t the mean of the item vectors
that the reader may see: up to t where the model reads from left to right, all of them where it reads both ways.

Source: PRISM, WWW 2026, arXiv 2601.10944; what differs is in docs/algorithms/prism.md.

Letters: B batch, L positions, d dimensions, E experts, n items.
"""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.nn.functional import embedding, embedding_bag, gelu


class Said(NamedTuple):
    """What modalities say of n items."""

    modal: Tensor
    """(n, d) e, the sum of their projected modalities."""
    experts: Tensor
    """(n, E, d) f."""


class Fusion(nn.Module):
    """Adds to item vectors what modalities say of the items."""

    def __init__(self, dimensions: int, experts: int, hidden: int) -> None:
        super().__init__()
        self.gate = nn.Linear((experts + 1) * dimensions, hidden)
        self.weigh = nn.Linear(hidden, experts)
        self.scale = nn.Parameter(torch.empty(1))
        """s."""
        self.register_buffer("temperature", torch.empty(1))

    temperature: Tensor
    """τ, above 0."""

    def forward(self, vectors: Tensor, present: Tensor, places: Tensor, said: Said, *, causal: bool) -> Tensor:
        """Item vectors as the sequence encoder reads them.

        Args:
            vectors: (B, L, d) item vectors.
            present: (B, L) bool, False where nothing may be seen of an item: padding, and what a mask hides.
            places: (B, L) where the items are among the n of ``said``.
            said: what modalities say of n items.
            causal: whether a position may see those up to itself alone.

        Returns:
            (B, L, d); what stands where ``present`` is False means nothing.
        """
        many = said.experts.shape[1]
        weights = self.weights(vectors, present, places, said, causal=causal).flatten(0, 1)
        rows = many * places.flatten()[:, None] + torch.arange(many, device=places.device)
        table = said.experts.flatten(0, 1)  # a weighted sum of its rows for each position: nothing is gathered
        heard = embedding_bag(rows, table, mode="sum", per_sample_weights=weights).view_as(vectors)
        return vectors + self.scale * (embedding(places, said.modal) + heard)

    def weights(self, vectors: Tensor, present: Tensor, places: Tensor, said: Said, *, causal: bool) -> Tensor:
        """(B, L, E) how much each expert counts, 1 together; arguments as of a call."""
        of_experts = said.experts.shape[1] * vectors.shape[-1]
        item, reader = self.gate.weight[:, :of_experts], self.gate.weight[:, of_experts:]
        items = embedding(places, said.experts.flatten(1) @ item.T)
        readers = vectors.shape[-1] ** 0.5 * _means(vectors, present, causal) @ reader.T
        return torch.softmax(self.weigh(gelu(items + readers + self.gate.bias)) / self.temperature, dim=-1)


def _means(vectors: Tensor, present: Tensor, causal: bool) -> Tensor:
    """(B, L, d) the mean of the (B, L, d) vectors that each position may see; zeros where that is none."""
    length = vectors.shape[1]
    seen = present[:, None, :].expand(-1, length, -1)
    if causal:
        seen = seen & torch.ones(length, length, dtype=torch.bool, device=vectors.device).tril()
    shares = seen.to(vectors.dtype)
    return (shares / shares.sum(-1, keepdim=True).clamp(min=1)) @ vectors
