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

    A user has one class, so only the Q groups of that class move the user's row: (U, Q, d) and (I, G, d) hold all.
    """

    def __init__(self, groups: Intersections, d: int) -> None:
        self._groups = groups
        per_class, device = len(groups.item_names), groups.of_users.device
        shapes = {
            "users": (len(groups.of_users), per_class, d),
            "items": (len(groups.of_items), len(groups), d),
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
            width, d = self._now[name].shape[1:]
            places = copies.of_table[inside] * width + copies.of_group[inside] % width
            self._now[name].view(-1, d).index_add_(0, places, weighted)

    def epoch_ends(self) -> None:
        """What was added up is the past from here on."""
        self.past, self._now = self._now, self.past
        for table in self._now.values():
            table.zero_()
        classes, width = len(self._groups.user_names), self.past["users"].shape[1]
        of_class = torch.where(self._groups.of_users < 0, classes, self._groups.of_users)
        own = self.past["users"].square().sum(-1)
        squares = own.new_zeros(classes + 1, width).index_add_(0, of_class, own)[:-1].flatten()
        self.lengths = (squares + self.past["items"].square().sum((0, 2))).sqrt()

    def begin(self) -> None:
        """No epoch before."""
        for table in (*self.past.values(), *self._now.values(), self.lengths):
            table.zero_()

    def cosines(self, gradient: Gradient) -> Tensor:
        """(G, G) cosine of each group's gradient in the batch (lines) with each one's of the last epoch; 0 of none."""
        count, classes = len(self._groups), len(self._groups.user_names)
        found = {}
        for name, (copies, values) in gradient.items():
            past = self.past[name].index_select(0, copies.of_table)
            of_copies = torch.bmm(past, values[:, :, None]).squeeze(-1)
            summed = of_copies.new_zeros(count + 1, of_copies.shape[1])
            found[name] = summed.index_add_(0, copies.of_group, of_copies)[:-1]
        width, each = count // classes, torch.arange(classes)
        of_users = torch.zeros(classes, width, classes, width, device=values.device)
        of_users[each, :, each, :] = found["users"].view(classes, width, width)
        products = found["items"] + of_users.view(count, count)
        scale = lengths(gradient, count)[:-1, None] * self.lengths
        return torch.where(scale > 0, products / scale, 0.0)
