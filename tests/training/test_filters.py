"""AL, CAL, FairGo and FMMRec: what is filtered, who learns from what, and what a bundle of theirs supports."""

from __future__ import annotations

from dataclasses import replace
from itertools import pairwise

import numpy as np
import pytest
import torch
from pydantic import ValidationError

from bundle import NoHistory, build_encoder
from measure.leakage import Users, leakage
from measure.profiles import Profile
from measure.split import AUDIT, TRAIN
from training.base.contract import Base, Contexts
from training.base.train import train_base
from training.config import RunConfig
from training.data.load import load
from training.demands import experiment_of
from training.errors import TrainingError
from training.fair.filters.config import AlConfig, CalConfig, FmmrecConfig
from training.fair.filters.discriminators import initialise
from training.fair.filters.modal import ModalMeans, learn_means
from training.fair.filters.neighbourhoods import history_among, moved
from training.fair.filters.towers import BothTowers, SharedFilters
from training.fair.filters.train import user_filters
from training.fair.train import train_fair

CPU = torch.device("cpu")
D, NAMES = 4, ("gender", "age", "occupation")
LOOK = Profile("look", ("logistic",), 3, 1, 1, 20, 20, fit_rows=600, verdict=False)
DATA = {
    "reader": "generated",
    "users": 500,
    "items": 80,
    "interactions_per_user": 25,
    "seed": 3,
    "modalities": {"looks": {}},
    "attributes": {"gender": {"classes": ["F", "M"], "strength": 0.8}, "age": {"classes": ["young", "old"]}},
}
METHODS = {
    "al": {"protect": ["gender"]},
    "cal": {},
    "fairgo": {},
    "fmmrec": {"modal_epochs": 20, "protect": ["gender"]},
}


def configuration(method="cal", data=(), base=None, **fields):
    fair = {"method": method, "batch": 100, "pairs": 8, "adversary_steps": 2}
    fair["schedule"] = {"epochs": 4, "validate_every": 4}
    settings = {key: fields.pop(key) for key in ("mode", "new_users") if key in fields}
    base = base or {"model": "als", "dimensions": 16, "iterations": 5, "regularization": 1}
    run = {"name": "filters", "threads": 1, "seed": 5, "data": DATA | dict(data), "base": base}
    return RunConfig.model_validate(run | settings | {"fair": fair | METHODS[method] | fields})


@pytest.fixture(scope="module")
def experiment():
    config = configuration()
    return experiment_of(config, load(config.data, None))


@pytest.fixture(scope="module")
def base(experiment, tmp_path_factory):
    return train_base(experiment, configuration().base, tmp_path_factory.mktemp("base") / "base.safetensors", CPU)


@pytest.fixture(scope="module")
def train(experiment, base, tmp_path_factory):
    def fitted(method, of=experiment, work=None, **fields):
        work = work or tmp_path_factory.mktemp("fair")
        return train_fair(of, base, configuration(method, **fields).fair, work, CPU)

    return fitted


def encoder_of(config, names=NAMES):
    network, parts = user_filters(config, names, D)
    encoder = build_encoder(network, D, names, parts)
    initialise(encoder, torch.Generator().manual_seed(1))
    return encoder


def test_cal_averages_the_filters_of_what_is_protected_and_leaves_the_rest_alone():
    encoder, u = encoder_of(CalConfig(hidden=5)), torch.randn(6, D, generator=torch.Generator().manual_seed(2))
    parts = encoder.split(u)
    gender, age, _ = (each(u) for each in encoder.filters)

    def fair(*mask):
        return encoder.combine(parts, torch.tensor([name in mask for name in NAMES]).expand(6, -1))

    torch.testing.assert_close(fair(), u)
    torch.testing.assert_close(fair("age"), age)
    torch.testing.assert_close(fair("gender", "age"), (gender + age) / 2)


