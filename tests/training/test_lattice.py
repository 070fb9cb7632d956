"""The lattice: what is planted is withheld, what masks show together stays what one shows."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from bundle import read_bundle
from bundle.networks.lattice_layers import MeanGivenScores, Transports
from measure.leakage import Users, leakage
from measure.profiles import Profile
from training.errors import ConfigError
from training.fair.lattice.beginning import begin
from training.fair.lattice.closed_form import barycentre, fit_mean, fit_transports
from training.fair.lattice.config import LatticeConfig
from training.fair.lattice.fit import fit_lattice
from training.fair.lattice.scores import leading
from training.fair.lattice.utility import draw_masks
from training.fair.select import Shown
from training.run import run

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


def few(world):
    """600 of the users: enough where it does not matter what is learned."""
    u, items, labels = world
    return u[:600], items, labels[:600]


@pytest.fixture(scope="module")
def three(world):
    """What fits on a few of the users begin with."""
    u, items, labels = few(world)
    return begin(u, items, labels, CLASSES, FOLDS, seed=1)


@pytest.fixture(scope="module")
def seven(world):
    """The same, with four classes of age that nobody is in."""
    u, items, labels = few(world)
    return begin(u, items, labels, (2, 7, 3), FOLDS, seed=1)


def fitted(world, strength=1, train=2800):
    u, items, labels = world
    known = labels.copy()
    known[train:] = -1
    return fit_lattice(begin(u, items, known, CLASSES, FOLDS, seed=3), NAMES, LatticeConfig(strength=strength))


@pytest.fixture(scope="module")
def lattice(world):
    return fitted(world)


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


def test_a_fit_is_the_same_whatever_was_fitted_from_that_beginning_before(three):
    first = fit_lattice(three, NAMES, LatticeConfig())
    fit_lattice(three, NAMES, LatticeConfig(strength=2))
    again = fit_lattice(three, NAMES, LatticeConfig())

    one, other = first.encoder.state_dict(), again.encoder.state_dict()
    assert all(torch.equal(one[name], other[name]) for name in one)


@pytest.mark.parametrize(("strength", "coordinates"), [(0, [1, 1, 1]), (2, [1, 2, 2])])
def test_more_strength_withholds_more_coordinates(three, strength, coordinates):
    assert fit_lattice(three, NAMES, LatticeConfig(strength=strength)).network.sizes["coordinates"] == coordinates


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
    u, items, _ = world
    rng = np.random.default_rng(7)
    country = rng.integers(12, size=len(u)).astype(np.int16)
    shifted = u + 6 * rng.normal(size=(4, D)).astype(np.float32)[country % 4]

    found = fit_lattice(begin(shifted, items, country[:, None], (12,), FOLDS, seed=1), ("country",), LatticeConfig())

    assert found.network.sizes["coordinates"] == found.network.sizes["leading"] == [3]


def test_strength_zero_moves_no_covariances(world):
    """Gender also stretches a dimension: means alone leave it there."""
    u, _, labels = world
    encoder = fitted(world, strength=0).encoder

    assert torch.equal(encoder.shared.transports.maps, torch.eye(D).expand_as(encoder.shared.transports.maps))
    assert leaked(fair(encoder, u, ("gender",)), labels, "gender") > 0.66


@pytest.mark.parametrize(
    ("under", "by_chance", "tried"),
    [
        ("alone", 0.55, [[1, 1, 1], [1, 2, 1]]),
        ("all", 0.55, [[1, 1, 1], [1, 2, 1]]),
        ("neither", 0.55, [[1, 1, 1]]),
        ("alone", 0.64, [[1, 1, 1]]),
    ],
)
def test_an_attribute_that_shows_too_much_gets_more_coordinates_and_the_others_do_not(three, under, by_chance, tried):
    """Too much is more than was demanded, and more than chance."""
    config = LatticeConfig(leakage_at_most=0.7)

    seen = []

    def show(encoder, mask):
        seen.append([encoder.scores.linear.out_features, len(mask)])
        leaks = under == ("alone" if len(mask) == 1 else "all")
        return {name: Shown(0.63 if name == "age" and leaks else 0.61, by_chance) for name in mask}

    found = fit_lattice(three, NAMES, config, show)

    assert [n for n, protected in seen if protected == 3] == [sum(counts) for counts in tried]
    assert found.network.sizes["coordinates"] == tried[0]  # more of them showed no less
    assert found.shown["age"].auc == (0.61 if under == "neither" else 0.63)


def test_of_the_fits_that_show_too_much_the_one_that_shows_least_is_taken(seven):
    auc = {3: 0.7, 4: 0.65, 5: 0.66, 6: 0.66, 7: 0.64, 8: 0.65}

    def show(encoder, mask):
        return {name: Shown(auc[encoder.scores.linear.out_features] if name == "age" else 0.5, 0.5) for name in mask}

    found = fit_lattice(seven, NAMES, LatticeConfig(), show)

    assert found.network.sizes["coordinates"] == [1, 5, 1]


def test_fits_end_where_three_more_show_no_less(seven):
    auc = {3: 0.7, 4: 0.65, 5: 0.66, 6: 0.66, 7: 0.66}

    def show(encoder, mask):
        return {name: Shown(auc[encoder.scores.linear.out_features] if name == "age" else 0.5, 0.5) for name in mask}

    found = fit_lattice(seven, NAMES, LatticeConfig(), show)

    assert found.network.sizes["coordinates"] == [1, 2, 1]


@pytest.mark.parametrize(("auc", "unmet"), [(0.7, ["age"]), (0.55, [])])
def test_the_card_says_what_was_demanded_and_what_is_not_met(a_run, out, cpu, monkeypatch, auc, unmet):
    shown = {"gender": Shown(0.55, 0.54), "age": Shown(auc, 0.54)}
    monkeypatch.setattr("training.fair.lattice.train.shown_by", lambda *_: lambda encoder, mask: shown)

    card = read_bundle(run(a_run(fair={"method": "lattice", "hidden": 8}), None, out, cpu)).card

    assert card["leakage_check"] == {
        "leakage_at_most": 0.6,
        "select_users": {"gender": {"auc": 0.55, "by_chance": 0.54}, "age": {"auc": auc, "by_chance": 0.54}},
        "unmet": unmet,
    }


def test_the_front_has_a_row_for_each_strength_and_mask(a_run, out, cpu):
    lattice = {"method": "lattice", "hidden": 8, "front": [0, 1]}
    card = read_bundle(run(a_run(fair=lattice), None, out, cpu)).card

    assert [(row["strength"], len(row["sensitive"])) for row in card["front"]] == [(0, 1), (0, 3), (1, 1), (1, 3)]
    assert all(0 < row["sampled_kept"] < 2 and row["n"] > 0 for row in card["front"])


def test_a_strength_that_withholds_the_whole_vector_is_refused():
    rng = np.random.default_rng(0)
    u, labels = rng.normal(size=(100, 3)).astype(np.float32), rng.integers(2, size=(100, 3)).astype(np.int16)

    with pytest.raises(ConfigError, match=r"fair\.strength"):
        fit_lattice(begin(u, u[:10], labels, (2, 2, 2), FOLDS, seed=1), NAMES, LatticeConfig())


@pytest.mark.parametrize("rank", [0, 1, 3])
@pytest.mark.parametrize("alike", [0.0, 1.0])
def test_users_who_hardly_differ_are_left_where_they_are(rank, alike):
    """All the same, or in fewer dimensions than they have: nothing is blown up where nobody differs."""
    rng = np.random.default_rng(0)
    u = alike * rng.normal(size=(1, 8)) + rng.normal(size=(50, rank)) @ rng.normal(size=(rank, 8))
    u, labels = u.astype(np.float32), rng.integers(2, size=(50, 2)).astype(np.int16)
    items = rng.normal(size=(20, 8)).astype(np.float32)

    found = fit_lattice(begin(u, items, labels, (2, 2), FOLDS, seed=1), ("gender", "age"), LatticeConfig())

    with torch.no_grad():
        split = found.encoder.split(torch.from_numpy(u))
        fair_vectors = found.encoder.combine(split, torch.tensor([[True, False]]).expand(50, -1))
    assert fair_vectors.isfinite().all()
    assert split[:, :-1].abs().max() < 30
    assert all(each.transports.maps.abs().max() < 3 for each in (found.encoder.shared, *found.encoder.beside.turns))


def test_one_attribute_has_no_part_of_its_own(world):
    u, items, labels = world

    encoder, _, parts, _ = fit_lattice(
        begin(u, items, labels[:, :1], (2,), FOLDS, seed=1), ("gender",), LatticeConfig()
    )

    assert [part.name for part in parts] == ["shared", "base"]
    with torch.no_grad():
        fair_vectors = encoder.combine(encoder.split(torch.from_numpy(u)), torch.ones(len(u), 1, dtype=torch.bool))
    assert fair_vectors.shape == u.shape


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
