"""Trains an autoencoder base by epochs: every user's row once, in random order."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import torch
from torch import Tensor

from training.base.autoencoder.config import AutoencoderConfig
from training.base.autoencoder.model import RowModel
from training.checkpoint import State, pack, unpack
from training.data.split import Csr


class Rows:
    """Users' positives, some users at a time as rows of zeros and ones."""

    def __init__(self, positives: Csr, items: int, device: torch.device) -> None:
        indptr, indices = positives
        self._starts = torch.from_numpy(indptr[:-1]).to(device)
        self._counts = torch.from_numpy(np.diff(indptr)).to(device)
        self._indices = torch.from_numpy(indices.astype(np.int64)).to(device)
        self._items = items
        self.users = torch.nonzero(self._counts)[:, 0]
        """(n,) those that have some."""

    def of(self, users: Tensor) -> Tensor:
        """(B,) user rows → (B, I)."""
        counts = self._counts[users]
        row = torch.repeat_interleave(torch.arange(len(users), device=users.device), counts)
        begins = torch.repeat_interleave(self._starts[users] - counts.cumsum(0) + counts, counts)
        columns = self._indices[begins + torch.arange(len(row), device=users.device)]
        x = torch.zeros(len(users), self._items, device=users.device)
        x[row, columns] = 1
        return x


class RowsStage:
    """Trains it."""

    name = "base"

    def __init__(self, model: RowModel, config: AutoencoderConfig, rows: Rows, validate: Callable[[], float]) -> None:
        self._model, self._batch, self._rows, self._validate = model, config.batch, rows, validate
        self._optimisers = model.optimisers()

    def epoch(self, rng: torch.Generator) -> int:
        """One pass over the users that have positives."""
        users = self._rows.users
        order = users[torch.randperm(len(users), generator=rng, device=users.device)]
        for some in torch.split(order, self._batch):
            x = self._rows.of(some)
            for loss, optimiser in self._optimisers.values():
                optimiser.zero_grad()
                loss(x, rng).backward()  # type: ignore[no-untyped-call]
                optimiser.step()
        return len(users)

    def validate(self) -> float:
        """The number that selects the base, as for every table."""
        return self._validate()

    def state(self) -> State:
        """Weights and optimiser."""
        return pack({"model": self._model}, self._adams())

    def restore(self, state: State) -> None:
        """Go on from ``state``."""
        unpack(state, {"model": self._model}, self._adams())

    def _adams(self) -> dict[str, torch.optim.Optimizer]:
        return {name: optimiser for name, (_, optimiser) in self._optimisers.items()}
