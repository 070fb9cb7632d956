"""FairGAN, a variant: rows made to pass for true ones, and rankings whose exposure is even over the items.

Specified in docs/algorithms/fairgan.md.

Letters: B batch, I items, h width of a hidden layer.
"""

from __future__ import annotations

from collections.abc import Iterable

import torch
from torch import Tensor, nn

from bundle import Autorec
from training.base.autoencoder.adversary import critic_loss, exposures, gini
from training.base.autoencoder.config import FairganConfig
from training.base.autoencoder.model import Loss, RowModel, begin, partly_hidden


class FairganModel(RowModel):
    """The ranker's generator is the autoencoder; three more networks are needed in training alone (W1 - W5)."""

    network: Autorec
    _config: FairganConfig

    def __init__(self, items: int, config: FairganConfig, rng: torch.Generator) -> None:
        super().__init__(Autorec(config.network(items)), config, rng)
        self.critic = nn.Sequential(nn.Linear(2 * items, config.hidden), nn.Tanh(), nn.Linear(config.hidden, 1))
        """The ranker's: reads a row's answer beside the row."""
        self.controller = Controller(items, config.hidden)
        self.judge = nn.Sequential(nn.Linear(items, config.hidden), nn.ReLU(), nn.Linear(config.hidden, 1))
        """The controller's critic: reads exposure."""
        for network in (self.critic, self.controller, self.judge):
            begin(network, rng)
        with torch.no_grad():
            self.controller.scale.fill_(1)

    def optimisers(self) -> dict[str, tuple[Loss, torch.optim.Adam]]:
        """Critics before what they judge; the controller first learns the rankings that are then made even."""
        config = self._config
        ranker = [*self.network.parameters(), self.items, *([] if self.biases is None else [self.biases])]
        critic = adam(self.critic.parameters(), config.critic_learning_rate)
        judge = adam(self.judge.parameters(), config.critic_learning_rate)
        controller = adam(self.controller.parameters(), config.controller_learning_rate)
        signal = {"judge": (self.judge_loss, judge), "controller": (self.controller_loss, controller)}
        return {
            "critic": (self.critic_loss, critic),
            **(signal if config.fairness_weight else {}),
            "adam": (self.loss, adam(ranker, config.learning_rate, config.weight_decay)),
        }

    def made(self, x: Tensor, rng: torch.Generator) -> Tensor:
        """(B, I) rows → (B, I) answers in (−1, 1), of rows whose entries are partly hidden (W1)."""
        u = self.network.users(partly_hidden(x, self.dropout, rng) @ self.network.table, x.sum(1, keepdim=True))
        return torch.tanh(self.answers(u))

    def exposed(self, made: Tensor, x: Tensor) -> Tensor:
        """(B, I) the controller's guess of the exposure that a ranking of (B, I) answers gives, mean 1 over a row."""
        guess: Tensor = self.controller(listed(made, x)).softmax(1) * made.shape[1]
        return guess

    def loss(self, x: Tensor, rng: torch.Generator) -> Tensor:
        """The generator's: its answers less real to the critic, and the exposure that they lead to uneven (W3, W5)."""
        made = self.made(x, rng)
        loss: Tensor = -self.critic(torch.cat([self._compared(made, x), x], 1)).mean()
        if self._config.fairness_weight:
            loss = loss + self._config.fairness_weight * gini(self.exposed(made, x).mean(0))
        return loss

    def critic_loss(self, x: Tensor, rng: torch.Generator) -> Tensor:
        """The ranker's critic's (W2): true rows beside made ones."""
        with torch.no_grad():
            fake = self._compared(self.made(x, rng), x)
        return critic_loss(lambda row: self.critic(torch.cat([row, x], 1)), x, fake, self._config.penalty_weight, rng)

    def judge_loss(self, x: Tensor, rng: torch.Generator) -> Tensor:
        """The controller's critic's (W4): exposure by rank beside the controller's."""
        with torch.no_grad():
            made = self.made(x, rng)
            real, fake = exposures(listed(made, x)), self.exposed(made, x)
        return critic_loss(self.judge, real, fake, self._config.penalty_weight, rng)

    def controller_loss(self, x: Tensor, rng: torch.Generator) -> Tensor:
        """The controller's (W4): its exposures less real to its critic."""
        with torch.no_grad():
            made = self.made(x, rng)
        loss: Tensor = -self.judge(self.exposed(made, x)).mean()
        return loss

    def _compared(self, made: Tensor, x: Tensor) -> Tensor:
        """What the critic is shown of an answer."""
        return made * x if self._config.masked else made


class Controller(nn.Module):
    """From (B, I) scores to logits of exposure: the scores themselves, scaled, and what a hidden layer adds to them."""

    def __init__(self, items: int, hidden: int) -> None:
        super().__init__()
        self.added = nn.Sequential(nn.Linear(items, hidden), nn.ReLU(), nn.Linear(hidden, items))
        self.scale = nn.Parameter(torch.empty(1, 1))

    def forward(self, scores: Tensor) -> Tensor:
        """(B, I) → (B, I)."""
        logits: Tensor = self.scale * scores + self.added(scores)
        return logits


def listed(made: Tensor, x: Tensor) -> Tensor:
    """(B, I) answers with a row's own items behind all others, as lists leave them out."""
    return made * (1 - x) - x


def adam(weights: Iterable[nn.Parameter], rate: float, decay: float = 0.0) -> torch.optim.Adam:
    """One that forgets the direction of the last step, as Gulrajani et al. have it: β₁ is 0."""
    return torch.optim.Adam(weights, rate, betas=(0.0, 0.9), weight_decay=decay, fused=True)
