"""PoT-AU by steps over all users; U1 - U6 are equations of docs/algorithms/pot-au.md."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn, optim
from torch.nn.functional import normalize

from training.base.contract import Base
from training.checkpoint import State, pack, unpack
from training.fair.pot_au.config import PotAuConfig
from training.fair.pot_au.distances import batches, between_classes, discrepancy, spread
from training.fair.pot_au.order import OrderKept

VALIDATED_BY = 0
"""Seed of the batches that a state's price is looked at with: the same ones each time."""


class Table(nn.Module):
    """U1: x = u / s, the vectors in root mean squares of their numbers."""

    def __init__(self, base: Base) -> None:
        super().__init__()
        self.scale = float(np.sqrt(np.square(base.users, dtype=np.float64).mean())) or 1.0
        self.original = torch.from_numpy(base.users / np.float32(self.scale))
        self.x = nn.Parameter(self.original.clone())

    def vectors(self) -> NDArray[np.float32]:
        """(U, d) as the base has them."""
        return self.x.detach().cpu().numpy() * np.float32(self.scale)


class Term(NamedTuple):
    """A part of the price that some users' vectors decide."""

    rows: Tensor
    price: Callable[[Tensor], Tensor]
    """Vectors of these users → a scalar."""


class PotAuStage:
    """Moves user vectors; items, and everything else of the base, stay."""

    name = "fair"

    def __init__(
        self,
        base: Base,
        labels: Sequence[NDArray[np.int64]],
        order: OrderKept,
        config: PotAuConfig,
        device: torch.device,
    ) -> None:
        """Take the base.

        Args:
            base: trained.
            labels: of each protected attribute, (U,) class of every user.
            order: the price of other orders.
            config: prices and step size.
            device: where it trains.
        """
        self.table, self._order, self._config = Table(base).to(device), order.to(device), config
        self._original, self._cosine = self.table.original.to(device), base.cosine
        self._attributes = [_classes(torch.from_numpy(each).to(device)) for each in labels]
        self._adam = optim.Adam(self.table.parameters(), lr=config.learning_rate, fused=True)

    def epoch(self, rng: torch.Generator) -> int:
        """U6: one step down the gradient of the whole price, made of parts so that memory is linear in users."""
        x = self.table.x
        x.grad = torch.zeros_like(x)
        for rows, price in self._terms(rng):
            some = x.detach()[rows].requires_grad_()
            price(self._served(some)).backward()  # type: ignore[no-untyped-call]
            assert some.grad is not None  # noqa: S101  backward has just filled it
            x.grad.index_add_(0, rows, some.grad)
        self._adam.step()
        return len(x)

    @torch.no_grad()
    def validate(self) -> float:
        """Less the price."""
        x = self.table.x
        rng = torch.Generator(x.device).manual_seed(VALIDATED_BY)
        return -sum(float(price(self._served(x[rows]))) for rows, price in self._terms(rng))

    def _served(self, x: Tensor) -> Tensor:
        """As they enter a score: of a base where only directions count, at length 1."""
        return normalize(x) / self.table.scale if self._cosine else x

    def _terms(self, rng: torch.Generator) -> Iterator[Term]:
        """U5: distances of every attribute, order, and distance to the original."""
        for members in self._attributes:
            yield from self._apart(members, rng)
        config, users = self._config, len(self.table.x)
        for rows in torch.split(torch.arange(users, device=self.table.x.device), config.batch):
            if config.order_weight:
                yield Term(rows, lambda x, rows=rows: self._order_price(x, rows))  # type: ignore[misc]
            if config.original_weight:
                yield Term(rows, lambda x, rows=rows: self._moved(x, rows))  # type: ignore[misc]

    def _apart(self, members: Sequence[Tensor], rng: torch.Generator) -> Iterator[Term]:
        """U2 or U3 of one attribute."""
        counts = [len(each) for each in members]
        if self._config.distance == "u2u":
            sizes = torch.tensor(counts, device=members[0].device)
            labels = torch.repeat_interleave(torch.arange(len(counts), device=sizes.device), sizes)
            yield Term(torch.cat(list(members)), lambda x: between_classes(x, labels, sizes.to(x.dtype)))
            return
        with torch.no_grad():
            x = self._served(self.table.x)
            widths = [spread(torch.cat([x[members[0]], x[each]])) or 1.0 for each in members[1:]]
        drawn = list(batches(members, self._config.batch, rng))
        for rows in drawn:
            sizes_here = [len(each) for each in rows]

            def price(x: Tensor, sizes: Sequence[int] = sizes_here) -> Tensor:
                return discrepancy(torch.split(x, list(sizes)), counts, widths) / len(drawn)

            yield Term(torch.cat(rows), price)

    def _order_price(self, x: Tensor, rows: Tensor) -> Tensor:
        behind: Tensor = self._order(x * self.table.scale, rows)
        return self._config.order_weight * len(rows) / len(self.table.x) * behind

    def _moved(self, x: Tensor, rows: Tensor) -> Tensor:
        moved = (x - self._original[rows]).square().mean()
        return self._config.original_weight * len(rows) / len(self.table.x) * moved

    def state(self) -> State:
        """Vectors and optimiser."""
        return pack({"table": self.table}, {"adam": self._adam})

    def restore(self, state: State) -> None:
        """Go on from ``state``."""
        unpack(state, {"table": self.table}, {"adam": self._adam})


def _classes(labels: Tensor) -> list[Tensor]:
    """User rows of each class that somebody is of, the most frequent first: the anchor of U3."""
    found = [torch.nonzero(labels == each)[:, 0] for each in torch.unique(labels)]
    return sorted(found, key=len, reverse=True)
