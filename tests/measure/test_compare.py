"""Two audits side by side: matched by what a row is of, and nothing made up for what only one has."""

from __future__ import annotations

import json

import pytest

from measure.compare import compare


def accuracy(mask, ndcg, **more):
    return {"sensitive": mask, "n": 10, "full": {"ndcg@10": ndcg}, "sampled": {}, **more}


def leak(mask, attribute, target, auc):
    strongest = {"attacker": "mlp", "auc": auc, "ci95": [auc - 0.1, auc + 0.1]}
    return {"sensitive": mask, "attribute": attribute, "target": target, "n": 10, "strongest": strongest}


def result(card=None, overall="pass", verdicts=(), known=(), **request):
    asked = {"profile": "full", "users": None, "seed": 0, "masks": [[]], "metrics": ["accuracy"], **request}
    attributes = [{"attribute": name, "verdict": verdict} for name, verdict in verdicts]
    verdict = {"overall": overall, "attributes": attributes, "accuracy": {"verdict": "pass"}, "not_judged": []}
    bundle = {"attributes": [{"name": name} for name in known]}
    return {"bundle": bundle, "request": asked, "card": card or {}, "verdict": verdict}


def test_a_difference_is_the_second_less_the_first():
    before = result({"accuracy": {"by_mask": [accuracy([], 0.2), accuracy(["gender"], 0.1)]}})
    after = result({"accuracy": {"by_mask": [accuracy([], 0.25), accuracy(["gender"], 0.05)]}})

    rows = compare(before, after)["accuracy"]

    assert rows == [
        {"sensitive": [], "metric": "full ndcg@10", "first": 0.2, "second": 0.25, "difference": pytest.approx(0.05)},
        {
            "sensitive": ["gender"],
            "metric": "full ndcg@10",
            "first": 0.1,
            "second": 0.05,
            "difference": pytest.approx(-0.05),
        },
    ]


def test_leakage_is_matched_by_mask_attribute_and_target():
    first = [leak(["gender"], "gender", "fair", 0.7), leak(["gender"], "age", "fair", 0.9)]
    second = [leak(["gender"], "age", "fair", 0.8), leak(["gender"], "gender", "list@10", 0.6)]

    rows = compare(result({"leakage": {"by_mask": first}}), result({"leakage": {"by_mask": second}}))["leakage"]

    found = {(row["attribute"], row["target"]): row for row in rows}
    assert list(found) == [("gender", "fair"), ("age", "fair"), ("gender", "list@10")]
    assert found["age", "fair"]["difference"] == pytest.approx(-0.1)
    assert found["age", "fair"]["first"] == {"auc": 0.9, "ci95": [0.8, 1.0]}
    assert (found["gender", "fair"]["second"], found["gender", "fair"]["difference"]) == (None, None)
    assert (found["gender", "list@10"]["first"], found["gender", "list@10"]["difference"]) == (None, None)


def test_every_number_of_fairness_is_compared_and_nothing_else():
    def card(shift):
        return {
            "fairness": {
                "protocol": {"users": "audit", "resamples": 100},
                "parity": [
                    {
                        "sensitive": ["age"],
                        "attribute": "gender",
                        "n": 30,
                        "groups": [{"class": "F", "hit@10": 0.1}],
                        "demographic": {"value": 0.2 + shift, "ci95": [0.1, 0.3], "between": ["F", "M"]},
                        "differential": {"value": None},
                    }
                ],
                "clients": [
                    {
                        "sensitive": [],
                        "attribute": "gender",
                        "clients": "occupation",
                        "item_group": "Drama",
                        "global": 0.1,
                        "local": {"max": 0.3 + shift, "mean": 0.2},
                    }
                ],
            }
        }

    rows = compare(result(card(0.0)), result(card(0.05)))["fairness"]

    found = {(row["section"], row["attribute"], row["metric"]): row for row in rows}
    assert list(found) == [
        ("parity", "gender", "demographic"),
        ("clients", "gender", "global"),
        ("clients", "gender", "local.max"),
        ("clients", "gender", "local.mean"),
    ]
    demographic = found["parity", "gender", "demographic"]
    assert demographic["first"] == {"value": 0.2, "ci95": [0.1, 0.3]}
    assert demographic["difference"] == pytest.approx(0.05)
    assert demographic["sensitive"] == ["age"]
    assert found["clients", "gender", "global"]["first"] == {"value": 0.1}
    assert found["clients", "gender", "global"]["difference"] == 0


def test_what_was_asked_otherwise_is_said():
    compared = compare(result(profile="quick", seed=1), result(users=500, seed=1, metrics=["leakage"]))

    assert compared["differs"] == [
        {"what": "profile", "first": "quick", "second": "full"},
        {"what": "users", "first": None, "second": 500},
    ]


def test_verdicts_are_told_for_every_attribute_of_either():
    first = result(overall="fail", verdicts=[("gender", "fail"), ("age", "pass")])
    second = result(overall="pass", verdicts=[("gender", "pass"), ("job", "pass")])

    assert compare(first, second)["verdict"] == {
        "first": "fail",
        "second": "pass",
        "attributes": [
            {"attribute": "gender", "first": "fail", "second": "pass"},
            {"attribute": "age", "first": "pass", "second": None},
            {"attribute": "job", "first": None, "second": "pass"},
        ],
        "accuracy": {"first": "pass", "second": "pass"},
        "not_judged": {"first": [], "second": []},
    }


def test_an_attribute_that_a_bundle_has_and_its_verdict_leaves_out_is_not_judged():
    why = {"of": "age", "code": "too_few_users", "reason": "few", "rows": 4}
    first = result(overall="pass", verdicts=[("gender", "pass")], known=["gender", "age"])
    second = result(overall="not_judged", verdicts=[("gender", "pass"), ("age", "not_judged")], known=["gender", "age"])
    second["verdict"]["not_judged"].append(why)
    del first["verdict"]["accuracy"]

    compared = compare(first, second)["verdict"]

    assert compared["attributes"][1] == {"attribute": "age", "first": "not_judged", "second": "not_judged"}
    assert compared["accuracy"] == {"first": "not_judged", "second": "pass"}
    assert compared["not_judged"] == {"first": [], "second": [why]}


def test_audits_that_measured_nothing_in_common_compare_to_nothing_and_to_json():
    compared = compare(result(), result({"accuracy": {"by_mask": []}}))

    assert (compared["accuracy"], compared["leakage"], compared["fairness"]) == ([], [], [])
    assert json.loads(json.dumps(compared)) == compared
