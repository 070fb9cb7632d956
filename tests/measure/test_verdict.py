"""Verdicts: intervals decide, everything that a protected attribute lets out counts, a look judges nothing."""

from __future__ import annotations

from typing import Any

import pytest

from measure.audit import Thresholds, judge
from measure.errors import OutOfRangeError

HALF = Thresholds(leakage_at_most=0.6, kept_at_least=0.8)


def a_card(
    *leaks: tuple[list[str], str, float, float],
    kept: tuple[float, float] | None = None,
    verdict: bool = True,
    labels: str = "train users only",
    attribute: str = "gender",
) -> dict[str, Any]:
    """A card of rows (sensitive, target, low, high) of one attribute, and one mask's accuracy kept."""
    card: dict[str, Any] = {
        "leakage": {
            "protocol": {"profile": "some", "verdict": verdict, "labels": labels},
            "by_mask": [
                {
                    "sensitive": sensitive,
                    "attribute": attribute,
                    "target": target,
                    "n": 100,
                    "strongest": {"attacker": "mlp", "auc": (low + high) / 2, "ci95": [low, high]},
                }
                for sensitive, target, low, high in leaks
            ],
        }
    }
    if kept is not None:
        estimate = {"value": sum(kept) / 2, "ci95": list(kept)}
        row = {"sensitive": ["gender"], "kept": {"sampled": {"ndcg@10": estimate}, "full": {"ndcg@10": estimate}}}
        card["accuracy"] = {"by_mask": [row]}
    return card


@pytest.mark.parametrize(
    ("low", "high", "expected"),
    [(0.5, 0.6, "pass"), (0.5, 0.61, "inconclusive"), (0.6, 0.7, "inconclusive"), (0.61, 0.7, "fail")],
)
def test_the_interval_of_leakage_decides(low, high, expected):
    found = judge(a_card((["gender"], "fair", low, high)), HALF)

    assert found["attributes"][0]["verdict"] == found["overall"] == expected
    assert f"{(low + high) / 2:.3f}" in found["attributes"][0]["sentence"]


@pytest.mark.parametrize(
    ("low", "high", "expected"),
    [(0.8, 0.9, "pass"), (0.75, 0.85, "inconclusive"), (0.7, 0.8, "inconclusive"), (0.6, 0.79, "fail")],
)
def test_the_interval_of_the_accuracy_kept_decides(low, high, expected):
    found = judge(a_card((["gender"], "fair", 0.5, 0.55), kept=(low, high)), HALF)

    assert found["attributes"][0]["verdict"] == "pass"
    assert found["accuracy"]["verdict"] == found["overall"] == expected


@pytest.mark.parametrize(
    "target", ["fair", "folded_in", "protecting_masks", "list@10", "list@50", "protecting_lists@10"]
)
def test_one_target_that_leaks_fails_the_attribute_and_is_the_worst_row(target):
    found = judge(a_card((["gender"], "fair", 0.5, 0.52), (["gender"], target, 0.7, 0.8)), HALF)

    (gender,) = found["attributes"]
    assert gender["verdict"] == "fail"
    assert gender["worst"] == {"sensitive": ["gender"], "target": target, "auc": 0.75, "ci95": [0.7, 0.8]}


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
    found = judge(a_card((["gender"], "fair", 0.5, 0.52), (sensitive, target, 0.9, 0.95)), HALF)

    assert found["attributes"][0]["verdict"] == "pass"
    assert found["attributes"][0]["worst"]["target"] == "fair"


def test_an_attribute_that_nothing_protected_was_attacked_for_is_not_judged():
    found = judge(a_card(([], "fair", 0.9, 0.95)), HALF)

    assert found["attributes"][0] | {"sentence": ""} == {
        "attribute": "gender", "verdict": "not_judged", "worst": None, "sentence": ""
    }  # fmt: skip
    assert found["overall"] == "not_judged"
    assert found["reason"] == "nothing was attacked that protects gender"


@pytest.mark.parametrize(
    ("options", "word"),
    [({"verdict": False}, "look"), ({"labels": "all users: transductive"}, "flatter")],
    ids=["quick", "reproduce"],
)
def test_a_look_and_a_flattered_bundle_are_not_judged_and_the_reason_is_told(options, word):
    found = judge(a_card((["gender"], "fair", 0.9, 0.95), kept=(0.1, 0.2), **options), HALF)

    assert word in found["reason"]
    assert {found["overall"], found["attributes"][0]["verdict"], found["accuracy"]["verdict"]} == {"not_judged"}
    assert found["attributes"][0]["worst"]["auc"] == pytest.approx(0.925)


def test_accuracy_alone_can_be_judged_and_nothing_at_all_is_said_to_be_nothing():
    only = judge({"accuracy": a_card(kept=(0.9, 1.0))["accuracy"]}, HALF)
    nothing = judge({}, HALF)

    assert (only["overall"], only["attributes"]) == ("pass", [])
    assert (nothing["overall"], nothing["attributes"]) == ("not_judged", [])
    assert nothing["reason"]
    assert "accuracy" not in nothing


@pytest.mark.parametrize("wrong", [{"leakage_at_most": 0.4}, {"leakage_at_most": 1.1}, {"kept_at_least": -0.1}])
def test_thresholds_out_of_range_are_refused(wrong):
    with pytest.raises(OutOfRangeError, match=next(iter(wrong))):
        Thresholds(**wrong)
