"""FFVAE: who learns from what, what the density ratio sees, what is exported."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from bundle import build_encoder, read_bundle
from bundle.networks.ffvae import ffvae_parts
from measure.split import TRAIN
from training.base.pmf import PmfConfig
from training.base.train import train_base
from training.data.split import hold_out, split_users
from training.experiment import Experiment
from training.fair.ffvae.config import FfvaeConfig
from training.fair.ffvae.step import FfvaeNets, optimisers, shuffled, training_step
from training.fair.ffvae.train import ffvae_network, train_ffvae
from training.run import run

D, CLASSES, NAMES = 6, (2, 3), ("gender", "age")
CPU = torch.device("cpu")
SHORT = {"epochs": 2, "validate_every": 1}
FFVAE = {"method": "ffvae", "shared": 6, "block": 2, "hidden": 16, "batch": 64, "schedule": SHORT}


def rng(seed=0):
    return torch.Generator().manual_seed(seed)


def nets_of(**changes):
    config = FfvaeConfig(**(FFVAE | changes))
    encoder = build_encoder(ffvae_network(D, 2, config), D, NAMES, ffvae_parts(NAMES))
    return FfvaeNets.create(encoder, CLASSES, config, seed=1)


def u(count=32):
    return torch.randn(count, D, generator=rng(1))


def labels(count=32):
    return torch.stack([torch.arange(count) % 2, torch.arange(count) % 3], 1).short()


def step(nets, labels, seed=3, count=1, **changes):
    config = FfvaeConfig(**(FFVAE | {"weight_decay": 0} | changes))
    opts = optimisers(nets, config)
    for index in range(count):
        training_step(nets, opts, u(len(labels)), labels, config, rng(seed + index))


def weights(module):
    return torch.cat([weight.detach().flatten() for weight in module.parameters()])


def test_the_same_seed_gives_the_same_networks():
    assert torch.equal(weights(nets_of().encoder), weights(nets_of().encoder))


def test_the_density_ratio_moves_by_its_own_loss_alone():
    """Its step does not depend on how much the autoencoder is told of it, as that one's step comes first."""
    free, priced = nets_of(), nets_of()

    step(free, labels(), correlation_weight=0.0)
    step(priced, labels(), correlation_weight=50.0)

    assert torch.equal(weights(free.ratio), weights(priced.ratio))
    assert not torch.equal(weights(free.encoder), weights(priced.encoder))


def test_the_density_ratios_step_does_not_move_the_autoencoder(monkeypatch):
    """With another shuffle, which is drawn after the sample, only the density ratio differs."""
    first, second = nets_of(), nets_of()

    step(first, labels())
    monkeypatch.setattr("training.fair.ffvae.step.shuffled", lambda blocks, _: shuffled(blocks, rng(77)))
    step(second, labels())

    assert torch.equal(weights(first.encoder), weights(second.encoder))
    assert torch.equal(weights(first.classifiers), weights(second.classifiers))
    assert not torch.equal(weights(first.ratio), weights(second.ratio))


def test_a_shuffle_keeps_each_block_together_and_breaks_them_apart():
    blocks = [torch.arange(40.0).reshape(20, 2), 100 + torch.arange(20.0)[:, None]]

    apart = shuffled(blocks, rng())

    assert sorted(apart[:, 0].tolist()) == blocks[0][:, 0].tolist()
    assert torch.equal(apart[:, 1], apart[:, 0] + 1)
    assert sorted(apart[:, 2].tolist()) == blocks[1][:, 0].tolist()
    assert not torch.equal(apart[:, 0] / 2 + 100, apart[:, 2])


def test_a_block_learns_to_name_its_attribute():
    nets = nets_of()
    known = (u() > 0)[:, :2].short()

    step(nets, known, count=300, attribute_weight=50.0, learning_rate=5e-3)

    parts = nets.encoder.split(u())
    for index, head in enumerate(nets.classifiers.heads):
        named = head(parts[:, 1 + index, :2]).argmax(1)
        assert float((named == known[:, index]).float().mean()) > 0.95


def test_a_label_of_minus_one_teaches_nothing():
    unknown, other = labels(), labels()
    unknown[::2, 0] = -1
    other[::2, 0] = -1
    other[1::2, 0] = 0
    first, second = nets_of(), nets_of()
    silent = torch.full_like(labels(), -1)
    third, fourth = nets_of(), nets_of()

    step(first, unknown)
    step(second, other)
    step(third, silent, attribute_weight=0.0)
    step(fourth, silent, attribute_weight=9.0)

    assert not torch.equal(weights(first.encoder), weights(second.encoder))  # the odd rows' labels do
    assert torch.equal(weights(third.encoder), weights(fourth.encoder))
    assert torch.equal(weights(fourth.classifiers), weights(nets_of().classifiers))


