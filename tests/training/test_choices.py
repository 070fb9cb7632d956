"""The lattice's map back to user vectors learns from what users chose next, and nothing else of it changes."""

from __future__ import annotations

import copy
from dataclasses import replace

import numpy as np
import pytest
import torch

from bundle import Reranker
from bundle.networks import MlpReranker
from measure.split import SELECT
from training.base.als import AlsConfig
from training.base.train import train_base
from training.data.split import draw_new_users, hold_out, split_users
from training.experiment import Experiment
from training.fair.lattice import choices as module
from training.fair.lattice.beginning import begin
from training.fair.lattice.choices import Choices, learn_choices, next_choices
from training.fair.lattice.config import LatticeConfig
from training.fair.lattice.fit import fit_lattice
from training.fair.lattice.train import train_lattice

pytestmark = pytest.mark.usefixtures("short_teachers")

NAMES, USERS, ITEMS, D = ("gender", "age"), 3_000, 60, 8
PLAIN = LatticeConfig(leakage_at_most=1.0, dither=0)
RIDGE = LatticeConfig().choice_ridge


@pytest.fixture(scope="module")
def world():
    """Users, items, labels, and the item that each chose: by the dimension in which users differ least."""
    rng = np.random.default_rng(7)
    u = rng.normal(size=(USERS, D)) * np.array([2, 2, 2, 2, 2, 2, 1, 0.3])
    u[:, :2] += (labels := rng.integers(2, size=(USERS, 2)))
    items = rng.normal(size=(ITEMS, D))
    wanted = 8 * u[:, [7]] * items[:, 7] + 0.5 * u @ items.T
    chosen = (wanted + rng.gumbel(size=wanted.shape)).argmax(1)
    return u.astype(np.float32), items.astype(np.float32), labels.astype(np.int16), chosen


def choices_of(world, rows, items=None):
    """What the users in some rows chose; each has met the item behind it before."""
    u, plain, _, chosen = world
    vectors = torch.from_numpy(plain if items is None else items)
    before = ((chosen[rows] + 1) % ITEMS).astype(np.int32)
    own = torch.from_numpy(u[rows]), torch.from_numpy(chosen[rows])
    return Choices(*own, (np.arange(len(rows) + 1), before), vectors, torch.zeros(ITEMS))


@pytest.fixture(scope="module")
def plain(world, short_teachers):
    u, items, labels, _ = world
    return fit_lattice(begin(u, items, labels, (2, 2), PLAIN.folds, seed=1), NAMES, PLAIN).encoder


def learned(plain, choices, ridge=RIDGE):
    encoder = copy.deepcopy(plain)
    with torch.no_grad():
        learn_choices(encoder, choices, ridge, torch.Generator().manual_seed(1))
    return encoder


def ranked_above(encoder, world, rows):
    """Mean share of the other items that stand behind the chosen one, gender protected."""
    u, items, _, chosen = world
    flags = torch.tensor([True, False]).expand(len(rows), -1)
    with torch.no_grad():
        fair = encoder.combine(encoder.split(torch.from_numpy(u[rows])), flags).numpy()
    scores = fair @ items.T
    return float((scores < scores[np.arange(len(rows)), chosen[rows], None]).mean())


LEARNED, OTHERS = np.arange(2_000), np.arange(2_000, USERS)


@pytest.mark.parametrize("drawn", [module.ITEMS, 20])
def test_what_users_choose_by_counts_for_more_also_for_users_not_learned_from(world, plain, monkeypatch, drawn):
    monkeypatch.setattr(module, "ITEMS", drawn)

    found = learned(plain, choices_of(world, LEARNED))

    assert ranked_above(found, world, OTHERS) > ranked_above(plain, world, OTHERS) + 0.02


def test_only_the_map_back_changes_and_not_at_all_where_no_change_is_worth_it(world, plain):
    found, held = (learned(plain, choices_of(world, LEARNED), ridge) for ridge in (RIDGE, 1e9))

    changed = [name for name, value in found.state_dict().items() if not torch.equal(value, plain.state_dict()[name])]
    assert changed == ["mix.weight"]
    torch.testing.assert_close(held.mix.weight, plain.mix.weight, rtol=0, atol=1e-3)
    assert (found.mix.weight - plain.mix.weight).abs().max() > 0.05


