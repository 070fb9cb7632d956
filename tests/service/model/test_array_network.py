"""The bundle's networks over NumPy's arrays."""

from __future__ import annotations

import copy

import numpy as np
import pytest
import torch

from bundle import FairEncoder, Network, Part, build_encoder
from bundle.networks import LatticeEncoder
from service.model import array_network as module
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

    assert _is_by_torch(array_network(network, unit_length=False)) == network.waits


def _is_by_torch(run):
    return isinstance(getattr(run, "__self__", None), _Whole)


def test_other_weights_of_one_structure_are_not_traced_again_and_are_their_own(an_encoder, monkeypatch):
    network, users, _ = an_encoder
    one = copy.deepcopy(network).double().requires_grad_(False)
    other = copy.deepcopy(one)
    for tensor in (*other.parameters(), *other.buffers()):
        if tensor.is_floating_point():
            tensor.mul_(1.01)
    parts, masks = users.parts[:8].astype(np.float64), MASKS
    monkeypatch.setattr(module, "_TRACED", {})
    array_network(one, unit_length=True)
    if module._TRACED:
        monkeypatch.setattr(module, "_trace", None)  # to be called no more
    else:  # its calls depend on values, or on tensors that it makes of others beforehand
        assert network.waits or isinstance(network, LatticeEncoder)

    found = array_network(other, unit_length=True)(parts, masks)

    expected = combined(other, True, torch.from_numpy(parts), torch.from_numpy(masks)).numpy()
    np.testing.assert_allclose(found, expected, rtol=1e-11, atol=1e-12)


class Times(FairEncoder):
    """Multiplies by a number."""

    def __init__(self, number: int) -> None:
        super().__init__(["a"], [Part(name="u", attributes=[], taken="always")])
        self.number = self.structure = number

    def combine(self, parts: torch.Tensor, mask: torch.Tensor) -> torch.Tensor:
        return parts[:, 0] * self.number


def test_networks_of_other_structures_are_traced_apart_and_few_are_remembered(monkeypatch):
    monkeypatch.setattr(module, "_TRACED", {})
    monkeypatch.setattr(module, "REMEMBERED", 2)
    runs = [array_network(Times(number), unit_length=False) for number in (4, 6, 8, 4)]

    results = [run(np.ones((1, 1, 1)), np.array([[True]])).item() for run in runs]

    assert results == [4, 6, 8, 4]
    assert list(module._TRACED) == [(8, False), (4, False)]


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
    assert not _is_by_torch(run)


def test_a_network_that_cannot_be_traced_is_run_by_torch():
    class Counts(Times):
        def combine(self, parts, mask):
            return parts[:, 0] * len(parts)

    parts, masks = np.ones((3, 1, 2)), np.ones((3, 1), np.bool_)

    assert array_network(Counts(1), unit_length=False)(parts, masks).tolist() == [[3.0, 3.0]] * 3


def test_a_large_matrix_is_multiplied_by_torch_with_the_same_result(an_encoder, monkeypatch):
    network, users, _ = an_encoder
    network = copy.deepcopy(network).double().requires_grad_(False)
    parts, masks = users.parts[:8].astype(np.float64), MASKS
    expected = array_network(network, unit_length=False)(parts, masks)

    monkeypatch.setattr("service.model.array_network.LARGE", 1)
    found = array_network(network, unit_length=False)(parts, masks)

    np.testing.assert_allclose(found, expected, rtol=1e-12, atol=1e-13)
