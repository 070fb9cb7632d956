"""Targets over item groups."""

from __future__ import annotations

import numpy as np
import pytest

from balance.shares import UNGROUPED, ItemShares
from balance.targets import TargetError, catalogue, named, of_items, uniform
from measure.fairness import items

GROUPS = [("drama", "comedy"), ("drama",), (), ("war", "war")]


def test_groups_are_those_of_the_measures():
    shares = ItemShares(GROUPS)

    assert shares.names == items.item_groups(GROUPS).names == ("comedy", "drama", "war", "no group")
    assert UNGROUPED == items.UNGROUPED
    coded = ItemShares.coded(["war", "drama", "comedy"], np.array([0, 2, 3, 3, 5]), np.array([1, 2, 1, 0, 0]))
    assert (coded.names, coded.columns.tolist()) == (shares.names, shares.columns.tolist())
    assert shares.columns.tolist() == [[0, 1], [1, 4], [3, 4], [2, 4], [4, 4]]
    assert ItemShares([("z",), ("no group",), ()]).names == items.item_groups([("z",), ("no group",), ()]).names


def test_uniform_and_catalogue():
    shares = ItemShares(GROUPS)

    assert uniform(shares).tolist() == [0.25] * 4
    assert catalogue(shares).tolist() == [0.125, 0.375, 0.25, 0.25]


def test_shares_by_name_are_brought_to_a_sum_of_1():
    assert named(ItemShares(GROUPS), {"war": 3, "drama": 1}).tolist() == [0, 0.25, 0.75, 0]


@pytest.mark.parametrize(
    ("wanted", "why"),
    [
        ({"opera": 1.0}, "no item is in 'opera'; groups are comedy, drama, war, no group"),
        ({"war": -1.0}, "the share of 'war' is -1.0"),
        ({"war": float("nan")}, "the share of 'war' is nan"),
        ({"war": 0.0}, "add up to 0.0"),
        ({}, "add up to 0"),
    ],
)
def test_shares_that_are_no_target_are_refused(wanted, why):
    with pytest.raises(TargetError, match=why):
        named(ItemShares(GROUPS), wanted)


def test_a_history_is_the_groups_of_its_items():
    shares = ItemShares(GROUPS)

    assert of_items(shares, np.array([0, 1])).tolist() == [0.25, 0.75, 0, 0]
    assert of_items(shares, np.array([], int)) is None


def test_a_catalogue_without_items_has_no_groups():
    shares = ItemShares([])

    assert len(shares) == 0
    assert catalogue(shares).tolist() == []
