"""Objectives of a table base: weights and gradients against numbers by hand, and what is refused."""

from __future__ import annotations

import copy
from dataclasses import replace

import numpy as np
import pytest
import torch
from pydantic import TypeAdapter, ValidationError
from torch.nn.functional import normalize, softplus

from bundle import read_bundle
from measure.split import AUDIT, TRAIN
from training.base.objective.bpr import Bpr
from training.base.objective.config import ItfrConfig, ObjectiveConfig
from training.base.objective.contract import Batch
from training.base.objective.dpr import unlike_normal
from training.base.objective.dro import GroupDro
from training.base.objective.groups import Intersections, intersections
from training.base.objective.itfr import Itfr
from training.base.objective.losses import SMALLEST, GroupWeights, by_group
from training.base.objective.make import objective_of
from training.base.objective.multifr import shortest
from training.base.objective.ucds import InUcds, dominant_sets, neighbours, released_sets
from training.base.pmf import Pmf, PmfConfig
from training.base.tables import TableStage
from training.base.train import train_base
from training.card import make_card
from training.data.split import hold_out, split_users
from training.demands import experiment_of
from training.errors import ConfigError
from training.experiment import Experiment
from training.negatives import NegativeSampler
from training.run import run

pytestmark = pytest.mark.usefixtures("a_quick_card", "short_teachers")

CPU = torch.device("cpu")
D, USERS, ITEMS = 4, 6, 5
KINDS = ("bpr", "itfr", "group_dro", "stream_dro", "dpr", "fairneg", "multifr", "in_ucds", "in_ucds as released")
GENRES = ("Action", "Drama")


def groups_by_hand():
    """Users 0 to 2 and 3 to 4 in two classes, user 5 in none; items 0 and 1, 2 and 3 in two groups, item 4 in none."""
    of_users, of_items = torch.tensor([0, 0, 0, 1, 1, -1]), torch.tensor([0, 0, 1, 1, -1])
    return Intersections(("F", "M"), ("Action", "Drama"), of_users, of_items)


def a_batch(users, positives, negatives, seed=0):
    """Rows of small random tables, all of them touched."""
    rng = torch.Generator().manual_seed(seed)
    tables = {
        "users": torch.randn(USERS, D, generator=rng).requires_grad_(),
        "items": torch.randn(ITEMS, D, generator=rng).requires_grad_(),
    }
    rows = {"users": torch.arange(USERS), "items": torch.arange(ITEMS)}
    drawn = [torch.tensor(each) for each in (users, positives, negatives)]
    return Batch(torch.nn.Module(), tables, rows, *drawn, *drawn, rng)


EVERY_GROUP = ([0, 1, 3, 4, 2, 5], [0, 2, 1, 3, 0, 2], [3, 1, 2, 0, 4, 4])
"""Two rows of group 0 (users 0 and 2), one of each other one, and one of user 5, who is in none."""
WITHOUT_THE_FIRST = ([1, 3, 4], [2, 1, 3], [1, 2, 0])


def cosine_loss(users, items, rows, temperature=0.2):
    u, v = normalize(users, dim=1), normalize(items, dim=1)
    own, liked, other = rows
    return softplus(-(u[own] * (v[liked] - v[other])).sum(-1) / temperature).mean()


def of_group(batch, group, groups):
    inside = groups.of(batch.users, batch.positives) == group
    return batch.own[inside], batch.liked[inside], batch.other[inside]


def by_hand(batch, group, groups, radius):
    """(L, ∇L) at the weights and (L̂, ĝ) at the sharpest point, one group alone, as the paper writes them."""
    rows = of_group(batch, group, groups)

    def at(users, items):
        of = [users.detach().clone().requires_grad_(), items.detach().clone().requires_grad_()]
        loss = cosine_loss(*of, rows)
        return loss.item(), torch.autograd.grad(loss, of)

    tables = batch.tables["users"], batch.tables["items"]
    loss, gradient = at(*tables)
    length = torch.cat([each.flatten() for each in gradient]).norm()
    sharp, sharpest = at(*(t.detach() + radius * g / length for t, g in zip(tables, gradient, strict=True)))
    return loss, gradient, sharp, sharpest


