"""The tally of served lists against plain Python, and what it says against hand-computed numbers."""

from __future__ import annotations

from collections import defaultdict
from math import log2

import numpy as np
import pytest

from measure.fairness.items import UNGROUPED, item_groups
from service.audit.shares import Classes, by_version, compared, overall
from service.audit.tally import Tally, side_by_side

MOVIES = item_groups([["Drama"], ["Comedy"], ["Drama", "Comedy"], []])
FIRST, SECOND, THIRD = 1.0, 1 / log2(3), 0.5


def counted(*lists, users=200, groups=MOVIES, tally=None):
    """Sums of (user, client, items)."""
    tally = tally or Tally(users, groups.names)
    lengths = np.array([len(items) for _, _, items in lists], np.int64)
    shown = np.array([item for _, _, items in lists for item in items], np.int32)
    owners, clients = (np.array([one[place] for one in lists], np.int64) for place in (0, 1))
    tally.add(owners, clients, lengths, shown, groups)
    return tally.sums


def cells(sums, what):
    """(user, client) → item group → number, without the zeros."""
    rows = zip(sums.users.tolist(), sums.clients.tolist(), getattr(sums, what).tolist(), strict=True)
    return {
        (user, client): {name: pytest.approx(value) for name, value in zip(sums.groups, row, strict=True) if value}
        for user, client, row in rows
    }


def test_exposure_is_what_the_ranks_are_worth_and_items_of_two_groups_share_theirs():
    sums = counted((7, 0, [0, 2, 3]), (7, 0, [1]), (3, 5, []))

    assert cells(sums, "exposure") == {
        (3, 5): {},
        (7, 0): {"Drama": FIRST + SECOND / 2, "Comedy": SECOND / 2 + FIRST, UNGROUPED: THIRD},
    }
    assert cells(sums, "shown") == {(3, 5): {}, (7, 0): {"Drama": 1, "Comedy": 2, UNGROUPED: 1}}
    assert dict(zip(sums.users.tolist(), sums.lists.tolist(), strict=True)) == {7: 2, 3: 1}


def test_any_log_in_any_parts_is_counted_as_plain_python_counts_it():
    rng = np.random.default_rng(5)
    names = [f"g{place}" for place in range(7)]
    catalogues = [[list(rng.choice(names, rng.integers(0, 4), replace=False)) for _ in range(30)] for _ in range(2)]
    exposure, shown, lists = defaultdict(float), defaultdict(int), defaultdict(int)
    tally = Tally(40, item_groups(catalogues[0]).names)
    for part in range(12):
        groups = catalogues[part % 2]
        made = []
        for _ in range(rng.integers(0, 25)):
            user, client = int(rng.integers(40)), int(rng.integers(4)) * 10
            items = rng.permutation(30)[: rng.integers(0, 12)].tolist()
            made.append((user, client, items))
            lists[user, client] += 1
            there = set()
            for rank, item in enumerate(items, 1):
                own = groups[item] or [UNGROUPED]
                there.update(own)
                for name in own:
                    exposure[user, client, name] += 1 / log2(1 + rank) / len(own)
            for name in there:
                shown[user, client, name] += 1
        counted(*made, groups=item_groups(groups), tally=tally)

    sums = tally.sums
    pairs = list(zip(sums.users.tolist(), sums.clients.tolist(), strict=True))
    assert len(set(pairs)) == len(pairs)
    assert dict(zip(pairs, sums.lists.tolist(), strict=True)) == lists
    for place, pair in enumerate(pairs):
        for column, name in enumerate(sums.groups):
            assert sums.exposure[place, column] == pytest.approx(exposure[*pair, name])
            assert sums.shown[place, column] == shown[*pair, name]


def test_shares_are_of_all_that_was_shown_also_where_few_item_groups_are_reported():
    sums = counted((0, 0, [0, 1]), (1, 0, [0, 3]))
    whole = 2 * (FIRST + SECOND)

    (everybody,) = overall(sums, ()).groups
    (some,) = overall(sums, ("Comedy",)).groups

    assert (everybody.name, everybody.users, everybody.lists) == (None, 2, 2)
    assert everybody.shares == pytest.approx(
        {"Comedy": SECOND / whole, "Drama": 2 * FIRST / whole, UNGROUPED: SECOND / whole}
    )
    assert some.shares == pytest.approx({"Comedy": SECOND / whole})


def test_an_empty_log_says_nothing():
    sums = Tally(5, MOVIES.names).sums

    assert overall(sums, ()).groups == ()
    found = compared(sums, (), Classes("gender", ["F", "M"], np.zeros(5, np.int64)), {})
    assert (found.groups, found.total_variation, found.parity, found.clients) == ((), None, None, None)