def test_al_has_one_filter_for_one_mask(train):
    encoder = encoder_of(AlConfig(protect=("age", "gender")))

    fair = train("al")

    assert len(encoder.filters) == 1
    assert (fair.supported_masks.kind, fair.supported_masks.masks) == ("list", [[], ["gender"]])
    assert fair.before is None


def test_items_are_filtered_as_users_are_but_for_their_role():
    items = np.random.default_rng(1).normal(size=(7, D)).astype(np.float32)
    positives = np.array([0, 2, 2, 5]), np.array([1, 6, 0, 1, 2], np.int32)
    filters = SharedFilters(NAMES, 2, D, 5, roles=3)
    filters.begin(torch.Generator().manual_seed(1))
    contexts = Contexts(items[:3], np.arange(3), *positives)
    towers = BothTowers(filters, Base("als", items[:3], items[:3], items, contexts, NoHistory()), positives, CPU)

    found = towers.items()

    x = torch.from_numpy(items)
    one, other = (each(torch.cat([x, filters.roles[1].expand(7, -1)], 1)) for each in filters.filters)
    torch.testing.assert_close(found, (one + other) / 2)
    assert not torch.allclose(found, filters.filtered(x, items=False))
    means = towers.of_items(torch.tensor([2, 0, 1]))
    torch.testing.assert_close(means, torch.stack([found[[0, 1, 2]].mean(0), found[[1, 6]].mean(0), torch.zeros(D)]))


@pytest.mark.parametrize("method", ["fairgo", "fmmrec"])
def test_filtered_items_are_one_table_for_one_mask_and_the_given_ones_are_kept_for_audits(train, base, method):
    fair = train(method)

    mask = ["gender"] if method == "fmmrec" else ["gender", "age"]
    assert (fair.supported_masks.kind, fair.supported_masks.masks) == ("fixed", [mask])
    assert fair.vectors.shape == (len(base.users), 1, 16)
    assert fair.base.items.shape == base.items.shape
    assert not np.allclose(fair.base.items, base.items)
    assert fair.before is base
    assert fair.base.history.readable is (method == "fmmrec")
    assert set(fair.modal) == ({"looks:filtered"} if method == "fmmrec" else set())


@pytest.mark.parametrize("method", METHODS)
def test_labels_of_select_and_audit_users_teach_nothing(train, experiment, method):
    known = experiment.dataset.labels
    shuffled = np.where((experiment.user_split == TRAIN)[:, None], known, 1 - known).astype(np.int16)
    other = replace(experiment, dataset=replace(experiment.dataset, labels=shuffled))

    one, two = (train(method, of) for of in (experiment, other))

    assert all(torch.equal(a, b) for a, b in zip(one.encoder.parameters(), two.encoder.parameters(), strict=True))
    assert (one.base.items == two.base.items).all()
    assert one.vectors is None or (one.vectors == two.vectors).all()


def auc(experiment, vectors, name="gender"):
    split = experiment.user_split
    users = Users(np.flatnonzero(split == AUDIT), np.flatnonzero(split == TRAIN))
    return leakage(vectors, experiment.labels_of(name), users, LOOK, attribute=name, target="fair").auc


@pytest.mark.parametrize(("method", "price"), [("al", 10.0), ("cal", 10.0), ("fairgo", 3.0), ("fmmrec", 3.0)])
def test_a_price_on_leakage_lowers_it(train, experiment, base, method, price):
    def shown(price):
        more = {} if method in ("al", "cal") else {"item_weight": price}
        schedule = {"epochs": 40, "validate_every": 40}
        steps = {"adversary_steps": 5, "learning_rate": 5e-3, "schedule": schedule, "pairs": 4}
        fair = train(method, user_weight=price, **more, **steps)
        if fair.vectors is not None:
            return auc(experiment, fair.vectors[:, 0])
        mask = torch.tensor([True, False]).expand(len(base.users), -1)
        with torch.no_grad():
            return auc(experiment, fair.encoder.combine(fair.encoder.split(torch.from_numpy(base.users)), mask).numpy())

    assert shown(price) < shown(0.0) - 0.05