def flat(gradient):
    return torch.cat([each.flatten() for each in gradient])


class TestItfr:
    """Against the equations, one group at a time."""

    CONFIG = ItfrConfig(users=["gender"], items=GENRES, radius=0.3, weight_rate=0.5, focus=0.5)

    def test_one_pass_gives_the_weighted_gradient_of_every_group_at_its_own_sharpest_point(self):
        groups, batch = groups_by_hand(), a_batch(*EVERY_GROUP)
        found = [by_hand(batch, group, groups, 0.3) for group in range(4)]
        losses, sharp = (torch.tensor([each[place] for each in found]) for place in (0, 2))
        matters = losses**0.5 / (losses**0.5).sum()
        weights = torch.softmax(0.5 * matters * sharp, 0)
        of_none = cosine_loss(*batch.tables.values(), of_group(batch, 4, groups))
        outside = torch.autograd.grad(of_none, batch.tables.values())

        objective = Itfr(groups, self.CONFIG, D)
        objective.loss(batch).backward()

        assert torch.allclose(objective.tensors()["weights"], weights, atol=1e-6)
        for place, name in enumerate(("users", "items")):
            inside = sum(weight * each[3][place] for weight, each in zip(weights, found, strict=True))
            expected = 5 / 6 * inside + 1 / 6 * outside[place]
            assert torch.allclose(batch.tables[name].grad, expected, atol=1e-6)

    def test_in_the_second_epoch_groups_weigh_by_what_they_do_for_the_others(self):
        """C(g → h) = √L̂_g √L̂_h cos(ĝ_g, G_h), on the diagonal L̂_g; G and means are of the epoch before."""
        groups, first, second = groups_by_hand(), a_batch(*EVERY_GROUP, seed=1), a_batch(*EVERY_GROUP, seed=2)
        objective = Itfr(groups, self.CONFIG, D)
        objective.loss(first)
        objective.epoch_ends()
        before = objective.tensors()["weights"].clone()
        past = [by_hand(first, group, groups, 0.3) for group in range(4)]
        now = [by_hand(second, group, groups, 0.3) for group in range(4)]
        matters = torch.tensor([each[0] ** 0.5 for each in past])
        helps = torch.tensor(
            [
                [
                    g[2]
                    if i == j
                    else (g[2] * h[2]) ** 0.5 * torch.cosine_similarity(flat(g[3]), flat(h[1]), dim=0).item()
                    for j, h in enumerate(past)
                ]
                for i, g in enumerate(now)
            ]
        )
        expected = before * torch.exp(0.5 * helps @ (matters / matters.sum()))

        objective.loss(second)

        assert torch.allclose(objective.tensors()["weights"], expected / expected.sum(), atol=1e-5)
        assert (helps < 0).any()

    def test_the_epochs_gradient_adds_batches_up_by_their_rows(self):
        groups, one, other = groups_by_hand(), a_batch(*EVERY_GROUP), a_batch(*WITHOUT_THE_FIRST, seed=3)
        objective = Itfr(groups, self.CONFIG, D)
        for batch in (one, other):
            objective.loss(batch)
        objective.epoch_ends()

        first = 2 * by_hand(one, 0, groups, 0.3)[1][1]  # two rows, in one batch alone
        third = by_hand(one, 2, groups, 0.3)[1][1] + by_hand(other, 2, groups, 0.3)[1][1]

        past = objective.tensors()["past_items"]
        assert torch.allclose(past[0], first, atol=1e-6)
        assert torch.allclose(past[2], third, atol=1e-6)

    def test_weights_rest_where_a_group_is_missing(self):
        objective = Itfr(groups_by_hand(), self.CONFIG, D)
        objective.loss(a_batch(*EVERY_GROUP))
        before = objective.tensors()["weights"].clone()

        objective.loss(a_batch(*WITHOUT_THE_FIRST, seed=1))

        assert torch.equal(objective.tensors()["weights"], before)
        assert before.unique().numel() == 4

    def test_the_tables_are_where_they_were_also_when_the_first_group_is_missing(self):
        """The reference backs its weights up in its first group only, and rolls back to a stale copy without it."""
        objective = Itfr(groups_by_hand(), self.CONFIG, D)
        objective.loss(a_batch(*EVERY_GROUP))
        batch = a_batch(*WITHOUT_THE_FIRST, seed=1)
        before = {name: table.detach().clone() for name, table in batch.tables.items()}

        objective.loss(batch).backward()

        assert all(torch.equal(batch.tables[name], table) for name, table in before.items())
        absent = torch.tensor([0, 2, 5])  # users without a row: no gradient is left over from the batch before
        assert batch.tables["users"].grad[absent].abs().max() == 0
        assert batch.tables["users"].grad[[1, 3, 4]].abs().min(1).values.max() > 0

    def test_gradients_of_one_batch_are_not_in_the_next_and_none_is_missing(self):
        """The reference counts on `zero_grad` leaving zeros; here a batch's gradient depends on that batch alone."""
        objective = Itfr(groups_by_hand(), self.CONFIG.model_copy(update={"weight_rate": 0}), D)
        alone, after = a_batch(*WITHOUT_THE_FIRST, seed=1), a_batch(*WITHOUT_THE_FIRST, seed=1)
        Itfr(groups_by_hand(), self.CONFIG, D).loss(alone).backward()
        objective.loss(a_batch(*EVERY_GROUP)).backward()
        objective.loss(after).backward()

        assert all(torch.equal(alone.tables[name].grad, after.tables[name].grad) for name in alone.tables)

    def test_without_a_radius_and_a_rate_it_is_the_mean_over_groups(self):
        still = self.CONFIG.model_copy(update={"radius": 0.0, "weight_rate": 0.0})
        groups, batch = groups_by_hand(), a_batch(*EVERY_GROUP)
        expected = [
            torch.autograd.grad(
                cosine_loss(*batch.tables.values(), of_group(batch, group, groups)), batch.tables["users"]
            )
            for group in range(5)
        ]

        Itfr(groups, still, D).loss(batch).backward()

        mean = sum(each[0] for each in expected[:4]) / 4
        assert torch.allclose(batch.tables["users"].grad, 5 / 6 * mean + expected[4][0] / 6, atol=1e-6)


