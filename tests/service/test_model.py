"""A loaded model: what a start touches, and what it leaves to the requests that need it."""

from __future__ import annotations

import numpy as np
import pytest

from bundle import read_bundle
from service.compute import ByPopularity, KnownUser, SimilarTo, Task, compute
from service.model import Model, load_model

NOTHING = np.zeros(0, np.int32)


@pytest.fixture
def folder(a_bundle_folder):
    """A bundle with many users that was verified before."""
    path = a_bundle_folder(users=20_000, dimensions=64)
    read_bundle(path)
    return path


def shown(model: Model, order: KnownUser | SimilarTo | ByPopularity) -> list[int]:
    (ranking,) = compute([Task(model, order, NOTHING, 3, None)])
    return ranking.rows.tolist()


def test_a_start_reads_no_parts_and_nothing_that_audits_need(folder, resident):
    model = load_model(folder, "cpu")

    files = [folder / "users.safetensors", folder / "audit" / "base.safetensors"]
    assert [resident(path) for path in files] == [0, 0]
    assert len(shown(model, KnownUser(10_000, (True, False)))) == 3
    assert 0 < resident(files[0]) < files[0].stat().st_size / 2
    assert resident(files[1]) == 0


def test_the_index_searches_the_bundles_own_pages(folder):
    model = load_model(folder, "cpu", "torch")

    vectors = model.bundle.items.vectors
    assert model.index._there.data_ptr() == vectors.__array_interface__["data"][0]
    assert not vectors.flags.writeable


def test_what_only_some_requests_need_is_made_by_the_first_of_them(folder):
    model = load_model(folder, "cpu")
    assert not {"neighbours", "popular"} & vars(model).keys()

    assert shown(model, ByPopularity()) == [11, 10, 9]
    assert len(shown(model, SimilarTo(0))) == 3

    assert {"neighbours", "popular"} <= vars(model).keys()
    assert model.neighbours is model.neighbours