def test_filtered_means_show_less_than_biased_ones(experiment):
    config = FmmrecConfig(modal_weight=1.0, modal_epochs=150, learning_rate=5e-3)

    means = learn_means(experiment, ("gender",), config, CPU)["looks"]

    assert auc(experiment, means.filtered) < auc(experiment, means.biased) - 0.01


def means_by_hand(rng, users=5):
    items = np.ones(4, np.bool_)
    filtered, biased = (rng.normal(size=(users, 3)).astype(np.float32) for _ in range(2))
    return ModalMeans(items, filtered, biased, rng.normal(size=(4, 3)).astype(np.float32), np.zeros(3, np.float32))


def test_users_move_from_biased_neighbours_to_filtered_ones():
    rng = np.random.default_rng(1)
    users = rng.normal(size=(5, D)).astype(np.float32)
    means = {name: means_by_hand(rng) for name in ("plot", "sound")}
    contexts = Contexts(users, np.arange(5), np.arange(6), np.zeros(5, np.int32))

    base = Base("als", users, users, users, contexts, NoHistory())
    found = moved(base, np.ones(5, np.bool_), means, FmmrecConfig(neighbours=2, shift=0.3), CPU)

    def near(x):
        unit = x / np.linalg.norm(x, axis=1, keepdims=True)
        cosines = unit @ unit.T
        kept = np.where(cosines >= np.sort(cosines, 1)[:, [-2]], np.maximum(cosines, 0), 0)
        scale = 1 / np.sqrt(kept.sum(1))
        return scale[:, None] * kept * scale

    apart = sum((near(each.filtered) - near(each.biased)) @ users for each in means.values()) / 2
    np.testing.assert_allclose(found.users, users + 0.3 * apart, rtol=1e-4, atol=1e-5)
    np.testing.assert_array_equal(found.contexts.vectors, found.users)


def test_users_who_are_not_known_stay_and_are_nobodys_neighbours():
    rng = np.random.default_rng(1)
    users = rng.normal(size=(6, D)).astype(np.float32)
    known, means = np.arange(6) != 2, means_by_hand(rng, 6)
    contexts = Contexts(users, np.arange(6), np.arange(7), np.zeros(6, np.int32))
    base, config = Base("als", users, users, users, contexts, NoHistory()), FmmrecConfig(neighbours=2, shift=0.3)
    without = replace(means, filtered=means.filtered[known], biased=means.biased[known])
    fewer = Contexts(users[known], np.arange(5), np.arange(6), np.zeros(5, np.int32))

    found = moved(base, known, {"plot": means}, config, CPU).users

    alone = Base("als", users[known], users[known], users, fewer, NoHistory())
    np.testing.assert_array_equal(found[2], users[2])
    np.testing.assert_array_equal(
        found[known], moved(alone, np.ones(5, np.bool_), {"plot": without}, config, CPU).users
    )


def test_the_items_of_a_history_have_the_filtered_mean_that_training_knew(experiment):
    config = FmmrecConfig(modal_epochs=3)
    means = learn_means(experiment, ("gender",), config, CPU)
    vectors = np.random.default_rng(2).normal(size=(len(experiment.dataset.users), D)).astype(np.float32)
    nearest_alone = config.model_copy(update={"neighbours": 1})

    history = history_among(vectors, np.ones(len(vectors), np.bool_), means, nearest_alone)

    indptr, indices = experiment.train
    known = [indices[start:end] for start, end in pairwise(indptr)]
    found = history.user_vectors(known, np.zeros((80, D), np.float32))
    np.testing.assert_allclose(found, vectors, rtol=1e-6)  # each is the nearest of its own


