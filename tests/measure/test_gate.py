"""The gate: worse is worse beyond the intervals, and what is no longer there is worse than what is."""

from __future__ import annotations

from dataclasses import replace

import pytest

from measure.audit import METRICS, Scope, Thresholds, Wanted, judge
from measure.gate import Measured, gate
from measure.profiles import FULL, QUICK
from tests.measure.cards import NEEDED, ONE, a_leak, a_share_kept


def a_version(leak=(0.5, 0.55), kept=(0.9, 1.0), *, targets=NEEDED, scope=ONE, profile=FULL, always=()):
    """One version that knows gender, with the same interval in each row of leakage, and in each of accuracy."""
    card = {
        "accuracy": {"by_mask": [{"sensitive": list(mask), "kept": a_share_kept(*kept)} for mask in scope.masks]},
        "leakage": {
            "by_mask": [
                a_leak(target, *leak, mask, name)
                for name in scope.attributes
                for mask in scope.masks
                for target in targets
                if name in mask and (len(mask) == 1 or not target.startswith("protecting"))
            ]
        },
    }
    wanted = Wanted(scope.masks, replace(profile, lists=(10,)), frozenset(METRICS), seed=0)
    result = {
        "bundle": {"attributes": [{"name": name} for name in scope.attributes], "always_protected": list(always)},
        "request": {"profile": profile.name},
        "card": card,
        "verdict": judge(card, scope, wanted, Thresholds()),
    }
    return Measured(result, scope, wanted)


def reasons(new, old):
    return list(gate(new, old).reasons)


def test_the_same_numbers_pass():
    found = gate(a_version(), a_version())

    assert list(found.reasons) == []
    assert len(found.rows) == len(NEEDED) + 4
    assert not any(row.worse for row in found.rows)


@pytest.mark.parametrize(("leak", "refused"), [((0.56, 0.6), True), ((0.55, 0.6), False), ((0.5, 0.51), False)])
def test_a_version_leaks_more_where_its_interval_lies_above_the_old_one(leak, refused):
    found = gate(a_version(leak, targets=NEEDED), a_version((0.5, 0.55)))

    worse = [row for row in found.rows if row.worse]
    assert [row.what for row in worse] == (list(NEEDED) if refused else [])
    said = [reason for reason in found.reasons if "leaks more" in reason]
    assert len(said) == len(worse)
    if refused:
        assert (
            said[0]
            == "gender: leaks more, fair with gender protected: 0.580 (0.560 - 0.600), was 0.525 (0.500 - 0.550)"
        )


@pytest.mark.parametrize(("kept", "refused"), [((0.82, 0.89), True), ((0.82, 0.9), False), ((1.0, 1.1), False)])
def test_a_version_keeps_less_where_its_interval_lies_below_the_old_one(kept, refused):
    said = reasons(a_version(kept=kept), a_version())

    assert bool(said) == refused
    assert all(reason.startswith("accuracy: keeps less") for reason in said)


@pytest.mark.parametrize(
    ("old", "new", "refused"),
    [
        ("pass", "inconclusive", True),
        ("pass", "not_judged", True),
        ("inconclusive", "not_judged", True),
        ("fail", "not_judged", True),
        ("not_judged", "fail", True),
        ("inconclusive", "fail", True),
        ("fail", "inconclusive", False),
        ("not_judged", "pass", False),
        ("fail", "fail", False),
    ],
)
def test_a_verdict_may_not_become_worse(old, new, refused):
    versions = {}
    for name, verdict in (("old", old), ("new", new)):
        one = a_version()
        one.result["verdict"]["attributes"][0]["verdict"] = verdict
        versions[name] = one

    said = reasons(versions["new"], versions["old"])

    expected = f"gender: the verdict was {old} and is {new}".replace("_", " ")
    assert said == ([expected] if refused else [])


def test_a_row_that_is_no_longer_measured_is_a_reason():
    said = reasons(a_version(targets=NEEDED[:2]), a_version())

    assert any("measured on the old version and not on the new one" in one and "and 1 more" in one for one in said)
    assert any("the verdict was pass and is not judged" in one for one in said)


def test_a_row_that_only_the_new_version_has_is_none():
    more = a_version(targets=(*NEEDED, "list@50"))

    assert reasons(more, a_version()) == []


def test_an_attribute_and_a_mask_that_are_gone_are_reasons():
    two = Scope(
        ("gender", "age"),
        ((), ("gender",), ("age",), ("gender", "age")),
        new_users=False,
        light_users=False,
        strict=True,
    )
    fewer = replace(two, masks=((), ("gender",), ("age",)))

    gone = reasons(a_version(), a_version(scope=two))
    unanswered = reasons(a_version(scope=fewer), a_version(scope=two))

    assert gone[0] == "age: the new version does not know this attribute, so it cannot withhold it"
    assert unanswered[0] == "gender, age protected: the new version has no answers for this"
    assert reasons(a_version(scope=two), a_version()) == []


def test_attributes_in_another_order_are_the_same():
    two = Scope(
        ("gender", "age"),
        ((), ("gender",), ("age",), ("gender", "age")),
        new_users=False,
        light_users=False,
        strict=True,
    )
    turned = Scope(
        ("age", "gender"),
        ((), ("age",), ("gender",), ("age", "gender")),
        new_users=False,
        light_users=False,
        strict=True,
    )

    assert reasons(a_version(scope=turned), a_version(scope=two)) == []


def test_protection_that_is_no_longer_given_always_is_a_reason():
    said = reasons(a_version(), a_version(always=("gender",)))

    assert said == ["gender: protected in every answer of the old version, and not of the new one"]


def test_weaker_attackers_and_labels_of_audit_users_are_reasons():
    quick = reasons(a_version(profile=QUICK), a_version())
    seen = reasons(a_version(scope=replace(ONE, strict=False)), a_version())

    assert any("measured with profile quick" in one and "svm" in one for one in quick)
    assert any("labels of audit users" in one for one in seen)


def test_nothing_measured_is_refused():
    nothing = a_version(targets=())
    for one in nothing.result["card"]["accuracy"]["by_mask"]:
        one.pop("kept")

    assert reasons(nothing, nothing) == [
        "nothing was measured of both versions, so nothing says that the new one is no worse"
    ]
