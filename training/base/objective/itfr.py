"""ITFR: every group's loss at the sharpest point near by, weighted by how much a step for it helps the others.

Equations I1 to I7 of docs/algorithms/objectives.md. Source: Wang et al., WWW 2024. Two backward passes a step, however
many groups there are.
"""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn.functional import embedding, normalize, softplus

from training.base.objective.config import ItfrConfig
from training.base.objective.contract import Batch, Objective
from training.base.objective.gradients import Copies, EpochGradients, Gradient, lengths
from training.base.objective.groups import Intersections
from training.base.objective.losses import GroupLosses, GroupWeights, by_group


class Itfr(Objective):
    """State: weights of the groups, and each group's gradient and mean losses of the last epoch."""

    unit_length = True

    def __init__(self, groups: Intersections, config: ItfrConfig, dimensions: int) -> None:
        self._groups, self._config = groups, config
        device, count = groups.of_users.device, len(groups)
        self._weights = GroupWeights(count, config.weight_rate, device)
        self._gradients = EpochGradients(groups, dimensions)
        self._losses = torch.zeros(2, count, device=device)
        """Means of the last epoch, at the weights and at the sharpest point."""
        self._sums, self._rows = torch.zeros(2, count, device=device), torch.zeros(count, device=device)

    def loss(self, batch: Batch) -> Tensor:
        """Linear in the touched rows, with the gradient Σ w ĝ of I7."""
        groups, count = self._groups.of(batch.users, batch.positives), len(self._groups)
        users, own = Copies.of(batch.tables["users"], batch.rows["users"], groups, batch.own)
        twice, both = torch.cat([groups, groups]), torch.cat([batch.liked, batch.other])
        items, pairs = Copies.of(batch.tables["items"], batch.rows["items"], twice, both)
        liked, other = pairs.chunk(2)

        def losses(of_users: Tensor, of_items: Tensor) -> tuple[GroupLosses, Gradient]:
            u, v = normalize(of_users, dim=1), normalize(of_items, dim=1)  # I1
            margin = (embedding(own, u) * (embedding(liked, v) - embedding(other, v))).sum(-1)
            found = by_group(softplus(-margin / self._config.temperature), groups, count)  # I2
            at = torch.autograd.grad(found.mean.sum(), (of_users, of_items))
            return found, {"users": (users, at[0]), "items": (items, at[1])}

        plain, gradient = losses(users.values, items.values)
        length = lengths(gradient, count)
        uphill = torch.where(length > 0, self._config.radius / length, 0.0)  # I3
        uphill[count] = 0  # rows of no group are trained as ever
        shifted = [
            (copies.values.detach() + uphill[copies.of_group, None] * at).requires_grad_()
            for copies, at in gradient.values()
        ]
        sharp, sharpest = losses(*shifted)  # I4
        with torch.no_grad():
            self._gradients.add(gradient, plain.rows)
            self._sums += torch.stack([plain.mean, sharp.mean])[:, :-1] * plain.rows[:-1]
            self._rows += plain.rows[:-1]
            if self._weights.may_move(plain):
                cosines = self._gradients.cosines(sharpest, batch.rows)
                helped = self._helped(cosines, plain.mean[:-1], sharp.mean[:-1])
                self._weights.move(helped)  # I6
            shares = plain.shares(self._weights.values)
        return torch.stack(  # I7
            [
                (embedding(copies.rows, batch.tables[name]) * (shares[copies.of_group, None] * at)).sum()
                for name, (copies, at) in sharpest.items()
            ]
        ).sum()

    def _helped(self, cosines: Tensor, plain: Tensor, sharp: Tensor) -> Tensor:
        """I5: (G,) how much a step for each group helps all, those with a large loss most; at first, only itself."""
        before, before_sharp = self._losses
        first = not bool(before.any())
        matters = (plain if first else before) ** self._config.focus
        helps = torch.zeros(len(sharp), len(sharp), device=sharp.device)
        if not first:
            helps = (sharp[:, None] * before_sharp).sqrt() * cosines
        helps.diagonal().copy_(sharp)
        return helps @ (matters / matters.sum())

    def epoch_ends(self) -> None:
        """What was gathered is what the next epoch compares with."""
        self._weights.epoch_ends()
        self._gradients.epoch_ends()
        self._losses = self._sums / self._rows.clamp(min=1)
        self._sums.zero_()
        self._rows.zero_()

    def tensors(self) -> dict[str, Tensor]:
        """At the end of an epoch."""
        past = {f"past_{name}": table for name, table in self._gradients.past.items()}
        return {"weights": self._weights.values, "losses": self._losses, "lengths": self._gradients.lengths, **past}

    def begin(self) -> None:
        """Equal weights, and no epoch before."""
        self._gradients.begin()
        self._weights.begin()
        for memory in (self._losses, self._sums, self._rows):
            memory.zero_()
