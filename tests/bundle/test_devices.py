"""A network works on the device that its weights were moved to: it makes nothing of its own elsewhere."""

import copy
import itertools

import pytest
import torch
from torch.overrides import TorchFunctionMode

from bundle.networks import TableEncoder

MAKERS = {torch.arange, torch.empty, torch.eye, torch.full, torch.linspace, torch.ones, torch.tensor, torch.zeros}
MASKS = torch.tensor(list(itertools.product([False, True], repeat=3)))


class Makers(TorchFunctionMode):
    """Notes what is made of no tensor, and without a word on where."""

    def __init__(self):
        self.silent = []

    def __torch_function__(self, func, types, args=(), kwargs=None):
        if func in MAKERS and "device" not in (kwargs or {}):
            self.silent.append(func.__name__)
        return func(*args, **(kwargs or {}))


def test_what_a_network_makes_is_where_its_input_is(an_encoder):
    encoder, users, u = an_encoder

    with Makers() as makers:
        torch.ones(1)
        if not isinstance(encoder, TableEncoder):
            encoder.split(torch.from_numpy(u[:8]))
        encoder.combine(torch.from_numpy(users.parts[:8]), MASKS)

    assert makers.silent == ["ones"]


def test_every_tensor_of_a_network_moves_with_it(an_encoder):
    encoder, _, _ = an_encoder

    moved = copy.deepcopy(encoder).to("meta")

    for module in moved.modules():
        assert {value.device.type for value in (*module.parameters(), *module.buffers())} <= {"meta"}
        assert not [name for name, value in vars(module).items() if isinstance(value, torch.Tensor)]


def test_a_network_that_looks_at_values_says_so(an_encoder):
    """A tensor on the device `meta` has none."""
    encoder, users, u = an_encoder
    there, parts = copy.deepcopy(encoder).to("meta"), torch.from_numpy(users.parts[:8]).to("meta")

    if encoder.waits:
        with pytest.raises(RuntimeError, match=r"(?i)meta"):
            there.combine(parts, MASKS.to("meta"))
    else:
        assert there.combine(parts, MASKS.to("meta")).shape == u[:8].shape
