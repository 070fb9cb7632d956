"""What the best epoch of a fair model is chosen by."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray

from bundle import FairEncoder
from measure.accuracy import ndcg_at, sampled_ranks
from training.masks import Mask


@dataclass(frozen=True)
class Validation:
    """Held-out positives and negatives that a validation ranks, over some of the users."""

    users: NDArray[np.float32]
    """(n, d) user vectors of the users validated on."""
    items: NDArray[np.float32]
    positive: NDArray[np.int32]
    """(n,), -1 for none."""
    negatives: NDArray[np.int32]
    """(n, 99)."""
    attributes: Sequence[str]

    def ndcg(self, vectors: NDArray[np.float32]) -> float:
        """Sampled N@10 of (n, d) vectors."""
        ranks = sampled_ranks(vectors, self.items, self.positive, self.negatives)
        return float(ndcg_at(10, ranks[ranks >= 0]).mean())

    def fair(self, encoder: FairEncoder, mask: Mask) -> NDArray[np.float32]:
        """(n, d) fair vectors under one mask."""
        device = next(encoder.parameters()).device
        flags = torch.tensor([name in mask for name in self.attributes], device=device)
        with torch.no_grad():
            parts = encoder.split(torch.from_numpy(self.users).to(device))
            return encoder.combine(parts, flags.expand(len(parts), -1)).cpu().numpy()


def by_accuracy(validation: Validation, masks: Sequence[Mask]) -> Callable[[FairEncoder], float]:
    """`reproduce`: mean N@10 over masks; leakage plays no part, as in the reference."""

    def score(encoder: FairEncoder) -> float:
        return float(np.mean([validation.ndcg(validation.fair(encoder, mask)) for mask in masks]))

    return score


def by_accuracy_and_leakage(
    validation: Validation, masks: Sequence[Mask], leaked: Callable[[NDArray[np.float32], str], float], price: float
) -> Callable[[FairEncoder], float]:
    """`strict`: mean over masks of N@10 kept, less ``price`` times the mean AUC above .5 of the protected attributes.

    Args:
        validation: of the select users.
        masks: all that the card will report.
        leaked: (vectors of the select users, attribute) → folded AUC in [.5, 1].
        price: accuracy points that one AUC point costs.
    """
    base = validation.ndcg(validation.users)

    def score(encoder: FairEncoder) -> float:
        kept, excess = [], []
        for mask in masks:
            vectors = validation.fair(encoder, mask)
            kept.append(validation.ndcg(vectors) / base)
            excess += [leaked(vectors, name) - 0.5 for name in mask]
        return float(np.mean(kept) - price * np.mean(excess))

    return score
