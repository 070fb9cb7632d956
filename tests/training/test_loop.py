from __future__ import annotations

import pytest
import torch
from safetensors.torch import load_file, save_file

from measure.errors import NotFiniteError
from training import checkpoint
from training.checkpoint import Progress
from training.errors import CheckpointError, DivergedError
from training.loop import Schedule, fit


class Walk:
    """A stage whose state is the sum of its random draws, scored by a script."""

    name = "walk"

    def __init__(self, scores, breaks_at=None):
        self.total = torch.zeros(1)
        self.epochs = 0
        self._scores = scores
        self._breaks_at = breaks_at

    def epoch(self, rng):
        if self.epochs == self._breaks_at:
            raise KeyboardInterrupt
        self.total = self.total + torch.rand(1, generator=rng)
        self.epochs += 1
        return 10

    def validate(self):
        score = self._scores[self.epochs - 1]
        if isinstance(score, Exception):
            raise score
        return score

    def state(self):
        return {"total": self.total.clone(), "epochs": torch.tensor(self.epochs)}

    def restore(self, state):
        self.total, self.epochs = state["total"].clone(), int(state["epochs"])


CPU = torch.device("cpu")
ALWAYS = {"checkpoint_s": 0}


def test_the_best_state_is_kept_and_training_stops_when_it_grows_old(tmp_path):
    stage = Walk([0.1, 0.5, 0.4, 0.3, 0.2, 0.9])

    result = fit(stage, Schedule(epochs=6, patience=3), 1, tmp_path / "walk.safetensors", CPU)

    assert (result.progress.best_epoch, result.progress.epoch, stage.epochs) == (2, 5, 2)
    assert result.progress.rows == 50


def test_a_run_broken_off_goes_on_to_exactly_where_an_unbroken_one_ends(tmp_path):
    scores = [0.1, 0.2, 0.3, 0.4, 0.5]
    unbroken, broken, resumed = Walk(scores), Walk(scores, breaks_at=3), Walk(scores)
    fit(unbroken, Schedule(epochs=5, **ALWAYS), 1, tmp_path / "a.safetensors", CPU)

    with pytest.raises(KeyboardInterrupt):
        fit(broken, Schedule(epochs=5, **ALWAYS), 1, tmp_path / "b.safetensors", CPU)
    result = fit(resumed, Schedule(epochs=5, **ALWAYS), 1, tmp_path / "b.safetensors", CPU)

    assert result.resumed_at == 3
    assert torch.equal(resumed.total, unbroken.total)
    assert result.progress.scores == {epoch + 1: score for epoch, score in enumerate(scores)}


def test_training_that_diverges_ends_with_the_best_before(tmp_path):
    stage = Walk([0.1, 0.5, NotFiniteError("user_vectors", 3)])

    result = fit(stage, Schedule(epochs=9), 1, tmp_path / "walk.safetensors", CPU)

    assert (result.progress.best_epoch, result.progress.epoch, stage.epochs) == (2, 3, 2)


def test_training_that_diverges_before_any_score_is_refused_in_one_line(tmp_path):
    stage = Walk([NotFiniteError("user_vectors", 3)])

    with pytest.raises(DivergedError, match=r"walk: training diverged by epoch 1 \(user_vectors: 3 of its values"):
        fit(stage, Schedule(epochs=9), 1, tmp_path / "walk.safetensors", CPU)


def test_a_finished_stage_is_not_trained_again(tmp_path):
    fit(Walk([0.1, 0.2]), Schedule(epochs=2), 1, tmp_path / "walk.safetensors", CPU)

    again = Walk([], breaks_at=0)
    fit(again, Schedule(epochs=2), 1, tmp_path / "walk.safetensors", CPU)

    assert again.epochs == 2


def test_another_seed_draws_differently(tmp_path):
    one, other = Walk([0.1]), Walk([0.1])

    fit(one, Schedule(epochs=1), 1, tmp_path / "one.safetensors", CPU)
    fit(other, Schedule(epochs=1), 2, tmp_path / "other.safetensors", CPU)

    assert not torch.equal(one.total, other.total)


