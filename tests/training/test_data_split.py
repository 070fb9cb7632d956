"""Splits lose nothing, overlap nowhere and stay put."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from measure.split import AUDIT, SELECT, TRAIN
from training.data.common_config import HeldOutShares
from training.data.dataset import Attribute, Dataset
from training.data.split import hold_out, split_users

ITEMS = 6


def a_dataset(users: list[list[tuple[int, bool]]]) -> Dataset:
    """Build a dataset from (item row, positive) per user, in time order."""
    flat = [pair for user in users for pair in user]
    return Dataset(
        users=tuple(map(str, range(len(users)))),
        items=tuple(map(str, range(ITEMS))),
        titles=("",) * ITEMS,
        groups=((),) * ITEMS,
        attributes=(Attribute("team", ("x", "y")),),
        labels=np.zeros((len(users), 1), np.int16),
        indptr=np.cumsum([0, *map(len, users)]).astype(np.int64),
        indices=np.array([item for item, _ in flat], np.int32),
        positive=np.array([positive for _, positive in flat], np.bool_),
        source="by hand",
    )


def test_the_last_two_positives_are_held_out_in_time_order():
    dataset = a_dataset([[(3, True), (1, False), (0, True), (2, True), (4, False)], [(5, True), (1, True)]])

    held = hold_out(dataset)

    assert held.test.tolist() == [2, -1]
    assert held.validation.tolist() == [0, -1]
    assert held.train_indptr.tolist() == [0, 1, 3]
    assert held.train_indices.tolist() == [3, 5, 1]


HISTORIES = st.lists(
    st.lists(st.tuples(st.integers(0, ITEMS - 1), st.booleans()), max_size=ITEMS, unique_by=lambda pair: pair[0]),
    min_size=1,
    max_size=8,
)


@given(HISTORIES)
def test_holding_out_loses_nothing_and_repeats_nothing(histories):
    held = hold_out(a_dataset(histories))

    for row, history in enumerate(histories):
        train = held.train_indices[held.train_indptr[row] : held.train_indptr[row + 1]].tolist()
        out = [int(held.validation[row]), int(held.test[row])]
        liked = [item for item, positive in history if positive]
        assert train + [item for item in out if item != -1] == liked
        assert (out == [-1, -1]) == (len(liked) < 3)


@given(HISTORIES, st.floats(0.01, 0.4), st.floats(0.01, 0.4), st.text(max_size=4))
def test_shares_lose_nothing_repeat_nothing_and_leave_each_part_one(histories, validation, test, salt):
    held = hold_out(a_dataset(histories), HeldOutShares(validation=validation, test=test), salt)

    parts = [(held.train_indptr, held.train_indices), held.shares.validation, held.shares.test]
    before_test = held.before_test()
    for row, history in enumerate(histories):
        train, validates, tests = (indices[indptr[row] : indptr[row + 1]].tolist() for indptr, indices in parts)
        liked = [item for item, positive in history if positive]
        assert sorted(train + validates + tests) == sorted(liked)
        assert train == [item for item in liked if item in train]
        if len(liked) < 3:
            assert (held.validation[row], held.test[row], validates, tests) == (-1, -1, [], [])
        else:
            assert train
            assert held.validation[row] in validates
            assert held.test[row] in tests
        own = before_test[1][before_test[0][row] : before_test[0][row + 1]].tolist()
        assert own == train + validates == held.history(row, with_validation=True).tolist()


def test_shares_are_rounded_and_drawn_by_the_salt():
    dataset = a_dataset([[(item, True) for item in range(6)]] * 20)
    shares = HeldOutShares(validation=0.1, test=0.4)

    one, same, other = (hold_out(dataset, shares, salt) for salt in ("a", "a", "b"))

    assert np.diff(one.shares.test[0]).tolist() == [2] * 20  # .4 of six is 2.4
    assert np.diff(one.shares.validation[0]).tolist() == [1] * 20
    assert one.shares.test[1].tolist() == same.shares.test[1].tolist() != other.shares.test[1].tolist()
    assert len(set(one.test.tolist())) > 2


@given(st.lists(st.text(max_size=8), unique=True, max_size=50), st.text(max_size=8))
def test_a_users_part_depends_on_id_and_salt_alone(users, salt):
    together = split_users(users, salt)
    alone = [int(split_users([user], salt)[0]) for user in users]

    assert together.tolist() == alone
    assert together.dtype == np.uint8


def test_users_are_split_sixty_ten_thirty():
    users = [str(row) for row in range(20_000)]

    shares = np.bincount(split_users(users, "salt"), minlength=3) / len(users)

    assert [TRAIN, SELECT, AUDIT] == [0, 1, 2]
    assert shares == pytest.approx([0.6, 0.1, 0.3], abs=0.015)
    assert (split_users(users, "salt") != split_users(users, "pepper")).any()


def test_the_fingerprint_moves_with_what_models_learn_from():
    base = a_dataset([[(0, True), (1, True)]])
    turned = a_dataset([[(1, True), (0, True)]])
    disliked = a_dataset([[(0, True), (1, False)]])

    assert base.fingerprint == a_dataset([[(0, True), (1, True)]]).fingerprint
    assert len({base.fingerprint, turned.fingerprint, disliked.fingerprint}) == 3


@pytest.mark.parametrize("name", ["Age", "1st", "a-b", "", "age\n"])
def test_an_attribute_is_named_in_plain_letters(name):
    with pytest.raises(ValueError, match="allowed: 1 to 64 characters"):
        Attribute(name, ("x", "y"))
