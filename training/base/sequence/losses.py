"""The losses of a sequential model: its answers against the true items.

Letters: T answers, K sampled items, d dimensions.
"""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn.functional import softplus


def softmax_loss(answers: Tensor, positives: Tensor, others: Tensor, allowed: Tensor) -> Tensor:
    """Mean cross-entropy of the positive among itself and the sampled others.

    Args:
        answers: (T, d) hidden states.
        positives: (T, d) item vectors.
        others: (K, d) item vectors.
        allowed: (T, K) False where an item is no negative.
    """
    own = (answers * positives).sum(-1, keepdim=True)
    scores = (answers @ others.T).masked_fill(~allowed, float("-inf"))
    return (torch.cat([own, scores], dim=1).logsumexp(1) - own[:, 0]).mean()


def binary_loss(answers: Tensor, positives: Tensor, negatives: Tensor) -> Tensor:
    """Mean of −log σ(s⁺) − log(1 − σ(s⁻)), all (T, d).

    Source: Kang and McAuley, ICDM 2018, section 3.6.
    """
    return (softplus(-(answers * positives).sum(-1)) + softplus((answers * negatives).sum(-1))).mean()