@pytest.mark.parametrize("rows", [[0], [0, 0, 0]])
def test_users_who_are_all_alike_teach_nothing(world, plain, rows):
    found = learned(plain, choices_of(world, np.array(rows)))

    assert torch.isfinite(found.mix.weight).all()
    u, _, _, _ = world
    flags = torch.tensor([True, False]).expand(200, -1)
    with torch.no_grad():
        parts = plain.split(torch.from_numpy(u[:200]))
        moved = (found.combine(parts, flags) - plain.combine(parts, flags)).norm(dim=1)
    assert moved.max() < 0.5 * plain.length


def test_items_met_before_are_no_alternatives(world):
    u, items, _, chosen = world
    rows = np.flatnonzero(chosen == 4)
    moved = items.copy()
    moved[5] = 1e6  # whoever chose item 4 has met item 5

    one, other = (
        module._entropy(
            torch.from_numpy(u[rows]),
            choices_of(world, rows, each),
            torch.arange(len(rows)),
            torch.tensor(1.0),
            torch.Generator().manual_seed(1),
        )
        for each in (items, moved)
    )

    assert torch.equal(one, other)


@pytest.fixture
def an_experiment(small_data):
    split = split_users(small_data.users, "s")
    return Experiment(small_data, hold_out(small_data), split, "strict", 5, new_users=0.1, split_salt="s")


@pytest.fixture
def a_base(an_experiment, tmp_path):
    config = AlsConfig(dimensions=8, iterations=2)
    return train_base(an_experiment, config, tmp_path / "base.safetensors", torch.device("cpu"))


def test_select_users_new_ones_and_those_without_a_choice_are_not_learned_from(an_experiment, a_base):
    found = next_choices(an_experiment, a_base)

    new = draw_new_users(an_experiment.dataset.users, an_experiment.user_split, "s", 0.1)
    expected = np.flatnonzero((an_experiment.user_split != SELECT) & ~new & (an_experiment.validation >= 0))
    assert new.any()
    assert found is not None
    assert found.chosen.tolist() == an_experiment.validation[expected].tolist()
    assert np.array_equal(found.users.numpy(), a_base.selection[expected])
    indptr, indices = found.before
    assert indices[indptr[-2] :].tolist() == an_experiment.held_out.history(expected[-1]).tolist()


def test_what_users_are_tested_by_changes_nothing(an_experiment, a_base):
    other = np.where(an_experiment.held_out.test >= 0, 0, -1).astype(np.int32)
    data, last = an_experiment.dataset, an_experiment.dataset.indptr[1:] - 1
    data = replace(data, indices=np.where(np.isin(np.arange(len(data.indices)), last), 0, data.indices))
    held_out = replace(an_experiment.held_out, test=other)

    found, otherwise = (
        next_choices(each, a_base) for each in (an_experiment, replace(an_experiment, dataset=data, held_out=held_out))
    )

    assert found is not None
    assert otherwise is not None
    assert [part.tolist() for part in found.before] == [part.tolist() for part in otherwise.before]
    assert torch.equal(found.chosen, otherwise.chosen)


def test_item_biases_are_added_and_a_reranker_has_the_last_word(an_experiment, a_base):
    biased = replace(a_base, constants=2)

    found = next_choices(an_experiment, biased)

    assert found is not None
    assert found.users.shape[1] == found.items.shape[1] == 6
    np.testing.assert_allclose(found.biases.numpy(), a_base.items[:, 6:].sum(1))
    spec = Reranker(kind="mlp", sizes={"layers": [16, 4, 1]}, candidates=10)
    assert next_choices(an_experiment, replace(a_base, reranker=MlpReranker(spec, 8, 80))) is None


def test_a_fit_learns_from_choices(an_experiment, a_base, monkeypatch):
    learned = train_lattice(an_experiment, a_base, PLAIN).encoder.state_dict()
    monkeypatch.setattr("training.fair.lattice.train.next_choices", lambda *_: None)
    by_squares = train_lattice(an_experiment, a_base, PLAIN).encoder.state_dict()

    assert [name for name, value in learned.items() if not torch.equal(value, by_squares[name])] == ["mix.weight"]
