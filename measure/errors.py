"""The refusals of this package, with their facts.

MeasureError                    anything below, also a ValueError
├── ShapeError                  two arrays that must agree do not
├── OutOfRangeError             a number lies outside what its meaning allows
├── NotFiniteError              NaN or infinity among the features or vectors
├── TooFewUsersError            too few users to say anything
├── SingleClassError            no two groups of users that are large enough
├── OverlapError                users on both sides of a split
├── UnknownAttackerError        an attacker this suite does not have
├── ListsError                  recommended lists that are no lists
└── WorkerDiedError             a process that measured was ended by something else
"""

from collections.abc import Sequence


class MeasureError(ValueError):
    """Something cannot be measured as asked."""


class ShapeError(MeasureError):
    """An array does not have the shape that the other arguments imply."""

    def __init__(self, what: str, shape: Sequence[int], expected: str) -> None:
        super().__init__(f"{what} has shape {tuple(shape)}, expected {expected}")
        self.what = what
        self.shape = tuple(shape)
        self.expected = expected


class OutOfRangeError(MeasureError):
    """A value lies outside its range."""

    def __init__(self, what: str, value: float, low: float, high: float) -> None:
        super().__init__(f"{what} is {value}, expected {low} to {high}")
        self.what = what
        self.value = value
        self.low = low
        self.high = high


class NotFiniteError(MeasureError):
    """Values that are NaN or infinite."""

    def __init__(self, what: str, count: int) -> None:
        super().__init__(f"{what}: {count} of its values are NaN or infinite")
        self.what = what
        self.count = count


class TooFewUsersError(MeasureError):
    """Fewer users than the measure needs."""

    def __init__(self, what: str, users: int, needed: int) -> None:
        super().__init__(f"{what}: {users} users, at least {needed} needed")
        self.what = what
        self.users = users
        self.needed = needed


class SingleClassError(MeasureError):
    """However classes are merged, there are no two groups that are large enough."""

    def __init__(self, what: str, users: int, at_least: int, sizes: Sequence[int]) -> None:
        told = ", ".join(map(str, sizes[:5])) + (", …" if len(sizes) > 5 else "")
        super().__init__(f"{what}: no two groups of {at_least} can be made of {users} labelled users (classes: {told})")
        self.what = what
        self.users = users
        self.at_least = at_least
        self.sizes = tuple(sizes)


class OverlapError(MeasureError):
    """Users that are in two sets which must be disjoint."""

    def __init__(self, first: str, second: str, users: int) -> None:
        super().__init__(f"{users} users are both {first} and {second} users")
        self.first = first
        self.second = second
        self.users = users


class UnknownAttackerError(MeasureError):
    """A name that is none of the suite's attackers."""

    def __init__(self, name: str, known: Sequence[str]) -> None:
        super().__init__(f"no attacker {name!r}; the suite has {', '.join(known)}")
        self.name = name
        self.known = tuple(known)


class ListsError(MeasureError):
    """A row of recommended items that is no list."""

    def __init__(self, row: int, found: str) -> None:
        super().__init__(f"lists: row {row} has {found}")
        self.row = row
        self.found = found


class WorkerDiedError(MeasureError):
    """A process that measured was ended from outside."""

    def __init__(self) -> None:
        super().__init__("a worker process died, perhaps for lack of memory: use fewer workers")
