"""A step of one optimiser."""

from __future__ import annotations

from torch import Tensor, optim


def descend(optimiser: optim.Optimizer, loss: Tensor) -> None:
    """One step down ``loss`` for this optimiser's weights alone; gradients it leaves on others are not used."""
    optimiser.zero_grad()
    loss.backward()  # type: ignore[no-untyped-call]
    optimiser.step()