def test_two_classes_that_see_different_things_lie_as_far_apart_as_by_hand():
    """30 women see a drama alone; of 30 men, 15 do, and 15 a comedy before it."""
    women = [(user, 0, [0]) for user in range(30)]
    men = [(user, 0, [0] if user < 45 else [1, 0]) for user in range(30, 60)]
    classes = Classes("gender", ["F", "M"], np.repeat([0, 1], 30))
    whole = 15 * FIRST + 15 * (FIRST + SECOND)

    found = compared(counted(*women, *men, users=60), (), classes, {})

    assert [(one.name, one.users, one.lists) for one in found.groups] == [("F", 30, 30), ("M", 30, 30)]
    assert found.groups[1].shares["Comedy"] == pytest.approx(15 / whole)
    assert found.total_variation.estimate.value == pytest.approx(15 / whole)
    low, high = found.total_variation.estimate.ci95
    assert low < 15 / whole < high
    assert set(found.total_variation.between) == {"F", "M"}
    assert (found.parity.item_group, found.parity.between) == ("Comedy", ("M", "F"))
    assert found.parity.estimate.value == pytest.approx(0.5)
    assert found.withheld == ()


def test_parity_weighs_each_user_once_however_many_lists_they_had():
    lists = [(user, 0, [0]) for user in range(30)] + [(user, 0, [1]) for user in range(30, 60)] * 3
    lists += [(30, 0, [0])] * 9
    classes = Classes("gender", ["F", "M"], np.repeat([0, 1], 30))

    found = compared(counted(*lists, users=60), ("Drama",), classes, {})

    assert found.item_groups == ("Drama",)
    assert found.parity.estimate.value == pytest.approx(1 - (9 / 12) / 30)
    assert [set(one.shares) for one in found.groups] == [{"Drama"}, {"Drama"}]


def test_rare_classes_are_merged_and_said_to_be_and_too_few_users_compare_nothing():
    labels = np.repeat([0, 1, 2, 3, -1], [40, 40, 20, 15, 5])
    lists = [(user, 0, [user % 2]) for user in range(120)]
    classes = Classes("age", ["young", "old", "older", "oldest"], labels)

    found = compared(counted(*lists), (), classes, {})
    few = compared(counted(*lists[:50]), (), classes, {})

    assert [(one.name, one.users) for one in found.groups] == [("young", 40), ("old", 40), ("other", 35)]
    assert [(one.attribute, one.classes) for one in found.withheld] == [("age", ("older", "oldest"))]
    assert "fewer than 30 users with lists" in found.withheld[0].reason
    assert (few.groups, few.total_variation, few.parity) == ((), None, None)
    assert few.withheld[0].classes == ("young", "old", "older", "oldest")  # also those that nobody is in
    assert "60 needed" in few.withheld[0].reason


def test_everybody_may_be_even_where_single_clients_are_not():
    """Each class sees the comedy through the one key and the drama through the other: half and half, taken together."""
    lists = []
    for user in range(80):
        comedy, drama = (1, 2) if user < 40 else (2, 1)
        lists += [(user, comedy, [1]), (user, drama, [0])]
    classes = Classes("gender", ["F", "M"], np.repeat([0, 1], 40))
    few = [(0, 3, [1]), (79, 0, [1])]

    found = compared(counted(*lists, *few, users=80), (), classes, {1: "shop", 2: "app", 3: "test"}).clients

    assert found.overall == pytest.approx(0, abs=0.02)
    assert found.by_client == {"shop": (80, 1.0), "app": (80, 1.0)}
    assert (found.highest, found.mean) == (1.0, 1.0)
    assert set(found.withheld) == {"test", ""}


def test_versions_are_compared_over_their_own_lists_also_where_their_item_groups_differ():
    """40 users see a drama by the one version, 30 of them and 10 others a thriller by the other; 5 had a third one."""
    films = item_groups([["Thriller"]])
    tallies = [Tally(60, MOVIES.names) for _ in range(3)]
    counted(*((user, 0, [0]) for user in range(40)), tally=tallies[0])
    counted(*((user, 0, [0]) for user in range(10, 50)), groups=films, tally=tallies[1])
    counted(*((user, 0, [1]) for user in range(5)), tally=tallies[2])

    found = by_version(side_by_side(tallies, 60), (), ("one", "other", "third"), 60, {})

    shares = {
        one.name: (one.users, {name: share for name, share in one.shares.items() if share}) for one in found.groups
    }
    assert shares == {"one": (40, {"Drama": 1}), "other": (40, {"Thriller": 1}), "third": (5, {"Comedy": 1})}
    assert (found.total_variation.estimate.value, set(found.total_variation.between)) == (1, {"one", "other"})
    assert (found.parity.estimate.value, found.parity.item_group) == (1, "Drama")
    assert [(one.attribute, one.classes) for one in found.withheld] == [("model", ("third",))]


def test_one_version_alone_is_shown_and_compared_with_nothing():
    tally = Tally(40, MOVIES.names)
    counted(*((user, 0, [0]) for user in range(40)), tally=tally)

    found = by_version(tally.sums, (), ("one",), 40, {})
    nothing = by_version(Tally(0, MOVIES.names).sums, (), (), 0, {})

    assert [(one.name, one.users) for one in found.groups] == [("one", 40)]
    assert (found.total_variation, found.parity, found.withheld) == (None, None, ())
    assert nothing.groups == ()
