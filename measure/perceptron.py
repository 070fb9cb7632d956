"""Perceptrons with one hidden layer, several at once: the attacker that is fitted most often, so it has its own code.

Members differ in where they start and see the same batches, so the hidden layers of all are one product of matrices.
Adam (Kingma and Ba, ICLR 2015) at a rate that falls to zero by half a cosine (Loshchilov and Hutter, ICLR 2017), ReLU,
softmax or, for two classes, one logistic output; weights start uniform within √(6 / (fan in + fan out)) (Glorot and
Bengio, AISTATS 2010). Letters: n users, d columns, H hidden units, S members.
"""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

HIDDEN = 128
EPOCHS = 12
STEPS_AT_LEAST = 200
"""Few users are taken in smaller batches, and very few are gone over more often."""
BATCHES = (128, 64)
RATE = 0.006
"""At the first step."""
_DECAY, _DECAY_SQUARES, _TINY = 0.9, 0.999, 1e-8

Floats = NDArray[np.float32]


@dataclass(frozen=True)
class _Layers:
    """Views into one array of numbers, so that one step of Adam moves all of them."""

    flat: Floats
    first: Floats
    """(d + 1, S * H), the biases last"""
    second: Floats
    """(S, outputs, H)"""
    second_bias: Floats
    """(S, outputs, 1)"""

    @classmethod
    def zeros(cls, width: int, members: int, outputs: int) -> "_Layers":
        shapes = (width + 1, members * HIDDEN), (members, outputs, HIDDEN), (members, outputs, 1)
        ends = np.cumsum([int(np.prod(shape)) for shape in shapes])
        flat = np.zeros(ends[-1], np.float32)
        parts = np.split(flat, ends[:-1])
        return cls(flat, *(part.reshape(shape) for part, shape in zip(parts, shapes, strict=True)))


def probabilities(
    users: Floats, labels: NDArray[np.int64], scored: Floats, *, penalty: float, members: int, seed: int
) -> NDArray[np.float64]:
    """Fit on some users, give the mean probabilities of the members for others.

    Args:
        users: shape (n, d), scaled.
        labels: shape (n,), 0, 1, …, K - 1, each there.
        scored: shape (s, d), scaled likewise.
        penalty: weight of the squared weights, of all but biases, against the sum of losses over a batch.
        members: how many perceptrons.
        seed: of the weights and the batches.

    Returns:
        Shape (s, K).
    """
    rng = np.random.default_rng(seed)
    count, (n, width) = int(labels.max()) + 1, users.shape
    outputs = 1 if count == 2 else count
    layers, slopes = (_Layers.zeros(width, members, outputs) for _ in range(2))
    layers.first[:-1] = rng.uniform(-1, 1, (width, members * HIDDEN)) * np.sqrt(6 / (width + HIDDEN))
    drawn = rng.uniform(-1, 1, (members, HIDDEN, outputs)) * np.sqrt(6 / (HIDDEN + outputs))
    layers.second[:] = drawn.transpose(0, 2, 1)
    wanted = np.eye(count, dtype=np.float32)[labels][:, -outputs:]
    known = _with_ones(users)
    batch = next((size for size in BATCHES if EPOCHS * -(-n // size) >= STEPS_AT_LEAST), BATCHES[-1])
    steps = -(-n // batch)
    epochs = max(EPOCHS, -(-STEPS_AT_LEAST // steps))
    step = _adam(layers.flat, slopes.flat, epochs * steps)
    for _ in range(epochs):
        order = rng.permutation(n)
        x, y = known[order], np.ascontiguousarray(wanted[order].T)
        for start in range(0, n, batch):
            _slopes(layers, slopes, x[start : start + batch], y[:, start : start + batch], penalty)
            next(step)
    _, found = _forward(layers, _with_ones(scored))
    mean = found.mean(axis=0, dtype=np.float64).T
    return np.concatenate([1 - mean, mean], axis=1) if outputs == 1 else mean


def _forward(layers: _Layers, x: Floats) -> tuple[Floats, Floats]:
    """Hidden units (n, S * H) and probabilities (S, outputs, n)."""
    hidden = x @ layers.first
    np.maximum(hidden, 0, out=hidden)
    found = layers.second @ _by_member(hidden, layers).transpose(0, 2, 1)
    found += layers.second_bias
    if found.shape[1] == 1:
        return hidden, 1 / (1 + np.exp(-np.clip(found, -60, 60)))
    found -= found.max(axis=1, keepdims=True)
    np.exp(found, out=found)
    found /= found.sum(axis=1, keepdims=True)
    return hidden, found


def _slopes(layers: _Layers, slopes: _Layers, x: Floats, y: Floats, penalty: float) -> None:
    """Derivatives of the mean loss of a batch x (n, d + 1), y (outputs, n), put into ``slopes``."""
    hidden, found = _forward(layers, x)
    found -= y
    found /= len(x)
    np.matmul(found, _by_member(hidden, layers), out=slopes.second)
    found.sum(axis=2, keepdims=True, out=slopes.second_bias)
    back = np.empty_like(hidden)
    product = np.multiply if found.shape[1] == 1 else np.matmul  # of one output: the same, in a quarter of the time
    product(found.transpose(0, 2, 1), layers.second, out=_by_member(back, layers))
    back *= hidden > 0
    np.matmul(x.T, back, out=slopes.first)
    for slope, weight in ((slopes.first[:-1], layers.first[:-1]), (slopes.second, layers.second)):
        slope += weight * np.float32(penalty / len(x))


def _with_ones(users: Floats) -> Floats:
    """(n, d + 1): a last column of ones, which the biases of the first layer meet."""
    return np.concatenate([users, np.ones((len(users), 1), np.float32)], axis=1)


def _by_member(hidden: Floats, layers: _Layers) -> Floats:
    """(n, S * H) as (S, n, H), the same numbers."""
    return hidden.reshape(len(hidden), len(layers.second), HIDDEN).transpose(1, 0, 2)


def _adam(weights: Floats, slopes: Floats, steps: int) -> Iterator[None]:
    """Move the weights, in place, by the slopes as they are at each step; so many times."""
    mean, room = np.zeros_like(weights), np.empty_like(weights)
    square = np.full_like(weights, _TINY**2)  # and so no slope is divided by 0
    for done in range(1, steps + 1):
        rate = RATE * 0.5 * (1 + np.cos(np.pi * (done - 1) / steps))
        mean *= _DECAY
        mean += slopes
        np.multiply(slopes, slopes, out=room)
        square *= _DECAY_SQUARES
        square += room
        np.sqrt(square, out=room)
        np.divide(mean, room, out=room)
        share, share_squares = (1 - _DECAY) / (1 - _DECAY**done), (1 - _DECAY_SQUARES) / (1 - _DECAY_SQUARES**done)
        room *= rate * share / np.sqrt(share_squares)
        weights -= room
        yield
