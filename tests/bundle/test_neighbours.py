"""The vector of who is alike against its page, one user at a time, and what callers rely on."""

import numpy as np
import pytest

from bundle import FilteredModality, ModalNeighbours, Network
from bundle.errors import DamagedError

USERS, ITEMS, D, K = 7, 9, 4, 3
WIDTHS = (3, 5)
LACKING = ((2, 5), (5, 8))
SIZES = {"users": [USERS], "neighbours": [K], "modalities": list(WIDTHS)}


def a_modality(width, lacking, seed):
    rng = np.random.default_rng(seed)
    users, items, usual = (
        rng.normal(size=shape).astype(np.float32) for shape in ((USERS, width), (ITEMS, width), width)
    )
    present = ~np.isin(np.arange(ITEMS), lacking)
    items[~present] = 50  # would be noticed
    return FilteredModality(users / np.linalg.norm(users, axis=1, keepdims=True), items, present, usual)


def modalities():
    return [
        a_modality(width, lacking, place) for place, (width, lacking) in enumerate(zip(WIDTHS, LACKING, strict=True))
    ]


def vectors():
    return np.random.default_rng(9).normal(size=(USERS, D)).astype(np.float32)


def found(history, of=None, most=K):
    neighbours = ModalNeighbours(vectors(), of or modalities(), most)
    return neighbours.user_vectors([np.array(history, np.int32)], np.zeros((ITEMS, D), np.float32))[0]


def by_hand(history, most=K):
    """One modality and one user at a time."""
    heard = []
    for each, lacking in zip(modalities(), LACKING, strict=True):
        having = [each.items[item].astype(np.float64) for item in history if item not in lacking]
        mean = np.mean(having, axis=0) if having else each.usual.astype(np.float64)
        cosines = [float(user @ mean) / np.linalg.norm(mean) for user in each.users.astype(np.float64)]
        near = sorted(range(USERS), key=lambda row: -cosines[row])[:most]
        weights = [max(0.0, cosines[row]) for row in near]
        heard.append(sum(w * vectors()[row] for w, row in zip(weights, near, strict=True)) / sum(weights))
    return np.mean(heard, axis=0)


@pytest.mark.parametrize("history", [[3], [2, 0], [5], [0, 1, 3, 4, 6, 7, 8]], ids=str)
@pytest.mark.parametrize("most", [1, K, USERS])
def test_a_vector_equals_the_page_by_hand(history, most):
    np.testing.assert_allclose(found(history, most=most), by_hand(history, most), rtol=1e-5)


def test_an_empty_history_gives_zeros_and_order_and_company_change_nothing():
    neighbours = ModalNeighbours(vectors(), modalities(), K)
    histories = [np.array(each, np.int32) for each in ([], [1, 3, 8, 0], [8, 0, 3, 1], [2])]

    together = neighbours.user_vectors(histories, np.zeros((ITEMS, D), np.float32))

    assert not together[0].any()
    assert np.array_equal(together[1], together[2])
    assert np.array_equal(together[3], found([2]))


def test_who_is_like_nobody_gets_the_mean_of_everybody():
    opposite = a_modality(3, (), 4)
    direction = opposite.items[0] / np.linalg.norm(opposite.items[0])
    users = np.tile(-direction, (USERS, 1)).astype(np.float32)
    alone = FilteredModality(users, opposite.items, opposite.present, opposite.usual)

    np.testing.assert_allclose(found([0], [alone]), vectors().mean(0), rtol=1e-5)


def test_who_is_nearest_is_told_in_float64():
    rng = np.random.default_rng(6)
    users = rng.normal(size=(400, 64))
    users = 0.9 * users[:1] + 1e-7 * users  # float32 cannot tell them apart by a cosine
    users = (users / np.linalg.norm(users, axis=1, keepdims=True)).astype(np.float32)
    mean = rng.normal(size=64) + 5 * users[0].astype(np.float64)
    alone = FilteredModality(users, mean[None].astype(np.float32), np.ones(1, np.bool_), np.zeros(64, np.float32))

    near, _ = alone.weights(mean, 7)

    exact = users.astype(np.float64) @ mean
    assert near.tolist() == sorted(range(400), key=lambda row: -exact[row])[:7]


def test_of_users_who_are_as_near_the_first_are_taken():
    same = a_modality(3, (), 4)
    users = np.tile(same.items[0] / np.linalg.norm(same.items[0]), (USERS, 1)).astype(np.float32)
    alone = FilteredModality(users, same.items, same.present, same.usual)

    np.testing.assert_allclose(found([0], [alone], most=2), vectors()[:2].mean(0), rtol=1e-5)


def test_arrays_are_those_of_the_contract_and_bring_the_same_vectors_back():
    neighbours = ModalNeighbours(vectors(), modalities(), K)
    arrays = neighbours.arrays()
    contract = ModalNeighbours.contract(neighbours.network, D, ITEMS)
    again = ModalNeighbours.load(neighbours.network, D, arrays)

    assert neighbours.network == Network(kind="modal_neighbours", sizes=SIZES)
    assert {name: (list(value.shape), str(value.dtype)) for name, value in arrays.items()} == {
        name: (spec.shape, spec.dtype) for name, spec in contract.items()
    }
    history = [np.array([0, 4, 5], np.int32)]
    assert np.array_equal(again.user_vectors(history, vectors()), neighbours.user_vectors(history, vectors()))
    again.check()


@pytest.mark.parametrize(
    ("changed", "why"),
    [
        ({"neighbours": [8]}, "neighbours"),
        ({"neighbours": [1, 2]}, "one size"),
        ({"users": [1, 2]}, "one size"),
        ({"modalities": []}, "a size for each modality"),
        ({"blocks": [1]}, "history.sizes"),
    ],
    ids=str,
)
def test_sizes_that_no_such_bundle_has_are_refused(changed, why):
    with pytest.raises(DamagedError, match=why):
        ModalNeighbours.contract(Network(kind="modal_neighbours", sizes=SIZES | changed), D, ITEMS)


@pytest.mark.parametrize(("name", "factor"), [("vectors", 1e9), ("users.0", 5), ("users.1", 0.99)])
def test_what_is_no_vector_or_no_direction_is_refused_by_name(name, factor):
    arrays = {each: value.copy() for each, value in ModalNeighbours(vectors(), modalities(), K).arrays().items()}
    arrays[name][0] *= factor

    with pytest.raises(DamagedError, match=name):
        ModalNeighbours.load(Network(kind="modal_neighbours", sizes=SIZES), D, arrays).check()
