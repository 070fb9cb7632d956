"""Small data and short runs for the training tests."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from training import checkpoint
from training.config import RunConfig
from training.data.dataset import Dataset
from training.data.generated_config import GeneratedConfig
from training.data.load import load

SHORT = {"epochs": 2, "validate_every": 1}


@pytest.fixture(autouse=True, scope="session")
def _one_thread() -> None:
    torch.set_num_threads(1)


@pytest.fixture(scope="session")
def small_data() -> Dataset:
    """200 generated users with gender, age and occupation."""
    return load(GeneratedConfig(users=200, items=80, interactions_per_user=20, seed=3), None)


@pytest.fixture
def a_run() -> Callable[..., RunConfig]:
    """The builder of configurations that train for seconds."""

    def build(**changes: object) -> RunConfig:
        fields: dict[str, object] = {
            "name": "short",
            "seed": 5,
            "threads": 1,
            "data": {"reader": "generated", "users": 200, "items": 80, "interactions_per_user": 20, "seed": 3},
            "base": {"model": "pmf", "dimensions": 8, "learning_rate": 1e-2, "batch": 512, "schedule": SHORT},
            "fair": {"method": "afrl", "learning_rate": 1e-3, "batch": 64, "schedule": SHORT},
        }
        return RunConfig.model_validate(fields | changes)

    return build


@pytest.fixture
def cpu() -> torch.device:
    return torch.device("cpu")


@pytest.fixture
def out(tmp_path: Path) -> Path:
    return tmp_path / "bundles"


@pytest.fixture(scope="session")
def broken_off() -> Callable[[Path], None]:
    """Makes the checkpoint of a run that ended by its bound one that was broken off there."""

    def mark(path: Path) -> None:
        now, progress = checkpoint.load(path)
        checkpoint.save(path, now, replace(progress, finished=False))

    return mark
