"""DeepModel as AFRL uses it: a perceptron over user ⊕ item vector, trained by BPR, and what proposes items to it.

Its score is no inner product, so a second item table w is trained along: u·w, over the same user table, proposes the
candidates that the perceptron then orders.

Source: the model named DeepModel in Zhu et al., SIGIR 2024; the candidate table is ours.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from pathlib import Path
from typing import Literal

import numpy as np
import torch
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, Field, NonNegativeFloat, PositiveFloat, PositiveInt
from torch import Tensor, nn

from bundle import ExactReranker, MlpReranker, Reranker
from training.base.contract import Base, Contexts, softplus_loss
from training.base.foldin import fit_fold_in
from training.base.validation import validation_ndcg
from training.checkpoint import State, pack, unpack
from training.data.split import SELECT
from training.experiment import Experiment
from training.loop import Schedule, fit
from training.negatives import NegativeSampler

log = logging.getLogger(__name__)


class DeepConfig(BaseModel):
    """Hyper-parameters of the base model. Read once, never changed."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    model: Literal["deep"] = "deep"
    dimensions: int = Field(default=64, ge=4)
    """d; the layers are 2d → d → d/2 → d/4 → 1."""
    dropout: float = Field(default=0.2, ge=0, lt=1)
    """Before every layer but the last, in training."""
    learning_rate: PositiveFloat = 1e-3
    batch: PositiveInt = 1024
    """Interaction rows in a step."""
    weight_decay: NonNegativeFloat = 1e-8
    """L2 on tables and layers, through Adam."""
    initial_deviation: PositiveFloat = 0.01
    """Of the tables."""
    candidates: PositiveInt = 200
    """How many items the inner product proposes to the perceptron in serving."""
    schedule: Schedule = Field(default_factory=Schedule)

    @property
    def layers(self) -> list[int]:
        """Widths, input first."""
        d = self.dimensions
        return [2 * d, d, d // 2, d // 4, 1]


class Deep(nn.Module):
    """A user table, the perceptron with its item table, and the item table of the candidates."""

    def __init__(self, users: int, items: int, config: DeepConfig, seed: int) -> None:
        super().__init__()
        rng = torch.Generator().manual_seed(seed)
        spec = Reranker(kind="mlp", sizes={"layers": config.layers}, candidates=config.candidates)
        self.users = nn.Parameter(torch.empty(users, config.dimensions))
        self.candidates = nn.Parameter(torch.empty(items, config.dimensions))
        self.reranker = MlpReranker(spec, config.dimensions, items)
        with torch.no_grad():
            for table in (self.users, self.candidates, self.reranker.items):
                table.normal_(0, config.initial_deviation, generator=rng)
            for name, parameter in self.reranker.layers.named_parameters():
                if name.endswith("weight"):
                    bound = (3 / parameter.shape[1]) ** 0.5  # kaiming_uniform with the reference's gain of 1
                    parameter.uniform_(-bound, bound, generator=rng)
                else:
                    parameter.zero_()


class DeepStage:
    """Trains a DeepModel; one epoch visits every training positive once."""

    name = "base"

    def __init__(
        self,
        model: Deep,
        config: DeepConfig,
        indptr: NDArray[np.int64],
        indices: NDArray[np.int32],
        negatives: NegativeSampler,
        validate: Callable[[Deep], float],
    ) -> None:
        device = model.users.device
        self._model = model
        self._batch, self._dropout = config.batch, config.dropout
        self._users = torch.from_numpy(np.repeat(np.arange(len(indptr) - 1), np.diff(indptr))).to(device)
        self._items = torch.from_numpy(indices.astype(np.int64)).to(device)
        self._negatives = negatives
        self._validate = validate
        self._adam = torch.optim.Adam(
            model.parameters(), lr=config.learning_rate, weight_decay=config.weight_decay, fused=True
        )

    def epoch(self, rng: torch.Generator) -> int:
        """One pass over the positives in random order, a fresh negative for each."""
        order = torch.randperm(len(self._users), generator=rng, device=self._users.device)
        negatives = self._negatives.draw(self._users, rng)
        for rows in torch.split(order, self._batch):
            u = self._model.users[self._users[rows]]
            pairs = torch.stack([self._items[rows], negatives[rows]], dim=1)
            own = self._model.reranker(u, pairs, lambda x: self._drop(x, rng))
            proposed = (u[:, None] * self._model.candidates[pairs]).sum(-1)
            loss = softplus_loss(own[:, 0] - own[:, 1]) + softplus_loss(proposed[:, 0] - proposed[:, 1])
            self._adam.zero_grad()
            loss.backward()  # type: ignore[no-untyped-call]
            self._adam.step()
        return len(order)

    def _drop(self, x: Tensor, rng: torch.Generator) -> Tensor:
        kept = torch.rand(x.shape, generator=rng, device=x.device) >= self._dropout
        return x * kept / (1 - self._dropout)

    def validate(self) -> float:
        """Whatever the run selects the base by: sampled N@10 of the perceptron on the validation positives."""
        return self._validate(self._model)

    def state(self) -> State:
        """Tables, layers and optimiser."""
        return pack({"model": self._model}, {"adam": self._adam})

    def restore(self, state: State) -> None:
        """Go on from ``state``."""
        unpack(state, {"model": self._model}, {"adam": self._adam})


def train_deep(experiment: Experiment, config: DeepConfig, checkpoint: Path, device: torch.device) -> Base:
    """Train tables and layers; folded-in users take no part, their vector comes from their history as in serving."""
    users, items = len(experiment.dataset.users), len(experiment.dataset.items)
    model = Deep(users, items, config, experiment.seed).to(device)
    sampler = NegativeSampler(*experiment.no_negatives, items, device)

    def validate(model: Deep) -> float:
        return validation_ndcg(experiment, _table(model.users), _table(model.candidates), ExactReranker(model.reranker))

    stage = DeepStage(model, config, *experiment.train, sampler, validate)
    result = fit(stage, config.schedule, experiment.seed, checkpoint, device)
    log.info("base: validation N@10 %s", result)

    user_vectors, item_vectors = _table(model.users).copy(), _table(model.candidates)
    select = np.flatnonzero(experiment.user_split == SELECT)
    history = fit_fold_in(user_vectors, item_vectors, *experiment.train, select)
    new = np.flatnonzero(experiment.folded_in).tolist()
    user_vectors[new] = history.user_vectors([experiment.held_out.history(row) for row in new], item_vectors)
    contexts = Contexts(user_vectors, np.arange(users), *experiment.train)
    model.zero_grad()
    reranker = model.reranker.cpu().requires_grad_(False).eval()
    return Base("deep", user_vectors, user_vectors, item_vectors, contexts, history, reranker)


def _table(parameter: nn.Parameter) -> NDArray[np.float32]:
    return parameter.detach().cpu().numpy()
