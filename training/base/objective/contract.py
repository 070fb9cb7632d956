"""What an objective is, and what it is given.

Letters: U users, I items, d dimensions, B rows of a batch.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.functional import embedding

from training.negatives import NegativeSampler


@dataclass(frozen=True)
class Batch:
    """Rows of (user, positive, negative), and the tables' rows that they touch: gradients go to these."""

    model: nn.Module
    tables: Mapping[str, Tensor]
    """By name of a table, (m, d) the rows that the batch touches."""
    rows: Mapping[str, Tensor]
    """(m,) which rows of the whole table they are."""
    users: Tensor
    """(B,) rows of the whole table."""
    positives: Tensor
    negatives: Tensor
    own: Tensor
    """(B,) the same three as rows of ``tables``."""
    liked: Tensor
    other: Tensor
    rng: torch.Generator

    def scores(self) -> tuple[Tensor, Tensor]:
        """Inner products of each row's user with its positive and its negative, (B,) each."""
        u = embedding(self.own, self.tables["users"])
        liked, other = (embedding(rows, self.tables["items"]) for rows in (self.liked, self.other))
        return (u * liked).sum(-1), (u * other).sum(-1)


class Objective(ABC):
    """The loss of a step. What it remembers from one step to the next is written to checkpoints like an optimiser's."""

    unit_length = False
    """Whether only directions count: vectors are brought to length 1 for validation and export, a score is a cosine."""
    also_users: Tensor | None = None
    """Rows of users that every step looks at beside those of its batch."""

    def negatives(self, sampler: NegativeSampler, users: Tensor, model: nn.Module, rng: torch.Generator) -> Tensor:
        """A negative for each of (n,) user rows; ``model`` as its tables stand, some rows a few steps behind."""
        return sampler.draw(users, rng)

    @abstractmethod
    def loss(self, batch: Batch) -> Tensor:
        """What is stepped down: of its value nothing is used but the gradient."""

    def epoch_ends(self) -> None:  # noqa: B027  most have nothing to do then
        """All positives have been visited once."""

    def tensors(self) -> dict[str, Tensor]:
        """What is remembered; `load_state_dict` copies into these."""
        return {}

    def begin(self) -> None:  # noqa: B027  most have nothing to forget
        """Forget."""

    def state_dict(self) -> dict[str, Any]:
        """In the form of torch's optimisers."""
        found = self.tensors()
        return {"state": {0: found} if found else {}, "param_groups": []}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """The reverse of `state_dict`; without a state, begin anew."""
        self.begin()
        for name, value in state_dict["state"].get(0, {}).items():
            self.tensors()[name].copy_(value)