def test_a_groups_weight_never_falls_below_the_smallest():
    weights = GroupWeights(2, 1.0, CPU)
    weights.move(torch.tensor([1000.0, 0.0]))

    assert weights.values.tolist() == [1.0, pytest.approx(SMALLEST)]


def test_it_is_said_where_no_batch_has_every_group(caplog):
    objective = GroupDro(groups_by_hand(), 0.5)
    objective.loss(a_batch(*WITHOUT_THE_FIRST))
    objective.epoch_ends()
    assert "no batch of this epoch had a row of all 4 groups" in caplog.text

    caplog.clear()
    for rows in (EVERY_GROUP, WITHOUT_THE_FIRST):
        objective.loss(a_batch(*rows))
    objective.epoch_ends()
    assert not caplog.text


def test_losses_are_meant_by_group_and_rows_of_none_keep_their_share():
    found = by_group(torch.tensor([1.0, 3.0, 5.0, 8.0]), torch.tensor([0, 0, 1, 2]), 2)

    assert found.mean.tolist() == [2.0, 5.0, 8.0]
    assert found.all_there
    shares = found.shares(torch.tensor([0.2, 0.8]))
    assert shares.tolist() == pytest.approx([0.15, 0.6, 0.25])
    assert not by_group(torch.tensor([1.0]), torch.tensor([1]), 2).all_there


