"""Fair vectors: a function of one's own parts and mask, to the last bit."""

from __future__ import annotations

import tracemalloc
from dataclasses import replace

import numpy as np
import pytest

from bundle import Bundle
from service.encoder import FairVectorError, UserEncoder

MASKS = [tuple(bool(number >> bit & 1) for bit in range(3)) for number in range(8)]


@pytest.fixture
def bundle(a_bundle) -> Bundle:
    return a_bundle(users=300, dimensions=32, attributes=("gender", "age", "occupation"))


def test_a_fair_vector_is_the_same_alone_and_in_any_company(bundle):
    encoder = UserEncoder(bundle.encoder, bundle.users, unit_length=False)
    users = list(range(300))
    masks = [MASKS[user % 8] for user in users]

    alone = np.concatenate([encoder.fair_vectors([user], [mask]) for user, mask in zip(users, masks, strict=True)])
    together = encoder.fair_vectors(users, masks)

    np.testing.assert_array_equal(alone, together)
    for size in (2, 3, 7, 64):
        np.testing.assert_array_equal(encoder.fair_vectors(users[-size:], masks[-size:]), alone[-size:])


@pytest.mark.parametrize("attribute", [0, 1, 2])
def test_disturbing_a_withheld_part_moves_nothing(bundle, attribute):
    parts = bundle.users.parts.copy()
    parts[:, 1 + attribute] += 100
    disturbed = replace(bundle.users, parts=parts)
    users, mask = list(range(300)), [number == attribute for number in range(3)]

    before = UserEncoder(bundle.encoder, bundle.users, unit_length=False).fair_vectors(users, [mask] * 300)
    after = UserEncoder(bundle.encoder, disturbed, unit_length=False).fair_vectors(users, [mask] * 300)

    np.testing.assert_array_equal(before, after)
    opened = UserEncoder(bundle.encoder, disturbed, unit_length=False).fair_vectors(users, [[False] * 3] * 300)
    assert not np.array_equal(
        opened,
        UserEncoder(bundle.encoder, bundle.users, unit_length=False).fair_vectors(users, [[False] * 3] * 300),
    )


def test_parts_stored_in_float16_become_float32_row_by_row(a_bundle):
    bundle = a_bundle(users=20_000, dimensions=32, attributes=("gender", "age", "occupation"))
    halves = replace(bundle.users, parts=bundle.users.parts.astype(np.float16))
    rounded = replace(bundle.users, parts=halves.parts.astype(np.float32))
    users, masks = [3, 19_999], [MASKS[0], MASKS[5]]
    expected = UserEncoder(bundle.encoder, rounded, unit_length=False).fair_vectors(users, masks)

    tracemalloc.start()
    encoder = UserEncoder(bundle.encoder, halves, unit_length=False)
    fair = encoder.fair_vectors(users, masks)
    _, most = tracemalloc.get_traced_memory()
    tracemalloc.stop()

    np.testing.assert_array_equal(fair, expected)
    assert encoder.parts(users).dtype == np.float32
    assert most < halves.parts.nbytes / 4


def test_unit_length_is_unit_length(bundle):
    fair = UserEncoder(bundle.encoder, bundle.users, unit_length=True).fair_vectors([0, 1], [MASKS[0], MASKS[5]])

    np.testing.assert_allclose(np.square(fair.astype(np.float64)).sum(axis=1), 1, rtol=1e-6)


def test_parts_beyond_what_can_be_searched_with_are_refused(bundle):
    parts = bundle.users.parts.copy()
    parts[7] = np.finfo(np.float32).max

    with pytest.raises(FairVectorError):
        UserEncoder(bundle.encoder, replace(bundle.users, parts=parts), unit_length=False).fair_vectors(
            [6, 7], [MASKS[0]] * 2
        )
