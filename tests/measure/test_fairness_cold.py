"""How often items are listed that nobody has touched, and to whom, against hand-computed numbers."""

from __future__ import annotations

import numpy as np
import pytest

from measure.audit.sections.context import Context
from tests.measure.test_fairness_card import AUDITED, OPEN, PROTECTED, ROMANCE, measured, planted, row_of

WEIGHTS = 1 / np.log2(np.arange(2, 12))
COLD = np.zeros(60, np.bool_)
COLD[ROMANCE[2]] = COLD[ROMANCE[5]] = True
"""Women are shown two such items, at ranks 3 and 6, unless gender is protected."""
SHARE = (WEIGHTS[2] + WEIGHTS[5]) / WEIGHTS.sum()


def test_their_share_of_what_is_shown_and_of_users_who_are_shown_one():
    found = measured(planted(cold=COLD), "exposure")

    everybody = next(row for row in found["cold"] if "attribute" not in row and row["sensitive"] == [])
    assert everybody["n"] == AUDITED
    women = Context(planted(cold=COLD), 0).groups["gender"].sizes[0] / AUDITED
    assert everybody["listed@10"]["value"] == pytest.approx(women)
    assert everybody["exposure@10"]["value"] == pytest.approx(women * SHARE)
    low, high = everybody["exposure@10"]["ci95"]
    assert low < everybody["exposure@10"]["value"] < high


def test_to_whom_by_class_with_what_chance_gives():
    found = measured(planted(cold=COLD), "exposure")

    row = row_of(found, "cold", OPEN, "gender")
    assert [(each["class"], each["exposure@10"], each["listed@10"]) for each in row["groups"]] == [
        ("F", pytest.approx(SHARE), 1),
        ("M", 0, 0),
    ]
    assert row["gap"]["value"] == pytest.approx(SHARE)
    assert row["gap"]["between"] == ["F", "M"]
    assert 0 < row["gap"]["permutation95"] < SHARE
    assert {tuple(each["sensitive"]) for each in found["cold"]} == {OPEN, PROTECTED}


@pytest.mark.parametrize("cold", [None, np.zeros(60, np.bool_)])
def test_where_there_are_none_the_card_is_as_it_always_was(cold):
    assert "cold" not in measured(planted(cold=cold))


def test_they_are_told_of_along_with_exposure_alone():
    assert "cold" not in measured(planted(cold=COLD), "parity")


def test_empty_lists_show_none():
    subject = planted(cold=COLD)
    for lists in subject.planted_lists.values():
        lists[:] = -1

    assert "cold" not in measured(subject, "exposure", "catalogue")


def test_cold_items_are_told_of_where_items_have_no_groups():
    found = measured(planted(cold=COLD, item_groups=[[]] * 60), "exposure")

    assert "exposure" not in found
    assert len(found["cold"]) == 2 * (1 + 2)