@pytest.mark.parametrize("momentum", [0.0, 0.75])
def test_group_dro_moves_weights_by_the_loss_or_by_its_running_mean(momentum):
    groups, batches = groups_by_hand(), [a_batch(*EVERY_GROUP, seed=seed) for seed in (1, 2)]
    objective, weights, running = GroupDro(groups, 0.5, momentum), torch.full((4,), 0.25), None
    for batch in batches:
        liked, other = batch.scores()
        rows = softplus(other - liked).detach()
        losses = torch.stack([rows[groups.of(batch.users, batch.positives) == group].mean() for group in range(4)])
        running = losses if running is None else momentum * running + (1 - momentum) * losses
        weights = weights * torch.exp(0.5 * running)
        weights /= weights.sum()

        loss = objective.loss(batch)

        expected = 5 / 6 * (weights * losses).sum() + rows[5] / 6
        assert loss.item() == pytest.approx(expected.item(), rel=1e-5)


def test_a_users_scores_that_are_normal_cost_nothing():
    batch = a_batch(*EVERY_GROUP)
    items = torch.tensor([[1.0, 0, 0, 0], [-1.0, 0, 0, 0]])
    users = torch.tensor([[1.0, 0, 0, 0], [2.0, 0, 0, 0]])  # scores of variance 1, and of variance 4
    of = replace(batch, tables={"users": users, "items": items})

    expected = (0 + (4 - np.log(4) - 1) / 2) / 2

    assert unlike_normal(of).item() == pytest.approx(expected, abs=1e-5)


def test_the_shortest_mixture_of_two_directions_is_the_one_by_hand():
    """(1, 0) and (0, 2): the foot of the perpendicular has weights 4/5 and 1/5. Of two that agree, the shorter one."""
    assert shortest(torch.diag(torch.tensor([1.0, 4.0]))).tolist() == pytest.approx([0.8, 0.2], abs=1e-3)
    assert shortest(torch.tensor([[1.0, 2.0], [2.0, 4.0]])).tolist() == pytest.approx([1.0, 0.0], abs=1e-3)


def test_a_constrained_dominant_set_holds_its_user_and_those_who_are_alike():
    """Active users 0 and 1 are alike and like the first user, 2 and 3 are alike and like the second one."""
    between = np.array([[0, 3, 0, 0], [3, 0, 0, 0], [0, 0, 0, 3], [0, 0, 3, 0]], np.float32)
    own = np.array([[2, 2, 0, 1], [0, 0, 2, 2]], np.float32)

    weights = dominant_sets(own, between, 1.001)

    assert weights[0, :2] == pytest.approx(weights[0, 0])
    assert weights[0, 0] > 10 * weights[0, 2:].max()
    assert weights[1, 2:].min() > 10 * weights[1, :2].max()
    assert (weights.sum(1) < 0.999).all()  # without the constraint the active pair alone would be the best


@pytest.mark.parametrize("above", [1.01, 1.5, 10.0])
def test_a_constrained_dominant_set_is_a_maximum_that_a_small_step_anywhere_lowers(above):
    rng = np.random.default_rng(1)
    between = rng.integers(5, 9, (6, 6)).astype(np.float32)
    between = np.triu(between, 1) + np.triu(between, 1).T
    own = rng.integers(4, 8, (20, 6)).astype(np.float32)
    alpha = above * np.linalg.eigvalsh(between)[-1]

    weights = dominant_sets(own, between, above)

    for given, x in zip(own, weights, strict=True):
        payoffs = np.zeros((7, 7))
        payoffs[0, 1:] = payoffs[1:, 0] = given
        payoffs[1:, 1:] = between - alpha * np.eye(6)
        whole = np.append(1 - x.sum(), x)
        best = whole @ payoffs @ whole
        assert (whole > 0).all()
        for other in rng.dirichlet(np.ones(7), 50):
            moved = 0.99 * whole + 0.01 * other
            assert moved @ payoffs @ moved < best


