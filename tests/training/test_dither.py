"""The dither of a lattice: as large as it is asked to be, the same for the same question, unrelated between masks."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from training.fair.lattice.beginning import begin
from training.fair.lattice.config import LatticeConfig
from training.fair.lattice.fit import fit_lattice

pytestmark = pytest.mark.usefixtures("short_teachers")

NAMES, CLASSES, D = ("gender", "age", "occupation"), (2, 3, 3), 16
MASKS = [(True, False, False), (True, True, False), (True, False, True), (True, True, True)]


@pytest.fixture(scope="module")
def users():
    """1,000 users whose dimensions differ in spread, 60 items, labels."""
    rng = np.random.default_rng(5)
    labels = rng.integers(CLASSES, size=(1000, 3))
    u = rng.normal(size=(1000, D)) * np.linspace(0.2, 2, D)
    u[:, :3] += labels
    return u.astype(np.float32), rng.normal(size=(60, D)).astype(np.float32), labels.astype(np.int16)


@pytest.fixture(scope="module")
def begun(users, short_teachers):
    return begin(*users, CLASSES, LatticeConfig().folds, seed=1)


@pytest.fixture(scope="module")
def encoder(begun):
    return fit_lattice(begun, NAMES, LatticeConfig(leakage_at_most=1.0, dither=0.2)).encoder


def shifts(encoder, u, mask):
    """(n, d) dither alone, and (n, d) fair vectors."""
    flags = torch.tensor(mask).expand(len(u), -1)
    with torch.no_grad():
        split = encoder.split(torch.from_numpy(u))
        return encoder.dither(split[:, 0], flags).numpy(), encoder.combine(split, flags).numpy()


@pytest.mark.parametrize("mask", MASKS)
def test_it_is_as_large_as_asked_and_moves_the_fair_vector(users, encoder, mask):
    dither, fair = shifts(encoder, users[0], mask)
    amplitude = encoder.dither.amplitude.clone()
    encoder.dither.amplitude.zero_()
    _, still = shifts(encoder, users[0], mask)
    encoder.dither.amplitude.copy_(amplitude)

    u, length = users[0], float(encoder.length)
    at_length = u * (length / np.linalg.norm(u, axis=1, keepdims=True))
    spread = np.sqrt(np.square(at_length - at_length.mean(0)).mean())
    assert np.sqrt(np.square(dither).mean()) == pytest.approx(0.2 * spread, rel=0.05)
    assert np.allclose(np.linalg.norm(fair, axis=1), length, rtol=1e-4)
    assert 0.1 < np.median(np.linalg.norm(fair - still, axis=1)) / length < 0.25


def test_the_same_user_and_mask_are_shifted_the_same_way_every_time(users, encoder):
    again = users[0][::-1].copy()

    first, second = (shifts(encoder, u, MASKS[1])[1] for u in (users[0], again))

    np.testing.assert_allclose(first, second[::-1], atol=1e-4)


def test_shifts_of_two_masks_have_nothing_to_do_with_each_other(users, encoder):
    """Nor has any of them with a linear combination of all others, which would cancel it."""
    found = [shifts(encoder, users[0], mask)[0] for mask in MASKS]

    for place, one in enumerate(found):
        others = np.concatenate([each for index, each in enumerate(found) if index != place], axis=1)
        half = len(others) // 2
        fitted, *_ = np.linalg.lstsq(others[:half], one[:half], rcond=None)
        left = one[half:] - others[half:] @ fitted
        assert np.square(left).mean() > 0.95 * np.square(one[half:]).mean()


def test_nor_have_those_of_two_users(users, encoder):
    dither = shifts(encoder, users[0], MASKS[0])[0]
    normed = dither / np.linalg.norm(dither, axis=1, keepdims=True)

    alike = np.abs(normed @ normed.T - np.eye(len(normed)))

    assert alike.mean() < 1.2 * np.sqrt(2 / np.pi / dither.shape[1])  # as of directions at random


def test_protecting_nothing_is_the_user_vector_itself(users, encoder):
    assert np.array_equal(shifts(encoder, users[0], (False, False, False))[1], users[0])


@pytest.mark.parametrize(("names", "dither"), [(NAMES, 0.0), (("gender",), 0.2)])
def test_without_a_dither_or_with_one_attribute_the_lattice_is_the_plain_one(users, begun, names, dither):
    u, items, labels = users
    if len(names) == 1:
        begun = begin(u, items, labels[:, :1], CLASSES[:1], LatticeConfig().folds, seed=1)

    found = fit_lattice(begun, names, LatticeConfig(leakage_at_most=1.0, dither=dither))

    assert found.network.kind == "joint_lattice"


def test_a_dimension_in_which_nobody_differs_gets_no_wave(users):
    u = users[0].copy()
    u[:, 5] = 0.0
    constant = begin(u, users[1], users[2], CLASSES, LatticeConfig().folds, seed=1)

    encoder = fit_lattice(constant, NAMES, LatticeConfig(leakage_at_most=1.0)).encoder

    assert all(np.isfinite(part).all() for part in shifts(encoder, u, MASKS[0]))
