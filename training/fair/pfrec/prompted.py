"""A frozen sequence encoder with prompts before the history and adapters after its sublayers, for one mask.

Letters: B batch, L places of a history, N prompts, M attributes, d dimensions.
"""

from __future__ import annotations

import copy
from collections.abc import Iterable, Sequence

import torch
from torch import Tensor, nn
from torch.nn.functional import embedding

from bundle import SequenceEncoder


class Adapter(nn.Module):
    """y + Linear(ReLU(Linear(LayerNorm(y)))), narrow in between. Initial weights N(0, .01²)."""

    def __init__(self, dimensions: int, bottleneck: int, rng: torch.Generator) -> None:
        super().__init__()
        self.norm = nn.LayerNorm(dimensions)
        self.narrow = nn.Linear(dimensions, bottleneck)
        self.widen = nn.Linear(bottleneck, dimensions)
        with torch.no_grad():
            for layer in (self.narrow, self.widen):
                for parameter in layer.parameters():
                    parameter.normal_(0, 0.01, generator=rng)

    def forward(self, y: Tensor) -> Tensor:
        """(B, L, d) output of a sublayer → the same shape."""
        return y + self.widen(torch.relu(self.narrow(self.norm(y))))  # type: ignore[no-any-return]


class PromptedEncoder(nn.Module):
    """Reads [prompts, history] as the encoder reads a history. Prompts, adapters and normalisations train, no more.

    Source: Wu et al., 2022, prompts and adapters as in their code.
    """

    def __init__(
        self,
        encoder: SequenceEncoder,
        prompts: int,
        bottleneck: int,
        user_classes: Sequence[int],
        deviation: float,
        rng: torch.Generator,
    ) -> None:
        """Take a trained encoder, which is copied.

        Args:
            encoder: SASRec.
            prompts: N.
            bottleneck: width of the adapters.
            user_classes: for each attribute its classes, to put vectors of the user's own values there; empty for none.
            deviation: of the initial prompts: that of the item vectors as the encoder reads them.
            rng: of the initial weights.
        """
        super().__init__()
        d, blocks = encoder.positions.shape[1], len(encoder.blocks)
        self.encoder = copy.deepcopy(encoder).float().requires_grad_(False)
        for module in self.encoder.modules():
            if isinstance(module, nn.LayerNorm):
                module.requires_grad_(True)
        self.prompts = nn.Parameter(torch.empty(blocks, prompts, d).normal_(0, deviation, generator=rng))
        self.own = nn.ParameterList(
            nn.Parameter(torch.empty(1 + count, d).normal_(0, deviation, generator=rng)) for count in user_classes
        )
        """For each attribute: a vector for "unknown", then one for each class."""
        self.adapters = nn.ModuleList(Adapter(d, bottleneck, rng) for _ in range(2))

    def forward(self, vectors: Tensor, present: Tensor, labels: Tensor) -> Tensor:
        """User vectors.

        Args:
            vectors: (B, L, d) item vectors, padded on the left.
            present: (B, L) bool, False for padding.
            labels: (B, M) own classes, -1 for unknown; looked at only with user prompts.

        Returns:
            (B, d) hidden states of the last place.
        """
        count, length, d = vectors.shape
        own = [embedding(labels[:, index].long() + 1, table) for index, table in enumerate(self.own)]
        history = d**0.5 * vectors + self.encoder.positions[-length:]
        before = self.prompts.shape[1] + len(own)
        present = torch.cat([present.new_ones(count, before), present], dim=1)
        places = before + length
        earlier = torch.ones(places, places, dtype=torch.bool, device=vectors.device).tril()
        itself = torch.eye(places, dtype=torch.bool, device=vectors.device)
        allowed = (present[:, None, None, :] & earlier) | itself
        for index, block in enumerate(self.encoder.blocks):
            prompts = self.prompts[index].expand(count, -1, -1)
            x = torch.cat([prompts, *(each[:, None] for each in own), history], dim=1)
            last = index == len(self.encoder.blocks) - 1
            x = block(x, allowed, _InTurn(self.adapters), last=last)
            history = x if last else x[:, before:]
        return self.encoder.norm(history)[:, -1]  # type: ignore[no-any-return]


class _InTurn:
    """A block calls it on the outputs of its two sublayers: it runs the first adapter, then the second."""

    def __init__(self, adapters: Iterable[nn.Module]) -> None:
        self._next = iter(adapters)

    def __call__(self, y: Tensor) -> Tensor:
        return next(self._next)(y)  # type: ignore[no-any-return]