def test_neighbours_are_the_likest_where_the_constraint_is_tight_and_alike_themselves_where_it_is_loose():
    """The user is likest active user 2; 0 and 1 are very much alike."""
    between = np.array([[0, 40, 2], [40, 0, 2], [2, 2, 0]], np.float32)
    own = np.array([[3, 3, 5]], np.float32)

    assert dominant_sets(own, between, 1.001)[0].argmax() != 2
    assert dominant_sets(own, between, 10)[0].argmax() == 2


def test_neighbours_are_active_users_with_a_common_training_positive():
    """Users 0 and 1 have most positives; user 2 shares two items with 0, user 3 one with 1, user 4 none."""
    rows = [[0, 1, 2, 3], [4, 5, 6, 7], [0, 1], [4], [9]]
    train = np.cumsum([0, *map(len, rows)]), np.array([item for row in rows for item in row], np.int32)

    found = neighbours(train, 10, 0.4, 2, 1.001)

    assert found.tolist() == [[-1, -1], [-1, -1], [0, -1], [1, -1], [-1, -1]]


def published_set(likeness):
    """What the public code of In-UCDS gives user 0 of (n, n) common items, as it is there; weights of the others."""
    affinity = likeness.astype(np.float64) / likeness.max()
    affinity[np.arange(1, len(affinity)), np.arange(1, len(affinity))] -= 1.1 * 1e-3
    x = np.full(len(affinity), 1e-6)
    x[0] = 1
    for _ in range(5):
        x = x * (affinity @ x)
        x /= np.linalg.norm(x)
    return x[1:]


def test_sets_as_released_are_those_of_the_public_code():
    drawn = np.random.default_rng(3).integers(0, 30, (9, 9)).astype(np.float32)
    likeness = np.triu(drawn, 1) + np.triu(drawn, 1).T
    between, own = likeness[2:, 2:], likeness[:2, 2:]
    own[1] *= 3  # the largest number is the second user's own

    found = released_sets(own, between)

    for row, given in enumerate(own):
        whole = np.block([[np.zeros((1, 1)), given[None]], [given[:, None], between]])
        assert found[row] == pytest.approx(published_set(whole), rel=1e-3, abs=1e-6)
    assert not released_sets(np.zeros((1, 3), np.float32), np.zeros((3, 3), np.float32)).any()


@pytest.mark.parametrize("pairs", ["batch", "all"])
def test_users_outside_the_batch_are_pulled_where_all_pairs_are_asked_for(pairs, an_experiment):
    config = a_pmf("in_ucds", an_experiment.dataset).objective.model_copy(update={"weight": 1.0, "pairs": pairs})
    pmf = a_pmf("bpr", an_experiment.dataset, initial_deviation=1.0)
    model = Pmf(len(an_experiment.dataset.users), len(an_experiment.dataset.items), pmf, 1)
    objective = InUcds(an_experiment, config, CPU)
    stage = TableStage(model, pmf, an_experiment, lambda: 0.0, objective)
    before, near = model.users.detach().clone(), objective._neighbours
    pulled = near[:, 0] >= 0
    one = pulled.nonzero()[:1, 0]

    stage.step(one, torch.tensor([0]), torch.tensor([1]), torch.Generator())
    stage._tables.settle()

    moved = (model.users.detach() != before).any(1)
    assert moved[one].all()
    assert not moved[~pulled].any()
    assert moved.sum() == (pulled.sum() if pairs == "all" else 1)


