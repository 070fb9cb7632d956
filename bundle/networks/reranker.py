"""Scores candidates for a base model whose score is not an inner product (AFRL's DeepModel)."""

from __future__ import annotations

from collections.abc import Callable
from itertools import pairwise
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn.functional import embedding

from bundle.manifest import Reranker
from bundle.mapped import tensor_over
from bundle.networks.encoder import expect, sizes_of


class MlpReranker(nn.Module):
    """A score is a multi-layer perceptron over user vector ⊕ the model's own item vector; ReLU between layers."""

    def __init__(self, spec: Reranker, dimensions: int, items: int) -> None:
        super().__init__()
        self.spec = spec
        (widths,) = sizes_of(spec.sizes, of="reranker", layers=2)
        expect("reranker.sizes.layers, first and last", [2 * dimensions, 1], [widths[0], widths[-1]])
        self.items = nn.Parameter(torch.empty(items, dimensions))
        self.layers = nn.ModuleList(nn.Linear(n, m) for n, m in pairwise(widths))

    def forward(self, u: Tensor, rows: Tensor, drop: Callable[[Tensor], Tensor] = lambda x: x) -> Tensor:
        """Score items for users.

        Args:
            u: (B, d) user vectors.
            rows: (B, R) item rows.
            drop: what training does to the input of every layer but the last.

        Returns:
            (B, R) scores.
        """
        v = embedding(rows, self.items)
        x = torch.cat([u[:, None].expand_as(v), v], dim=-1)
        for layer in self.layers[:-1]:
            x = torch.relu(layer(drop(x)))
        return self.layers[-1](x)[..., 0]  # type: ignore[no-any-return]


class ExactReranker:
    """The same scores in float64, those of each user computed alone: company changes not even their last bits.

    What the first layer makes of the items is kept, (I, width) float64, so that a request pays for the rest alone.
    """

    def __init__(self, reranker: MlpReranker) -> None:
        """Copy the layers; the network may go on training."""
        state = reranker.state_dict()
        exact = {name: value.to("cpu", torch.float64, copy=True) for name, value in state.items()}
        names = [f"layers.{index}" for index in range(len(reranker.layers))]
        layers = [(exact[f"{name}.weight"].T, exact[f"{name}.bias"]) for name in names]
        (weight, bias), self._rest = layers[0], layers[1:]
        d = exact["items"].shape[1]
        self._of_user = weight[:d]
        self._items = exact["items"] @ weight[d:] + bias

    def __call__(self, users: NDArray[np.floating[Any]], rows: NDArray[np.integer[Any]]) -> NDArray[np.float64]:
        """(n, d) user vectors and (n, c) item rows → (n, c) scores."""
        scores = np.empty(rows.shape)
        with torch.inference_mode():
            exact, wanted = tensor_over(users).double(), tensor_over(rows).long()
            for place in range(len(rows)):
                x = exact[place] @ self._of_user + self._items[wanted[place]]
                for weight, bias in self._rest:
                    x = torch.addmm(bias, torch.relu(x), weight)
                scores[place] = x[:, 0].numpy()
        return scores
