"""The same fair vectors on a GPU as on the CPU, to the last bit; the logic around them is in tests/service."""

from __future__ import annotations

import gc
from dataclasses import replace

import numpy as np
import pytest
import torch

pytestmark = [
    pytest.mark.gpu,
    pytest.mark.skipif(not torch.cuda.is_available(), reason="no GPU that torch can use"),
]
MASKS = [tuple(bool(number >> bit & 1) for bit in range(3)) for number in range(8)]


@pytest.mark.parametrize("unit_length", [False, True])
@pytest.mark.parametrize("dtype", [np.float32, np.float16])
@pytest.mark.parametrize("resident", [True, False])
def test_fair_vectors_are_those_of_the_cpu(an_encoder, monkeypatch, unit_length, dtype, resident):
    from service.model import encoder as module

    network, users, u = an_encoder
    users = replace(users, parts=users.parts.astype(dtype))
    here = module.UserEncoder(network, users, unit_length=unit_length)
    monkeypatch.setattr(module, "SHARE", 1 / 3 if resident else 0.0)
    there = here.on("cuda")
    asked = [u[row] if here.can_split and row % 3 == 1 else row for row in range(200)]
    masks = [MASKS[row % 8] for row in range(200)]

    expected = np.concatenate([here.fair_vectors([user], [mask]) for user, mask in zip(asked, masks, strict=True)])

    assert (there._gpu.parts is not None) == resident
    assert (there.note is None) == resident
    for size in (1, 7, 64, 65, 200):
        np.testing.assert_array_equal(there.fair_vectors(asked[:size], masks[:size]), expected[:size])


def test_the_exact_values_are_far_closer_than_the_margin(an_encoder):
    from service.model.encoder import MARGIN, UserEncoder

    network, users, _ = an_encoder
    here = UserEncoder(network, users, unit_length=False)
    there = here.on("cuda")
    rows, masks = list(range(200)), np.array([MASKS[row % 8] for row in range(200)])

    one, other = (encoder._exact(rows, masks) for encoder in (here, there))

    off = np.abs(one - other).max(axis=1) / np.abs(one).max(axis=1)
    assert off.max() < MARGIN / 20


def test_memory_goes_back_to_the_gpu_with_the_encoder(an_encoder):
    from bundle import Users
    from service.model.encoder import UserEncoder

    network, users, _ = an_encoder
    many = Users((), np.ascontiguousarray(np.tile(users.parts, (2_000, 1, 1))))
    here = UserEncoder(network, many, unit_length=False)
    gc.collect()
    torch.cuda.empty_cache()
    before = torch.cuda.memory_reserved()

    there = here.on("cuda")
    there.fair_vectors([0, 399_999], MASKS[:2])

    assert there.device_bytes["parts"] == many.parts.nbytes
    assert torch.cuda.memory_reserved() >= before + many.parts.nbytes
    del there
    assert torch.cuda.memory_reserved() < before + many.parts.nbytes / 2


@pytest.mark.parametrize("kind", ["auto", "torch", "flat", "ivf"])
def test_a_model_is_on_the_gpu_as_a_whole_and_gives_the_lists_of_the_cpu(a_bundle_folder, kind):
    faiss = pytest.importorskip("faiss")
    from service.model.inference import BundleUser, History, Task, compute
    from service.model.loaded import load_model

    if kind != "torch" and (not hasattr(faiss, "StandardGpuResources") or faiss.get_num_gpus() == 0):
        pytest.skip("no GPU that FAISS can use")
    folder = a_bundle_folder(users=500, items=3_000, dimensions=32)
    masks = [(bool(row & 1), bool(row & 2)) for row in range(100)]
    orders = [BundleUser(5 * row, mask) if row % 4 else History((row, 7), mask) for row, mask in enumerate(masks)]
    nothing = np.zeros(0, np.int32)

    here, there = load_model(folder, "cpu", "torch"), load_model(folder, "cuda", kind)
    expected, found = (compute([Task(model, order, nothing, 10, None) for order in orders]) for model in (here, there))

    assert there.device_note is None
    assert set(there.device_bytes) == {"items", "scratch", "encoder", "parts"}
    assert there.device_bytes["parts"] == there.bundle.users.parts.nbytes
    if there.index_report.exact:
        assert [one.rows.tolist() for one in found] == [one.rows.tolist() for one in expected]
        assert [one.scores.tolist() for one in found] == [one.scores.tolist() for one in expected]
