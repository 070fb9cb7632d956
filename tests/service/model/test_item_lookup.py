"""Rows of a catalogue: what a request says of items, found in the bundle."""

from __future__ import annotations

import pytest

from service.model.item_lookup import REMEMBERED, ItemLookup


@pytest.fixture
def catalogue() -> ItemLookup:
    row = {item: place for place, item in enumerate("abcde")}
    return ItemLookup(row, [["drama"], ["comedy", "drama"], [], ["comedy"], ["war"]])


def test_unknown_ids_are_left_out_and_the_order_stays(catalogue):
    assert catalogue.rows(["d", "x", "a", "d"]) == [3, 0, 3]


def test_outside_are_the_items_of_none_of_the_groups(catalogue):
    assert catalogue.outside(["drama"]).tolist() == [2, 3, 4]
    assert catalogue.outside(["war", "comedy"]).tolist() == catalogue.outside(["comedy", "war"]).tolist() == [0, 2]
    assert catalogue.groups == ["comedy", "drama", "war"]


def test_only_so_many_group_filters_are_kept():
    names = [f"g{number}" for number in range(REMEMBERED + 5)]
    catalogue = ItemLookup({name: row for row, name in enumerate(names)}, [[name] for name in names])

    for name in names:
        assert len(catalogue.outside([name])) == len(names) - 1

    assert len(catalogue._outside) == REMEMBERED
    assert names.index("g0") not in catalogue.outside(["g0"])


def test_hidden_items_follow_the_set_they_are_given(catalogue):
    assert catalogue.hidden(frozenset({"b", "zz"})).tolist() == [1]
    assert catalogue.hidden(frozenset({"e"})).tolist() == [4]
    assert catalogue.hidden(frozenset()).tolist() == []
