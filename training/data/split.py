"""Which interactions and which users are held out."""

import hashlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from measure.split import AUDIT, SELECT, TRAIN
from training.data.dataset import Dataset
from training.errors import ConfigError

NOTHING = -1
MIN_POSITIVES = 3

AUDIT_SHARE, MOST_NEW = 0.3, 0.2
_SELECT_FROM, _AUDIT_FROM = 6 * 2**64 // 10, 7 * 2**64 // 10


@dataclass(frozen=True, eq=False)
class HeldOut:
    """Positives of a dataset, the last two of each user held out.

    Attributes:
        validation: int32 (U,), item row of the last positive but one; -1 where the user has fewer than three.
        test: int32 (U,), item row of the last positive; -1 in the same rows.
        train_indptr: int64 (U + 1,).
        train_indices: int32, item rows of the other positives, in time order.
    """

    validation: NDArray[np.int32]
    test: NDArray[np.int32]
    train_indptr: NDArray[np.int64]
    train_indices: NDArray[np.int32]

    def history(self, user: int, *, with_validation: bool = False) -> NDArray[np.int32]:
        """Item rows of a user's training positives in time order, the validation positive after them if asked for."""
        train = self.train_indices[self.train_indptr[user] : self.train_indptr[user + 1]]
        held = self.validation[user]
        return np.append(train, held) if with_validation and held != NOTHING else train

    def before_test(self) -> tuple[NDArray[np.int64], NDArray[np.int32]]:
        """Every user's training positives in time order and the validation positive after them, as CSR."""
        held = self.validation != NOTHING
        ends = self.train_indptr[1:]
        indptr = np.concatenate([[0], np.cumsum(np.diff(self.train_indptr) + held)]).astype(np.int64)
        return indptr, np.insert(self.train_indices, ends[held], self.validation[held])


def hold_out(dataset: Dataset) -> HeldOut:
    """Hold out each user's last two positives in time order; with fewer than three, all of them train."""
    rows = np.repeat(np.arange(len(dataset.users)), np.diff(dataset.indptr))[dataset.positive]
    items = dataset.indices[dataset.positive]
    counts = np.bincount(rows, minlength=len(dataset.users))
    last = np.cumsum(counts) - 1
    enough = counts >= MIN_POSITIVES
    held = np.zeros(items.size, dtype=np.bool_)
    held[last[enough]] = True
    held[last[enough] - 1] = True
    test, validation = np.full((2, counts.size), NOTHING, dtype=np.int32)
    test[enough] = items[last[enough]]
    validation[enough] = items[last[enough] - 1]
    indptr = np.concatenate([[0], np.cumsum(counts - 2 * enough)]).astype(np.int64)
    return HeldOut(validation, test, indptr, items[~held].astype(np.int32))


def split_users(users: Sequence[str], salt: str) -> NDArray[np.uint8]:
    """Split users 60/10/30 into TRAIN, SELECT and AUDIT, shape (U,).

    A user's part depends on the id and the salt alone, so it stays when others come or go.
    """
    parts = np.empty(len(users), dtype=np.uint8)
    for row, place in enumerate(_places(users, salt)):
        parts[row] = TRAIN if place < _SELECT_FROM else SELECT if place < _AUDIT_FROM else AUDIT
    return parts


def draw_new_users(users: Sequence[str], split: NDArray[np.uint8], salt: str, share: float) -> NDArray[np.bool_]:
    """Draw audit users that training is to know nothing of, (U,) flags.

    Args:
        users: ids.
        split: (U,) from `split_users`.
        salt: with the id it decides, by another hash than the split's; a larger share keeps those of a smaller one.
        share: of all users, in [0, `MOST_NEW`]; as many as that on average.

    Raises:
        ConfigError: too few audit users would be left to measure the rest by.
    """
    if not 0 <= share <= MOST_NEW:
        raise ConfigError("new_users", "leaves too few audit users", value=share, allowed=f"0 to {MOST_NEW}")
    bound = share / AUDIT_SHARE * 2**64
    drawn = np.fromiter((place < bound for place in _places(users, f"new users {salt}")), np.bool_, len(users))
    new: NDArray[np.bool_] = drawn & (split == AUDIT)
    return new


def _places(users: Sequence[str], salt: str) -> Iterator[int]:
    """For each user a number below 2^64 that looks random, of the id and the salt alone."""
    prefix = hashlib.sha256(f"{len(salt)}:{salt}".encode())
    for user in users:
        salted = prefix.copy()
        salted.update(user.encode())
        yield int.from_bytes(salted.digest()[:8], "big")
