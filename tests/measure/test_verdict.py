"""Verdicts: intervals decide, everything that a protected attribute lets out counts, what is not there never passes."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from measure.audit import METRICS, Thresholds, Wanted, judge
from measure.errors import OutOfRangeError
from measure.profiles import FULL, QUICK
from tests.measure.cards import MASKS, NEEDED, ONE, a_leak, a_share_kept

HALF = Thresholds(leakage_at_most=0.6, kept_at_least=0.8)
ALL = Wanted(MASKS, replace(FULL, lists=(10,)), frozenset(METRICS), seed=0)


def a_card(*leaks: tuple[Any, ...], kept: tuple[float, float] = (0.9, 1.0), low=0.5, high=0.55) -> dict[str, Any]:
    """A card with all that a verdict on one attribute needs, and more rows (target, low, high[, sensitive])."""
    rows = {(target, ("gender",)): a_leak(target, low, high) for target in NEEDED}
    for target, *ends, sensitive in (leak if len(leak) == 4 else (*leak, ("gender",)) for leak in leaks):
        rows[target, tuple(sensitive)] = a_leak(target, *ends, sensitive)
    return {
        "accuracy": {
            "by_mask": [
                {"sensitive": [], "kept": a_share_kept(1.0, 1.0)},
                {"sensitive": ["gender"], "kept": a_share_kept(*kept)},
            ]
        },
        "leakage": {"by_mask": list(rows.values())},
    }


def judged(card, scope=ONE, wanted=ALL):
    return judge(card, scope, wanted, HALF)


def codes(found):
    return {(each["of"], each["code"]) for each in found["not_judged"]}


@pytest.mark.parametrize(
    ("low", "high", "expected"),
    [(0.5, 0.6, "pass"), (0.5, 0.61, "inconclusive"), (0.6, 0.7, "inconclusive"), (0.61, 0.7, "fail")],
)
def test_the_interval_of_leakage_decides(low, high, expected):
    found = judged(a_card(low=low, high=high))

    assert found["attributes"][0]["verdict"] == found["overall"] == expected
    assert f"{(low + high) / 2:.3f}" in found["attributes"][0]["sentence"]
    assert (found["not_judged"], found["reason"]) == ([], None)


@pytest.mark.parametrize(
    ("low", "high", "expected"),
    [(0.8, 0.9, "pass"), (0.75, 0.85, "inconclusive"), (0.7, 0.8, "inconclusive"), (0.6, 0.79, "fail")],
)
def test_the_interval_of_the_accuracy_kept_decides(low, high, expected):
    found = judged(a_card(kept=(low, high)))

    assert found["attributes"][0]["verdict"] == "pass"
    assert found["accuracy"]["verdict"] == found["overall"] == expected


@pytest.mark.parametrize(
    "target", ["fair", "folded_in", "protecting_masks", "list@10", "list@50", "protecting_lists@10"]
)
def test_one_target_that_leaks_fails_the_attribute_and_is_the_worst_row(target):
    found = judged(a_card((target, 0.7, 0.8)))

    (gender,) = found["attributes"]
    assert gender["verdict"] == "fail"
    assert gender["worst"] == {"sensitive": ["gender"], "target": target, "auc": 0.75, "ci95": [0.7, 0.8]}


@pytest.mark.parametrize(
    ("low", "high", "expected"), [(0.56, 0.63, "pass"), (0.56, 0.65, "inconclusive"), (0.61, 0.7, "fail")]
)
def test_light_users_hold_a_pass_back_by_the_value_and_fail_by_the_interval(low, high, expected):
    found = judged(a_card(("light", low, high)))

    (gender,) = found["attributes"]
    assert gender["verdict"] == found["overall"] == expected
    assert gender["worst"]["target"] == ("fair" if expected == "pass" else "light")
    if expected == "inconclusive":
        assert "among light users" in gender["sentence"]
        assert "from about 0.600 down" in gender["sentence"]


@pytest.mark.parametrize(
    ("sensitive", "target"),
    [
        ([], "fair"),
        (["age"], "fair"),
        (["gender"], "list@10:seen"),
        ([], "part:gender"),
        ([], "base"),
        ([], "all_masks"),
    ],
)
def test_what_no_mask_promises_to_withhold_does_not_count(sensitive, target):
    found = judged(a_card((target, 0.9, 0.95, sensitive)))

    assert found["attributes"][0]["verdict"] == found["overall"] == "pass"
    assert found["attributes"][0]["worst"]["auc"] == pytest.approx(0.525)


@pytest.mark.parametrize("target", NEEDED)
def test_a_row_that_is_not_there_keeps_everything_from_passing_whoever_left_it_out(target):
    card = a_card()
    card["leakage"]["by_mask"] = [row for row in card["leakage"]["by_mask"] if row["target"] != target]

    found = judged(card)

    assert found["overall"] == found["attributes"][0]["verdict"] == "not_judged"
    assert found["accuracy"]["verdict"] == "pass"
    assert codes(found) == {("gender", "unexplained")}
    assert target in found["reason"]


@pytest.mark.parametrize("place", [0, 1])
@pytest.mark.parametrize("kind", ["sampled", "full"])
def test_a_share_kept_that_is_not_there_keeps_everything_from_passing(place, kind):
    card = a_card()
    kept = card["accuracy"]["by_mask"][place]["kept"]
    card["accuracy"]["by_mask"][place]["kept"] = {name: value for name, value in kept.items() if name != kind}

    found = judged(card)

    assert found["overall"] == found["accuracy"]["verdict"] == "not_judged"
    assert codes(found) == {("accuracy", "unexplained")}


def test_an_attribute_that_is_missing_does_not_pass_and_the_card_says_why():
    scope = replace(ONE, attributes=("gender", "age"), masks=(*MASKS, ("age",), ("gender", "age")))
    card = a_card(("fair", 0.5, 0.55, ("gender", "age")), ("list@10", 0.5, 0.55, ("gender", "age")))
    told = {"attribute": "age", "code": "too_few_users", "reason": "labelled users: 20 users, at least 60 needed"}
    card["leakage"]["protocol"] = {"not_measured": [told]}
    card["accuracy"]["by_mask"] += [row | {"sensitive": mask} for mask in (["age"], ["gender", "age"])
                                    for row in card["accuracy"]["by_mask"][:1]]  # fmt: skip

    found = judged(card, scope, replace(ALL, masks=scope.masks))

    assert {each["attribute"]: each["verdict"] for each in found["attributes"]} == {
        "gender": "pass", "age": "not_judged"
    }  # fmt: skip
    assert found["overall"] == "not_judged"
    assert codes(found) == {("age", "too_few_users")}
    assert found["reason"] == "age: labelled users: 20 users, at least 60 needed"
    assert found["attributes"][1]["sentence"] == "age: not judged: labelled users: 20 users, at least 60 needed."


def test_one_failure_fails_also_where_something_is_not_judged_and_that_is_told():
    card = a_card(("fair", 0.7, 0.8))
    del card["accuracy"]

    found = judged(card)

    assert (found["overall"], found["reason"]) == ("fail", None)
    assert codes(found) == {("accuracy", "unexplained")}


def test_a_number_without_an_interval_is_none():
    card = a_card(("fair", float("nan"), float("nan")))
    card["accuracy"]["by_mask"][1]["kept"]["full"]["ndcg@10"]["ci95"] = None

    found = judged(card)

    assert codes(found) == {("gender", "no_interval"), ("accuracy", "no_interval")}
    assert found["overall"] == "not_judged"


@pytest.mark.parametrize(
    ("scope", "wanted", "word"),
    [(ONE, replace(ALL, profile=QUICK), "look"), (replace(ONE, strict=False), ALL, "flatter")],
    ids=["quick", "reproduce"],
)
@pytest.mark.parametrize("metrics", [METRICS, ("accuracy",)], ids=["all", "accuracy"])
def test_a_look_and_a_flattered_bundle_are_not_judged_whatever_was_asked_for(scope, wanted, word, metrics):
    found = judged(a_card(("fair", 0.9, 0.95), kept=(0.1, 0.2)), scope, replace(wanted, metrics=frozenset(metrics)))

    assert word in found["reason"]
    assert {found["overall"], found["attributes"][0]["verdict"], found["accuracy"]["verdict"]} == {"not_judged"}
    assert found["attributes"][0]["worst"]["auc"] == pytest.approx(0.925)


def test_an_audit_of_some_metrics_or_masks_or_of_nothing_does_not_pass():
    only = judged({"accuracy": a_card()["accuracy"]}, wanted=replace(ALL, metrics=frozenset(["accuracy"])))
    fewer = judged({"leakage": a_card()["leakage"]}, wanted=replace(ALL, masks=(("gender",),)))
    nothing = judged({})

    assert (only["overall"], only["accuracy"]["verdict"], codes(only)) == (
        "not_judged", "pass", {("gender", "not_asked")}
    )  # fmt: skip
    assert ("accuracy", "not_asked") in codes(fewer)
    assert {nothing["overall"], nothing["attributes"][0]["verdict"], nothing["accuracy"]["verdict"]} == {"not_judged"}


def test_groups_that_were_merged_are_named():
    card = a_card()
    for row in card["leakage"]["by_mask"]:
        row |= {"classes": [[0, 1], [2, 3]], "groups": ["18 to 34", "35 to 70"]}

    found = judged(card)

    assert found["attributes"][0]["sentence"].endswith("Attacked in 2 groups: 18 to 34; 35 to 70.")


@pytest.mark.parametrize("wrong", [{"leakage_at_most": 0.4}, {"leakage_at_most": 1.1}, {"kept_at_least": -0.1}])
def test_thresholds_out_of_range_are_refused(wrong):
    with pytest.raises(OutOfRangeError, match=next(iter(wrong))):
        Thresholds(**wrong)
