"""AutoRec, Mult-VAE and DiffRec against their pages."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from training.base.autoencoder.autorec import AutorecModel
from training.base.autoencoder.config import AutorecConfig, DiffrecConfig, MultvaeConfig
from training.base.autoencoder.diffrec import DiffrecModel, noised
from training.base.autoencoder.model import partly_hidden
from training.base.autoencoder.multvae import MultvaeModel
from training.base.autoencoder.stage import Rows, RowsStage
from training.base.autoencoder.train import train_autoencoder
from training.config import RunConfig
from training.data.split import hold_out, split_users
from training.errors import ConfigError
from training.experiment import Experiment
from training.fair.train import refuse_unfit

CPU = torch.device("cpu")
POSITIVES = np.array([0, 2, 2, 5], np.int64), np.array([1, 0, 4, 0, 1], np.int32)
"""Three users, the second without any; of five items two that nobody has."""
DENSE = torch.tensor([[1.0, 1, 0, 0, 0], [0, 0, 0, 0, 0], [1, 1, 0, 0, 1]])
SHORT = {"epochs": 2, "validate_every": 1}


@pytest.fixture(scope="module")
def an_experiment(small_data):
    return Experiment(small_data, hold_out(small_data), split_users(small_data.users, "s"), "strict", 5, 0.1, "s")


def numbers(model):
    return {name: value.detach().numpy() for name, value in model.state_dict().items()}


def sigmoid(x):
    return 1 / (1 + np.exp(-x))


def test_rows_hold_a_one_for_each_positive():
    rows = Rows(POSITIVES, 5, CPU)

    assert torch.equal(rows.of(torch.tensor([0, 1, 2])), DENSE)
    assert torch.equal(rows.of(torch.tensor([2, 0])), DENSE[[2, 0]])
    assert rows.users.tolist() == [0, 2]


def test_autorecs_loss_is_the_squared_error_of_the_page():
    model = AutorecModel(5, AutorecConfig(dimensions=3, dropout=0), torch.Generator().manual_seed(1))
    found = model.loss(DENSE[[0, 2]], torch.Generator())

    x, weights = DENSE[[0, 2]].numpy(), numbers(model)
    u = sigmoid(x @ weights["network.table"] + weights["network.bias"])
    answered = u @ weights["items"].T + weights["biases"]
    assert float(found.detach()) == pytest.approx(((answered - x) ** 2).sum(1).mean(), rel=1e-5)


def test_multvaes_loss_is_the_bound_of_the_page_and_the_divergences_weight_grows():
    config = MultvaeConfig(dimensions=3, hidden=4, code=2, dropout=0, divergence_weight=0.5, growing_steps=4)
    model = MultvaeModel(5, config, torch.Generator().manual_seed(1))
    with torch.no_grad():
        model.spread.bias.copy_(torch.tensor([0.3, -0.2]))
    x, weights = DENSE[[0, 2]].numpy(), numbers(model)

    def by_the_page(weight):
        noise = torch.randn((2, 2), generator=after_dropout()).numpy()
        read = x / np.sqrt(x.sum(1, keepdims=True)) @ weights["network.table"] + weights["network.bias"]
        hidden = np.tanh(read)
        mean = hidden @ weights["network.mean.weight"].T + weights["network.mean.bias"]
        spread = hidden @ weights["spread.weight"].T + weights["spread.bias"]
        code = mean + noise * np.exp(spread / 2)
        u = np.tanh(code @ weights["network.last.weight"].T + weights["network.last.bias"])
        scores = u @ weights["items"].T + weights["biases"]
        chances = np.exp(scores) / np.exp(scores).sum(1, keepdims=True)
        divergence = 0.5 * (mean**2 + np.exp(spread) - 1 - spread).sum(1)
        return (-(np.log(chances) * x).sum(1) + weight * divergence).mean()

    def after_dropout():
        rng = torch.Generator().manual_seed(2)
        torch.rand((2, 5), generator=rng)
        return rng

    found = [float(model.loss(DENSE[[0, 2]], torch.Generator().manual_seed(2)).detach()) for _ in range(6)]

    expected = [by_the_page(weight) for weight in (0, 0.125, 0.25, 0.375, 0.5, 0.5)]
    np.testing.assert_allclose(found, expected, rtol=1e-5)


def test_rows_are_noised_to_the_variance_of_their_step():
    config = DiffrecConfig(dimensions=3, hidden=4, steps=3, least_noise=0.01, most_noise=0.25)
    model = DiffrecModel(5, config, torch.Generator().manual_seed(1))
    x = DENSE[[2]].expand(30_000, -1)

    noisy, step = noised(x, model.network.variances, torch.Generator().manual_seed(2))

    assert step.unique().tolist() == [0, 1, 2]
    for number, variance in enumerate((0.01, 0.13, 0.25)):
        of_step = noisy[step == number] - (1 - variance) ** 0.5 * DENSE[2]
        assert float(of_step.mean()) == pytest.approx(0, abs=0.01)
        assert float(of_step.square().mean()) == pytest.approx(variance, rel=0.05)


def test_diffrecs_loss_is_the_squared_error_of_the_row_before_the_noise():
    config = DiffrecConfig(dimensions=3, hidden=4, steps=3, dropout=0)
    model = DiffrecModel(5, config, torch.Generator().manual_seed(1))
    with torch.no_grad():
        model.network.times.normal_(generator=torch.Generator().manual_seed(3))
    x, weights = DENSE[[0, 2]], numbers(model)

    found = float(model.loss(x, torch.Generator().manual_seed(2)).detach())

    noisy, step = noised(x, model.network.variances, torch.Generator().manual_seed(2))
    read = noisy.numpy() @ weights["network.table"] + weights["network.bias"] + weights["network.times"][step]
    u = np.tanh(np.tanh(read) @ weights["network.last.weight"].T + weights["network.last.bias"])
    answered = u @ weights["items"].T + weights["biases"]
    assert found == pytest.approx(((answered - x.numpy()) ** 2).sum(1).mean(), rel=1e-5)


@pytest.mark.parametrize("noise", [{"least_noise": 0.2, "most_noise": 0.1}, {"most_noise": 1.0}, {"steps": 0}])
def test_noise_that_does_not_rise_is_refused(noise):
    with pytest.raises(ValueError, match=r"noise|steps"):
        DiffrecConfig(**noise)


def test_what_is_hidden_from_the_encoder_is_hidden_at_random_and_made_up_for():
    shown = partly_hidden(torch.ones(2000, 5), 0.4, torch.Generator().manual_seed(1))

    assert shown.unique().tolist() == pytest.approx([0, 1 / 0.6])
    assert float(shown.mean()) == pytest.approx(1, abs=0.02)


def test_an_epoch_reads_the_row_of_everybody_who_has_positives_once(monkeypatch):
    config = AutorecConfig(dimensions=3, batch=1)
    model = AutorecModel(5, config, torch.Generator().manual_seed(1))
    read, whole = [], AutorecModel.loss
    monkeypatch.setattr(AutorecModel, "loss", lambda self, x, rng: (read.append(x), whole(self, x, rng))[1])

    count = RowsStage(model, config, Rows(POSITIVES, 5, CPU), lambda: 0.0).epoch(torch.Generator().manual_seed(1))

    assert count == 2
    assert sorted(torch.cat(read).tolist()) == sorted(DENSE[[0, 2]].tolist())


@pytest.mark.parametrize("biases", [True, False])
@pytest.mark.parametrize("config", [AutorecConfig, MultvaeConfig, DiffrecConfig])
def test_it_learns_and_reads_every_user_from_the_history(config, biases, an_experiment, tmp_path):
    def train(epochs, name):
        schedule = {"epochs": epochs, "validate_every": epochs or 1}
        built = config(dimensions=8, batch=32, learning_rate=1e-2, item_biases=biases, schedule=schedule)
        return train_autoencoder(an_experiment, built, tmp_path / name, CPU)

    def preferred(base):
        """How often a user's training positive is above an item drawn at random."""
        indptr, indices = an_experiment.train
        owners = np.repeat(np.arange(len(indptr) - 1), np.diff(indptr))
        scores = base.users @ base.items.T
        others = np.random.default_rng(1).integers(len(base.items), size=len(owners))
        return (scores[owners, indices] > scores[owners, others]).mean()

    start, trained = train(0, "start"), train(20, "trained")

    assert preferred(trained) > preferred(start) + 0.1
    assert trained.users.shape[1] == trained.items.shape[1] == 8 + biases
    assert not biases or (trained.users[:, -1] == 1).all()
    new = np.flatnonzero(an_experiment.folded_in)
    assert len(new)
    histories = [an_experiment.held_out.history(row, with_validation=True) for row in new]
    np.testing.assert_allclose(trained.users[new], trained.history.user_vectors(histories, trained.items), atol=1e-6)


