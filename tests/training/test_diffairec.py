"""DifFaiRec: groups by hand, lists that follow the condition and the user, and who is refused."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch
from scipy.sparse import csr_matrix

from measure.ranking import top_items
from measure.scoring import Scorer
from training.base.autoencoder.config import DiffrecConfig
from training.base.autoencoder.train import train_autoencoder
from training.config import RunConfig
from training.data.split import hold_out, split_users
from training.errors import ConfigError
from training.experiment import Experiment
from training.fair.diffairec.config import DiffairecConfig
from training.fair.diffairec.groups import NEVER, posterior_of, tastes_of_others
from training.fair.diffairec.stage import DiffairecStage
from training.fair.diffairec.train import train_diffairec
from training.fair.train import refuse_unfit

CPU = torch.device("cpu")
SCHEDULE = {"epochs": 20, "validate_every": 20}
DENSE = np.array([[1, 1, 0, 0], [1, 0, 0, 0], [0, 1, 1, 1], [0, 0, 1, 1], [1, 1, 1, 1]], np.float64)
LABELS = np.array([0, 0, 1, 2, -1])


@pytest.fixture(scope="module")
def an_experiment(small_data):
    return Experiment(small_data, hold_out(small_data), split_users(small_data.users, "s"), "reproduce", 5)


@pytest.fixture(scope="module")
def base(an_experiment, tmp_path_factory):
    config = DiffrecConfig(
        dimensions=8, hidden=16, steps=3, batch=32, learning_rate=1e-2, item_biases=False, schedule=SCHEDULE
    )
    return train_autoencoder(an_experiment, config, tmp_path_factory.mktemp("base") / "base", CPU)


@pytest.fixture(scope="module")
def trained(an_experiment, base, tmp_path_factory):
    """The builder of trained models by condition, each trained once."""
    found = {}

    def build(condition):
        if condition not in found:
            config = a_config(condition=condition)
            found[condition] = train_diffairec(an_experiment, base, config, tmp_path_factory.mktemp("fair"), CPU)
        return found[condition]

    return build


def a_config(**changes):
    small = {"width": 16, "tokens": 4, "condition_hidden": 8, "batch": 32, "learning_rate": 1e-2, "schedule": SCHEDULE}
    return DiffairecConfig(attribute="gender", **(small | changes))


def in_root_mean_square(rows):
    apart = np.array(rows) - np.mean(rows, axis=0)
    return apart / np.sqrt((apart**2).mean(axis=1, keepdims=True))


def test_a_taste_is_the_mean_row_of_the_users_of_other_classes_less_what_all_have_in_common():
    found = tastes_of_others(csr_matrix(DENSE), LABELS, 3, "mean")

    means = [DENSE[[2, 3]].mean(0), DENSE[[0, 1, 3]].mean(0), DENSE[[0, 1, 2]].mean(0)]
    np.testing.assert_allclose(found, in_root_mean_square(means), rtol=1e-5)


def test_a_component_is_the_direction_in_which_they_differ_most():
    rng = np.random.default_rng(1)
    dense = (rng.random((40, 6)) < 0.5).astype(np.float64)
    dense[:, 1] = dense[:, 0]

    found = tastes_of_others(csr_matrix(dense), np.repeat([0, 1], 20), 2, "component")

    firsts = [np.linalg.eigh(np.cov(others.T))[1][:, -1] for others in (dense[20:], dense[:20])]
    expected = in_root_mean_square([first * np.sign((first**3).sum()) for first in firsts])
    np.testing.assert_allclose(found, expected, atol=1e-5)


@pytest.mark.parametrize("labels", [[0] * 20 + [1] * 20, [0] * 15 + [1] * 15 + [3] * 5 + [-1] * 5])
def test_logits_tell_classes_apart_and_give_one_that_nobody_has_no_chance(labels):
    labels = np.array(labels)
    dense = np.zeros((40, 6))
    dense[np.arange(40), labels] = 1
    dense[:, 5] = 1

    weights, bias = posterior_of(csr_matrix(dense), labels, 4)

    told = (dense @ weights / np.sqrt(dense.sum(1, keepdims=True)) + bias).argmax(1)
    assert (told[labels >= 0] == labels[labels >= 0]).all()
    assert bias[2] == NEVER


@pytest.mark.parametrize("condition", ["own", "posterior"])
def test_another_condition_moves_the_list_and_so_does_another_user(condition, trained, base, an_experiment, tmp_path):
    history = [an_experiment.held_out.history(row, with_validation=True) for row in range(len(base.users))]
    labels = an_experiment.labels_of("gender")
    fair = trained(condition)
    if condition == "posterior":
        denoiser = fair.base.history
        vectors = fair.base.users
        swapped = denoiser.vectors_under(history, 1 - denoiser.weights_of(history))
    else:
        vectors = fair.vectors[:, 0]
        swapped = swapped_conditions(base, an_experiment, labels, history, tmp_path)

    lists, moved = (top_items(each, Scorer(base.items), 10) for each in (vectors, swapped))

    changed = [len(set(one) ^ set(other)) for one, other in zip(lists.tolist(), moved.tolist(), strict=True)]
    assert np.mean(np.array(changed) > 0) > 0.5
    assert len({tuple(sorted(each)) for each in lists.tolist()}) > len(lists) / 2


def swapped_conditions(base, experiment, labels, history, folder):
    """(U, d) vectors of the same training as `own`'s, each user under the condition of the other class."""
    kept = []
    whole = DiffairecStage.__init__

    def keep(self, model, *rest):
        kept.append(model)
        whole(self, model, *rest)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(DiffairecStage, "__init__", keep)
        train_diffairec(experiment, base, a_config(condition="own"), folder, CPU)
    return kept[0].network.vectors_under(history, np.eye(2, dtype=np.float32)[1 - labels])


