"""Which interactions and which users are held out."""

import hashlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from measure.split import AUDIT, SELECT, TRAIN
from training.data.common_config import HeldOutShares
from training.data.dataset import Dataset
from training.errors import ConfigError

NOTHING = -1
MIN_POSITIVES = 3

AUDIT_SHARE, MOST_NEW = 0.3, 0.2
_SELECT_FROM, _AUDIT_FROM = 6 * 2**64 // 10, 7 * 2**64 // 10


Csr = tuple[NDArray[np.int64], NDArray[np.int32]]
"""indptr (U + 1,) and indices (N,)."""


@dataclass(frozen=True, eq=False)
class Shares:
    """All that is held out, where that is a share of each user's positives: item rows as CSR."""

    validation: Csr
    test: Csr


@dataclass(frozen=True, eq=False)
class HeldOut:
    """Positives of a dataset, the last two of each user held out, or a share of them.

    Attributes:
        validation: int32 (U,), item row of the last positive but one; -1 where the user has fewer than three.
        test: int32 (U,), item row of the last positive; -1 in the same rows.
        train_indptr: int64 (U + 1,).
        train_indices: int32, item rows of the positives that are not held out, in time order.
        shares: everything held out, where it is more than these two; they are then the first drawn.
    """

    validation: NDArray[np.int32]
    test: NDArray[np.int32]
    train_indptr: NDArray[np.int64]
    train_indices: NDArray[np.int32]
    shares: Shares | None = None

    def history(self, user: int, *, with_validation: bool = False) -> NDArray[np.int32]:
        """Item rows of a user's training positives in time order, those that validate after them if asked for."""
        train = self.train_indices[self.train_indptr[user] : self.train_indptr[user + 1]]
        if not with_validation:
            return train
        if self.shares is not None:
            indptr, indices = self.shares.validation
            return np.append(train, indices[indptr[user] : indptr[user + 1]])
        held = self.validation[user]
        return np.append(train, held) if held != NOTHING else train

    def before_test(self) -> Csr:
        """Everybody's history with those that validate, as CSR."""
        ends = self.train_indptr[1:]
        if self.shares is not None:
            held_indptr, held_indices = self.shares.validation
            counts = np.diff(self.train_indptr) + np.diff(held_indptr)
            return _row_ends(counts), np.insert(self.train_indices, np.repeat(ends, np.diff(held_indptr)), held_indices)
        held = self.validation != NOTHING
        return _row_ends(np.diff(self.train_indptr) + held), np.insert(
            self.train_indices, ends[held], self.validation[held]
        )


def hold_out(dataset: Dataset, shares: HeldOutShares | None = None, salt: str = "") -> HeldOut:
    """Hold out each user's last two positives in time order, or random shares; of fewer than three, all train.

    Args:
        dataset: whose positives.
        shares: of each user's positives, rounded, at least one each and one to train on; None for the last two.
        salt: decides the draw.
    """
    rows = np.repeat(np.arange(len(dataset.users)), np.diff(dataset.indptr))[dataset.positive]
    items = dataset.indices[dataset.positive]
    counts = np.bincount(rows, minlength=len(dataset.users))
    if shares is not None:
        return _drawn(rows, items, counts, shares, salt)
    last = np.cumsum(counts) - 1
    enough = counts >= MIN_POSITIVES
    held = np.zeros(items.size, dtype=np.bool_)
    held[last[enough]] = True
    held[last[enough] - 1] = True
    test, validation = np.full((2, counts.size), NOTHING, dtype=np.int32)
    test[enough] = items[last[enough]]
    validation[enough] = items[last[enough] - 1]
    return HeldOut(validation, test, _row_ends(counts - 2 * enough), items[~held].astype(np.int32))


def _drawn(
    rows: NDArray[np.int64], items: NDArray[np.int32], counts: NDArray[np.int64], shares: HeldOutShares, salt: str
) -> HeldOut:
    """Number each user's positives at random: the first ones test, the next ones validate."""
    rng = np.random.default_rng(list(hashlib.sha256(salt.encode()).digest()))
    order = np.lexsort((rng.random(len(rows)), rows))
    number = np.empty(len(rows), np.int64)
    number[order] = np.arange(len(rows)) - np.repeat(np.cumsum(counts) - counts, counts)
    enough = counts >= MIN_POSITIVES
    wanted = (np.floor(counts * share + 0.5).astype(np.int64) for share in (shares.test, shares.validation))
    tests, validates = (np.maximum(1, each) for each in wanted)
    tests = np.where(enough, np.minimum(tests, counts - 2), 0)
    validates = np.where(enough, np.minimum(validates, counts - tests - 1), 0)
    in_test = number < tests[rows]
    in_validation = (number < (tests + validates)[rows]) & ~in_test
    first, second = np.full((2, counts.size), NOTHING, dtype=np.int32)
    for place, drawn in ((first, number == 0), (second, number == tests[rows])):
        there = drawn & enough[rows]
        place[rows[there]] = items[there]
    test = (_row_ends(tests), items[in_test].astype(np.int32))
    validation = (_row_ends(validates), items[in_validation].astype(np.int32))
    train = items[~(in_test | in_validation)].astype(np.int32)
    return HeldOut(second, first, _row_ends(counts - tests - validates), train, Shares(validation, test))


def _row_ends(counts: NDArray[np.int64]) -> NDArray[np.int64]:
    return np.concatenate([[0], np.cumsum(counts)]).astype(np.int64)


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