def test_a_run_that_was_broken_off_ends_as_one_that_was_not(an_experiment, tmp_path, broken_off):
    def train(epochs, name):
        schedule = {"epochs": epochs, "validate_every": 2, "checkpoint_s": 0}
        config = MultvaeConfig(dimensions=4, hidden=6, code=3, batch=32, growing_steps=20, schedule=schedule)
        return train_autoencoder(an_experiment, config, tmp_path / name, CPU)

    whole = train(4, "whole")
    train(2, "parts")
    broken_off(tmp_path / "parts")
    again = train(4, "parts")

    assert (again.users == whole.users).all()
    assert (again.items == whole.items).all()


@pytest.mark.parametrize("model", ["autorec", "multvae", "diffrec", "fairgan"])
def test_methods_that_move_every_dimension_go_with_a_decoder_without_biases(model, an_experiment):
    def refuse(biases):
        config = RunConfig.model_validate(
            {
                "name": "n",
                "data": {"reader": "generated"},
                "base": {"model": model, "item_biases": biases},
                "fair": {"method": "afrl"},
            }
        )
        refuse_unfit(an_experiment, config.base, config.fair)

    refuse(biases=False)
    with pytest.raises(ConfigError, match=r"fair.method") as refusal:
        refuse(biases=True)
    assert "item biases" in str(refusal.value)
