"""What scores candidates where the base model is no inner product (AFRL's DeepModel)."""

from __future__ import annotations

from itertools import pairwise

import torch
from torch import Tensor, nn

from bundle.manifest import Reranker
from bundle.networks.encoder import expect, sizes_of


class MlpReranker(nn.Module):
    """A score is a multi-layer perceptron over user vector ⊕ the model's own item vector; ReLU between layers."""

    def __init__(self, spec: Reranker, dimensions: int, items: int) -> None:
        super().__init__()
        self.spec = spec
        (widths,) = sizes_of(spec.sizes, layers=2)
        expect("reranker.sizes.layers, first and last", [2 * dimensions, 1], [widths[0], widths[-1]])
        self.items = nn.Parameter(torch.empty(items, dimensions))
        self.layers = nn.ModuleList(nn.Linear(n, m) for n, m in pairwise(widths))

    def forward(self, u: Tensor, rows: Tensor) -> Tensor:
        """(B, d) user vectors and (B, R) item rows → (B, R) scores."""
        v = self.items[rows]
        x = torch.cat([u[:, None].expand_as(v), v], dim=-1)
        for layer in self.layers[:-1]:
            x = torch.relu(layer(x))
        return self.layers[-1](x)[..., 0]  # type: ignore[no-any-return]
