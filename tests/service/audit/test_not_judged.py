"""Nothing passes unmeasured: every reason for which something is not judged, through the command to its exit status."""

from __future__ import annotations

import copy
import json
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
import pytest

from bundle import SupportedMasks, Users
from measure.audit import verdict
from measure.audit.lookup import Found, LookedUp
from measure.audit.reasons import Reason, reason_of
from measure.errors import MeasureError, OutOfRangeError
from measure.profiles import Profile
from service.__main__ import main
from service.audit.command import STATUS

JUDGED = Profile("full", ("logistic",), 2, 1, 1, 100, 50, fit_rows=1000, verdict=True)
USERS, ITEMS = 450, 170
ANYTHING = ("--leakage-at-most=1", "--kept-at-least=0")
"""Whatever is measured passes, so that what is not is alone in keeping an audit from passing."""
EVERYTHING = ("--profile=full", "--metrics=accuracy,leakage,lists,joined")
BUNDLE: dict[str, Any] = {
    "attributes": ("gender",), "table": True, "dimensions": 8, "users": USERS, "items": ITEMS,
    "supported_masks": SupportedMasks(kind="list", masks=[[], ["gender"]]),
}  # fmt: skip


def planted(bundle, towards=2.0):
    """Users whose u finds their held-out item, and fair vectors that do so nearly as well."""
    rng = np.random.default_rng(5)
    items = rng.normal(size=bundle.items.vectors.shape).astype(np.float32)
    u = items[bundle.audit.test] * towards + rng.normal(size=(len(bundle.users.ids), items.shape[1]))
    fair = np.stack([u, u + rng.normal(size=u.shape) / 2], axis=1).astype(np.float32)
    audit = replace(bundle.audit, base=u.astype(np.float32))
    return replace(bundle, items=replace(bundle.items, vectors=items), users=Users(bundle.users.ids, fair), audit=audit)


def labelled(of_audit_users):
    """Labels of gender for the audit users, from their number."""

    def change(bundle):
        made = planted(bundle)
        labels, audit = made.audit.labels.copy(), np.flatnonzero(made.audit.split == 2)
        labels[audit, 0] = of_audit_users(len(audit))
        return replace(made, audit=replace(made.audit, labels=labels))

    return change


def reproduced(bundle):
    return replace(planted(bundle), description=bundle.description.model_copy(update={"mode": "reproduce"}))


def without_held_out(bundle):
    made = planted(bundle)
    return replace(made, audit=replace(made.audit, test=np.full_like(made.audit.test, -1)))


def nan_for_gender(monkeypatch):
    from service.audit.subject import ServedSubject

    made = ServedSubject.fair_vectors
    monkeypatch.setattr(
        ServedSubject, "fair_vectors", lambda self, mask: made(self, mask) * (np.nan if mask else np.float32(1))
    )


def no_interval(monkeypatch):
    monkeypatch.setattr("measure.leakage.bootstrap_interval", lambda *_: (float("nan"), float("nan")))


def refusing(monkeypatch):
    def refuse(*_, **__):
        raise OutOfRangeError("something", 2, 0, 1)

    monkeypatch.setattr("measure.audit.attacks.leakage", refuse)


def forgetting_lists(monkeypatch):
    from measure.audit import leakage

    made = leakage._rows
    monkeypatch.setattr(
        leakage, "_rows", lambda *given: (row for row in made(*given) if not row["target"].startswith("list@"))
    )


@dataclass(frozen=True)
class Case:
    """One way to leave something unmeasured, in a bundle that passes otherwise."""

    of: str | None
    words: tuple[str, ...] = ()
    bundle: dict[str, Any] = field(default_factory=dict)
    change: Callable[[Any], Any] = planted
    patch: Callable[[Any], None] = lambda monkeypatch: None


CASES = {
    Reason.LOOK: Case(None, words=("--profile=quick",)),
    Reason.TRANSDUCTIVE: Case(None, change=reproduced),
    Reason.NOT_ASKED: Case("gender", words=("--metrics=accuracy,leakage",)),
    Reason.NO_MASK: Case("age", bundle={"attributes": ("gender", "age")}),
    Reason.TOO_FEW_USERS: Case("gender", change=labelled(lambda n: np.where(np.arange(n) < 40, np.arange(n) % 2, -1))),
    Reason.NO_TWO_GROUPS: Case("gender", change=labelled(lambda n: (np.arange(n) < 5).astype(np.int16))),
    Reason.NOT_FINITE: Case("gender", patch=nan_for_gender),
    Reason.NO_HELD_OUT: Case("accuracy", change=without_held_out),
    Reason.TOO_FEW_ITEMS: Case("accuracy", bundle={"items": 40}),
    Reason.NO_BASE: Case("accuracy", change=lambda bundle: planted(bundle, towards=-9.0)),
    Reason.NO_INTERVAL: Case("gender", patch=no_interval),
    Reason.REFUSED: Case("gender", patch=refusing),
    Reason.UNEXPLAINED: Case("gender", patch=forgetting_lists),
}


