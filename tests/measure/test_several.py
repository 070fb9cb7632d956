"""Lists against several positives of a user: by hand."""

from __future__ import annotations

import numpy as np
import pytest

from measure.errors import ShapeError
from measure.fairness.groups import Groups
from measure.fairness.items import item_groups
from measure.several import hits_of, spread_of_recall

LISTS = np.array([[0, 1, 2], [3, 4, -1], [0, 4, 5]])
INDPTR, INDICES = np.array([0, 2, 6, 6]), np.array([2, 0, 3, 0, 1, 5])
"""User 0 likes items 2 and 0, user 1 items 3, 0, 1 and 5, user 2 none."""


def test_precision_recall_and_ndcg_are_those_by_hand():
    hits = hits_of(LISTS, INDPTR, INDICES)

    assert hits.at.tolist() == [[True, False, True], [True, False, False], [False, False, False]]
    assert hits.precision().tolist()[:2] == pytest.approx([2 / 3, 1 / 3])
    assert hits.recall().tolist()[:2] == pytest.approx([1.0, 0.25])
    second, third = 1 / np.log2(3), 0.5
    assert hits.ndcg().tolist()[:2] == pytest.approx([(1 + third) / (1 + second), 1 / (1 + second + third)])
    assert all(np.isnan(each[2]) for each in (hits.precision(), hits.recall(), hits.ndcg()))


def test_utility_is_recall_by_groups_and_its_spread_is_the_papers():
    """Items 0 to 2 are Crime, 3 to 5 Horror. User 0 (F) finds all of Crime; user 1 (M) none of two, and one of two."""
    lists, (indptr, indices) = LISTS, (INDPTR, INDICES)
    items = item_groups([("Crime",)] * 3 + [("Horror",)] * 3)
    users = Groups(("F", "M"), np.array([0, 1, 1]))

    found = spread_of_recall(lists, hits_of(lists, indptr, indices), indptr, indices, users, items)

    assert found.utility.tolist()[1] == [0.0, 0.5]
    assert found.utility[0, 0] == 1
    assert np.isnan(found.utility[0, 1])
    values = np.array([1, 0, 0.5])
    assert found.cv == pytest.approx(values.std() / values.mean())
    assert found.min == 0
    assert found.ucv == pytest.approx(1.0)  # Crime alone has two user groups: 1 and 0
    assert found.icv == pytest.approx(1.0)  # M alone has two item groups: 0 and .5


def test_as_many_users_in_both():
    with pytest.raises(ShapeError):
        hits_of(LISTS[:2], INDPTR, INDICES)
