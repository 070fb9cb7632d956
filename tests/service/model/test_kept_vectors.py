"""What is kept is what would be computed: of the same user, under the same mask."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from itertools import chain

import numpy as np
import pytest

from bundle import Bundle
from service.model import kept_vectors as module
from service.model.encoder import FairVectorError, UserEncoder
from service.model.kept_vectors import KeptVectors

D, USERS = 16, 40
MASKS = [tuple(bool(number >> bit & 1) for bit in range(3)) for number in range(8)]


class Counting(UserEncoder):
    """Remembers for whom it was asked."""

    def __init__(self, bundle: Bundle) -> None:
        super().__init__(bundle.encoder, bundle.users, unit_length=False)
        self.asked: list[tuple[object, tuple[bool, ...]]] = []

    def fair_vectors(self, users, masks):
        self.asked += zip(users, masks, strict=True)
        return super().fair_vectors(users, masks)


@pytest.fixture
def bundle(a_bundle) -> Bundle:
    return a_bundle(users=USERS, dimensions=D, attributes=("gender", "age", "occupation"))


def some_requests(rng, count):
    return rng.integers(0, USERS, count).tolist(), [MASKS[number] for number in rng.integers(0, 8, count)]


def test_answers_are_those_of_the_encoder_and_nobody_is_computed_twice(bundle):
    encoder, rng = Counting(bundle), np.random.default_rng(1)
    kept = KeptVectors(encoder, D)
    fresh = UserEncoder(bundle.encoder, bundle.users, unit_length=False)

    for _ in range(60):
        users, masks = some_requests(rng, 9)
        one = dict(zip(zip(users, masks, strict=True), range(9), strict=True))
        users, masks = zip(*one, strict=True)
        np.testing.assert_array_equal(kept.fair_vectors(users, masks), fresh.fair_vectors(users, masks))

    assert len(encoder.asked) == len(set(encoder.asked)) == len(kept) > 200


def test_a_vector_that_a_caller_changes_is_not_changed_for_the_next(bundle):
    kept = KeptVectors(Counting(bundle), D)
    first = kept.fair_vectors([3], [MASKS[1]])
    before = first.copy()
    first[:] = 7
    kept.fair_vectors([3], [MASKS[1]])[:] = 8

    np.testing.assert_array_equal(kept.fair_vectors([3], [MASKS[1]]), before)


def test_the_oldest_goes_where_there_is_no_more_room(bundle, monkeypatch):
    monkeypatch.setattr(module, "MOST_BYTES", 5 * (4 * D + module.OVERHEAD_BYTES))
    encoder = Counting(bundle)
    kept = KeptVectors(encoder, D)

    kept.fair_vectors(list(range(7)), [MASKS[0]] * 7)
    encoder.asked.clear()
    kept.fair_vectors(list(range(7)), [MASKS[0]] * 7)

    assert len(kept) == 5
    assert [user for user, _ in encoder.asked] == [0, 1]


def test_threads_that_ask_at_once_get_what_they_asked_for(bundle, monkeypatch):
    monkeypatch.setattr(module, "MOST_BYTES", 30 * (4 * D + module.OVERHEAD_BYTES))
    kept = KeptVectors(UserEncoder(bundle.encoder, bundle.users, unit_length=False), D)
    fresh = UserEncoder(bundle.encoder, bundle.users, unit_length=False)

    def asks(seed):
        rng = np.random.default_rng(seed)
        return [(asked, kept.fair_vectors(*asked)) for asked in (some_requests(rng, 6) for _ in range(40))]

    with ThreadPoolExecutor(4) as pool:
        for asked, found in chain.from_iterable(pool.map(asks, range(4))):
            np.testing.assert_array_equal(found, fresh.fair_vectors(*asked))
    assert len(kept) == 30


def test_room_for_one_is_always_there(bundle, monkeypatch):
    monkeypatch.setattr(module, "MOST_BYTES", 1)
    kept = KeptVectors(Counting(bundle), D)
    fresh = UserEncoder(bundle.encoder, bundle.users, unit_length=False)

    for users in ([3, 4], [4, 3], [5, 5]):
        np.testing.assert_array_equal(kept.fair_vectors(users, MASKS[:2]), fresh.fair_vectors(users, MASKS[:2]))
    assert len(kept) == 1


def test_what_is_made_of_a_history_is_not_kept(bundle):
    kept = KeptVectors(Counting(bundle), D)
    u = np.ones(D, np.float32)

    found = kept.fair_vectors([u, 3], [MASKS[2], MASKS[2]])

    fresh = UserEncoder(bundle.encoder, bundle.users, unit_length=False).fair_vectors([u, 3], [MASKS[2], MASKS[2]])
    np.testing.assert_array_equal(found, fresh)
    assert len(kept) == 1


def test_a_vector_that_is_not_finite_is_refused_each_time(a_bundle):
    bundle = a_bundle(users=USERS, dimensions=D, attributes=("gender", "age", "occupation"))
    parts = bundle.users.parts.copy()
    parts[5] = 3e38
    encoder = UserEncoder(bundle.encoder, type(bundle.users)(bundle.users.ids, parts), unit_length=False)
    kept = KeptVectors(encoder, D)

    for _ in range(2):
        with pytest.raises(FairVectorError):
            kept.fair_vectors([4, 5], [MASKS[0], MASKS[0]])
    assert not len(kept)