@pytest.fixture
def audited(a_measurable_folder, tmp_path, monkeypatch, capsys):
    """Runs the command on a case: exit status, result, what was printed, and what was judged by which lists."""
    monkeypatch.setattr("service.audit.result.PROFILES", {"full": JUDGED, "quick": replace(JUDGED, verdict=False)})
    given: list[Any] = []

    def judge(*arguments):
        given[:] = copy.deepcopy(arguments)
        return verdict.judge(*arguments)

    monkeypatch.setattr("service.audit.result.judge", judge)

    def run(case: Case, *words: str):
        case.patch(monkeypatch)
        folder = a_measurable_folder(change=case.change, **BUNDLE | case.bundle)
        said = dict(word.split("=") for word in (*EVERYTHING, *ANYTHING, *case.words, *words))  # each once, the last
        options = [f"{name}={value}" for name, value in said.items()]
        status = main(["audit", str(folder), "--out", str(tmp_path / "out"), *options])
        return status, json.loads((tmp_path / "out" / "audit.json").read_text()), capsys.readouterr().out, given

    return run


def test_the_bundle_of_all_cases_passes_where_everything_is_measured(audited):
    status, result, said, _ = audited(Case(None))

    assert (status, said.splitlines()[0]) == (0, "tiny/1: pass")
    assert result["verdict"]["not_judged"] == []


def test_there_is_a_case_of_every_reason():
    assert set(CASES) == set(Reason)


@pytest.mark.parametrize("reason", CASES)
def test_what_could_not_be_measured_never_exits_as_a_pass_and_is_told_first(audited, tmp_path, monkeypatch, reason):
    case = CASES[reason]

    status, result, said, judged = audited(case)

    assert status == STATUS["not_judged"] == 4
    assert result["verdict"]["overall"] == "not_judged"
    entries = [each for each in result["verdict"]["not_judged"] if each["code"] == reason]
    assert case.of in {each["of"] for each in entries}
    assert all(each["reason"] in said.splitlines()[0] for each in entries)
    for page in ("report.html", "report.md"):
        assert "Not judged, and why" in (tmp_path / "out" / page).read_text()
    _a_mutant_is_caught(monkeypatch, reason, judged)


def _a_mutant_is_caught(monkeypatch, reason, judged):
    """Silence about a skip does not pass; a judge that forgives this one reason would, so this test would see it."""
    card, scope, wanted, thresholds = copy.deepcopy(judged)
    for section in card.values():
        section["protocol"].pop("not_measured", None)
    silent = verdict.judge(card, scope, wanted, thresholds)
    assert silent["overall"] == "not_judged"

    def forgiving(look_up):
        def look(*arguments):
            looked = look_up(*arguments)
            missing = {each: rows for each, rows in looked.missing.items() if each.code != reason}
            fine = Found((), "fair", 1.0, (1.0, 1.0), {"n": 1})
            return LookedUp(looked.subject, looked.found or [fine], missing)

        return look

    monkeypatch.setattr(verdict, "leaks_of", forgiving(verdict.leaks_of))
    monkeypatch.setattr(verdict, "kept_of", forgiving(verdict.kept_of))
    if reason in (Reason.LOOK, Reason.TRANSDUCTIVE):
        monkeypatch.setattr(verdict, "_whole", lambda *_: None)
    assert verdict.judge(*judged)["overall"] == "pass"


def _kinds(kind):
    return [kind, *(each for below in kind.__subclasses__() for each in _kinds(below))]


@pytest.mark.parametrize("kind", _kinds(MeasureError), ids=lambda kind: kind.__name__)
def test_every_refusal_to_measure_has_a_reason(kind):
    assert reason_of(kind.__new__(kind)) in Reason


@pytest.mark.parametrize("metrics", ["accuracy", "overlap", "accuracy,leakage,lists,joined"])
def test_a_quick_look_is_never_judged_whatever_is_asked_for(audited, metrics):
    status, result, said, _ = audited(Case(None), "--profile=quick", f"--metrics={metrics}")

    assert status == 4
    assert said.startswith("tiny/1: not judged: the full profile is a look")
    assert {each["verdict"] for each in result["verdict"]["attributes"]} == {"not_judged"}
    assert result["verdict"]["accuracy"]["verdict"] == "not_judged"


@pytest.mark.parametrize("words", [("--masks=gender",), ("--metrics=accuracy",), ("--metrics=leakage,lists,joined",)])
def test_an_audit_that_was_asked_for_less_than_everything_does_not_pass(audited, words):
    status, result, _, _ = audited(Case(None), *words)

    assert status == 4
    assert {each["code"] for each in result["verdict"]["not_judged"]} == {"not_asked"}