@pytest.mark.parametrize("mode", ["strict", "reproduce"])
def test_sets_as_released_look_at_held_out_positives_in_reproduce_alone(mode, an_experiment, monkeypatch):
    asked = []
    experiment = replace(an_experiment, mode=mode)
    monkeypatch.setattr(
        "training.base.objective.ucds.neighbours",
        lambda positives, *_: asked.append(positives) or np.zeros((200, 3), np.int64),
    )
    for sets in ("released", "paper"):
        config = a_pmf("in_ucds", experiment.dataset).objective.model_copy(update={"sets": sets})
        InUcds(experiment, config, CPU)

    looked_at, paper = (len(indices) for _, indices in asked)
    assert paper == len(experiment.train[1])
    assert looked_at == len((experiment.positives if mode == "reproduce" else experiment.train)[1])


@pytest.fixture
def an_experiment(small_data):
    return Experiment(small_data, hold_out(small_data), split_users(small_data.users, "s"), "strict", 5)


def genres_of(data, count=2):
    """Some genres that items have."""
    return sorted({name for each in data.groups for name in each})[:count]


def fields_of(kind, data):
    if kind == "in_ucds as released":
        return {"kind": "in_ucds", "sets": "released", "pairs": "all"}
    fields = {"kind": kind}
    if kind in ("itfr", "group_dro", "stream_dro", "multifr"):
        fields["users"] = ["gender"]
    return fields if kind in ("bpr", "in_ucds") else fields | {"items": genres_of(data)}


def a_pmf(kind, data, **changed):
    schedule = {"epochs": 3, "checkpoint_s": 0}
    fields = {"dimensions": 8, "learning_rate": 1e-2, "batch": 256, "schedule": schedule}
    return PmfConfig.model_validate(fields | {"objective": fields_of(kind, data)} | changed)


class TestGroups:
    """What is in which intersection."""

    def test_a_user_without_a_label_and_an_item_of_two_groups_are_in_none(self, an_experiment):
        data = an_experiment.dataset
        names = genres_of(data)

        found = intersections(an_experiment, ["gender"], names, CPU)

        both = np.array([set(names) <= set(each) for each in data.groups])
        neither = np.array([not set(names) & set(each) for each in data.groups])
        assert both.any()
        assert ((found.of_items.numpy() < 0) == (both | neither)).all()
        assert ((found.of_users.numpy() >= 0) == (an_experiment.user_split == TRAIN)).all()
        outside = torch.from_numpy(np.flatnonzero(an_experiment.user_split == AUDIT))[:1]
        assert found.of(outside, torch.tensor([int(np.flatnonzero(~both & ~neither)[0])])).item() == len(found)

    def test_classes_of_several_attributes_are_crossed_in_order(self, an_experiment):
        found = intersections(an_experiment, ["gender", "age"], [], CPU)

        genders, ages = (a.classes for a in an_experiment.dataset.attributes[:2])
        assert found.names == [f"{gender} × {age}" for gender in genders for age in ages]
        labels = an_experiment.dataset.labels
        known = found.of_users.numpy() >= 0
        assert (found.of_users.numpy()[known] == (labels[:, 0] * len(ages) + labels[:, 1])[known]).all()

    @pytest.mark.parametrize(
        ("changed", "said"),
        [
            ({"users": ["sex"]}, r"base\.objective\.users: 'sex' is no attribute of the data; allowed: gender, age"),
            ({"items": ["Western", "Noir"]}, r"base\.objective\.items: '(Western|Noir)' is no item group of the data"),
        ],
    )
    def test_groups_that_the_data_lacks_are_refused_before_training(self, a_run, small_data, changed, said):
        objective = fields_of("itfr", small_data) | changed

        with pytest.raises(ConfigError, match=said):
            experiment_of(a_run(base={"model": "pmf", "objective": objective}), small_data)

    def test_a_group_without_a_training_positive_is_refused_by_name(self, an_experiment):
        labels = an_experiment.dataset.labels.copy()
        labels[an_experiment.user_split == TRAIN, 0] = 0
        only_f = replace(an_experiment, dataset=replace(an_experiment.dataset, labels=labels))

        with pytest.raises(ConfigError, match=r"no positive of train users is: 'M × "):
            intersections(only_f, ["gender"], genres_of(only_f.dataset), CPU)

    @pytest.mark.parametrize(
        ("fields", "said"),
        [
            ({"kind": "itfr", "users": []}, "at least 1"),
            ({"kind": "itfr", "users": ["gender"], "temperature": 0}, "greater than 0"),
            ({"kind": "dpr", "items": ["Drama"]}, "at least 2"),
            ({"kind": "dpr", "items": ["Drama", "Drama"]}, "stands twice"),
            ({"kind": "bpr", "users": ["gender"]}, "Extra inputs"),
        ],
    )
    def test_a_value_that_is_not_allowed_is_refused(self, fields, said):
        with pytest.raises(ValidationError, match=said):
            TypeAdapter(ObjectiveConfig).validate_python(fields)


