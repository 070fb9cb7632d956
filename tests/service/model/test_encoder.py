"""Fair vectors: a function of one's own parts and mask, to the last bit.

What a GPU computes is computed here on a second CPU, by the same code; on a GPU it is in tests/gpu.
"""

from __future__ import annotations

import gc
import weakref
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

import numpy as np
import pytest
import torch

from bundle import Bundle, Users
from service.model import encoder as module
from service.model.encoder import MARGIN, ROOM_BYTES, DeviceError, FairVectorError, UserEncoder

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

    encoder = UserEncoder(bundle.encoder, halves, unit_length=False)
    fair = encoder.fair_vectors(users, masks)

    np.testing.assert_array_equal(fair, expected)
    assert encoder._stored is halves.parts


def test_unit_length_is_unit_length(bundle):
    fair = UserEncoder(bundle.encoder, bundle.users, unit_length=True).fair_vectors([0, 1], [MASKS[0], MASKS[5]])

    np.testing.assert_allclose(np.square(fair.astype(np.float64)).sum(axis=1), 1, rtol=1e-6)


def test_parts_beyond_what_can_be_searched_with_are_refused(bundle):
    parts = bundle.users.parts.copy()
    parts[7] = np.finfo(np.float32).max

    encoder = UserEncoder(bundle.encoder, replace(bundle.users, parts=parts), unit_length=False)

    with pytest.raises(FairVectorError):
        encoder.fair_vectors([6, 7], [MASKS[0]] * 2)
    fair, places = encoder.finite_fair_vectors([6, 7, 8], [MASKS[0]] * 3)
    assert places == [0, 2]
    np.testing.assert_array_equal(fair, encoder.fair_vectors([6, 8], [MASKS[0]] * 2))


# --- on another device -----------------------------------------------------------------------------------------------


@pytest.fixture
def there(monkeypatch):
    """Moves an encoder to a device that has so much memory, and so much of it free."""

    def move(encoder: UserEncoder, free: int = 2**40, total: int = 2**40) -> UserEncoder:
        monkeypatch.setattr(module, "_memory", lambda device: (free, total))
        return encoder.on("cpu")

    return move


def mixed(users: Users, u: np.ndarray) -> list[int | np.ndarray]:
    """Every user: by the row, and each third one by the user vector."""
    return [u[row] if row % 3 == 1 else row for row in range(len(users.ids))]


SOME = 72
"""Users that are asked for, each alone as well: each mask, by row and by vector."""


@pytest.mark.parametrize("unit_length", [False, True])
@pytest.mark.parametrize("dtype", [np.float32, np.float16])
def test_another_device_gives_the_same_fair_vectors(an_encoder, there, unit_length, dtype):
    """Whether all parts are there, or those of a batch are copied."""
    network, users, u = an_encoder
    users = replace(users, parts=users.parts.astype(dtype))
    here = UserEncoder(network, users, unit_length=unit_length)
    asked = mixed(users, u)[:SOME] if here.can_split else list(range(SOME))
    masks = [MASKS[row % 8] for row in range(SOME)]

    alone = np.concatenate([here.fair_vectors([user], [mask]) for user, mask in zip(asked, masks, strict=True)])

    for elsewhere in (there(here, free=2**40), there(here, free=0)):
        np.testing.assert_array_equal(elsewhere.fair_vectors(asked, masks), alone)
        np.testing.assert_array_equal(elsewhere.fair_vectors(asked[1:2], masks[1:2]), alone[1:2])
    np.testing.assert_array_equal(here.fair_vectors(asked, masks), alone)


def test_threads_that_ask_at_once_get_the_rows_and_masks_that_they_asked_for(bundle, there):
    """On a device they share the place that rows and masks are put into."""
    elsewhere = there(UserEncoder(bundle.encoder, bundle.users, unit_length=False))
    rng = np.random.default_rng(1)
    asked = [rng.integers(0, 300, size).tolist() for size in rng.integers(1, 65, 400)]
    masks = [[MASKS[number] for number in rng.integers(0, 8, len(rows))] for rows in asked]
    expected = [elsewhere.fair_vectors(*one) for one in zip(asked, masks, strict=True)]

    with ThreadPoolExecutor(8) as threads:
        found = list(threads.map(elsewhere.fair_vectors, asked, masks))

    assert all(map(np.array_equal, found, expected))


def test_what_is_made_of_a_user_vector_is_what_the_bundle_stores(bundle):
    encoder = UserEncoder(bundle.encoder, bundle.users, unit_length=False)

    fair = encoder.fair_vectors([3, bundle.audit.base[3]], [MASKS[2]] * 2)

    np.testing.assert_allclose(fair[0], fair[1], rtol=1e-4, atol=1e-5)


def test_sums_in_another_order_are_far_closer_than_the_margin(an_encoder, monkeypatch):
    """As a device makes them: here one product after the other, from the last to the first."""
    network, users, _ = an_encoder
    encoder = UserEncoder(network, users, unit_length=True)
    rows, masks = list(range(200)), np.array([MASKS[row % 8] for row in range(200)])
    expected = encoder._exact(rows, masks)

    def backwards(x, weight):
        return (x[:, None, :] * weight.T)[..., ::-1].cumsum(-1)[..., -1]

    monkeypatch.setattr("service.model.array_network._matmul", backwards)
    found = encoder._exact(rows, masks)

    off = np.abs(found - expected).max(axis=1) / np.abs(expected).max(axis=1)
    assert off.max() < MARGIN / 20


