"""Functions that torch computes, called with arrays; graphs are in tests/gpu."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from service.replay import Replayed, _padded


def test_a_call_gives_what_the_function_gives():
    total = Replayed(lambda x, y, times: times * x + y.sum(), torch.device("cpu"), (0.0, 0))

    found = total(np.array([1.0, 2.0]), np.array([3, 4]), shaping=(10,))

    np.testing.assert_array_equal(found, [17.0, 27.0])


@pytest.mark.parametrize(("rows", "size"), [(0, 1), (1, 1), (2, 2), (3, 4), (5, 8), (64, 64)])
def test_few_sizes_are_captured(rows, size):
    padded = _padded(np.ones((rows, 3), np.float32), -1)

    assert (padded.shape, padded.dtype) == ((size, 3), np.float32)
    assert (padded[:rows] == 1).all()
    assert (padded[rows:] == -1).all()
