"""A fit of the lattice: how many coordinates it withholds, what it is given and what it says, whoever its teachers are.

What it withholds of users is in test_lattice.py.
"""

from __future__ import annotations

import numpy as np
import pytest
import torch

from bundle import read_bundle
from training.errors import ConfigError
from training.fair.lattice.beginning import begin
from training.fair.lattice.config import LatticeConfig
from training.fair.lattice.fit import fit_lattice
from training.fair.select import Shown
from training.run import run

pytestmark = pytest.mark.usefixtures("short_teachers")

NAMES, CLASSES, D = ("gender", "age", "occupation"), (2, 3, 3), 16
FOLDS = LatticeConfig().folds


@pytest.fixture(scope="module")
def users():
    """600 users whose first dimensions their attributes shift, 60 items, and labels."""
    rng = np.random.default_rng(5)
    labels = rng.integers(CLASSES, size=(600, 3))
    u = rng.normal(size=(600, D))
    u[:, :3] += labels
    return u.astype(np.float32), rng.normal(size=(60, D)).astype(np.float32), labels.astype(np.int16)


@pytest.fixture(scope="module")
def three(users, short_teachers):
    """What fits on them begin with."""
    return begin(*users, CLASSES, FOLDS, seed=1)


@pytest.fixture(scope="module")
def seven(users, short_teachers):
    """The same, with four classes of age that nobody is in."""
    return begin(*users, (2, 7, 3), FOLDS, seed=1)


def test_a_fit_is_the_same_whatever_was_fitted_from_that_beginning_before(three):
    first = fit_lattice(three, NAMES, LatticeConfig())
    fit_lattice(three, NAMES, LatticeConfig(strength=2))
    again = fit_lattice(three, NAMES, LatticeConfig())

    one, other = first.encoder.state_dict(), again.encoder.state_dict()
    assert all(torch.equal(one[name], other[name]) for name in one)


@pytest.mark.parametrize(("strength", "coordinates"), [(0, [1, 1, 1]), (2, [1, 2, 2])])
def test_more_strength_withholds_more_coordinates(three, strength, coordinates):
    assert fit_lattice(three, NAMES, LatticeConfig(strength=strength)).network.sizes["coordinates"] == coordinates


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
def test_users_who_hardly_differ_are_left_where_they_are(rank, alike, monkeypatch):
    """All the same, or in fewer dimensions than they have: nothing is blown up where nobody differs."""
    for name, enough in {"FEWEST_STEPS": 50, "STUDENT_STEPS": 200}.items():  # that 50 users are known by heart
        monkeypatch.setattr(f"training.fair.lattice.scores.{name}", enough)
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


def test_one_attribute_has_no_part_of_its_own(users):
    u, items, labels = users

    encoder, _, parts, _ = fit_lattice(
        begin(u, items, labels[:, :1], (2,), FOLDS, seed=1), ("gender",), LatticeConfig()
    )

    assert [part.name for part in parts] == ["shared", "base"]
    with torch.no_grad():
        fair_vectors = encoder.combine(encoder.split(torch.from_numpy(u)), torch.ones(len(u), 1, dtype=torch.bool))
    assert fair_vectors.shape == u.shape