def test_less_noise_keeps_more_of_u():
    errors = []
    for noise in (0.01, 1.0):
        nets = nets_of(noise=noise)
        step(nets, labels(), count=400, noise=noise, learning_rate=5e-3, correlation_weight=0.0)
        nothing = torch.zeros(32, 2, dtype=torch.bool)
        errors.append(float((nets.encoder.combine(nets.encoder.split(u()), nothing).detach() - u()).square().mean()))

    assert errors[0] < 0.5 * errors[1]


def test_a_block_is_no_wider_than_a_part():
    assert ffvae_network(4, 2, FfvaeConfig(shared=64, block=8)).sizes["latents"] == [4, 4, 4]


@pytest.mark.parametrize("mode", ["strict", "reproduce"])
def test_a_run_writes_a_bundle_with_every_mask(a_run, out, mode):
    bundle = read_bundle(run(a_run(mode=mode, fair=FFVAE), None, out, CPU))

    assert bundle.description.supported_masks.kind == "all"
    assert not bundle.description.always_protected
    assert bundle.description.empty_mask == "fair"
    assert [part.name for part in bundle.description.parts] == ["shared", "gender", "age", "occupation"]


@pytest.fixture(scope="module")
def an_experiment(small_data):
    return Experiment(small_data, hold_out(small_data), split_users(small_data.users, "evenhand"), "strict", 5)


@pytest.fixture
def a_pmf(an_experiment, tmp_path):
    config = PmfConfig.model_validate({"dimensions": 8, "learning_rate": 1e-2, "batch": 512, "schedule": SHORT})
    return train_base(an_experiment, config, tmp_path / "base.safetensors", CPU)


def test_it_is_trained_on_standard_vectors(an_experiment, a_pmf, tmp_path):
    fair = train_ffvae(an_experiment, a_pmf, FfvaeConfig.model_validate(FFVAE), tmp_path, CPU)

    x = fair.encoder.standard(torch.from_numpy(a_pmf.contexts.vectors))
    torch.testing.assert_close(x.mean(0), torch.zeros(8), atol=1e-4, rtol=0)
    torch.testing.assert_close(x.std(0, correction=0), torch.ones(8), atol=1e-4, rtol=0)
    assert fair.base is a_pmf


def test_strict_learns_from_no_label_outside_the_train_users(an_experiment, a_pmf, tmp_path):
    dataset = an_experiment.dataset
    outside = (an_experiment.user_split != TRAIN)[:, None]
    other = replace(dataset, labels=np.where(outside, 1 - np.minimum(dataset.labels, 1), dataset.labels))
    config = FfvaeConfig.model_validate(FFVAE | {"schedule": {"epochs": 2, "validate_every": 2}})

    first, second = (
        train_ffvae(experiment, a_pmf, config, tmp_path / name, CPU)
        for experiment, name in ((an_experiment, "a"), (replace(an_experiment, dataset=other), "b"))
    )

    assert torch.equal(weights(first.encoder), weights(second.encoder))


def test_a_run_that_was_broken_off_ends_where_an_unbroken_one_does(an_experiment, a_pmf, tmp_path, monkeypatch):
    config = FfvaeConfig.model_validate(FFVAE | {"schedule": {"epochs": 3, "validate_every": 1, "checkpoint_s": 0}})
    whole = train_ffvae(an_experiment, a_pmf, config, tmp_path / "whole", CPU)
    steps = []

    def breaks_off(*arguments):
        steps.append(1)
        if len(steps) == 6:
            raise KeyboardInterrupt
        training_step(*arguments)

    with monkeypatch.context() as patch:
        patch.setattr("training.fair.ffvae.stage.training_step", breaks_off)
        with pytest.raises(KeyboardInterrupt):
            train_ffvae(an_experiment, a_pmf, config, tmp_path / "broken", CPU)
    assert (tmp_path / "broken" / "fair.safetensors").exists()
    resumed = train_ffvae(an_experiment, a_pmf, config, tmp_path / "broken", CPU)

    assert torch.equal(weights(resumed.encoder), weights(whole.encoder))
