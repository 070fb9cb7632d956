"""TFROM: quotas of exposure are kept where they can be, and losses are about the same."""

from __future__ import annotations

import numpy as np
import pytest

from balance.candidates import Candidates
from balance.errors import GroupsError, OutOfRangeError, ShapeError
from balance.shares import ItemShares, discount
from balance.tfrom import tfrom_offline, tfrom_online, tfrom_pages

SHARES = ItemShares([["a"]] * 20 + [["b"]] * 20)
HALF = np.array([0.5, 0.5])


def skewed(users=40, width=30, seed=0):
    """Candidates of whom the most relevant are nearly all in group a."""
    rng = np.random.default_rng(seed)
    items = np.array([[*rng.permutation(20)[:15], *(20 + rng.permutation(20)[:15])] for _ in range(users)])
    relevance = rng.random((users, width)) + np.where(items < 20, 1.0, 0.0)
    order = np.argsort(-relevance, axis=1)
    return Candidates(np.take_along_axis(items, order, axis=1), np.take_along_axis(relevance, order, axis=1))


def shown(candidates, places):
    items = np.where(places >= 0, np.take_along_axis(candidates.items, np.maximum(places, 0), axis=1), -1)
    return SHARES.exposure(items, discount(places.shape[1])).sum(axis=0)


def kept(candidates, places):
    """nDCG of each list by relevance."""
    weights = discount(places.shape[1])
    best = -np.sort(-candidates.relevance, axis=1)[:, : len(weights)] @ weights
    return (np.take_along_axis(candidates.relevance, places, axis=1) @ weights) / best


def is_a_list(places, k):
    return all(len(set(row)) == k and min(row) >= 0 for row in places.tolist())


def test_quotas_are_kept_offline_and_everybody_gets_a_whole_list():
    candidates = skewed()

    places = tfrom_offline(candidates, SHARES, HALF, 5)

    exposure = shown(candidates, places)
    assert is_a_list(places, 5)
    assert exposure / exposure.sum() == pytest.approx(HALF, abs=0.01)
    before = shown(candidates, np.tile(np.arange(5), (40, 1)))
    assert before[0] / before.sum() > 0.99


def test_losses_are_nearer_to_each_other_than_where_the_first_users_take_all_there_is():
    candidates = skewed()

    offline = kept(candidates, tfrom_offline(candidates, SHARES, HALF, 5))
    room = shown(candidates, np.tile(np.arange(5), (40, 1))).sum() / 2
    first_come = []
    weights = discount(5)
    used = np.zeros(2)
    for user in range(40):  # a user at a time, each taking what is left of the quotas
        row = []
        for weight in weights:
            fits = [
                place
                for place in range(30)
                if place not in row and used[int(candidates.items[user, place] >= 20)] + weight <= room + 1e-9
            ]
            place = fits[0] if fits else next(place for place in range(30) if place not in row)
            used[int(candidates.items[user, place] >= 20)] += weight
            row.append(place)
        first_come.append(row)

    assert offline.std() < 0.5 * kept(candidates, np.array(first_come)).std()


def test_a_quota_that_all_lists_are_within_changes_nothing():
    candidates = skewed()
    exposure = shown(candidates, np.tile(np.arange(4), (40, 1)))

    places = tfrom_offline(candidates, SHARES, exposure / exposure.sum(), 4)

    assert places.tolist() == [[0, 1, 2, 3]] * 40


def test_where_no_candidate_has_room_places_are_filled_all_the_same():
    candidates = Candidates(np.tile(np.arange(4), (3, 1)), np.tile([4.0, 3, 2, 1], (3, 1)))

    places = tfrom_offline(candidates, SHARES, np.array([0.0, 1.0]), 3)

    assert is_a_list(places, 3)


def test_short_rows_end_in_empty_places():
    candidates = Candidates(np.array([[20, -1, -1], [0, 21, 1]]), np.array([[1.0, 0, 0], [3, 2, 1]]))

    assert tfrom_offline(candidates, SHARES, HALF, 3)[0].tolist() == [0, -1, -1]
    assert tfrom_online(candidates, SHARES, HALF, 3, np.zeros(2))[0].tolist() == [0, -1, -1]


def test_an_item_of_two_groups_needs_room_in_both():
    shares = ItemShares([["a", "b"], ["a"], ["a"]])
    candidates = Candidates(np.array([[0, 1, 2]]), np.array([[3.0, 2, 1]]))

    assert tfrom_offline(candidates, shares, np.array([1.0, 0.0]), 2).tolist() == [[1, 2]]


def test_online_quotas_are_kept_over_requests():
    candidates = skewed(users=60)

    places = tfrom_online(candidates, SHARES, HALF, 5, np.zeros(2))

    exposure = shown(candidates, places)
    assert is_a_list(places, 5)
    assert exposure / exposure.sum() == pytest.approx(HALF, abs=0.01)


