"""Inner products in float32 by either library."""

from __future__ import annotations

import numpy as np
import pytest

from service.index import product
from service.index.exhaustive_ranker import ExhaustiveRanker
from service.index.interface import SearchBatch

WAYS = [product._by_numpy, product._by_torch]
RNG = np.random.default_rng(3)
ITEMS = RNG.normal(size=(500, 16)).astype(np.float32)
FAIR = RNG.normal(size=(7, 16)).astype(np.float32)


@pytest.mark.parametrize("multiply", WAYS)
@pytest.mark.parametrize("turned_bytes", [0, 2**20])
def test_a_tile_gets_the_products_of_its_items(multiply, turned_bytes, monkeypatch):
    monkeypatch.setattr(product, "_quicker", lambda: multiply)
    monkeypatch.setattr(product, "TURNED_BYTES", turned_bytes)
    ITEMS.setflags(write=False)  # as those of a mapped bundle
    tile = np.full((7, 100), np.nan, np.float32)

    product.Products(ITEMS).into(tile, FAIR, 300)

    np.testing.assert_allclose(tile, FAIR @ ITEMS[300:400].T, rtol=1e-4, atol=1e-5)


def test_lists_are_the_same_whichever_library_multiplies(monkeypatch):
    lists = []
    for multiply in WAYS:
        monkeypatch.setattr(product, "_quicker", lambda chosen=multiply: chosen)
        lists.append(ExhaustiveRanker(ITEMS).top(SearchBatch(FAIR, [np.zeros(0, np.int32)] * 7, [10] * 7)))

    for one, other in zip(*lists, strict=True):
        assert one.rows.tolist() == other.rows.tolist()
        assert one.scores.tolist() == other.scores.tolist()


def test_the_quicker_one_is_timed_once():
    assert product._quicker() in WAYS
    assert product._quicker() is product._quicker()