@pytest.mark.parametrize("kind", KINDS)
def test_an_objective_goes_the_same_way_twice_and_from_a_checkpoint(kind, an_experiment, tmp_path, broken_off):
    config = a_pmf(kind, an_experiment.dataset)
    whole = train_base(an_experiment, config, tmp_path / "a.safetensors", CPU)
    again = train_base(an_experiment, config, tmp_path / "b.safetensors", CPU)
    short = config.model_copy(update={"schedule": config.schedule.model_copy(update={"epochs": 2})})
    train_base(an_experiment, short, tmp_path / "c.safetensors", CPU)
    broken_off(tmp_path / "c.safetensors")

    resumed = train_base(an_experiment, config, tmp_path / "c.safetensors", CPU)

    for other in (again, resumed):
        assert np.array_equal(whole.users, other.users)
        assert np.array_equal(whole.items, other.items)
    assert np.isfinite(whole.users).all()


@pytest.mark.parametrize("kind", KINDS)
def test_what_an_objective_remembers_comes_back(kind, an_experiment):
    config = a_pmf(kind, an_experiment.dataset)
    objective, other = (objective_of(an_experiment, config.objective, 8, CPU) for _ in range(2))
    model = Pmf(len(an_experiment.dataset.users), len(an_experiment.dataset.items), config, 1)
    stage = TableStage(model, config, an_experiment, lambda: 0.0, objective)
    stage.epoch(torch.Generator().manual_seed(1))
    state = copy.deepcopy(objective.state_dict()["state"])

    other.load_state_dict({"state": state, "param_groups": []})

    again = other.state_dict()["state"]
    assert state.keys() == again.keys()
    for place, slots in state.items():
        assert all(torch.equal(value, again[place][name]) for name, value in slots.items())


def test_labels_outside_the_train_users_change_nothing_in_strict(an_experiment, tmp_path):
    labels = an_experiment.dataset.labels.copy()
    outside = an_experiment.user_split != TRAIN
    labels[outside] = 1 - np.minimum(labels[outside], 1)
    other = replace(an_experiment, dataset=replace(an_experiment.dataset, labels=labels))
    config = a_pmf("itfr", an_experiment.dataset)

    one = train_base(an_experiment, config, tmp_path / "one.safetensors", CPU)
    two = train_base(other, config, tmp_path / "two.safetensors", CPU)

    assert np.array_equal(one.users, two.users)


def test_negatives_of_fairneg_are_untouched_items_and_fewer_of_a_group_that_loses(an_experiment):
    config = a_pmf("fairneg", an_experiment.dataset).objective.model_copy(update={"hard": 0.0})
    objective = objective_of(an_experiment, config, 8, CPU)
    sampler = NegativeSampler(*an_experiment.train, len(an_experiment.dataset.items), CPU)
    users, of_items = torch.arange(200).repeat(20), objective._of_items
    before = torch.bincount(of_items[objective.negatives(sampler, users, None, torch.Generator())], minlength=3)

    objective._sums, objective._rows = torch.tensor([5.0, 1.0, 3.0]), torch.ones(3)  # the first group ranks low
    objective.epoch_ends()
    drawn = objective.negatives(sampler, users, None, torch.Generator())

    assert not sampler.touched(users, drawn).any()
    after = torch.bincount(of_items[drawn], minlength=3)
    assert after[0] < 0.6 * before[0]
    assert after[1] > before[1]


