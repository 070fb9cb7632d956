"""A whole run of training on one GPU; the same path runs on the CPU in tests/training."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from bundle import read_bundle, tensor_over
from training.config import RunConfig
from training.run import run

SHORT = {"epochs": 2}


def a_run(mode: str, precision: str) -> RunConfig:
    return RunConfig.model_validate(
        {
            "name": "short",
            "mode": mode,
            "seed": 5,
            "data": {"reader": "generated", "users": 200, "items": 80, "interactions_per_user": 20, "seed": 3},
            "base": {"model": "pmf", "dimensions": 8, "batch": 512, "schedule": SHORT},
            "fair": {
                "method": "afrl",
                "batch": 64,
                "pairs": 4,
                "average": 0.9,
                "precision": precision,
                "schedule": SHORT,
            },
        }
    )


def check(mode, precision, device, out):
    """What training leaves is on the CPU, finite, and what the exported encoder computes."""
    bundle = read_bundle(run(a_run(mode, precision), None, out, device))
    parts = bundle.encoder.split(tensor_over(bundle.audit.base)).numpy()
    assert np.isfinite(bundle.users.parts).all()
    assert np.allclose(parts, bundle.users.parts, atol=1e-5)


@pytest.mark.parametrize("mode", ["strict", "reproduce"])
def test_training_ends_on_the_cpu(tmp_path, mode):
    check(mode, "bfloat16", torch.device("cpu"), tmp_path)


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device")
@pytest.mark.parametrize("mode", ["strict", "reproduce"])
@pytest.mark.parametrize("precision", ["float32", "bfloat16"])
def test_training_runs_on_one_gpu(tmp_path, mode, precision):
    check(mode, precision, torch.device("cuda"), tmp_path)
