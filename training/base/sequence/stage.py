"""Trains a sequential base by epochs: its windows, the places of its answers, and the true items there."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import partial
from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn.functional import embedding

from bundle import PrismEncoder, SequenceEncoder
from training.base.contract import softplus_loss
from training.base.sequence.config import Bert4recConfig, SasrecConfig
from training.base.sequence.losses import binary_loss, softmax_loss
from training.base.sequence.prism import Experts
from training.base.sequence.windows import Histories, Windows
from training.checkpoint import State, pack, unpack
from training.negatives import NegativeSampler


class Answers(NamedTuple):
    """Hidden states at the places of answers, and the true items there."""

    states: Tensor
    """(T, d)."""
    items: Tensor
    """(T,) item rows."""
    users: Tensor
    """(T,) user rows."""


class SequenceModel(nn.Module):
    """The encoder and the item vectors it reads and answers with; with PRISM, what modalities say of what it reads."""

    def __init__(
        self, items: int, config: SasrecConfig | Bert4recConfig, seed: int, experts: Experts | None = None
    ) -> None:
        super().__init__()
        rng = torch.Generator().manual_seed(seed)
        self.items = nn.Parameter(torch.empty(items, config.dimensions))
        self.encoder = _encoder(config, experts)
        with torch.no_grad():
            for name, parameter in self.named_parameters():
                if name.endswith("norm.weight"):
                    parameter.fill_(1)
                elif name == "encoder.fusion.scale":
                    parameter.fill_(config.item_deviation)
                elif name.endswith("bias"):
                    parameter.zero_()
                elif parameter is self.items or name == "encoder.mask":
                    parameter.normal_(0, config.item_deviation, generator=rng)
                elif name == "encoder.positions":
                    parameter.normal_(0, config.position_deviation, generator=rng)
                else:
                    nn.init.xavier_uniform_(parameter, generator=rng)
        self.experts = experts
        if experts is not None:
            experts.begin(rng)

    def read(self, rows: Tensor, present: Tensor) -> Tensor:
        """What the encoder reads.

        Args:
            rows: (B, L) item rows.
            present: (B, L) bool, False where nothing may be seen of the item.

        Returns:
            (B, L, d).
        """
        vectors = embedding(rows, self.items)
        if self.experts is None or not isinstance(self.encoder, PrismEncoder):
            return vectors
        each, places = torch.unique(rows, return_inverse=True)
        said, causal = self.experts(each), self.encoder.causal
        return self.encoder.fusion(vectors, present, places, said, causal=causal)  # type: ignore[no-any-return]

    def vectors(self) -> NDArray[np.float32]:
        """(I, d) item vectors, on the CPU; the encoder then reads histories as it would in a bundle."""
        if self.experts is not None and isinstance(self.encoder, PrismEncoder):
            self.encoder.tables = self.experts.tables()
        return self.items.detach().cpu().numpy()


def _encoder(config: SasrecConfig | Bert4recConfig, experts: Experts | None) -> SequenceEncoder:
    if experts is None or config.prism is None:
        return SequenceEncoder(config.network(), config.dimensions)
    encoder = PrismEncoder(config.network(experts.count), config.dimensions)
    encoder.fusion.temperature.fill_(config.prism.temperature)
    return encoder


class SequenceStage:
    """Trains SASRec or BERT4Rec."""

    name = "base"

    def __init__(
        self,
        model: SequenceModel,
        config: SasrecConfig | Bert4recConfig,
        histories: Histories,
        negatives: NegativeSampler,
        validate: Callable[[], float],
    ) -> None:
        self._model, self._config = model, config
        self._histories, self._negatives, self._validate = histories, negatives, validate
        self._adam = torch.optim.Adam(model.parameters(), lr=config.learning_rate, fused=True)

    def epoch(self, rng: torch.Generator) -> int:
        """One pass over the histories."""
        count = 0
        for windows in self._windows(rng):
            answers = self.answers(windows, rng)
            self._adam.zero_grad()
            loss = self._loss(answers, rng)
            if self._model.experts is not None:
                loss = loss + self._model.experts.price(torch.unique(answers.items), rng)
            loss.backward()  # type: ignore[no-untyped-call]
            self._adam.step()
            count += len(answers.items)
        return count

    def answers(self, windows: Windows, rng: torch.Generator) -> Answers:
        """Where the model answers in these windows."""
        match self._config:
            case SasrecConfig() | Bert4recConfig() if self._config.loss == "last":
                return self._last(windows, rng)
            case SasrecConfig():
                return self._next(windows, rng)
            case Bert4recConfig():
                return self._masked(windows, self._config.masked, rng)

    def _windows(self, rng: torch.Generator) -> Iterator[Windows]:
        width = self._config.length + 1 if self._model.encoder.causal else self._config.length
        if self._config.loss == "last":
            return self._histories.moments().batches(self._config.batch, width, rng)
        return self._histories.draw(self._config.length, rng).batches(self._config.batch, width, rng)

    def _next(self, windows: Windows, rng: torch.Generator) -> Answers:
        """SASRec: every position answers with the item that came next."""
        rows, present = self._histories.cut(windows, self._config.length + 1)
        read = self._model.read(rows[:, :-1], present[:, :-1])
        states = self._model.encoder(read, present[:, :-1], self._dropout(rng))
        return _where(present[:, :-1], states, rows[:, 1:], windows.users)

    def _masked(self, windows: Windows, share: float, rng: torch.Generator) -> Answers:
        """BERT4Rec: items are masked at random, the last one always; the answer at a mask is the hidden item."""
        rows, present = self._histories.cut(windows, self._config.length)
        masked = torch.rand(rows.shape, generator=rng, device=rows.device) < share
        masked[:, -1] = True
        masked &= present
        read = self._model.read(rows, present & ~masked)
        vectors = torch.where(masked[..., None], self._model.encoder.mask, read)
        return _where(masked, self._model.encoder(vectors, present, self._dropout(rng)), rows, windows.users)

    def _last(self, windows: Windows, rng: torch.Generator) -> Answers:
        """The reference: the vector of all items before a moment answers with the item of that moment."""
        rows, present = self._histories.cut(windows, self._model.encoder.items + 1)
        read = self._model.read(rows[:, :-1], present[:, :-1])
        states = self._model.encoder.users(read, present[:, :-1], self._dropout(rng))
        return Answers(states, rows[:, -1], windows.users)

    def _loss(self, answers: Answers, rng: torch.Generator) -> Tensor:
        items = self._model.items
        positives = embedding(answers.items, items)
        if self._config.loss == "positions":
            shape, device = (self._config.negatives,), items.device
            others = torch.randint(len(items), shape, generator=rng, device=device)
            users, place = torch.unique(answers.users, return_inverse=True)
            allowed = ~self._negatives.touched(users[:, None], others)
            return softmax_loss(answers.states, positives, embedding(others, items), allowed[place])
        negatives = embedding(self._negatives.draw(answers.users, rng), items)
        if self._config.loss == "binary":
            return binary_loss(answers.states, positives, negatives)
        return softplus_loss((answers.states * (positives - negatives)).sum(-1))

    def _dropout(self, rng: torch.Generator) -> Callable[[Tensor], Tensor]:
        return partial(_dropout, share=self._config.dropout, rng=rng)

    def validate(self) -> float:
        """The number that selects the base: sampled N@10 on the validation positives."""
        return self._validate()

    def state(self) -> State:
        """Weights and optimiser."""
        return pack({"model": self._model}, {"adam": self._adam})

    def restore(self, state: State) -> None:
        """Go on from ``state``."""
        unpack(state, {"model": self._model}, {"adam": self._adam})


def _where(chosen: Tensor, states: Tensor, rows: Tensor, users: Tensor) -> Answers:
    return Answers(states[chosen], rows[chosen], users[:, None].expand_as(rows)[chosen])


def _dropout(x: Tensor, share: float, rng: torch.Generator) -> Tensor:
    """Zero a share of the entries, to the nearest 256th, and scale up the rest: one random byte for each is enough."""
    most = round(256 * share)
    if not most:
        return x
    words = torch.empty((x.numel() + 7) // 8, dtype=torch.int64, device=x.device)
    kept = words.random_(-(2**63), None, generator=rng).view(torch.uint8)[: x.numel()].view(x.shape) >= most
    return x * kept * (256 / (256 - most))
