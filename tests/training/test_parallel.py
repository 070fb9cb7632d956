"""Several processes train as one, TensorBoard's event file, and settings on the command line."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from bundle import read_bundle
from training.__main__ import main
from training.config import read_config
from training.errors import ConfigError

CONFIG = """
name = "short"
mode = "reproduce"
seed = 5
threads = 1
profile = "protected"
[data]
reader = "generated"
users = 200
items = 80
interactions_per_user = 20
seed = 3
[base]
model = "pmf"
dimensions = 8
learning_rate = 1e-2
batch = 512
schedule = { epochs = 2 }
[fair]
method = "afrl"
learning_rate = 1e-3
batch = 64
pairs = 4
schedule = { epochs = 3 }
"""


@pytest.fixture
def config(tmp_path):
    path = tmp_path / "short.toml"
    path.write_text(CONFIG)
    return path


def the_bundle(out: Path):
    (path,) = (path for path in (out / "short").iterdir() if path.is_dir())
    return read_bundle(path)


@pytest.mark.usefixtures("preloaded")
def test_two_processes_train_what_one_trains(config, tmp_path):
    assert main(["run", str(config), "--out", str(tmp_path / "one"), "--device", "cpu"]) == 0
    launcher = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2"]
    command = [*launcher, "-m", "training", "run", str(config), "--out", str(tmp_path / "two"), "--device", "cpu"]
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr

    one, two = the_bundle(tmp_path / "one"), the_bundle(tmp_path / "two")

    assert np.array_equal(one.audit.base, two.audit.base)
    assert np.abs(one.users.parts - two.users.parts).max() < 0.05 * np.abs(one.users.parts).max()
    assert not list((tmp_path / "two" / ".unfinished").iterdir())


@pytest.mark.parametrize("mode", ["strict", "reproduce"])
def test_tensorboard_gets_losses_scores_and_speed_by_epoch(config, a_quick_card, tmp_path, mode):
    events = pytest.importorskip("tensorboard.backend.event_processing.event_accumulator")
    logs = tmp_path / "logs"

    enough = ["--set", "data.users=700"]  # 60 select users with a label, or leakage is not measured on them
    arguments = ["run", str(config), "--out", str(tmp_path / "out"), "--set", f"mode={mode}", "--device", "cpu"]
    assert main([*arguments, *enough, "--tensorboard", str(logs)]) == 0

    read = events.EventAccumulator(str(logs)).Reload()
    tags = set(read.Tags()["scalars"])
    assert {
        "base/score",
        "fair/score",
        "fair/rows_per_s",
        "fair/loss/align",
        "fair/loss/hide",
        "fair/loss/rank",
    } <= tags
    assert [event.step for event in read.Scalars("fair/loss/rank")] == [1, 2, 3]
    assert ("fair/leakage/gender+age/age" in tags) == (mode == "strict")


def test_a_setting_replaces_what_the_file_says(config):
    settings = ["fair.adversary_weight=0.5", "fair.without=shared", "fair.schedule.epochs=7", "mode = 'strict'"]

    read = read_config(config, settings, seed=9)

    assert (read.fair.adversary_weight, read.fair.without, read.fair.schedule.epochs) == (0.5, "shared", 7)
    assert (read.mode, read.seed, read.fair.batch) == ("strict", 9, 64)


@pytest.mark.parametrize(
    ("setting", "says"),
    [
        ("fair.adversary_wieght=1", r"fair\.adversary_wieght"),
        ("fair.batch=many", r"fair\.batch"),
        ("fair.batch", "KEY=VALUE"),
        ("fair..batch=1", "KEY=VALUE"),
        ("seed.x=1", "'seed' is no table"),
        ("fair.batch=[1", "no TOML"),
    ],
)
def test_a_wrong_setting_is_refused_by_name(config, setting, says):
    with pytest.raises(ConfigError, match=says):
        read_config(config, [setting])


@pytest.mark.parametrize("without", ["shared", "attributes"])
def test_an_ablation_is_exported_without_the_parts_it_leaves_out(config, a_quick_card, tmp_path, without):
    assert (
        main(["run", str(config), "--out", str(tmp_path), "--set", f"fair.without={without}", "--device", "cpu"]) == 0
    )

    bundle = the_bundle(tmp_path)

    names = ["gender", "age", "occupation"] if without == "shared" else ["shared"]
    assert [part.name for part in bundle.description.parts] == names
    assert bundle.users.parts.shape[1] == len(names)