def test_own_labels_are_protected_in_every_answer_and_the_base_stays(trained, base):
    fair = trained("own")

    assert (fair.always_protected, fair.supported_masks.masks) == (["gender"], [["gender"]])
    assert fair.base is base
    assert fair.vectors.shape == (len(base.users), 1, 8)


def test_the_posterior_needs_no_label_of_whom_it_serves(trained, base, an_experiment):
    fair = trained("posterior")

    assert fair.always_protected == []
    assert (fair.supported_masks.kind, fair.supported_masks.masks) == ("fixed", [[]]), "it protects nothing"
    histories = [an_experiment.held_out.history(row, with_validation=True) for row in (0, 7)]
    np.testing.assert_allclose(
        fair.base.history.user_vectors(histories, fair.base.items), fair.base.users[[0, 7]], atol=1e-6
    )
    assert (fair.base.items == base.items).all()


def test_it_still_ranks_what_users_like_above_the_rest(trained, base, an_experiment):
    indptr, indices = an_experiment.train
    owners = np.repeat(np.arange(len(indptr) - 1), np.diff(indptr))
    others = np.random.default_rng(1).integers(len(base.items), size=len(owners))
    for vectors in (trained("posterior").base.users, trained("own").vectors[:, 0]):
        scores = vectors @ base.items.T
        assert (scores[owners, indices] > scores[owners, others]).mean() > 0.6


def test_a_run_that_was_broken_off_ends_as_one_that_was_not(an_experiment, base, tmp_path, broken_off):
    def train(epochs, name):
        config = a_config(schedule={"epochs": epochs, "validate_every": 2, "checkpoint_s": 0})
        return train_diffairec(an_experiment, base, config, tmp_path / name, CPU)

    whole = train(4, "whole")
    train(2, "parts")
    broken_off(tmp_path / "parts" / "fair.safetensors")
    again = train(4, "parts")

    assert (again.base.users == whole.base.users).all()


DIFFREC = {"model": "diffrec", "item_biases": False}


@pytest.mark.parametrize(
    ("changes", "key", "says"),
    [
        ({"base": {"model": "pmf"}}, "fair.method", "base.model = 'diffrec'"),
        ({"base": {"model": "diffrec"}}, "fair.method", "allowed: lattice, or base.item_biases = false"),
        ({"attribute": "height"}, "fair.attribute", "gender, age, occupation"),
        ({"condition": "own", "mode": "strict"}, "fair.condition", "strict"),
        ({"condition": "own", "new_users": 0.1}, "new_users", "new user"),
        ({"condition": "own", "unknown": True}, "fair.condition", "have none of 'gender'"),
    ],
)
def test_what_would_protect_less_is_refused(changes, key, says, small_data):
    labels = small_data.labels.copy()
    if changes.pop("unknown", False):
        labels[3, 0] = -1
    mode, new_users = changes.pop("mode", "reproduce"), changes.pop("new_users", 0.0)
    fields = {"method": "diffairec", "attribute": "gender"}
    base = changes.pop("base", DIFFREC)
    config = RunConfig.model_validate(
        {"name": "n", "data": {"reader": "generated"}, "base": base, "fair": fields | changes, "mode": mode}
    )
    data = replace(small_data, labels=labels)
    experiment = Experiment(data, hold_out(data), split_users(data.users, "s"), mode, 5, new_users, "s")

    with pytest.raises(ConfigError) as refusal:
        refuse_unfit(experiment, config.base, config.fair)

    assert refusal.value.key == key
    assert says in str(refusal.value)


def test_tokens_divide_the_width():
    with pytest.raises(ValueError, match="tokens do not divide"):
        a_config(tokens=5)
