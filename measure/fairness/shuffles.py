"""A statistic under chance alone: users' groups are shuffled."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray

from measure.errors import OutOfRangeError, ShapeError
from measure.fairness.draws import BLOCK_VALUES, Draws
from measure.fairness.groups import Groups
from measure.fairness.totals import Statistic, fits
from measure.scoring import Floats

PERMUTATIONS = 200


class Shuffles:
    """Shuffles of the users' groups: the differences that appear where groups make none."""

    def __init__(
        self, groups: Groups, seed: int, within: Groups | None = None, permutations: int = PERMUTATIONS
    ) -> None:
        """Take the group of each user.

        Args:
            groups: of n users; those in none stay there.
            seed: the same seed deals alike.
            within: further groups of the n users: groups are dealt anew inside each of these only.
            permutations: how often.

        Raises:
            OutOfRangeError: no permutations.
        """
        if permutations < 1:
            raise OutOfRangeError("permutations", permutations, 1, float("inf"))
        inside = np.zeros_like(groups.of) if within is None else within.of
        if inside.shape != groups.of.shape:
            raise ShapeError("within", inside.shape, str(groups.of.shape))
        self._groups = groups
        self._rows = np.flatnonzero((groups.of >= 0) & (inside >= 0))
        self._inside = inside[self._rows]
        self._labels = Draws(permutations, len(self._rows), np.uint16, seed, self._draw)

    def percentile95(self, statistic: Statistic, columns: Floats) -> float | None:
        """The 95 % point of a statistic of (n, C) columns; None where no shuffle defines it."""
        fits(columns, self._groups)
        light = np.ascontiguousarray(columns[self._rows], np.float32)
        found = np.concatenate([statistic(sums) for sums in self._totals(light)])
        found = found[np.isfinite(found)]
        return float(np.percentile(found, 95)) if len(found) else None

    def _totals(self, light: NDArray[np.float32]) -> Iterator[NDArray[np.float32]]:
        count, size = len(self._groups), max(1, BLOCK_VALUES // max(1, len(light) * len(self._groups)))
        for block in self._labels:
            for start in range(0, len(block), size):
                labels = block[start : start + size, None, :]
                chosen = (labels == np.arange(count)[:, None]).astype(np.float32)  # (b, G, n)
                yield (chosen.reshape(-1, len(light)) @ light).reshape(*chosen.shape[:2], -1)

    def _draw(self, rng: np.random.Generator, size: int) -> NDArray[np.integer[Any]]:
        """Each user's group, (size, n): a random order inside each part meets the groups that are there."""
        labels = self._groups.of[self._rows]
        order = np.argsort(rng.random((size, len(labels))) + self._inside, axis=1)
        dealt = np.empty_like(order)
        np.put_along_axis(dealt, order, labels[np.argsort(self._inside, kind="stable")][None, :], axis=1)
        return dealt
