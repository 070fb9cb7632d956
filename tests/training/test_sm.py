"""SM: who learns from what, where it starts, what trains along."""

import copy
from dataclasses import replace

import numpy as np
import pytest
import torch

from bundle import build_encoder, read_bundle, tensor_over
from measure.split import TRAIN
from training.base.contract import Base, Contexts
from training.base.pmf import PmfConfig
from training.base.train import train_base
from training.data.split import hold_out, split_users
from training.errors import ConfigError
from training.experiment import Experiment
from training.fair.sm.adversaries import Adversaries, protected_labels
from training.fair.sm.config import SmConfig
from training.fair.sm.step import Batch, SmNets, optimisers, training_step
from training.fair.sm.train import sm_network, start_at_identity, train_sm
from training.fair.sm.users import FrozenUsers, TrainedUsers, users_of
from training.run import run

D, CLASSES, NAMES = 6, (2, 3), ("gender", "age")
CPU = torch.device("cpu")
SHORT = {"epochs": 2, "validate_every": 1}
SM = {
    "method": "sm",
    "batch": 256,
    "adversary_steps": 2,
    "adversary_rows": 64,
    "learning_rate": 5e-3,
    "schedule": SHORT,
}


def rng(seed=0):
    return torch.Generator().manual_seed(seed)


def a_base(model):
    draws = np.random.default_rng(3)
    users, items = (draws.normal(size=(n, D)).astype(np.float32) for n in (40, 9))
    contexts = Contexts(users, np.arange(40), np.arange(41), draws.integers(9, size=40).astype(np.int32))
    return Base(model, users, users, items, contexts, history=None)


def nets_of(model="pmf", variant="combine"):
    base = a_base(model)
    network, parts = sm_network(variant, NAMES, D)
    encoder = build_encoder(network, D, NAMES, parts)
    start_at_identity(encoder, base.contexts.vectors)
    return SmNets(encoder, users_of(base, CPU), Adversaries(D, CLASSES, 0.3, rng()))


def a_batch(protect=(True, True), labels=None):
    draws = rng(2)
    return Batch(
        contexts=torch.randint(40, (32,), generator=draws),
        labels=torch.stack([torch.arange(32) % 2, torch.arange(32) % 3], 1).short() if labels is None else labels,
        protect=torch.tensor(protect).expand(32, -1),
        positives=torch.randint(9, (32, 2), generator=draws),
        negatives=torch.randint(9, (32, 2), generator=draws),
    )


def step(nets, batch, **changes):
    config = SmConfig(**({"weight_decay": 0, "adversary_rows": 16, "adversary_weight": 0.5} | changes))
    training_step(nets, optimisers(nets, config), batch, config, rng(4))


def weights(module):
    return torch.cat([weight.detach().flatten() for weight in module.parameters()])


@pytest.mark.parametrize("variant", ["combine", "separate"])
def test_the_filters_start_as_the_identity(variant):
    nets = nets_of(variant=variant)
    u = nets.users(torch.arange(40)).detach()
    nets.encoder.eval()

    for mask in ((False, False), (True, False), (True, True)):
        fair = nets.encoder.combine(nets.encoder.split(u), torch.tensor(mask).expand(40, -1))

        torch.testing.assert_close(fair, u, atol=1e-4, rtol=1e-4)


def test_the_discriminators_move_by_their_own_steps_alone():
    nets, before = nets_of(), weights(nets_of().adversaries)
    silent = a_batch(labels=torch.full((32, 2), -1, dtype=torch.int16))

    step(nets, silent)  # the filters' step has gradients, the discriminators' steps have nothing to say

    assert torch.equal(weights(nets.adversaries), before)
    step(nets, a_batch())
    assert not torch.equal(weights(nets.adversaries), before)


def test_the_discriminators_steps_do_not_move_filters_or_tables():
    few, many = nets_of(), nets_of()

    step(few, a_batch(), adversary_steps=1)
    step(many, a_batch(), adversary_steps=5)

    assert torch.equal(weights(few.encoder), weights(many.encoder))
    assert torch.equal(weights(few.users), weights(many.users))
    assert not torch.equal(weights(few.adversaries), weights(many.adversaries))


