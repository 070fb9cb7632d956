"""The bundle's networks over NumPy's arrays."""

from __future__ import annotations

import copy

import numpy as np
import pytest
import torch

from bundle import Network, Part, build_encoder
from service.model.array_network import _Whole, array_network
from service.model.gpu_encoder import combined

MASKS = np.array([[bool(number >> bit & 1) for bit in range(3)] for number in range(8)])


@pytest.mark.parametrize("unit_length", [False, True])
def test_numpy_computes_what_torch_computes(an_encoder, unit_length):
    network, users, _ = an_encoder
    network = copy.deepcopy(network).double().requires_grad_(False)
    parts = users.parts[:40].astype(np.float64)
    masks = np.resize(MASKS, (40, 3))
    expected = combined(network, unit_length, torch.from_numpy(parts), torch.from_numpy(masks)).numpy()

    run = array_network(network, unit_length=unit_length)

    # Libraries add up in another order for another number of rows; what is steep in a network makes more of that.
    allowed = 1e-13 * np.abs(expected).max(axis=1, keepdims=True)
    for rows in (40, 1, 3):
        assert (np.abs(run(parts[:rows], masks[:rows]) - expected[:rows]) <= allowed[:rows]).all()


def test_only_networks_that_look_at_values_are_left_to_torch(an_encoder):
    network, _, _ = an_encoder
    network = copy.deepcopy(network).double().requires_grad_(False)

    by_torch = isinstance(array_network(network, unit_length=False).__self__, _Whole)

    assert by_torch == network.waits


def test_a_lattice_of_one_attribute_which_has_no_parts_between_runs_too():
    parts = [Part(name="shared", attributes=[], taken="always")]
    parts.append(Part(name="u", attributes=["a"], taken="none_protected"))
    sizes = {"coordinates": [2], "layers": [16, 4, 8]}
    network = build_encoder(Network(kind="lattice", sizes=sizes), 6, ["a"], parts)
    network = network.double().requires_grad_(False)
    rng = torch.Generator().manual_seed(0)
    for weight in network.mix.parameters():
        weight.normal_(generator=rng)
    vectors, masks = torch.randn(4, 2, 6, generator=rng, dtype=torch.float64), torch.tensor([[False], [True]] * 2)

    run = array_network(network, unit_length=False)

    np.testing.assert_allclose(run(vectors.numpy(), masks.numpy()), network.combine(vectors, masks), atol=1e-14)
    assert not isinstance(getattr(run, "__self__", None), _Whole)


def test_a_network_that_cannot_be_traced_is_run_by_torch():
    class Counts(torch.nn.Module):
        def combine(self, parts, mask):
            return parts[:, 0] * len(parts)

    parts, masks = np.ones((3, 1, 2)), np.ones((3, 1), np.bool_)

    assert array_network(Counts(), unit_length=False)(parts, masks).tolist() == [[3.0, 3.0]] * 3


def test_a_large_matrix_is_multiplied_by_torch_with_the_same_result(an_encoder, monkeypatch):
    network, users, _ = an_encoder
    network = copy.deepcopy(network).double().requires_grad_(False)
    parts, masks = users.parts[:8].astype(np.float64), MASKS
    expected = array_network(network, unit_length=False)(parts, masks)

    monkeypatch.setattr("service.model.array_network.LARGE", 1)
    found = array_network(network, unit_length=False)(parts, masks)

    np.testing.assert_allclose(found, expected, rtol=1e-12, atol=1e-13)
