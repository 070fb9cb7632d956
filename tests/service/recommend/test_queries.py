"""What is asked of a list: none of it is left out of the cache's key, or of what a cursor is bound to."""

from __future__ import annotations

from dataclasses import fields, replace

import pytest

from service.recommend.queries import SessionQuery, UserQuery

QUERY = UserQuery("u1")
OTHER = {
    "sensitive": ("gender",),
    "k": 11,
    "exclude_seen": False,
    "exclude": ("i7",),
    "group": ("drama",),
    "fallback": "popular",
    "cursor": "a cursor",
    "balance": "uniform",
    "balance_weight": 0.25,
}
"""For each field another value than the default."""
RESOLVED = {"sensitive", "fallback", "balance", "balance_weight"}
"""What they come to is in the cache's key beside the options."""


def test_both_kinds_of_personal_lists_may_be_asked_for_the_same():
    assert {field.name for field in fields(UserQuery)} - {"user"} == OTHER.keys()
    assert {field.name for field in fields(SessionQuery)} - {"history"} == OTHER.keys()


@pytest.mark.parametrize("field", sorted(OTHER.keys() - {"cursor"}))
def test_a_cursor_is_bound_to_every_parameter(field):
    assert replace(QUERY, **{field: OTHER[field]}).asked != QUERY.asked


@pytest.mark.parametrize("field", sorted(OTHER.keys() - {"cursor", *RESOLVED}))
def test_cached_lists_differ_in_every_option(field):
    assert replace(QUERY, **{field: OTHER[field]}).options != QUERY.options
