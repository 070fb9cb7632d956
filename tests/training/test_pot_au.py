"""PoT-AU: its distances against the plain formulas, what it moves, what it refuses, what it exports."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from bundle import read_bundle
from measure.auc import fold, macro_auc
from measure.split import AUDIT
from training.base.als import AlsConfig
from training.base.train import train_base
from training.data.split import hold_out, split_users
from training.errors import ConfigError
from training.experiment import Experiment
from training.fair.pot_au import distances
from training.fair.pot_au.config import PotAuConfig
from training.fair.pot_au.distances import batches, between_classes, discrepancy, spread
from training.fair.pot_au.order import OrderKept, deviation
from training.fair.pot_au.train import train_pot_au
from training.run import run

NAMES = ("gender", "age", "occupation")
CPU = torch.device("cpu")
ALS = {"model": "als", "dimensions": 8, "iterations": 3, "regularization": 1}
STEPS = {"epochs": 25, "validate_every": 25}
POT_AU = {"method": "pot_au", "learning_rate": 0.03, "schedule": STEPS}


def rng(seed=0):
    return torch.Generator().manual_seed(seed)


def some_users(counts, d=5, seed=3):
    """Vectors of each class, each around a place of its own."""
    return [
        torch.randn(n, d, generator=rng(seed + place), dtype=torch.float64) + place for place, n in enumerate(counts)
    ]


@pytest.mark.parametrize("counts", [(7, 4), (6, 1, 3)])
def test_the_closed_form_is_the_trace_of_the_dense_laplacian(counts):
    x = torch.cat(some_users(counts)).requires_grad_()
    labels = torch.repeat_interleave(torch.arange(len(counts)), torch.tensor(counts))
    adjacent = (labels[:, None] != labels).double()
    laplacian = torch.diag(adjacent.sum(1)) - adjacent

    found = between_classes(x, labels, torch.tensor(counts, dtype=torch.float64))

    edges = adjacent.sum() / 2
    expected = torch.trace(x.T @ laplacian @ x) / (edges * x.shape[1])
    assert torch.allclose(found, expected)
    for ours, dense in zip(torch.autograd.grad(found, x), torch.autograd.grad(expected, x), strict=True):
        assert torch.allclose(ours, dense)


def plain_mmd(x, y):
    """The biased MMD² with five kernels as the reference has it, one kernel after the other over all pairs."""
    both = torch.cat([x, y])
    squared = torch.cdist(both, both).square()
    n = len(both)
    first = squared.sum() / (n * n - n) / 2**2
    kernels = sum(torch.exp(-squared / (first * 2**place)) for place in range(5))
    a, b = slice(0, len(x)), slice(len(x), None)
    return kernels[a, a].mean() + kernels[b, b].mean() - 2 * kernels[a, b].mean()


@pytest.mark.parametrize("counts", [(9, 5), (6, 1, 4)])
def test_with_everybody_in_a_batch_the_discrepancy_is_the_plain_formula(counts):
    classes = some_users(counts)
    widths = [spread(torch.cat([classes[0], each])) for each in classes[1:]]

    found = discrepancy(classes, counts, widths)

    assert torch.allclose(found, sum(plain_mmd(each, classes[0]) for each in classes[1:]))


def test_over_many_batches_the_discrepancy_is_on_average_the_plain_formula(monkeypatch):
    monkeypatch.setattr(distances, "FEWEST", 2)
    counts = (40, 12)
    classes = some_users(counts)
    x, members = torch.cat(classes), (torch.arange(40), torch.arange(40, 52))
    widths = [spread(x)]
    draws, orders = [], rng(8)

    for _ in range(400):
        drawn = batches(members, 13, orders)
        draws += [float(discrepancy([x[rows] for rows in each], counts, widths)) for each in drawn]

    exact = float(plain_mmd(classes[1], classes[0]))
    error = np.std(draws) / len(draws) ** 0.5
    assert abs(np.mean(draws) - exact) < 4 * error
    assert error < 0.02 * exact


def test_a_pass_has_everybody_and_no_batch_has_anybody_twice():
    members = (torch.arange(300), torch.arange(300, 340), torch.arange(340, 350))

    drawn = list(batches(members, 100, rng()))

    assert len(drawn) == 4
    for place, everyone in enumerate(members):
        assert all(len(set(batch[place].tolist())) == len(batch[place]) for batch in drawn)
        assert {row for batch in drawn for row in batch[place].tolist()} == set(everyone.tolist())
    assert [len(rows) for rows in drawn[0]] == [75, 32, 10]


@pytest.fixture(scope="module")
def an_experiment(small_data):
    return Experiment(small_data, hold_out(small_data), split_users(small_data.users, "evenhand"), "reproduce", 5)


@pytest.fixture(scope="module")
def a_base(an_experiment, tmp_path_factory):
    path = tmp_path_factory.mktemp("base") / "base.safetensors"
    return train_base(an_experiment, AlsConfig.model_validate(ALS), path, CPU)


def trained(experiment, base, path, **changes):
    return train_pot_au(experiment, base, PotAuConfig.model_validate(POT_AU | changes), path, CPU)


def test_the_order_costs_what_the_hinge_says(an_experiment, a_base):
    kept = OrderKept(an_experiment, a_base, 4, 0.05)
    users = torch.tensor([3, 11])
    u = torch.randn(2, 8, generator=rng(), dtype=torch.float32)
    indptr, indices = an_experiment.train
    seen = [set(indices[indptr[user] : indptr[user + 1]].tolist()) for user in users]

    found = kept(u, users)

    by_hand = []
    for row, user in enumerate(users.tolist()):
        order = np.argsort(-(a_base.items @ a_base.users[user]), kind="stable")
        best = [item for item in order.tolist() if item not in seen[row]][:4]
        scores = a_base.items[best] @ u[row].numpy() / deviation(a_base)
        by_hand.append(sum(max(0.0, scores[n + 1] - scores[n] + 0.05) for n in range(3)))
    assert found.item() == pytest.approx(np.mean(by_hand), rel=1e-4)


def score_auc(experiment, vectors, name="gender"):
    """How well the direction between the means of two classes tells them apart, in either direction."""
    labels = experiment.labels_of(name)
    along = vectors @ (vectors[labels == 1].mean(0) - vectors[labels == 0].mean(0))
    return fold(macro_auc(along[:, None], labels))


@pytest.mark.parametrize("distance", ["d2d", "u2u"])
def test_classes_come_closer_and_items_stay(an_experiment, a_base, tmp_path, distance):
    items = a_base.items.copy()

    fair = trained(an_experiment, a_base, tmp_path, distance=distance, protect=["gender"], order_weight=0)

    vectors, labels = fair.vectors[:, 0], an_experiment.labels_of("gender")
    apart = [np.linalg.norm(x[labels == 1].mean(0) - x[labels == 0].mean(0)) for x in (a_base.users, vectors)]
    assert apart[1] < 0.5 * apart[0]
    assert fair.base is a_base
    assert np.array_equal(a_base.items, items)


def test_what_keeps_vectors_keeps_them(an_experiment, a_base, tmp_path):
    def moved(name, **changes):
        return np.linalg.norm(trained(an_experiment, a_base, tmp_path / name, **changes).vectors[:, 0] - a_base.users)

    free = moved("free", order_weight=0)

    assert moved("order", order_weight=10) < free
    assert moved("original", order_weight=0, original_weight=10) < 0.8 * free
    assert moved("nothing", order_weight=0, schedule={"epochs": 0}) < 1e-4


def test_a_vector_and_its_original_together_name_the_label(an_experiment, a_base, tmp_path):
    fair = trained(an_experiment, a_base, tmp_path, protect=["gender"], order_weight=0)

    together = score_auc(an_experiment, fair.vectors[:, 0] - a_base.users)

    assert score_auc(an_experiment, a_base.users) < 0.9
    assert together > 0.95


def test_the_one_mask_is_in_every_answer(an_experiment, a_base, tmp_path):
    short = {"schedule": {"epochs": 2, "validate_every": 1}}
    fair = trained(an_experiment, a_base, tmp_path / "a", protect=["occupation", "gender"], **short)

    assert fair.always_protected == ["gender", "occupation"]
    assert (fair.supported_masks.kind, fair.supported_masks.masks) == ("fixed", [["gender", "occupation"]])
    assert fair.encoder.masks.tolist() == [[True, False, True]]
    assert trained(an_experiment, a_base, tmp_path / "b", **short).always_protected == list(NAMES)


def test_labels_of_an_attribute_that_is_not_protected_play_no_part(an_experiment, a_base, tmp_path):
    dataset = an_experiment.dataset
    labels = dataset.labels.copy()
    labels[:, 1] = -1
    other = replace(an_experiment, dataset=replace(dataset, labels=labels))

    vectors = [
        trained(experiment, a_base, tmp_path / name, protect=["gender"]).vectors
        for name, experiment in (("a", an_experiment), ("b", other))
    ]

    assert np.array_equal(*vectors)


def test_what_would_protect_somebody_less_is_refused_by_name(an_experiment, a_base, tmp_path):
    with pytest.raises(ConfigError, match=r"fair\.method.*strict"):
        trained(replace(an_experiment, mode="strict"), a_base, tmp_path)
    with pytest.raises(ConfigError, match=r"new_users.*serves no new user"):
        trained(replace(an_experiment, new_users=0.05), a_base, tmp_path)
    with pytest.raises(ConfigError, match=r"fair\.protect: 'gende' is no attribute"):
        trained(an_experiment, a_base, tmp_path, protect=["gende"])
    labels = an_experiment.dataset.labels.copy()
    labels[np.flatnonzero(an_experiment.user_split == AUDIT)[:3], 0] = -1
    without = replace(an_experiment, dataset=replace(an_experiment.dataset, labels=labels))
    with pytest.raises(ConfigError, match="3 of 200 have none of 'gender'"):
        trained(without, a_base, tmp_path)


def test_a_run_that_was_broken_off_ends_where_an_unbroken_one_does(an_experiment, a_base, tmp_path, broken_off):
    def to(epochs):
        return {"schedule": {"epochs": epochs, "validate_every": 1, "checkpoint_s": 0}, "batch": 64}

    whole = trained(an_experiment, a_base, tmp_path / "whole", **to(6))
    trained(an_experiment, a_base, tmp_path / "broken", **to(3))
    broken_off(tmp_path / "broken" / "fair.safetensors")
    resumed = trained(an_experiment, a_base, tmp_path / "broken", **to(6))

    assert np.array_equal(resumed.vectors, whole.vectors)


def test_a_run_writes_a_bundle_of_finished_vectors(a_run, out):
    config = a_run(mode="reproduce", base=ALS, fair=POT_AU | {"protect": ["gender"]})

    bundle = read_bundle(run(config, None, out, CPU))

    assert (bundle.description.user_layout, bundle.description.encoder.kind) == ("fair", "table")
    assert bundle.description.always_protected == ["gender"]
    assert [row["sensitive"] for row in bundle.card["accuracy"]["by_mask"]] == [["gender"]]