def test_the_filters_step_against_the_discriminators_of_before():
    nets = nets_of()
    batch = replace(a_batch(), negatives=a_batch().positives)  # nothing to win by ranking
    for _ in range(50):
        step(nets, batch, adversary_weight=0.0, adversary_steps=5, dropout=0.0)
    opponent = copy.deepcopy(nets.adversaries)

    def leak():
        with torch.no_grad():
            fair = nets.encoder.combine(nets.encoder.split(nets.users(batch.contexts)), batch.protect)
            return float(opponent(fair, batch.labels, rng(9)))

    sharp = leak()
    step(nets, batch, adversary_weight=10.0, adversary_rows=32)

    assert leak() > sharp


def test_a_pmf_trains_along_and_other_bases_stay():
    joint, frozen = nets_of("pmf"), nets_of("sasrec")
    before = joint.users.base()

    step(joint, a_batch())
    step(frozen, a_batch())

    after = joint.users.base()
    assert isinstance(joint.users, TrainedUsers)
    assert isinstance(frozen.users, FrozenUsers)
    assert not np.array_equal(before.users, after.users)
    assert not np.array_equal(before.items, after.items)
    assert np.array_equal(after.users, after.selection)
    assert np.array_equal(frozen.users.base().items, a_base("sasrec").items)
    assert torch.equal(frozen.users(torch.arange(40)), torch.from_numpy(a_base("sasrec").users))
    assert not list(frozen.users.parameters())


def test_without_protection_nothing_moves_on_a_frozen_base():
    nets = nets_of("sasrec", variant="separate")
    before = [weights(module) for module in (nets.encoder, nets.adversaries)]

    step(nets, a_batch(protect=(False, False)))

    after = [weights(module) for module in (nets.encoder, nets.adversaries)]
    assert all(torch.equal(old, new) for old, new in zip(before, after, strict=True))


def test_without_protection_the_tables_learn_from_ranking_alone():
    first, second = nets_of(), nets_of()

    step(first, a_batch(protect=(False, False)), adversary_weight=0.0)
    step(second, a_batch(protect=(False, False)), adversary_weight=9.0)

    assert torch.equal(weights(first.users), weights(second.users))
    assert torch.equal(weights(first.adversaries), weights(nets_of().adversaries))


def test_a_label_that_is_unknown_or_not_protected_teaches_nothing():
    unknown = a_batch().labels.clone()
    unknown[:, 0] = -1
    silent, unprotected = nets_of(), nets_of()

    step(silent, a_batch(labels=unknown))
    step(unprotected, a_batch(protect=(False, True)))

    fresh = nets_of().adversaries
    for nets in (silent, unprotected):
        assert torch.equal(weights(nets.adversaries.inner[0]), weights(fresh.inner[0]))
        assert not torch.equal(weights(nets.adversaries.inner[1]), weights(fresh.inner[1]))


def test_what_the_discriminators_are_told():
    labels = torch.tensor([[1, 2], [-1, 0]], dtype=torch.int16)
    protect = torch.tensor([[True, False], [True, True]])

    assert protected_labels(labels, protect).tolist() == [[1, -1], [-1, 0]]


def test_the_discriminators_loss_is_a_mean_over_the_rows_with_a_label_summed_over_attributes():
    adversaries = Adversaries(D, CLASSES, 0.0, rng())
    fair, labels = torch.randn(4, D, generator=rng()), torch.tensor([[0, -1], [-1, 2], [1, 1], [-1, -1]])

    loss = adversaries(fair, labels, rng())

    first, second = (adversaries.logits(index, fair, rng()).log_softmax(1) for index in range(2))
    expected = -(first[0, 0] + first[2, 1]) / 2 - (second[1, 2] + second[2, 1]) / 2
    torch.testing.assert_close(loss, expected)


def test_a_filter_for_each_mask_of_many_attributes_is_refused_by_name():
    names = [f"a{index}" for index in range(7)]

    with pytest.raises(ConfigError, match=r"fair\.variant.*127 filters.*combine"):
        sm_network("separate", names, D)
    assert sm_network("combine", names, D)[0].kind == "filters"