def test_bpr_with_a_temperature_is_the_mean_over_rows_of_cosines_and_gives_unit_vectors():
    batch = a_batch(*EVERY_GROUP)
    config = TypeAdapter(ObjectiveConfig).validate_python({"kind": "bpr", "temperature": 0.5})
    objective = objective_of(None, config, D, CPU)

    loss = objective.loss(batch)

    rows = (batch.own, batch.liked, batch.other)
    assert loss.item() == pytest.approx(cosine_loss(batch.tables["users"], batch.tables["items"], rows, 0.5).item())
    assert objective.unit_length


def test_bpr_is_the_models_own_loss():
    model = Pmf(USERS, ITEMS, PmfConfig(dimensions=D, initial_deviation=1.0), 1)
    batch = replace(a_batch(*EVERY_GROUP), model=model)
    liked, other = batch.scores()

    assert Bpr().loss(batch).item() == pytest.approx(softplus(other - liked).mean().item())


def test_a_cosine_base_is_exported_as_one_and_a_lattice_may_follow_it(a_run, small_data, out, cpu):
    base = a_pmf("itfr", small_data).model_dump()
    bundle = read_bundle(run(a_run(base=base, fair={"method": "lattice"}), None, out, cpu))

    assert bundle.description.scorer == "cosine"
    assert np.allclose(np.linalg.norm(bundle.items.vectors, axis=1), 1, atol=1e-5)
    assert ["gender"] in [row["sensitive"] for row in bundle.card["accuracy"]["by_mask"]]
    assert np.allclose(np.linalg.norm(bundle.audit.base, axis=1), 1, atol=1e-5)


def test_what_a_base_was_trained_for_is_in_its_card_whatever_the_profile(a_run, small_data, out, cpu, monkeypatch):
    asked = []
    monkeypatch.setattr("training.run.make_card", lambda *given: asked.append(given[4]) or {})
    kinds = ("itfr", "dpr", "bpr", "in_ucds", "in_ucds as released")
    for number, kind in enumerate(kinds):
        base = a_pmf(kind, small_data).model_dump()
        run(a_run(base=base, fair={"method": "lattice"}, name=f"card{number}"), None, out, cpu)

    assert asked == [("utility",), (), (), ("activity",), ("activity",)]


@pytest.mark.parametrize("sets", ["paper", "released"])
def test_a_card_of_in_ucds_has_the_user_oriented_gap(sets, a_run, out, cpu, monkeypatch):
    """2,400 users: the most active of the audit users are more than thirty."""
    few = {"attackers": ("logistic",), "folds": 2}
    monkeypatch.setattr(
        "training.run.make_card", lambda b, profile, *given: make_card(b, replace(profile, **few), *given)
    )
    data = {"reader": "generated", "users": 2400, "items": 80, "interactions_per_user": 10, "seed": 3}
    objective = {"kind": "in_ucds", "sets": sets, "pairs": "all"}
    base = {"model": "pmf", "dimensions": 4, "objective": objective, "schedule": {"epochs": 1}}

    bundle = read_bundle(
        run(a_run(data=data, base=base, fair={"method": "lattice"}, profile="protected"), None, out, cpu)
    )

    rows = {tuple(row["sensitive"]): row for row in bundle.card["fairness"]["activity"]}
    assert set(bundle.card["fairness"]) == {"protocol", "activity"}
    assert () in rows
    for row in rows.values():
        assert row["gap"]["value"] == pytest.approx(abs(row["active"]["ndcg@10"] - row["others"]["ndcg@10"]))
        assert row["active"]["n"] >= 30
