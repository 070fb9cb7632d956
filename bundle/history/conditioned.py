"""A user vector from a history as a set, by a denoiser that is told what other groups of users like (DifFaiRec).

The condition is a mean over the classes of an attribute of what the users of all *other* classes like, weighed by a
posterior of the classes that the history itself gives. So no label is needed, and u is a function of the history.

    p = softmax(logits of the history),   q = W_q tanh(Σ_c p_c condition_c) + b_q
    v = W_v tanh(Sᵀx_t + b + e_t) + b_v
    u = tanh(W attention(q, v, v) + c), q and v as n tokens each

The reverse steps are those of `bundle.history.diffusion`.

Source: Jiang and Fan, arXiv 2410.02791; what differs is in docs/algorithms/diffairec.md.

Letters: B batch, I items, h width of the first layer, w of value and query, g of the condition, d varying dimensions
of u, C classes, n tokens.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from typing import ClassVar

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn.functional import scaled_dot_product_attention

from bundle.errors import DamagedError
from bundle.history.diffusion import Denoiser
from bundle.limits import MOST_CLASSES
from bundle.manifest import Network


class Diffairec(Denoiser):
    """Kind ``diffairec``, sizes `layers` [I, h, g, w, d], `steps` [T], `tokens` [n, a divisor of w], `classes` [C]."""

    layer_count = 5
    other_sizes = ("steps", "tokens", "classes")
    tables: ClassVar[tuple[str, ...]] = ("table", "logits")

    def __init__(self, network: Network) -> None:
        super().__init__(network)
        items, hidden, condition, width, _ = self.widths
        classes = self._one_size(network, "classes", MOST_CLASSES)
        self._tokens = self._one_size(network, "tokens", width)
        if width % self._tokens:
            raise DamagedError("manifest.json", "history.sizes.tokens", f"a divisor of {width}", self._tokens)
        self.value = nn.Linear(hidden, width)
        self.query = nn.Linear(condition, width)
        self.register_buffer("conditions", torch.empty(classes, condition))
        self.register_buffer("logits", torch.empty(items, classes))
        self.register_buffer("logits_bias", torch.empty(classes))

    conditions: Tensor
    """(C, g) first layer of what users of the other classes like."""
    logits: Tensor
    """(I, C): what an item adds to the logits of the classes."""
    logits_bias: Tensor

    def read(self, rows: Tensor) -> Tensor:
        """(n,) item rows → (h + C,) sums of the first layer and of the logits."""
        return torch.cat([super().read(rows), self.logits.index_select(0, rows).sum(0, dtype=torch.float64)])

    def posterior(self, sums: Tensor, counts: Tensor) -> Tensor:
        """(B, C) sums of logits and (B, 1) numbers of items → (B, C) how probable each class is."""
        return torch.softmax(sums / counts.sqrt() + self.logits_bias, dim=1)

    def asked(self, weights: Tensor, conditions: Tensor) -> Tensor:
        """(B, C) weights of the classes and (C, g) conditions, in training made anew each time → (B, n, w / n) q."""
        return self._as_tokens(self.query(torch.tanh(weights @ conditions)))

    def denoised(self, read: Tensor, times: Tensor, query: Tensor) -> Tensor:
        """One answer.

        Args:
            read: (B, h) first layer of noised rows.
            times: the rows of `times` of their steps.
            query: (B, n, w / n).

        Returns:
            (B, d) user vectors.
        """
        value = self._as_tokens(self.value(torch.tanh(read + self.bias + times)))
        return torch.tanh(self.last(scaled_dot_product_attention(query, value, value).flatten(1)))

    def under(self, sums: Tensor, weights: Tensor) -> Tensor:
        """(B, h) sums of the first layer and (B, C) weights of the classes → (B, d)."""
        return self.reverse(sums, partial(self.denoised, query=self.asked(weights, self.conditions)))

    def users(self, sums: Tensor, counts: Tensor) -> Tensor:
        """(B, h + C) and (B, 1) → (B, d)."""
        hidden = self.widths[1]
        return self.under(sums[:, :hidden], self.posterior(sums[:, hidden:], counts))

    @torch.no_grad()
    def weights_of(self, histories: Sequence[NDArray[np.int32]]) -> NDArray[np.float32]:
        """(n, C) how probable each class is by a history alone; by no items, as by the constant alone."""
        hidden = self.widths[1]
        found = torch.softmax(self.logits_bias, 0).repeat(len(histories), 1).cpu().numpy().astype(np.float32)
        for places, sums, counts in self.read_all(histories):
            found[places] = self.posterior(sums[:, hidden:], counts).cpu().numpy()
        return found

    @torch.no_grad()
    def vectors_under(
        self, histories: Sequence[NDArray[np.int32]], weights: NDArray[np.float32]
    ) -> NDArray[np.float32]:
        """(n, d) user vectors under (n, C) given weights of the classes; an empty history gives zeros."""
        hidden, vectors = self.widths[1], np.zeros((len(histories), self.widths[-1]), np.float32)
        for places, sums, _ in self.read_all(histories):
            chosen = torch.from_numpy(weights[places]).to(self.bias)
            vectors[places] = self.under(sums[:, :hidden], chosen).cpu().numpy()
        return vectors

    def _as_tokens(self, x: Tensor) -> Tensor:
        """(B, w) → (B, n, w / n)."""
        return x.view(len(x), self._tokens, -1)
