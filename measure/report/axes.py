"""Axes that hold given numbers, with few round ticks."""

import math
from collections.abc import Iterable, Sequence

from measure.report.figures import Axis, Mark
from measure.report.rows import LeakRow

CHANCE = 0.5


def over_auc(values: Iterable[float | None]) -> Axis:
    """Run from chance to the largest value, at least to 0.6."""
    top = max((value for value in values if value is not None), default=0.0)
    return _axis(CHANCE, min(max(top, 0.6), 1.0), CHANCE, percent=False)


def over_share(values: Iterable[float | None]) -> Axis:
    """Run from the smallest value, at most 90 %, to the largest, at least 100 %."""
    known = [value for value in values if value is not None]
    return _axis(min([*known, 0.9]), max([*known, 1.0]), 1.0, percent=True)


def over_leaks(rows: Sequence[LeakRow], references: Iterable[float | None] = ()) -> Axis:
    """Hold these rows with their intervals, bounds and references."""
    ends = [end for row in rows for end in (row.auc, row.bound, *(row.ci or ()))]
    return over_auc([*ends, *references])


def over_marks(marks: Sequence[Mark], threshold: float | None = None) -> Axis:
    """Hold these shares of the base with their intervals, and the threshold."""
    ends = [end for mark in marks for end in (mark.value, *(mark.interval or ()))]
    return over_share([*ends, threshold])


def over_zero(values: Iterable[float | None], *, percent: bool = False) -> Axis:
    """Run from zero, or the smallest value below it, to the largest."""
    known = [value for value in values if value is not None]
    return _axis(min([*known, 0.0]), max([*known, 0.04]), 0.0, percent=percent, finest=0.01)


def over_one() -> Axis:
    """Run from 0 to 1."""
    return _axis(0.0, 1.0, 0.0, percent=False)


def _axis(low: float, high: float, origin: float, *, percent: bool, finest: float = 0.05) -> Axis:
    steps = (0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1.0, 2.0, 5.0)
    step = next((step for step in steps if step >= finest and (high - low) / step <= 5.01), (high - low) / 4)
    first, last = math.floor(low / step + 1e-9), math.ceil(high / step - 1e-9)
    ticks = [round(step * tick, 6) for tick in range(first, last + 1)]
    return Axis(ticks[0], ticks[-1], ticks, origin, percent)
