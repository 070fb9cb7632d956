"""Which lists a search looks into."""

from __future__ import annotations

import numpy as np
import pytest

from service.index.ivf import Coarse, IvfIndex, build_lists, probes, scan


def drawn(seed, items=5000, d=16):
    rng = np.random.default_rng(seed)
    return rng, rng.normal(size=(items, d)).astype(np.float32)


def plainly(centroids, u, count):
    sums = (centroids.astype(np.float64) * u.astype(np.float64)).sum(axis=1)
    return np.sort(np.lexsort((np.arange(len(centroids)), -sums))[:count]).tolist()


@pytest.mark.parametrize("count", [1, 3, 16, 63, 64, 100])
def test_a_row_looks_into_the_lists_with_the_largest_inner_products_alone_and_in_company(count):
    rng, vectors = drawn(1)
    lists = build_lists(vectors)
    centroids = lists.quantizer.reconstruct_n(0, lists.nlist)
    coarse = Coarse(lists)
    users = rng.normal(size=(70, 16)).astype(np.float32)
    users[3] = 0

    together = coarse.nearest(users, count)

    for row, u in enumerate(users):
        assert coarse.nearest(u[None], count)[0].tolist() == together[row].tolist() == plainly(centroids, u, count)


def test_lists_that_tie_are_taken_by_number():
    _, vectors = drawn(2)
    lists = build_lists(vectors)
    twins = lists.quantizer.reconstruct_n(0, lists.nlist)
    twins[1::2] = twins[::2]
    lists.quantizer.reset()
    lists.quantizer.add(twins)
    coarse = Coarse(lists)

    chosen = coarse.nearest(vectors[:50], 5)

    assert [row.tolist() for row in chosen] == [plainly(twins, u, 5) for u in vectors[:50]]


def test_the_same_vectors_give_the_same_lists():
    _, vectors = drawn(3, 20_000)

    one, other = (build_lists(vectors) for _ in range(2))

    assert (one.quantizer.reconstruct_n(0, one.nlist) == other.quantizer.reconstruct_n(0, one.nlist)).all()


def test_a_search_of_all_lists_finds_what_comparing_everything_finds():
    rng, vectors = drawn(4)
    users = rng.normal(size=(5, 16)).astype(np.float32)
    lists = build_lists(vectors)

    rows, scores = scan(lists, users, 20, np.tile(np.arange(lists.nlist), (5, 1)))

    expected = np.argsort(-(users @ vectors.T), axis=1)[:, :20]
    assert rows.tolist() == expected.tolist()
    np.testing.assert_allclose(scores, np.take_along_axis(users @ vectors.T, expected, axis=1), rtol=1e-5, atol=1e-5)


def test_lists_that_hold_too_little_say_so():
    _, vectors = drawn(5)
    lists = build_lists(vectors)

    rows, _ = scan(lists, vectors[:1], 4096, np.zeros((1, 1), np.int64))

    held = lists.invlists.list_size(0)
    assert (rows[0, :held] >= 0).all()
    assert (rows[0, held:] == -1).all()


def test_wider_windows_look_into_more_lists_until_that_is_not_worth_it():
    _, vectors = drawn(6)
    index = IvfIndex(vectors)

    assert [probes(2, count) for count in (64, 512, 4096)] == [2, 6, 16]
    assert index.windows == (64,)  # 4096 and 512 are more than one in sixteen of 5,000
    assert index.at(16).parameters == "nlist=64 nprobe=16"
    assert index.at(17) is None