def test_a_device_that_is_off_by_less_than_the_margin_changes_nothing(bundle, there, monkeypatch):
    here = UserEncoder(bundle.encoder, bundle.users, unit_length=False)
    elsewhere = there(here)
    users, masks = list(range(300)), [MASKS[user % 8] for user in range(300)]
    monkeypatch.setattr(module, "MARGIN", 1e-9)  # of the real one, the few rows in a test may none be near
    with torch.no_grad():
        elsewhere._gpu._combine.args[0].aggregate[-1].weight.mul_(1 + 1e-9 / 4)
    expected = here.fair_vectors(users, masks)

    np.testing.assert_array_equal(elsewhere.fair_vectors(users, masks), expected)
    monkeypatch.setattr(module, "MARGIN", 0.0)
    assert not np.array_equal(elsewhere.fair_vectors(users, masks), expected)


@pytest.mark.parametrize("an_encoder", ["filters"], indirect=True)
def test_what_lies_in_the_middle_without_any_error_is_not_computed_again(an_encoder, monkeypatch):
    """As the mean of two parts often does."""
    network, users, _ = an_encoder
    encoder = UserEncoder(network, users, unit_length=False)
    exact = np.array([[1.0, 1 + 2**-24, 0.5], [1.0, 1 + 2**-24 + 2**-46, 0.5]])
    alone = []
    combine = encoder._combine
    monkeypatch.setattr(encoder, "_combine", lambda parts, masks: alone.append(len(parts)) or combine(parts, masks))

    fair, unsure = module._rounded(exact)
    encoder.fair_vectors(range(200), [(True, True, False)] * 200)

    np.testing.assert_array_equal(fair, exact.astype(np.float32))
    assert unsure.tolist() == [1]
    assert alone == [200]


def test_what_is_unsure_is_computed_alone_on_the_cpu(bundle, there, monkeypatch):
    here = UserEncoder(bundle.encoder, bundle.users, unit_length=False)
    elsewhere = there(here)
    users, masks = list(range(50)), [MASKS[user % 8] for user in range(50)]
    expected = here.fair_vectors(users, masks)
    with torch.no_grad():
        elsewhere._gpu._combine.args[0].aggregate[-1].bias.add_(0.01)
    assert not np.array_equal(elsewhere.fair_vectors(users, masks), expected)

    monkeypatch.setattr(module, "MARGIN", 1.0)

    np.testing.assert_array_equal(elsewhere.fair_vectors(users, masks), expected)


def test_an_encoder_says_what_it_holds_elsewhere_and_what_it_does_not(bundle, there):
    here = UserEncoder(bundle.encoder, bundle.users, unit_length=False)
    size = bundle.users.parts.nbytes

    assert (here.device_bytes, here.note) == ({}, None)
    just = there(here, size + ROOM_BYTES, 3 * size)
    assert just.note is None
    assert just.device_bytes["parts"] == size
    assert just.device_bytes["encoder"] >= 8 * sum(weight.numel() for weight in bundle.encoder.parameters())
    for less in (there(here, size + ROOM_BYTES - 1, 3 * size), there(here, size + ROOM_BYTES, 3 * size - 1)):
        assert less.device_bytes["parts"] == 0
        assert less.note == (
            "each batch's are copied over: they take 0 MiB, and 0 MiB may be taken on cpu, "
            "3,072 MiB of 0 MiB being free"
        )


@pytest.mark.parametrize(("built", "why"), [(False, "this torch is built without CUDA"), (True, "torch finds no GPU")])
def test_a_gpu_that_is_not_there_is_refused_with_the_reason(bundle, monkeypatch, built, why):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    monkeypatch.setattr(torch.backends.cuda, "is_built", lambda: built)

    with pytest.raises(DeviceError, match=why):
        UserEncoder(bundle.encoder, bundle.users, unit_length=False).on("cuda")


def test_a_gpu_that_is_full_is_refused_with_its_numbers(bundle, there, monkeypatch):
    def full(*_, **__):
        raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB.\nMore lines.")

    monkeypatch.setattr(torch.nn.Module, "to", full)

    with pytest.raises(DeviceError, match=r"cpu does not take it: CUDA out of memory\. Tried to allocate 2\.00 GiB\.$"):
        there(UserEncoder(bundle.encoder, bundle.users, unit_length=False))


def test_memory_elsewhere_ends_with_the_encoder_that_took_it(bundle, there, monkeypatch):
    given_back = []
    monkeypatch.setattr(torch.cuda, "empty_cache", lambda: given_back.append(held()))
    here = UserEncoder(bundle.encoder, bundle.users, unit_length=False)
    elsewhere = there(here)
    held = weakref.ref(elsewhere._gpu._combine.args[0])
    elsewhere.fair_vectors([0], [MASKS[0]])

    gc.disable()
    try:
        del elsewhere
        assert given_back == [None]
    finally:
        gc.enable()
    assert len(here.fair_vectors([0], [MASKS[0]])) == 1
