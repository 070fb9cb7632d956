"""How far the users of different classes are apart: U2, U3, and batches of users for it.

Letters: n users, C classes, d dimensions, B users of a class in a batch.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import torch
from torch import Tensor

KERNELS = 5
"""RBF kernels that are added up, each twice as wide as the one before."""
WIDEST = 4.0
"""Width of the last, in mean squared distances of two users; that of the first is a quarter of one."""
FEWEST = 32
"""Users of a class in every batch, at least; all where it has fewer."""


def between_classes(x: Tensor, labels: Tensor, counts: Tensor) -> Tensor:
    """U2: mean of ‖x_i − x_j‖² / d over the pairs of users that are of different classes.

    That is a Laplacian's trace, Tr(Xᵀ L X), of the graph with an edge between all such pairs, over their number and d.
    Between classes g and h the mean is E_g‖x‖² + E_h‖x‖² − 2 E_g x · E_h x, so no matrix of pairs is made.

    Args:
        x: (n, d).
        labels: (n,) from 0 to C − 1.
        counts: (C,) users of each class, none without.
    """
    means = x.new_zeros(len(counts), x.shape[1]).index_add(0, labels, x) / counts[:, None]
    squares = x.new_zeros(len(counts)).index_add(0, labels, x.square().sum(1)) / counts
    apart = squares[:, None] + squares - 2 * means @ means.T
    pairs = (counts[:, None] * counts).fill_diagonal_(0)
    return (pairs * apart).sum() / (pairs.sum() * x.shape[1])


def discrepancy(classes: Sequence[Tensor], counts: Sequence[int], spreads: Sequence[float] | Tensor) -> Tensor:
    """U3: Σ_g MMD²(g, anchor), the anchor being the first class; biased, as if of all users of each class.

    What a batch shows of one class's own similarity is that of different users; the n of n² pairs of a user with
    itself are added, so the mean over batches is what all users together give, and is that where they are all there.

    Args:
        classes: of each class (B, d) users drawn without repetition; two or more of every class that has as many.
        counts: (C,) users that each class has.
        spreads: (C − 1,) mean squared distance of two users of the class or the anchor, by `spread`.
    """
    anchor, total = classes[0], classes[0].new_zeros(())
    own = _squared(anchor, anchor)
    for x, count, width in zip(classes[1:], counts[1:], spreads, strict=True):
        within = _alike(own, width, counts[0]) + _alike(_squared(x, x), width, count)
        total = total + within - 2 * _kernels(_squared(x, anchor), width).mean()
    return total


def spread(x: Tensor) -> float:
    """Mean squared distance of two of (n, d) users: 2n / (n − 1) of their mean squared distance to the mean."""
    centred = (x - x.mean(0)).double()
    return float(2 * centred.square().sum() / max(len(x) - 1, 1))


def batches(members: Sequence[Tensor], size: int, rng: torch.Generator) -> Iterator[list[Tensor]]:
    """One pass in batches of about ``size`` users, every class in each of them as often as it is.

    Args:
        members: user rows of each class.
        size: users of a batch.
        rng: of the order.

    Yields:
        Of each class some rows without repetition; over the pass each row at least once.
    """
    count = -(-sum(map(len, members)) // size)
    orders = [each[torch.randperm(len(each), generator=rng, device=each.device)] for each in members]
    taken = [min(len(each), max(FEWEST, -(-len(each) // count))) for each in members]
    for batch in range(count):
        yield [
            order[torch.arange(batch * some, (batch + 1) * some, device=order.device) % len(order)]
            for order, some in zip(orders, taken, strict=True)
        ]


def _alike(squared: Tensor, width: Tensor | float, count: int) -> Tensor:
    """Mean kernel of (B, B) pairs of one class, as it is among ``count`` users."""
    with_itself = KERNELS / count
    if len(squared) < 2:
        return squared.new_tensor(with_itself)
    kernels = _kernels(squared, width)
    others = (kernels.sum() - kernels.diagonal().sum()) / (len(squared) * (len(squared) - 1))
    return (1 - 1 / count) * others + with_itself


def _kernels(squared: Tensor, width: Tensor | float) -> Tensor:
    """Sum of the kernels: the widest, its square, the square of that, and so on."""
    kernel = torch.exp(-squared / (WIDEST * width))
    total = kernel
    for _ in range(KERNELS - 1):
        kernel = kernel.square()
        total = total + kernel
    return total


def _squared(x: Tensor, y: Tensor) -> Tensor:
    """(B, d) and (B', d) → (B, B') squared distances."""
    return (x.square().sum(1)[:, None] + y.square().sum(1) - 2 * x @ y.T).clamp_min(0)