@pytest.mark.parametrize("mode", ["strict", "reproduce"])
@pytest.mark.parametrize("variant", ["combine", "separate"])
def test_a_run_writes_a_bundle_with_every_mask_and_the_base_where_nothing_is_protected(a_run, out, mode, variant):
    bundle = read_bundle(run(a_run(mode=mode, fair=SM | {"variant": variant}), None, out, CPU))

    assert bundle.description.supported_masks.kind == "all"
    assert not bundle.description.always_protected
    assert bundle.description.empty_mask == "base"
    assert bundle.users.parts.shape[1] == (4 if variant == "combine" else 1)
    nothing = torch.zeros(len(bundle.users.ids), 3, dtype=torch.bool)
    assert np.array_equal(bundle.encoder.combine(tensor_over(bundle.users.parts), nothing).numpy(), bundle.audit.base)


@pytest.fixture(scope="module")
def an_experiment(small_data):
    held_out, split = hold_out(small_data), split_users(small_data.users, "evenhand")
    return Experiment(small_data, held_out, split, "strict", 5, new_users=0.1)


@pytest.fixture
def a_pmf(an_experiment, tmp_path):
    config = PmfConfig.model_validate({"dimensions": 8, "learning_rate": 1e-2, "batch": 512, "schedule": SHORT})
    return train_base(an_experiment, config, tmp_path / "base.safetensors", CPU)


def test_new_users_are_folded_into_the_tables_that_trained_along(an_experiment, a_pmf, tmp_path):
    fair = train_sm(an_experiment, a_pmf, SmConfig.model_validate(SM), tmp_path, CPU)

    new = np.flatnonzero(an_experiment.folded_in)
    histories = [an_experiment.held_out.history(row) for row in new]
    assert len(new)
    assert not np.array_equal(fair.base.items, a_pmf.items)
    np.testing.assert_array_equal(fair.base.users[new], fair.base.history.user_vectors(histories, fair.base.items))


def test_strict_learns_from_no_label_outside_the_train_users(an_experiment, a_pmf, tmp_path):
    labels = an_experiment.dataset.labels.copy()
    outside = an_experiment.user_split != TRAIN
    labels[outside] = 1 - np.minimum(labels[outside], 1)
    other = replace(an_experiment, dataset=replace(an_experiment.dataset, labels=labels))
    config = SmConfig.model_validate(SM | {"schedule": {"epochs": 2, "validate_every": 2}})

    first, second = (
        train_sm(experiment, a_pmf, config, tmp_path / name, CPU)
        for experiment, name in ((an_experiment, "a"), (other, "b"))
    )

    assert torch.equal(weights(first.encoder), weights(second.encoder))
    assert np.array_equal(first.base.users, second.base.users)


def test_a_run_that_was_broken_off_ends_where_an_unbroken_one_does(an_experiment, a_pmf, tmp_path, monkeypatch):
    config = SmConfig.model_validate(SM | {"schedule": {"epochs": 3, "validate_every": 1, "checkpoint_s": 0}})
    whole = train_sm(an_experiment, a_pmf, config, tmp_path / "whole", CPU)
    steps, original = [], training_step

    def breaks_off(*arguments):
        steps.append(1)
        if len(steps) == 2:
            raise KeyboardInterrupt
        original(*arguments)

    with monkeypatch.context() as patch:
        patch.setattr("training.fair.sm.stage.training_step", breaks_off)
        with pytest.raises(KeyboardInterrupt):
            train_sm(an_experiment, a_pmf, config, tmp_path / "broken", CPU)
    assert (tmp_path / "broken" / "fair.safetensors").exists()
    resumed = train_sm(an_experiment, a_pmf, config, tmp_path / "broken", CPU)

    assert torch.equal(weights(resumed.encoder), weights(whole.encoder))
    assert np.array_equal(resumed.base.items, whole.base.items)


def test_the_frozen_base_of_a_run_is_left_as_it_was(a_pmf, an_experiment, tmp_path):
    before = copy.deepcopy((a_pmf.users, a_pmf.items))

    train_sm(an_experiment, a_pmf, SmConfig.model_validate(SM), tmp_path, CPU)

    assert np.array_equal(a_pmf.users, before[0])
    assert np.array_equal(a_pmf.items, before[1])
