"""J10: the dither that hides what tells the vectors of several masks apart."""

from __future__ import annotations

import torch
from torch import Tensor

from bundle.networks import DitheredLatticeEncoder

FREQUENCY = 4.0
"""Standard deviation of a phase over users, in radians. The shifts of two users at the usual distance correlate by
exp(-FREQUENCY²); a rounding error of r is four times as large in a phase."""


def fit_dither(encoder: DitheredLatticeEncoder, u: Tensor, size: float, rng: torch.Generator) -> None:
    """Draw the waves, and scale them.

    Args:
        encoder: everything else is fitted.
        u: (U, d) user vectors.
        size: root mean square of a number of the dither, by that of û around its mean.
        rng: of the waves.
    """
    at_length = encoder.at_mean_length(u)
    spread = encoder.split(u)[:, 0].std(0, correction=0)
    varies = spread > 1e-6 * spread.max()
    waves = torch.randn(encoder.dither.weight.shape, generator=rng) * (FREQUENCY / u.shape[1] ** 0.5)
    encoder.dither.weight.copy_(waves * torch.where(varies, 1 / spread.clamp_min(1e-12), 0)[:, None])
    encoder.dither.amplitude.fill_(size * (2 * (at_length - at_length.mean(0)).square().mean()) ** 0.5)
