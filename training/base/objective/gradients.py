"""Gradients of groups: of a batch, and added up over an epoch.

Letters: G = P · Q groups, U users, I items, d dimensions, n copies of rows in a batch.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

import torch
from torch import Tensor
from torch.nn.functional import embedding

from training.base.objective.groups import Intersections


class Copies(NamedTuple):
    """Rows of one table, each once for every group of the batch that reads it.

    Groups then share nothing, and one backward pass over the sum of their losses gives the gradient of each.
    """

    values: Tensor
    """(n, d)."""
    of_group: Tensor
    """(n,) from 0 to G, which is no group."""
    rows: Tensor
    """(n,) of the table of touched rows."""
    of_table: Tensor
    """(n,) of the whole table."""

    @classmethod
    def of(cls, table: Tensor, touched: Tensor, groups: Tensor, rows: Tensor) -> tuple[Copies, Tensor]:
        """Make those that a batch needs.

        Args:
            table: (m, d) the touched rows.
            touched: (m,) which rows of the whole table they are.
            groups: (B,) group of each row of the batch.
            rows: (B,) which row of ``table`` it reads.

        Returns:
            The copies, and (B,) which of them each row of the batch reads.
        """
        pairs, place = torch.unique(groups * len(table) + rows, return_inverse=True)
        of_group, own = pairs // len(table), pairs % len(table)
        return cls(embedding(own, table.detach()).requires_grad_(), of_group, own, touched[own]), place


Gradient = Mapping[str, tuple[Copies, Tensor]]
"""By table, the copies and (n, d) the gradient on them, each group's own."""


def lengths(gradient: Gradient, count: int) -> Tensor:
    """(G + 1,) length of each group's gradient; the last one is no group's."""
    squares = torch.zeros(count + 1, device=next(iter(gradient.values()))[1].device)
    for copies, values in gradient.values():
        squares.index_add_(0, copies.of_group, values.square().sum(1))
    return squares.sqrt()


class EpochGradients:
    """The gradient of each group, added up over the last epoch, and over this one so far.

    A user has one class, so only the Q groups of that class move the user's row: (Q, U, d) and (G, I, d) hold all.
    """

    def __init__(self, groups: Intersections, d: int) -> None:
        self._groups = groups
        device = groups.of_users.device
        shapes = {
            "users": (len(groups.item_names), len(groups.of_users), d),
            "items": (len(groups), len(groups.of_items), d),
        }
        self.past = {name: torch.zeros(shape, device=device) for name, shape in shapes.items()}
        self._now = {name: torch.zeros(shape, device=device) for name, shape in shapes.items()}
        self.lengths = torch.zeros(len(groups), device=device)
        """(G,) of the last epoch's; 0 in the first."""

    def add(self, gradient: Gradient, rows: Tensor) -> None:
        """Add a batch's gradient of means, each group by its number of (G + 1,) rows."""
        for name, (copies, values) in gradient.items():
            inside = copies.of_group < len(self._groups)
            weighted = (values * rows[copies.of_group, None])[inside]
            slots, size, d = self._now[name].shape
            places = copies.of_group[inside] % slots * size + copies.of_table[inside]
            self._now[name].view(-1, d).index_add_(0, places, weighted)

    def epoch_ends(self) -> None:
        """What was added up is the past from here on."""
        self.past, self._now = self._now, self.past
        for table in self._now.values():
            table.zero_()
        own = self.past["users"].square().sum(-1)  # (Q, U)
        squares = torch.stack([own[:, rows].sum(1) for rows in self._members(self._groups.of_users)]).flatten()
        self.lengths = (squares + self.past["items"].square().sum((1, 2))).sqrt()

    def begin(self) -> None:
        """No epoch before."""
        for table in (*self.past.values(), *self._now.values(), self.lengths):
            table.zero_()

    def cosines(self, gradient: Gradient, touched: Mapping[str, Tensor]) -> Tensor:
        """(G, G) cosine of each group's gradient in the batch (lines) with each one's of the last epoch; 0 of none.

        Args:
            gradient: of the batch.
            touched: by table, (m,) the rows that it touches.
        """
        count, width = len(self._groups), len(self._groups.item_names)
        dense = {name: self._dense(name, *gradient[name], len(rows)) for name, rows in touched.items()}
        past = {name: self.past[name].index_select(1, rows) for name, rows in touched.items()}
        products = dense["items"].flatten(1) @ past["items"].flatten(1).T
        classes = self._groups.of_users.gather(0, touched["users"])
        for number, rows in enumerate(self._members(classes)):
            block = slice(number * width, (number + 1) * width)
            of_class = (each["users"].index_select(1, rows).flatten(1) for each in (dense, past))
            products[block, block] += next(of_class) @ next(of_class).T
        scale = lengths(gradient, count)[:-1, None] * self.lengths
        return torch.where(scale > 0, products / scale, 0.0)

    def _dense(self, name: str, copies: Copies, values: Tensor, size: int) -> Tensor:
        """(Q or G, m, d) gradients by slot and touched row; no group's are left out."""
        slots, inside = len(self.past[name]), copies.of_group < len(self._groups)
        places = copies.of_group[inside] % slots * size + copies.rows[inside]
        flat = values.new_zeros(slots * size, values.shape[1])
        return flat.index_copy_(0, places, values[inside]).view(slots, size, -1)

    def _members(self, of: Tensor) -> list[Tensor]:
        """Rows of each class of users."""
        return [torch.nonzero(of == number).flatten() for number in range(len(self._groups.user_names))]
