"""Optimisers of networks that are trained against each other, and a step of one of them."""

from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor, nn, optim

from training.parallel import average_gradients


def descend(optimiser: optim.Optimizer, loss: Tensor) -> None:
    """One step down ``loss`` for this optimiser's weights alone; gradients it leaves on others are not used.

    Several processes step down the mean of their losses.
    """
    optimiser.zero_grad()
    loss.backward()  # type: ignore[no-untyped-call]
    average_gradients(optimiser)
    optimiser.step()


def adam(*modules: nn.Module, rate: float, weight_decay: float) -> optim.Adam:
    """One Adam for all weights of some networks."""
    weights = [weight for module in modules for weight in module.parameters()]
    return optim.Adam(weights, lr=rate, weight_decay=weight_decay, fused=True)


@dataclass(frozen=True)
class Optimisers:
    """Two Adams, which step in turn: the model's, and that of the networks that it is trained against."""

    model: optim.Adam
    adversary: optim.Adam
    names: tuple[str, str] = ("model", "adversary")
    """Their names in checkpoints."""

    def by_name(self) -> dict[str, optim.Optimizer]:
        """For checkpoints."""
        return dict(zip(self.names, (self.model, self.adversary), strict=True))
