"""How sure a number over users is: percentile intervals by a bootstrap over users.

With `Shuffles` and `totals` this is all that a caller needs besides a metric.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from measure.errors import OutOfRangeError, ShapeError, TooFewUsersError
from measure.fairness.draws import Draws
from measure.fairness.groups import Groups
from measure.fairness.shuffles import PERMUTATIONS, Shuffles
from measure.fairness.totals import Statistic, divided, fits, members, totals
from measure.scoring import Floats

__all__ = ["PERMUTATIONS", "RESAMPLES", "Bootstrap", "Estimate", "Gap", "Shuffles", "Statistic", "totals"]

RESAMPLES = 1_000


@dataclass(frozen=True)
class Estimate:
    """A number with its confidence interval."""

    value: float
    """NaN where it is not defined."""
    ci95: tuple[float, float] | None
    """2.5 and 97.5 % points over resampled users; None where fewer than two of them defined it."""

    @property
    def known(self) -> bool:
        """Whether there is a number at all."""
        return bool(np.isfinite(self.value))

    def as_row(self) -> dict[str, Any]:
        """As the card has it; of a number that is `known`."""
        return {"value": self.value} | ({"ci95": list(self.ci95)} if self.ci95 else {})


@dataclass(frozen=True)
class Gap:
    """The largest difference between two groups of users, and which two.

    The interval is of the difference between these two, in the direction that the users as they are give it: below 0
    means that even the direction is not certain. That it is the largest of many is not in the interval, but in what
    chance alone gives. (The largest difference of each resample, found anew, leans upwards, past the number itself.)
    """

    estimate: Estimate
    between: tuple[str, str]
    item_group: str | None = None
    """The item group it is in, where it is one of several."""
    permutation95: float | None = None
    """The 95 % point of shuffles of the users' groups: a smaller difference cannot be told from chance."""

    def as_row(self) -> dict[str, Any]:
        """As the card has it."""
        row = self.estimate.as_row() | ({"item_group": self.item_group} if self.item_group is not None else {})
        row["between"] = list(self.between)
        return row | ({"permutation95": self.permutation95} if self.permutation95 is not None else {})


class Bootstrap:
    """So many times n users are drawn from n with replacement; the same draws serve every metric."""

    def __init__(self, users: int, seed: int, resamples: int = RESAMPLES) -> None:
        """Say how many users there are.

        Args:
            users: n, at least 1.
            seed: the same seed draws the same users.
            resamples: how often; one takes n bytes while they are kept, and time that grows with n times C.

        Raises:
            TooFewUsersError: nobody.
            OutOfRangeError: no resamples.
        """
        if users < 1:
            raise TooFewUsersError("bootstrap", users, 1)
        if resamples < 1:
            raise OutOfRangeError("resamples", resamples, 1, float("inf"))
        self.users, self.resamples = users, resamples
        self._weights = Draws(resamples, users, np.uint8, seed, self._draw)

    def estimate(self, statistic: Statistic, columns: Floats, groups: Groups | None = None) -> Estimate:
        """Give one number with its interval.

        Args:
            statistic: of the totals of the columns by group.
            columns: shape (n, C), one row for each user.
            groups: of the n users; one group of all where None.
        """
        return self.estimates(lambda sums: statistic(sums)[..., None], columns, groups)[0]

    def estimates(self, statistic: Statistic, columns: Floats, groups: Groups | None = None) -> list[Estimate]:
        """Give several numbers at once, each with its interval: the statistic has shape (..., M)."""
        if len(columns) != self.users:
            raise ShapeError("columns", columns.shape, f"({self.users}, C)")
        values = statistic(totals(columns, groups))
        drawn = np.concatenate([statistic(sums) for sums in self._totals(columns, groups)])
        return [Estimate(float(value), _interval(each)) for value, each in zip(values, drawn.T, strict=True)]

    def mean(self, values: Floats) -> Estimate:
        """Mean of (n,) values over the users that have one; NaN is none."""
        return self.ratio(values, np.ones(len(values)))

    def ratio(self, above: Floats, below: Floats) -> Estimate:
        """Mean of ``above`` over the mean of ``below``, each (n,), over the users that have both; NaN is none.

        Of paired values: the share of one accuracy that another keeps. Not defined where ``below`` adds up to zero.
        """
        both = ~(np.isnan(above) | np.isnan(below))
        columns = np.stack([np.where(both, above, 0.0), np.where(both, below, 0.0)], axis=1)
        return self.estimate(lambda sums: divided(sums[..., 0, 0], sums[..., 0, 1]), columns)

    def difference(self, values: Floats, groups: Groups) -> Estimate:
        """How far the means of two groups lie apart, over users that have a value; NaN is none.

        The interval is in the direction that the users as they are give it, as in `Gap`.
        """
        if len(groups) != 2:
            raise ShapeError("groups", (len(groups),), "two groups")
        there = ~np.isnan(values)
        columns = np.stack([np.where(there, values, 0.0), there.astype(np.float64)], axis=1)

        def signed(sums: NDArray[Any]) -> NDArray[Any]:
            means = divided(sums[..., 0], sums[..., 1])
            return means[..., 0] - means[..., 1]  # type: ignore[no-any-return]

        side = -1.0 if signed(totals(columns, groups)) < 0 else 1.0
        return self.estimate(lambda sums: side * signed(sums), columns, groups)

    def _totals(self, columns: Floats, groups: Groups | None) -> Iterator[NDArray[np.float32]]:
        """Resampled totals, block by block: (b, G, C)."""
        fits(columns, groups)
        light = np.ascontiguousarray(columns, np.float32)  # seven digits are plenty for the ends of an interval
        for weights in self._weights:
            sums = (weights[:, rows].astype(np.float32) @ light[rows] for rows in members(groups, self.users))
            yield np.stack(list(sums), axis=1)

    def _draw(self, rng: np.random.Generator, size: int) -> NDArray[np.integer[Any]]:
        """How often each user is drawn, (size, n). A user is drawn 255 times with a chance under 1e-500."""
        drawn = rng.integers(0, self.users, (size, self.users)) + np.arange(size)[:, None] * self.users
        return np.bincount(drawn.ravel(), minlength=size * self.users).reshape(size, self.users)


def _interval(drawn: NDArray[Any]) -> tuple[float, float] | None:
    drawn = drawn[np.isfinite(drawn)]
    if len(drawn) < 2:
        return None
    low, high = np.percentile(drawn.astype(np.float64), [2.5, 97.5])
    return float(low), float(high)
