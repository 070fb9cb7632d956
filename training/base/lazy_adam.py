"""Adam for tables of which a step reads few rows: a step costs what it touches, not what the tables hold.

Dense Adam moves every row in every step: one without a gradient goes on with its momentum, and both of its moments
decay. What that adds up to is known in closed form, so here it is done when a step needs the row again, or at once for
all rows by `settle`. Letters and the sum: docs/decisions/0040-tables-are-updated-by-the-row.md.

Source: Kingma and Ba, ICLR 2015; catching up as in "lazy" or "sparse" updates is ours.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor

BETA1, BETA2, EPSILON = 0.9, 0.999, 1e-8
DECAY = BETA1 / BETA2**0.5
"""What m / √v becomes in a step without a gradient."""
HORIZON = 192
"""Steps after which nothing is left of a momentum: DECAY to this power is 2e-9."""
CAPACITY = 65_536
"""Steps after which all rows are settled, whether or not they were touched."""
BLOCK = 16_384
"""Rows that are settled at once."""


class LazyAdam:
    """Adam of torch's defaults on tables (R, d), by rows.

    Differs from dense Adam in three things: a row decays (``weight_decay``) only in steps that touch it; the first
    moment is kept in bfloat16, so that tables and moments are 2.5 times the tables; and numbers round differently.
    """

    def __init__(self, tables: Mapping[str, Tensor], rate: float, weight_decay: float) -> None:
        self._rate, self._weight_decay = rate, weight_decay
        device = next(iter(tables.values())).device
        self._tables = {name: _Table(table) for name, table in tables.items()}
        self._taken: dict[str, tuple[Tensor, Tensor, Tensor, Tensor, Tensor]] = {}
        self._steps = self._settled = 0
        self._ahead = DECAY ** torch.arange(HORIZON, 0, -1, device=device)
        self._missed = torch.zeros(CAPACITY + 1, device=device)

    def take(self, rows: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """Rows of each table as they stand now, for a step to read and to get a gradient on.

        Args:
            rows: by table, (n,) int64, none of them twice.

        Returns:
            (n, d) by table, in the order of ``rows``.
        """
        for name, wanted in rows.items():
            self._taken[name] = (wanted, *self._caught_up(self._tables[name], wanted))
        return {name: taken[1].requires_grad_() for name, taken in self._taken.items()}

    def step(self) -> None:
        """One step of Adam down the gradients of the rows taken."""
        self._steps += 1
        of_first, of_second = 1 - BETA1**self._steps, (1 - BETA2**self._steps) ** 0.5
        rate, epsilon = self._rate * of_second / of_first, EPSILON * of_second
        for name, (rows, w, m, v, bits) in self._taken.items():
            if w.grad is None:
                continue
            gradient, w = w.grad, w.detach()
            if self._weight_decay:
                gradient = gradient.add(w, alpha=self._weight_decay)
            m.lerp_(gradient, 1 - BETA1)
            v.mul_(BETA2).addcmul_(gradient, gradient, value=1 - BETA2)
            w.addcdiv_(m, v.sqrt().add_(epsilon), value=-rate)
            self._tables[name].write(rows, w, m, bits, self._steps - self._settled)
        self._taken = {}
        self._go_on(of_second / of_first)

    def settle(self) -> None:
        """Bring all rows to where dense Adam has them by now. Costs a pass over the tables."""
        if self._settled == self._steps:
            return
        for table in self._tables.values():
            for rows in torch.split(torch.arange(len(table.w), device=table.w.device), BLOCK):
                w, m, _, bits = self._caught_up(table, rows)
                table.write(rows, w, m, bits, 0)
        self._settled = self._steps
        self._missed[0] = 0

    def state_dict(self) -> dict[str, Any]:
        """In the form of torch's optimisers, of settled tables."""
        self.settle()
        step = float(self._steps)
        slots = [{"step": torch.tensor(step), "moments": table.moments} for table in self._tables.values()]
        return {"state": dict(enumerate(slots)), "param_groups": []}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """The reverse of `state_dict`; without a state, begin anew."""
        slots = state_dict["state"]
        self._steps = self._settled = int(slots[0]["step"]) if slots else 0
        self._missed[0] = 0
        for place, table in enumerate(self._tables.values()):
            table.begin()
            if slots:
                table.moments.copy_(slots[place]["moments"])

    def _caught_up(self, table: _Table, rows: Tensor) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """As `_Table.read` gives them, brought to where all steps so far have left them."""
        w, m, v, bits = table.read(rows)
        touched = bits[:, -1].contiguous()
        sat_out = (self._steps - self._settled - touched)[:, None]
        missed = self._missed.index_select(0, touched)[:, None]
        epsilon = EPSILON * (1 - BETA2 ** max(self._steps, 1)) ** 0.5
        w.addcdiv_(m * missed, v.sqrt().add_(epsilon), value=-self._rate)
        return w, m.mul_(BETA1**sat_out), v.mul_(BETA2**sat_out), bits

    def _go_on(self, correction: float) -> None:
        """Add the step just taken to what rows miss that it has not touched, by the step that touched them last."""
        now = self._steps - self._settled
        width = min(now, HORIZON)
        self._missed[now - width : now].add_(self._ahead[HORIZON - width :], alpha=correction)
        self._missed[now] = 0
        if now == CAPACITY:
            self.settle()


class _Table:
    """A table (R, d), and its moments beside the step that touched a row last, (R, ⌈3d / 2⌉ + 1) int32.

    A row is taken from memory in two places, not in four: in large tables most of a step's time goes there.
    """

    def __init__(self, table: Tensor) -> None:
        self.w, self._d = table.detach(), table.shape[1]
        self.begin()

    def begin(self) -> None:
        """Forget the moments; there are none again, and no memory for them, before they are asked for."""
        self._moments: Tensor | None = None

    @property
    def moments(self) -> Tensor:
        """Zeros at first."""
        if self._moments is None:
            shape = len(self.w), self._d + (self._d + 1) // 2 + 1
            self._moments = torch.zeros(shape, dtype=torch.int32, device=self.w.device)
        return self._moments

    def read(self, rows: Tensor) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """Copies of rows and both moments, (n, d) float32, the second a view of the bits, (n, …), that it came in.

        The last of these are the steps between settling and a row's last touch.
        """
        bits = self.moments.index_select(0, rows)
        first, second = self._views(bits)
        return self.w.index_select(0, rows), first.float(), second, bits

    def write(self, rows: Tensor, w: Tensor, m: Tensor, bits: Tensor, touched: int) -> None:
        """The reverse, all rows touched at once; the second moment is in the bits already."""
        self._views(bits)[0].copy_(m)
        bits[:, -1] = touched
        self.w.index_copy_(0, rows, w)
        self.moments.index_copy_(0, rows, bits)

    def _views(self, bits: Tensor) -> tuple[Tensor, Tensor]:
        second, first = bits[:, : self._d].view(torch.float32), bits[:, self._d : -1].view(torch.bfloat16)
        return first[:, : self._d], second