def test_what_was_shown_before_counts():
    candidates = skewed(users=1)

    after_a = tfrom_online(candidates, SHARES, HALF, 5, np.array([100.0, 0.0]))
    after_b = tfrom_online(candidates, SHARES, HALF, 5, np.array([0.0, 100.0]))

    assert shown(candidates, after_a)[0] == 0
    assert shown(candidates, after_b)[1] == 0


def test_one_request_after_the_other_is_the_same_as_all_in_a_row():
    candidates = skewed(users=8)
    together = tfrom_online(candidates, SHARES, HALF, 5, np.zeros(2), least=0.8)

    counted, alone = np.zeros(2), []
    for user in range(8):
        one = Candidates(candidates.items[[user]], candidates.relevance[[user]])
        alone.append(tfrom_online(one, SHARES, HALF, 5, counted, least=0.8)[0])
        counted = counted + shown(one, np.array([alone[-1]]))

    assert together.tolist() == np.array(alone).tolist()


@pytest.mark.parametrize("least", [0.0, 0.75, 0.9, 1.0])
def test_no_list_goes_below_the_least_quality(least):
    candidates = skewed(users=30)

    quality = kept(candidates, tfrom_online(candidates, SHARES, HALF, 5, np.zeros(2), least=least))

    assert quality.min() >= least - 1e-9
    assert (quality.min() < 0.75) == (least == 0)


@pytest.mark.parametrize(
    ("change", "error", "says"),
    [
        ({"target": np.array([0.5, 0.6])}, GroupsError, "target adds up to 1.1"),
        ({"target": np.array([1.5, -0.5])}, GroupsError, "its smallest share is -0.5"),
        ({"target": np.array([1.0])}, ShapeError, "a share for each of a, b"),
        ({"k": 31}, OutOfRangeError, "k is 31"),
        ({"least": 1.1}, OutOfRangeError, "least is 1.1, expected 0 to 1"),
        ({"shown": np.zeros(3)}, ShapeError, "shown has shape"),
    ],
)
def test_arguments_that_do_not_fit_are_refused(change, error, says):
    given = {"target": HALF, "k": 5, "shown": np.zeros(2), "least": 0.5} | change

    with pytest.raises(error, match=says):
        tfrom_online(skewed(), SHARES, given["target"], given["k"], given["shown"], given["least"])


def test_negative_relevance_is_refused_since_losses_are_shares_of_it():
    with pytest.raises(OutOfRangeError, match="relevance is -1"):
        tfrom_offline(Candidates(np.array([[0, 1]]), np.array([[1.0, -1.0]])), SHARES, HALF, 1)


def test_pages_of_a_list_are_requests_of_their_own_that_know_what_was_shown_before():
    one = Candidates(*(part[:1] for part in (skewed().items, skewed().relevance)))
    before = np.array([9.0, 2.0])

    places = tfrom_pages(one, SHARES, HALF, 5, 3, before)

    assert sorted(set(places[0].tolist())) == sorted(places[0].tolist())
    assert places[0, :5].tolist() == tfrom_online(one, SHARES, HALF, 5, before)[0].tolist()
    assert places[0, :10].tolist() == tfrom_pages(one, SHARES, HALF, 5, 2, before)[0].tolist()
    of_a = (np.take_along_axis(one.items, places, axis=1) < 20).reshape(3, 5)
    assert not of_a[0].any()  # a has had more than it should by far


def test_a_page_is_a_function_of_its_own_row():
    many = skewed()
    before = np.array([3.0, 1.0])

    together = tfrom_pages(many, SHARES, HALF, 5, 2, before, 0.9)

    for user in (0, 7, 39):
        own = Candidates(many.items[user : user + 1], many.relevance[user : user + 1])
        assert tfrom_pages(own, SHARES, HALF, 5, 2, before, 0.9)[0].tolist() == together[user].tolist()


def test_without_a_loss_nothing_is_moved_and_an_end_comes_where_nothing_is_left():
    many = skewed()

    kept_order = tfrom_pages(many, SHARES, HALF, 5, 2, np.array([9.0, 0.0]), 1.0)
    short = tfrom_pages(many, SHARES, HALF, 20, 2, np.zeros(2))

    assert (kept_order == np.argsort(-many.relevance, axis=1, kind="stable")[:, :10]).all()
    assert (short[:, :30] >= 0).all()
    assert (short[:, 30:] == -1).all()


def test_patterns_are_the_different_ways_in_which_items_are_in_groups():
    shares = ItemShares([("b", "a"), ("a",), ("a", "b"), (), ("c",)])

    table, which = shares.patterns

    assert len(which) == 6
    assert table[which].tolist() == [
        [0.5, 0.5, 0, 0],
        [1, 0, 0, 0],
        [0.5, 0.5, 0, 0],
        [0, 0, 0, 1],
        [0, 0, 1, 0],
        [0] * 4,
    ]
    assert len(table) == 5