def test_a_damaged_checkpoint_is_refused_with_its_path(tmp_path):
    path = tmp_path / "walk.safetensors"
    path.write_bytes(b"not a checkpoint")

    with pytest.raises(CheckpointError, match=r"walk\.safetensors.*delete it"):
        checkpoint.load(path)


def test_the_best_weights_that_a_checkpoint_names_stay_until_the_next_checkpoint(tmp_path):
    """The run breaks off after a better epoch of which there is no checkpoint yet, and goes on with a lower bound."""
    path = tmp_path / "walk.safetensors"
    unbroken = Walk([0.1, 0.5])
    fit(unbroken, Schedule(epochs=2), 1, tmp_path / "other.safetensors", CPU)
    with pytest.raises(KeyboardInterrupt):
        fit(Walk([0.1, 0.5], breaks_at=2), Schedule(epochs=5, **ALWAYS), 1, path, CPU)
    with pytest.raises(KeyboardInterrupt):
        fit(Walk([0.1, 0.5, 0.9], breaks_at=3), Schedule(epochs=5, checkpoint_s=1000), 1, path, CPU)

    resumed = Walk([])
    result = fit(resumed, Schedule(epochs=2), 1, path, CPU)

    assert result.progress.best_epoch == 2
    assert torch.equal(resumed.total, unbroken.total)


def test_only_the_last_best_weights_are_left_and_they_are_weights_alone(tmp_path):
    class Optimised(Walk):
        def state(self):
            return super().state() | {"optimisers/adam/0/exp_avg": torch.ones(100)}

    fit(Optimised([0.1, 0.2, 0.3, 0.2]), Schedule(epochs=4, **ALWAYS), 1, tmp_path / "walk.safetensors", CPU)

    assert sorted(each.name for each in tmp_path.iterdir()) == ["walk-best-3.safetensors", "walk.safetensors"]
    assert load_file(tmp_path / "walk-best-3.safetensors").keys() == {"total", "epochs"}


def test_a_checkpoint_without_its_best_weights_or_of_an_older_version_is_refused(tmp_path):
    path = tmp_path / "walk.safetensors"
    fit(Walk([0.1, 0.2]), Schedule(epochs=2), 1, path, CPU)
    (tmp_path / "walk-best-2.safetensors").unlink()
    with pytest.raises(CheckpointError, match=r"walk-best-2\.safetensors.*delete it"):
        fit(Walk([]), Schedule(epochs=2), 1, path, CPU)

    save_file({"now/total": torch.ones(1), "best/total": torch.ones(1)}, path, {"progress": "{}"})
    with pytest.raises(CheckpointError, match="older version"):
        fit(Walk([]), Schedule(epochs=2), 1, path, CPU)


def test_where_no_validation_gives_a_number_the_last_weights_stay(tmp_path):
    stage = Walk([float("nan")] * 3)

    result = fit(stage, Schedule(epochs=3), 1, tmp_path / "walk.safetensors", CPU)

    assert (result.progress.best_epoch, stage.epochs) == (0, 3)


def test_optimisers_come_back_with_their_moments(tmp_path):
    def step(layer, adam):
        adam.zero_grad()
        layer(torch.ones(1, 3)).sum().backward()
        adam.step()

    torch.manual_seed(0)
    layer = torch.nn.Linear(3, 2)
    adam = torch.optim.Adam(layer.parameters(), lr=0.1)
    step(layer, adam)
    path = tmp_path / "layer.safetensors"
    checkpoint.save(path, checkpoint.pack({"layer": layer}, {"adam": adam}), Progress())
    step(layer, adam)

    twin = torch.nn.Linear(3, 2)
    twin_adam = torch.optim.Adam(twin.parameters(), lr=0.1)
    now, _ = checkpoint.load(path)
    checkpoint.unpack(now, {"layer": twin}, {"adam": twin_adam})
    step(twin, twin_adam)

    assert torch.equal(layer.weight, twin.weight)
