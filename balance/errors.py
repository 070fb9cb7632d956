"""The refusals of the re-rankers of this package, with their facts.

RerankError                 anything below, also a ValueError
├── ShapeError              two arrays that must agree do not
├── OutOfRangeError         a number lies outside what its meaning allows
├── GroupsError             users or targets that are not dealt into groups as they must be
└── InfeasibleError         no choice of lists is within what was asked for
"""

from __future__ import annotations

from collections.abc import Sequence


class RerankError(ValueError):
    """Lists cannot be put in order as asked."""


class ShapeError(RerankError):
    """An array does not have the shape that the other arguments imply."""

    def __init__(self, what: str, shape: Sequence[int], expected: str) -> None:
        super().__init__(f"{what} has shape {tuple(shape)}, expected {expected}")
        self.what = what
        self.shape = tuple(shape)
        self.expected = expected


class OutOfRangeError(RerankError):
    """A value lies outside its range, or is no number."""

    def __init__(self, what: str, value: float, low: float, high: float) -> None:
        super().__init__(f"{what} is {value}, expected {low} to {high}")
        self.what = what
        self.value = value
        self.low = low
        self.high = high


class GroupsError(RerankError):
    """Users or targets are not dealt into groups as they must be."""


class InfeasibleError(RerankError):
    """No choice of lists keeps within a tolerance."""

    def __init__(self, wanted: float, tolerance: float, reachable: tuple[float, float] | None = None) -> None:
        within = (
            "no lists within it were found"
            if reachable is None
            else f"lists reach {reachable[0]:.6g} to {reachable[1]:.6g}"
        )
        super().__init__(f"a gap of {wanted:g} ± {tolerance:g} is asked for; {within}")
        self.wanted = wanted
        self.tolerance = tolerance
        self.reachable = reachable


def within(what: str, value: float, low: float, high: float) -> None:
    """Refuse a number that is outside its range, or none.

    Raises:
        OutOfRangeError: it is.
    """
    if not low <= value <= high:
        raise OutOfRangeError(what, value, low, high)