@pytest.fixture(scope="module")
def with_new_users(tmp_path_factory):
    config = configuration("fmmrec", new_users=0.1)
    experiment = experiment_of(config, load(config.data, None))
    work = tmp_path_factory.mktemp("new")
    base = train_base(experiment, config.base, work / "base.safetensors", CPU)
    return experiment, base, train_fair(experiment, base, config.fair, work, CPU)


def test_fmmrec_gives_new_users_the_vector_that_serving_gives_to_their_history(with_new_users):
    experiment, base, fair = with_new_users
    new = np.flatnonzero(experiment.folded_in)

    histories = [experiment.held_out.history(user) for user in new]
    found = fair.base.history.user_vectors(histories, fair.base.items)

    np.testing.assert_array_equal(fair.vectors[new, 0], found)
    assert len(np.unique(found, axis=0)) > 0.9 * len(new)
    np.testing.assert_array_equal(fair.base.users, base.users)


def test_fmmrec_compares_new_users_with_so_many_others_as_are_asked_for(base, experiment, tmp_path):
    config = configuration("fmmrec", graph_users=100, neighbours=150)

    sizes = train_fair(experiment, base, config.fair, tmp_path, CPU).base.history.network.sizes

    assert (sizes["users"], sizes["neighbours"]) == ([100], [100])


@pytest.mark.parametrize("method", ["cal", "fmmrec"])
def test_a_run_that_was_broken_off_ends_as_one_that_was_not(train, tmp_path, broken_off, method):
    def fitted(epochs, name):
        (tmp_path / name).mkdir(exist_ok=True)
        schedule = {"epochs": epochs, "validate_every": 2, "checkpoint_s": 0}
        return train(method, work=tmp_path / name, schedule=schedule)

    whole = fitted(4, "whole")
    fitted(2, "parts")
    broken_off(tmp_path / "parts" / "fair.safetensors")
    again = fitted(4, "parts")

    assert all(torch.equal(a, b) for a, b in zip(whole.encoder.parameters(), again.encoder.parameters(), strict=True))
    assert (whole.base.items == again.base.items).all()


@pytest.mark.parametrize(
    ("method", "fields", "why"),
    [
        ("fairgo", {"new_users": 0.1}, "new_users: 0.1 is for methods that serve new users; fairgo changes the items"),
        ("fmmrec", {"data": {"modalities": {}}}, "fair.method: 'fmmrec' needs item features"),
        (
            "fmmrec",
            {"data": {"featureless": 0.95}},
            "items with modality 'looks' and a training positive: .*needed: 10 or more",
        ),
        ("al", {"protect": ["income"]}, "fair.protect: 'income' is no attribute; allowed: gender, age"),
        ("fairgo", {"base": {"model": "deep"}}, "changes item vectors, which base 'deep' only proposes candidates by"),
    ],
)
def test_what_cannot_be_done_is_refused_before_training(method, fields, why):
    config = configuration(method, **fields)

    with pytest.raises(TrainingError, match=why):
        experiment_of(config, load(config.data, None))


@pytest.mark.parametrize("field", [{"graph_users": 99}, {"neighbours": 1}])
def test_a_graph_in_which_one_user_stands_for_everybody_is_refused(field):
    with pytest.raises(ValidationError, match=next(iter(field))):
        configuration("fmmrec", **field)


@pytest.mark.parametrize("factor", [1e-30, 1e14])
def test_the_unit_of_a_modality_changes_nothing(experiment, factor):
    config = FmmrecConfig(modal_epochs=3)
    (looks,) = experiment.dataset.modalities
    other = replace(looks, values=looks.values * np.float32(factor))
    scaled = replace(experiment, dataset=replace(experiment.dataset, modalities=(other,)))

    here, there = (learn_means(each, ("gender",), config, CPU)["looks"] for each in (experiment, scaled))

    np.testing.assert_allclose(here.filtered, there.filtered, rtol=1e-3, atol=1e-4)
    np.testing.assert_allclose(here.items[here.present], there.items[here.present], rtol=1e-3, atol=1e-3)
