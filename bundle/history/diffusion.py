"""A user vector from a history as a set: the last hidden state of a denoiser, after its reverse steps.

    x_T = √ᾱ_T x, x the row of the history; for t = T … 1
        u = tanh(W tanh(Sᵀx_t + b + e_t) + c), S the table
        x_{t-1} = f_t x̂ + g_t x_t, x̂ = V u + biases the answer

An answer is an affine map of u, and the first layer a linear one of x_t. So a = Sᵀx_t is all that is kept of a row,
and a step costs the small layers whatever the number of items: a ← f_t (echo u + echo_bias) + g_t a, echo = SᵀV.
Nothing is drawn: x_T is the mean of the noised row, and a step goes to the mean of the posterior.

Source: Wang et al., SIGIR 2023.

Letters: B batch, I items, h width of the first layer, d varying dimensions of u, T steps.
"""

from __future__ import annotations

from abc import ABC
from collections.abc import Callable, Iterator
from typing import ClassVar, NamedTuple

import torch
from torch import Tensor, nn

from bundle.errors import DamagedError
from bundle.history.autoencoder import FILE, HistorySet
from bundle.manifest import Network

MOST_STEPS = 1000


class Step(NamedTuple):
    """One reverse step."""

    number: int
    """t - 1, from T - 1 down to 0."""
    answer: Tensor
    """f_t: what the answer weighs in the row of the next step."""
    kept: Tensor
    """g_t: what the row of this one does."""


class Denoiser(HistorySet, ABC):
    """What kinds with reverse steps share."""

    other_sizes: ClassVar[tuple[str, ...]] = ("steps",)

    variances: Tensor
    """(T,) 1 - ᾱ_t: of the noise, rising."""
    echo: Tensor
    """(h, d) the first layer of the answer to u, but for what the decoder's biases add."""
    echo_bias: Tensor

    def __init__(self, network: Network) -> None:
        super().__init__(network)
        hidden, last = self.widths[1], self.widths[-1]
        steps = self._one_size(network, "steps", MOST_STEPS)
        self.times = nn.Parameter(torch.empty(steps, hidden))
        """(T, h): what a step adds to the first layer."""
        self.last = nn.Linear(self.widths[-2], last)
        self.register_buffer("variances", torch.empty(steps))
        self.register_buffer("echo", torch.empty(hidden, last))
        self.register_buffer("echo_bias", torch.empty(hidden))

    def schedule(self) -> Iterator[Step]:
        """The reverse steps in their order; the last one's answer is the end."""
        kept = 1 - self.variances
        before = torch.cat([torch.ones_like(kept[:1]), kept[:-1]])
        one = kept / before
        for step in reversed(range(len(kept))):
            answer = (1 - one[step]) * before[step].sqrt() / self.variances[step]
            yield Step(step, answer, (1 - before[step]) * one[step].sqrt() / self.variances[step])

    def reverse(self, sums: Tensor, denoised: Callable[[Tensor, Tensor], Tensor]) -> Tensor:
        """All steps.

        Args:
            sums: (B, h) first layer of rows without noise.
            denoised: (B, h) of noised rows, and the row of `times` of their step → (B, d) user vectors.

        Returns:
            (B, d) those of the last step.
        """
        read = (1 - self.variances[-1]).sqrt() * sums
        for step, answer, kept in self.schedule():
            u = denoised(read, self.times[step])
            if step:
                read = answer * (u @ self.echo.T + self.echo_bias) + kept * read
        return u

    @torch.no_grad()
    def settle(self, items: Tensor, biases: Tensor | None) -> None:
        """Take the first layer of what a decoder answers with, (I, d) rows and (I,) biases, as both are now."""
        self.echo.copy_(self.table.T @ items)
        self.echo_bias.copy_(torch.zeros_like(self.bias) if biases is None else self.table.T @ biases)

    def check(self) -> None:
        """Refuse weights that could overflow, and noise that does not rise.

        Raises:
            DamagedError: names the array and the value.
        """
        super().check()
        rising = torch.cat([torch.zeros_like(self.variances[:1]), self.variances, torch.ones_like(self.variances[:1])])
        if not bool((rising.diff() > 0).all()):
            raise DamagedError(FILE, "variances", "rising between 0 and 1", self.variances.tolist())


class Diffrec(Denoiser):
    """Kind ``diffrec``, sizes `layers` [I, h, d] and `steps` [T]."""

    layer_count = 3

    def denoised(self, read: Tensor, times: Tensor) -> Tensor:
        """(B, h) first layer of noised rows and the rows of `times` of their steps → (B, d) user vectors."""
        return torch.tanh(self.last(torch.tanh(read + self.bias + times)))

    def users(self, sums: Tensor, counts: Tensor) -> Tensor:
        """(B, h) and (B, 1) → (B, d)."""
        return self.reverse(sums, self.denoised)
