"""The balance of one list, and the operator's settings."""

from __future__ import annotations

import pytest

from service.balance import BalancePolicy, balance_policy, resolve_balance
from service.errors import BalanceRevealsError, InvalidQueryError, StartError
from service.settings import read_settings

GENDER = {"gender": "user"}


@pytest.mark.parametrize("default", [None, "uniform", "catalogue", "target"])
@pytest.mark.parametrize("asked", [None, "none", "uniform", "catalogue", "target", "history"])
@pytest.mark.parametrize("protected", [{}, GENDER])
def test_whatever_is_asked_a_history_is_followed_only_where_nothing_is_protected(default, asked, protected):
    policy = BalancePolicy(default, shares={"drama": 1.0}, digest="d")

    if asked == "history" and protected:
        with pytest.raises(BalanceRevealsError) as refused:
            resolve_balance(policy, asked, None, protected)
        assert refused.value.applied == [{"attribute": "gender", "source": "user"}]
        return
    found = resolve_balance(policy, asked, None, protected)

    wanted = default if asked is None else None if asked == "none" else asked
    assert (found and found.target) == wanted
    assert found is None or found.source == ("request" if asked else "default")


def test_the_key_of_a_balance_holds_all_that_it_depends_on():
    policies = [BalancePolicy(shares={"a": 1.0}, digest=digest) for digest in "xy"]
    keys = {
        resolve_balance(policy, target, weight, {}).key
        for policy in policies
        for target in ("uniform", "target")
        for weight in (0.1, 0.2)
    }

    assert len(keys) == 6


@pytest.mark.parametrize("protected", [{}, GENDER])
def test_target_is_the_operators_else_the_bundles_else_refused(protected):
    own, none = BalancePolicy(shares={"drama": 1.0}, digest="d"), BalancePolicy()

    for policy, whose in ((own.over(personal=True), "operator"), (none.over(personal=True), "bundle")):
        assert policy.target_from == whose
        assert resolve_balance(policy, "target", None, protected).target == "target"
    assert none.over(personal=False).target_from is None
    with pytest.raises(InvalidQueryError, match="neither the operator nor the bundle has one"):
        resolve_balance(none.over(personal=False), "target", None, protected)


def test_a_weight_is_bounded_by_the_operator():
    policy = BalancePolicy("uniform", 0.3, 0.4)

    assert resolve_balance(policy, None, None, {}).weight == 0.3
    assert resolve_balance(policy, None, 0.4, {}).weight == 0.4
    with pytest.raises(InvalidQueryError, match=r"at most 0\.4"):
        resolve_balance(policy, None, 0.41, {})
    assert balance_policy(None, None, 0.4, None).weight == 0.4


def test_a_history_is_never_the_default(monkeypatch):
    monkeypatch.setenv("EVENHAND_BALANCE", "history")

    with pytest.raises(
        StartError, match=r"EVENHAND_BALANCE is 'history'.*'uniform', 'catalogue', 'target' or 'quotas'"
    ):
        read_settings(bundle="b")


@pytest.mark.parametrize(
    ("text", "why"),
    [
        (None, "cannot be read"),
        ("{", "cannot be read"),
        ("[" * 100_000, "cannot be read"),
        ("[]", "must hold item groups and their shares"),
        ("{}", "must hold item groups"),
        ('{"a": "b"}', "must hold item groups"),
        ('{"a": true}', "must hold item groups"),
        ('{"a": 0.5, "b": 0.25, "a": 0.25}', "cannot be read: 'a' is there twice"),
    ],
)
def test_a_file_without_shares_refuses_the_start(tmp_path, text, why):
    file = tmp_path / "target.json"
    if text is not None:
        file.write_text(text)

    with pytest.raises(StartError, match=f"EVENHAND_BALANCE_TARGET: .*target.json {why}"):
        balance_policy(None, None, 1.0, file)


def test_a_mark_at_the_beginning_of_the_file_is_no_part_of_it(tmp_path):
    file = tmp_path / "target.json"
    file.write_text('{"a": 1}', encoding="utf-8-sig")

    assert balance_policy(None, None, 1.0, file).shares == {"a": 1.0}


def test_settings_that_contradict_each_other_refuse_the_start():
    with pytest.raises(StartError, match="names no file, and this bundle brings no targets"):
        balance_policy("target", None, 1.0, None).over(personal=False)
    with pytest.raises(StartError, match=r"EVENHAND_BALANCE_WEIGHT is 0\.9, above EVENHAND_BALANCE_WEIGHT_MAX, 0\.5"):
        balance_policy("uniform", 0.9, 0.5, None)


def test_a_share_of_hundreds_of_digits_is_as_large_as_numbers_get(tmp_path):
    file = tmp_path / "target.json"
    file.write_text(f'{{"a": 1{"0" * 400}, "b": 1}}')

    assert balance_policy(None, None, 1.0, file).shares == {"a": float("inf"), "b": 1.0}  # which each bundle refuses
