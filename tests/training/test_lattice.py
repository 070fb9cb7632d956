"""The lattice: what is planted is withheld, what masks show together stays what one shows."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from bundle.networks.lattice_layers import MeanGivenScores, Transports
from measure.leakage import Users, leakage
from measure.profiles import Profile
from training.fair.lattice.beginning import begin
from training.fair.lattice.closed_form import barycentre, fit_mean, fit_transports
from training.fair.lattice.config import LatticeConfig
from training.fair.lattice.fit import fit_lattice
from training.fair.lattice.scores import leading
from training.fair.lattice.utility import draw_masks

LOOK = Profile("look", ("logistic", "mlp"), 3, 1, 1, 1, 1, fit_rows=4_000, verdict=False)
NAMES, CLASSES, D = ("gender", "age", "occupation"), (2, 3, 3), 16
FOLDS = LatticeConfig().folds


@pytest.fixture(scope="module")
def world():
    """4,000 users: gender shifts two dimensions and stretches a third, age and occupation go together."""
    rng = np.random.default_rng(5)
    gender = rng.integers(2, size=4000)
    age = rng.integers(3, size=4000)
    occupation = np.where(rng.random(4000) < 0.6, age, rng.integers(3, size=4000))
    u = rng.normal(size=(4000, D))
    u[:, 0] += 1.2 * gender
    u[:, 1] -= 0.8 * gender
    u[:, 2] *= 1 + gender
    u[:, 3] += 0.9 * age
    u[:, 4] += 0.9 * occupation
    labels = np.stack([gender, age, occupation], axis=1).astype(np.int16)
    return u.astype(np.float32), rng.normal(size=(60, D)).astype(np.float32), labels


@pytest.fixture(scope="module")
def begun(world):
    """What fits begin with that see the labels of 2,800 users."""
    u, items, labels = world
    known = labels.copy()
    known[2800:] = -1
    return begin(u, items, known, CLASSES, FOLDS, seed=3)


@pytest.fixture(scope="module")
def lattice(begun):
    return fit_lattice(begun, NAMES, LatticeConfig())


def fair(encoder, u, protected):
    mask = torch.tensor([name in protected for name in NAMES]).expand(len(u), -1)
    with torch.no_grad():
        return encoder.combine(encoder.split(torch.from_numpy(u)), mask).numpy()


def leaked(features, labels, attribute):
    users = Users(np.arange(2800, 4000), np.arange(2800))
    column = labels[:, NAMES.index(attribute)].astype(np.int64)
    return leakage(features, column, users, LOOK, attribute=attribute, target="fair").auc


def test_what_is_planted_in_u_is_withheld_from_users_whose_labels_were_not_seen(world, lattice):
    u, _, labels = world
    encoder = lattice.encoder

    assert leaked(u, labels, "gender") > 0.85
    assert leaked(fair(encoder, u, ("gender",)), labels, "gender") < 0.66
    assert leaked(fair(encoder, u, NAMES), labels, "age") < 0.62


def test_an_attribute_that_is_not_protected_stays(world, lattice):
    u, _, labels = world
    encoder = lattice.encoder

    assert leaked(fair(encoder, u, ("gender",)), labels, "age") > 0.7


def test_so_does_one_beside_two_that_are(world, lattice):
    u, _, labels = world
    encoder = lattice.encoder

    assert leaked(fair(encoder, u, ("age", "occupation")), labels, "gender") > 0.75
    assert leaked(fair(encoder, u, ("age", "occupation")), labels, "age") < 0.62
    assert leaked(fair(encoder, u, ("gender", "age")), labels, "gender") < 0.66


def test_all_masks_that_protect_an_attribute_show_no_more_together(world, lattice):
    u, _, labels = world
    encoder = lattice.encoder
    masks = [("gender",), ("gender", "age"), ("gender", "occupation"), NAMES]

    together = np.concatenate([fair(encoder, u, mask) for mask in masks], axis=1)

    assert leaked(together, labels, "gender") < 0.66


def test_protecting_nothing_is_the_user_vector_itself(world, lattice):
    u, _, _ = world

    assert np.array_equal(fair(lattice.encoder, u, ()), u)


def test_disturbing_a_withheld_part_does_not_move_the_fair_vector(world, lattice):
    u, _, _ = world
    encoder, parts = lattice.encoder, lattice.parts
    mask = torch.tensor([[True, False, False]]).expand(len(u), -1)
    with torch.no_grad():
        split = encoder.split(torch.from_numpy(u))
        before = encoder.combine(split, mask)
        for row, part in enumerate(parts):
            if "gender" in part.attributes:
                split[:, row] = 1e6
        after = encoder.combine(split, mask)

    assert torch.equal(before, after)


def test_coordinates_lead_that_tell_as_much_as_the_first():
    rng = np.random.default_rng(6)
    language, sex = rng.integers(4, size=3000), rng.integers(2, size=3000)
    by_language = torch.from_numpy(4.0 * (language[:, None] == np.arange(12) % 4))
    in_order = torch.from_numpy(-0.5 * (rng.normal(size=(3000, 1)) - np.linspace(-1, 1, 5)) ** 2)

    assert leading(torch.log_softmax(by_language, 1)) == 3
    assert leading(torch.log_softmax(in_order, 1)) == 1
    assert leading(torch.log_softmax(torch.from_numpy(2.0 * (sex[:, None] == np.arange(2))), 1)) == 1
    assert leading(torch.log_softmax(torch.from_numpy(0.01 * rng.normal(size=(3000, 12))), 1)) == 1


def test_all_that_lead_are_withheld_from_the_start(world):
    """Twelve countries with four languages, each of which shifts users its own way."""
    u, items = world[0][:1500], world[1]
    rng = np.random.default_rng(7)
    country = rng.integers(12, size=len(u)).astype(np.int16)
    shifted = u + 6 * rng.normal(size=(4, D)).astype(np.float32)[country % 4]

    found = fit_lattice(begin(shifted, items, country[:, None], (12,), FOLDS, seed=1), ("country",), LatticeConfig())

    assert found.network.sizes["coordinates"] == found.network.sizes["leading"] == [3]


def test_strength_zero_moves_no_covariances(world, begun):
    """Gender also stretches a dimension: means alone leave it there."""
    u, _, labels = world
    encoder = fit_lattice(begun, NAMES, LatticeConfig(strength=0)).encoder

    assert torch.equal(encoder.shared.transports.maps, torch.eye(D).expand_as(encoder.shared.transports.maps))
    assert leaked(fair(encoder, u, ("gender",)), labels, "gender") > 0.66


def test_means_given_the_scores_are_taken_away_jointly():
    rng = np.random.default_rng(3)
    sigma = rng.normal(size=(2000, 3))
    terms = np.column_stack([sigma, sigma[:, 0] * sigma[:, 1], sigma[:, 2] ** 2])
    x = 5 + terms @ rng.normal(size=(5, 4)) + rng.normal(size=(2000, 4))
    given = MeanGivenScores(3, 4)

    left = fit_mean(given, x, sigma, ridge=0.0)

    assert np.allclose(left.mean(0), x.mean(0))
    assert np.abs((left - left.mean(0)).T @ (terms - terms.mean(0)) / 2000).max() < 1e-8
    assert np.allclose(given(torch.from_numpy(x).float(), torch.from_numpy(sigma).float()).numpy(), left, atol=1e-4)


def test_transports_give_all_bins_the_same_covariance():
    rng = np.random.default_rng(4)
    sigma = rng.normal(size=(20_000, 1))
    x = rng.normal(size=(20_000, 3)) * np.exp(0.5 * sigma)
    low, high = sigma[:, 0] < -0.5, sigma[:, 0] > 0.5

    moved = fit_transports(Transports(2, 8, 3), x, sigma, sweeps=2, shrink=3.0)

    assert np.cov(x[high].T).trace() > 4 * np.cov(x[low].T).trace()
    assert np.cov(moved[high].T).trace() == pytest.approx(np.cov(moved[low].T).trace(), rel=0.15)


def test_the_barycentre_of_covariances_that_commute_is_the_mean_of_their_roots():
    found = barycentre(np.stack([np.diag([1.0, 4.0]), np.diag([9.0, 16.0])]), np.array([0.5, 0.5]))

    assert np.allclose(found, np.diag([4.0, 9.0]))


def test_a_fair_vector_does_not_depend_on_the_length_of_the_user_vector(world, lattice):
    u, _, _ = world

    near, far = (fair(lattice.encoder, factor * u, ("gender",)) for factor in (np.float32(1), np.float32(3)))

    assert np.allclose(near, far, atol=1e-4)
    assert np.allclose(np.linalg.norm(near, axis=1), np.linalg.norm(u, axis=1).mean(), rtol=1e-3)


def test_every_other_drawn_mask_protects_one_attribute_and_the_rest_any():
    masks = draw_masks(14_000, 3, torch.Generator().manual_seed(0))

    codes = torch.bincount(masks.long() @ torch.tensor([1, 2, 4]), minlength=8)
    assert int(codes[0]) == 0
    alone = torch.tensor([False, True, True, False, True, False, False, False])
    assert (codes[alone] - 7000 / 3 - 1000).abs().max() < 180
    assert (codes[~alone][1:] - 1000).abs().max() < 120


def test_a_mask_shows_what_each_attribute_left_says_beside_all_others(world, lattice):
    u, _, _ = world
    masks = torch.tensor([[True, False, False], [True, True, False], [True, True, True]])
    with torch.no_grad():
        split = lattice.encoder.split(torch.from_numpy(u))
        taken = lattice.encoder.gate(masks)

    names = np.array([part.name for part in lattice.parts])
    alone = ["gender", "age", "occupation"]
    assert names.tolist() == ["shared", *alone, "age+occupation", "gender+occupation", "gender+age", "base"]
    assert names[taken[0]].tolist() == ["shared", "age", "occupation", "age+occupation"]
    assert names[taken[1]].tolist() == ["shared", "occupation"]
    assert names[taken[2]].tolist() == ["shared"]
    assert split[:, 1:7, :3].std(0).gt(0.3).tolist() == [
        *np.eye(3, dtype=bool).tolist(),
        *(~np.eye(3, dtype=bool)).tolist(),
    ]
