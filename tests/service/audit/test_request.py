"""What an audit measures: decided for one bundle, or refused by name."""

from __future__ import annotations

import re

import pytest
from pydantic import ValidationError

from bundle import SupportedMasks
from measure.audit import METRICS
from service.audit.request import METRICS as OURS
from service.audit.request import AuditRequest, as_arguments, resolve
from service.balance import BalancePolicy
from service.errors import InvalidQueryError, UnknownAttributeError, UnsupportedRequirementError

THREE = ("gender", "age", "occupation")


def described(a_bundle, **options):
    return a_bundle(**({"attributes": THREE} | options)).description


def test_an_empty_request_is_a_quick_look_at_everything_with_the_seed_of_the_run(a_bundle):
    wanted = resolve(AuditRequest(), described(a_bundle, seed=11, version="7"))

    assert (wanted.profile, wanted.users, wanted.seed, wanted.version) == ("quick", None, 11, "7")
    assert len(wanted.masks) == 8
    assert (wanted.masks[0], wanted.masks[-1]) == ((), THREE)
    assert wanted.metrics == METRICS


def test_the_metrics_are_those_that_can_be_measured():
    assert OURS == METRICS


def test_masks_and_metrics_come_in_one_order_each_once(a_bundle):
    masks = (("age", "gender"), ("occupation",), (), ("gender", "age", "gender"), ("gender",))
    asked = AuditRequest(masks=masks, metrics=("parts", "accuracy", "parts"))

    wanted = resolve(asked, described(a_bundle))

    assert wanted.masks == ((), ("gender",), ("occupation",), ("gender", "age"))
    assert wanted.metrics == ("accuracy", "parts")
    assert resolve(AuditRequest.model_validate(wanted.model_dump()), described(a_bundle)) == wanted


def test_an_audit_of_balanced_lists_measures_lists(a_bundle):
    wanted = resolve(AuditRequest(balance="uniform"), described(a_bundle))
    plain = resolve(AuditRequest(), described(a_bundle))

    assert (wanted.balance, wanted.balance_weight) == ("uniform", 0.5)
    assert set(METRICS) - set(wanted.metrics) == {"accuracy", "leakage", "parts"}
    assert (plain.balance, plain.balance_weight, plain.metrics) == (None, None, METRICS)
    named = AuditRequest(balance="uniform", balance_weight=0.25, metrics=("accuracy", "lists"))
    assert resolve(named, described(a_bundle)).metrics == ("accuracy", "lists")
    words = as_arguments(resolve(named, described(a_bundle)).model_dump(mode="json"))
    assert words[-4:] == ["--balance", "uniform", "--balance-weight", "0.25"]
    stored_before = {name: value for name, value in plain.model_dump(mode="json").items() if "balance" not in name}
    assert as_arguments(stored_before)[-2:] == as_arguments(plain.model_dump(mode="json"))[-2:] == ["--balance", "none"]


def test_lists_are_audited_as_the_operator_balances_them_and_all_is_measured(a_bundle):
    policy = BalancePolicy("catalogue", 0.3, 0.6)

    served = resolve(AuditRequest(), described(a_bundle), policy)
    plain = resolve(AuditRequest(balance="none"), described(a_bundle), policy)

    assert (served.balance, served.balance_weight, served.metrics) == ("catalogue", 0.3, METRICS)
    assert (plain.balance, plain.balance_weight, plain.metrics) == (None, None, METRICS)
    again = AuditRequest.model_validate(served.model_dump())
    assert resolve(again, described(a_bundle), policy) == served


@pytest.mark.parametrize(
    ("asked", "why"),
    [
        ({"balance_weight": 0.5}, "balance_weight: there is nothing to weigh: name a `balance`"),
        ({"balance": "none", "balance_weight": 0.5}, "balance_weight: there is nothing to weigh"),
        ({"balance": "uniform", "balance_weight": 0.9}, "balance_weight: this service balances with at most 0.6"),
        ({"balance": "target"}, "balance: neither the operator nor the bundle has one"),
    ],
)
def test_a_balance_that_a_request_is_refused_for_is_refused(a_bundle, asked, why):
    with pytest.raises(InvalidQueryError, match=re.escape(why)):
        resolve(AuditRequest(**asked), described(a_bundle), BalancePolicy(most=0.6))


def test_what_is_given_stays(a_bundle):
    wanted = resolve(AuditRequest(profile="full", users=100, seed=0, version="1"), described(a_bundle, seed=11))

    assert (wanted.profile, wanted.users, wanted.seed) == ("full", 100, 0)


def test_an_attribute_that_the_bundle_lacks_is_refused_with_those_that_it_has(a_bundle):
    with pytest.raises(UnknownAttributeError) as refused:
        resolve(AuditRequest(masks=[["gender"], ["gender", "shoe"]]), described(a_bundle))

    assert refused.value.facts == {"field": "masks", "value": "shoe", "allowed": list(THREE)}


def test_a_mask_that_the_bundle_has_no_list_for_is_refused_with_those_that_it_supports(a_bundle):
    some = SupportedMasks(kind="list", masks=[["gender"], ["gender", "age"]])

    with pytest.raises(UnsupportedRequirementError) as refused:
        resolve(AuditRequest(masks=[["gender"], []]), described(a_bundle, table=True, supported_masks=some))

    assert refused.value.facts["field"] == "masks"
    assert refused.value.facts["applied"] == []
    assert refused.value.facts["supported_masks"] == some.model_dump()


def test_without_masks_all_that_the_bundle_supports_are_taken(a_bundle):
    some = SupportedMasks(kind="list", masks=[["age", "gender"], ["gender"]])

    assert resolve(AuditRequest(), described(a_bundle, table=True, supported_masks=some)).masks == (
        ("gender",),
        ("gender", "age"),
    )
    always = described(a_bundle, always_protected=["age"])
    assert all("age" in mask for mask in resolve(AuditRequest(), always).masks)


@pytest.mark.parametrize(
    "wrong",
    [
        {"profile": "thorough"},
        {"masks": []},
        {"masks": [[""]]},
        {"metrics": []},
        {"metrics": ["accuracy", "luck"]},
        {"users": 0},
        {"users": 1.5},
        {"seed": -1},
        {"seed": 2**31},
        {"version": ""},
        {"version": "x" * 101},
        {"mask": [["gender"]]},
    ],
)
def test_a_value_out_of_bounds_is_refused(wrong):
    with pytest.raises(ValidationError) as refused:
        AuditRequest.model_validate(wrong)

    assert refused.value.errors()[0]["loc"][0] in wrong
