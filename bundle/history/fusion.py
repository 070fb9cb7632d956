"""What modalities say of the items of a history, weighed by who reads it (PRISM's fusion).

    w_t = softmax((W_2 gelu(W_1 [f_t1 … f_tE, √d · m_t] + b_1) + b_2) / τ)
    v'_t = v_t + s · (e_t + Σ_k w_tk f_tk)

e_t is the sum of an item's projected modalities, f_tk what expert k makes of them, m_t the mean of the item vectors
that the reader may see: up to t where the model reads from left to right, all of them where it reads both ways.

Source: PRISM, WWW 2026, arXiv 2601.10944; what differs is in docs/algorithms/prism.md.

Letters: B batch, L positions, d dimensions, E experts.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn.functional import gelu


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

    def forward(self, vectors: Tensor, present: Tensor, modal: Tensor, experts: Tensor, *, causal: bool) -> Tensor:
        """Item vectors as the sequence encoder reads them.

        Args:
            vectors: (B, L, d) item vectors.
            present: (B, L) bool, False where nothing may be seen of an item: padding, and what a mask hides.
            modal: (B, L, d) e.
            experts: (B, L, E, d) f.
            causal: whether a position may see those up to itself alone.

        Returns:
            (B, L, d); what stands where ``present`` is False means nothing.
        """
        weights = self.weights(vectors, present, experts, causal=causal)
        return vectors + self.scale * (modal + (weights[..., None] * experts).sum(-2))

    def weights(self, vectors: Tensor, present: Tensor, experts: Tensor, *, causal: bool) -> Tensor:
        """(B, L, E) how much each expert counts, 1 together; arguments as of a call."""
        asked = torch.cat([experts.flatten(2), vectors.shape[-1] ** 0.5 * _means(vectors, present, causal)], dim=-1)
        return torch.softmax(self.weigh(gelu(self.gate(asked))) / self.temperature, dim=-1)


def _means(vectors: Tensor, present: Tensor, causal: bool) -> Tensor:
    """(B, L, d) the mean of the (B, L, d) vectors that each position may see; zeros where that is none."""
    length = vectors.shape[1]
    seen = present[:, None, :].expand(-1, length, -1)
    if causal:
        seen = seen & torch.ones(length, length, dtype=torch.bool, device=vectors.device).tril()
    shares = seen.to(vectors.dtype)
    return (shares / shares.sum(-1, keepdim=True).clamp(min=1)) @ vectors
