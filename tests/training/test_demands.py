"""What data can hold and a run cannot use is refused in one line, and nothing is trained for it."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from bundle.networks.lattice_layers import Transports
from training.data.dataset import Dataset
from training.data.load import load
from training.demands import experiment_of
from training.errors import ConfigError, TooLittleDataError
from training.fair.lattice.closed_form import fit_transports
from training.fair.lattice.fit import coordinates
from training.run import run


@pytest.fixture
def a_folder(tmp_path: Path) -> Callable[..., Path]:
    """The builder of folders: users with classes by turns, each with the same number of items of a small catalogue."""

    def build(users: int = 40, positives: int = 5, items: int = 12, columns: int = 1, classes: int = 2) -> Path:
        folder = tmp_path / "data"
        folder.mkdir()
        names = ",".join(f"a{place}" for place in range(columns))
        rows = [f"{user}," + ",".join(str(user % classes) for _ in range(columns)) for user in range(users)]
        (folder / "users.csv").write_text("\n".join([f"user,{names}", *rows, ""]))
        pairs = [f"{user},{(user + step) % items}" for user in range(users) for step in range(positives)]
        (folder / "interactions.csv").write_text("\n".join(["user,item", *pairs, ""]))
        return folder

    return build


@pytest.fixture
def refused(a_run, out, cpu, monkeypatch) -> Callable[..., Exception]:
    """Runs that are refused, and that do not train: the error."""

    def refuse(folder: Path, **changes: object) -> Exception:
        def train(*_, **__):
            raise AssertionError("something was trained")

        monkeypatch.setattr("training.run.train_base", train)
        with pytest.raises((TooLittleDataError, ConfigError)) as found:
            run(a_run(data={"reader": "tables"}, **changes), folder, out, cpu)
        assert not (out / ".unfinished").exists()
        assert "\n" not in str(found.value)
        return found.value

    return refuse


def test_one_interaction_for_each_user_is_refused_with_the_counts(a_folder, refused):
    error = refused(a_folder(users=200, positives=1))

    assert (error.what, error.found, error.needed) == ("select users with 3 or more positives", 0, 1)
    assert "the 200 users are 126 train, 18 select and 56 audit users" in str(error)


def test_too_few_users_are_refused_with_the_numbers_needed(a_folder, refused):
    error = refused(a_folder(users=4))

    assert "select users with 3 or more positives: 0; needed: 1 or more" in str(error)
    assert "there are 0 to select by and" in str(error)


def test_new_users_may_not_leave_nobody_to_audit(a_folder, a_run, refused):
    error = refused(a_folder(users=20), new_users=0.2, split_salt="s0")

    assert "never met by training" in str(error)


@pytest.mark.parametrize("method", ["afrl", "ffvae", "lattice", "lego", "sm"])
def test_an_attribute_without_two_classes_among_train_users_is_refused(a_folder, a_run, refused, method):
    folder = a_folder()
    dataset = load(a_run(data={"reader": "tables"}).data, folder)
    keep = relabelled(dataset, folder, part="audit")

    error = refused(folder, fair={"method": method})

    assert error.what == "classes of 'a0' among train users with 1 or more training positives"
    assert f"0 of {keep} train users" in str(error)


def test_a_base_that_reads_histories_needs_two_training_positives(a_folder, refused):
    error = refused(a_folder(positives=3), base={"model": "sasrec", "dimensions": 8})

    assert error.what == "classes of 'a0' among train users with 2 or more training positives"


def test_one_item_is_refused(a_folder, refused):
    error = refused(a_folder(items=1, positives=1))

    assert (error.what, error.found, error.needed) == ("items with a positive", 1, 2)


@pytest.mark.parametrize(
    ("changes", "key"),
    [
        ({"fair": {"method": "lattice"}, "base": {"dimensions": 2}}, "fair.strength"),
        ({"fair": {"method": "lattice", "front": [8]}, "base": {"dimensions": 9}}, "fair.strength"),
        ({"fair": {"method": "pfrec"}}, "fair.method"),
        ({"fair": {"method": "pfrec", "user_prompts": True}, "base": {"model": "sasrec"}}, "fair.user_prompts"),
        ({"fair": {"method": "pfrec", "masks": [["x"]]}, "base": {"model": "sasrec"}}, "fair.masks"),
        ({"fair": {"method": "sm"}}, "fair.variant"),
    ],
)
def test_what_a_method_cannot_be_fitted_for_is_refused(a_folder, refused, changes, key):
    error = refused(a_folder(columns=7, classes=3), **changes)

    assert error.key == key


def test_a_lattice_has_no_more_coordinates_than_users_or_classes_can_tell_apart():
    assert coordinates(8, [20, 3], dimensions=64, users=6) == [5, 2]


def test_a_lattice_can_be_fitted_to_users_who_are_all_the_same():
    transports = Transports(1, 5, 3)

    moved = fit_transports(transports, np.ones((20, 3)), np.ones((20, 1)), sweeps=1, shrink=8.0)

    assert transports.maps.abs().max() < 1.01
    assert np.allclose(moved, 1, atol=1e-4)


def test_ffvae_lists_no_more_blocks_than_a_manifest(a_folder, refused):
    error = refused(a_folder(columns=64), fair={"method": "ffvae"})

    assert error.allowed == "at most 63 attributes"


def test_enough_of_everything_is_an_experiment(a_folder, a_run):
    config = a_run(data={"reader": "tables"})

    experiment = experiment_of(config, load(config.data, a_folder()))

    assert experiment.mode == "strict"


def relabelled(dataset: Dataset, folder: Path, part: str) -> int:
    """Leave labels to users of one part alone; the number of train users."""
    from measure.split import AUDIT, SELECT, TRAIN
    from training.data.split import split_users

    wanted = {"train": TRAIN, "select": SELECT, "audit": AUDIT}[part]
    split = split_users(dataset.users, "evenhand")
    rows = [f"{user},{int(user) % 2 if own == wanted else ''}" for user, own in zip(dataset.users, split, strict=True)]
    (folder / "users.csv").write_text("\n".join(["user,a0", *rows, ""]))
    return int((split == TRAIN).sum())
