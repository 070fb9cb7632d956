"""`python -m service audit`: what it writes, what it says, and how it ends."""

from __future__ import annotations

import json
import os
import select
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from bundle import SupportedMasks, Users
from measure.audit import Thresholds
from measure.profiles import Profile
from service.__main__ import main
from service.audit.command import Outcome
from service.audit.request import AuditRequest
from service.audit.result import make_result
from service.model.loaded import load_model

ROOT = Path(__file__).parents[3]
pytestmark = pytest.mark.usefixtures("preloaded")
MANY = 2400
"""A third of them are audit users: enough for an interval of about ± .05."""
JUDGED = Profile("full", ("logistic",), 2, 1, 1, 100, 50, fit_rows=1000, verdict=True)
FEW = ("--masks=;gender", "--metrics=accuracy,leakage")


@pytest.fixture(autouse=True)
def judged_by_one_attacker(monkeypatch):
    """The full profile, made cheap."""
    monkeypatch.setattr("service.audit.result.PROFILES", {"full": JUDGED, "quick": replace(JUDGED, verdict=False)})


def planted(fair_of):
    """A change of a bundle: users whose u finds their held-out item, and fair vectors ``fair_of(u, labels, rng)``."""

    def change(bundle):
        rng = np.random.default_rng(5)
        items = rng.normal(size=bundle.items.vectors.shape).astype(np.float32)
        u = items[bundle.audit.test] * 2 + rng.normal(size=(len(bundle.users.ids), items.shape[1]))
        fair = np.stack([u, fair_of(u, bundle.audit.labels[:, 0], rng)], axis=1).astype(np.float32)
        return replace(
            bundle,
            items=replace(bundle.items, vectors=items),
            users=Users(bundle.users.ids, fair),
            audit=replace(bundle.audit, base=u.astype(np.float32)),
        )

    return change


def keeps_gender(u, labels, rng):
    return u + np.outer(labels * 4.0, np.eye(u.shape[1])[0])


def at_random(u, labels, rng):
    return rng.normal(size=u.shape)


@pytest.fixture
def a_planted_folder(a_measurable_folder):
    """The builder of bundles with gender alone, whose users' fair vectors are made by a function."""
    masks = SupportedMasks(kind="list", masks=[[], ["gender"]])
    options = {"attributes": ("gender",), "table": True, "supported_masks": masks, "dimensions": 8}
    options |= {"users": MANY, "items": 160}
    return lambda fair_of: a_measurable_folder(change=planted(fair_of), **options)


def audited(folder, **asked):
    wanted = {"profile": "full", "metrics": ["accuracy", "leakage", "lists", "joined"], **asked}
    return make_result(load_model(folder, "cpu"), AuditRequest.model_validate(wanted), Thresholds())


def test_a_bundle_that_keeps_what_it_says_it_protects_fails(a_planted_folder):
    verdict = audited(a_planted_folder(keeps_gender))["verdict"]

    (gender,) = verdict["attributes"]
    assert (verdict["overall"], gender["verdict"]) == ("fail", "fail")
    assert gender["worst"]["auc"] > 0.9
    assert gender["worst"]["sensitive"] == ["gender"]


def test_a_bundle_of_random_vectors_leaks_nothing_and_fails_for_what_it_finds(a_planted_folder):
    verdict = audited(a_planted_folder(at_random))["verdict"]

    (gender,) = verdict["attributes"]
    assert gender["verdict"] == "pass", gender["sentence"]
    assert verdict["accuracy"]["verdict"] == "fail", verdict["accuracy"]["sentence"]
    assert verdict["overall"] == "fail"


def test_the_same_seed_gives_the_same_numbers_for_any_number_of_workers_and_another_gives_others(a_measurable_folder):
    model = load_model(a_measurable_folder(), "cpu")

    def card(workers=1, **asked):
        request = AuditRequest.model_validate({"masks": [["gender"]], "metrics": ["leakage"], "users": 70, **asked})
        return make_result(model, request, Thresholds(), workers=workers)["card"]

    first = card(seed=1)
    assert card(seed=1) == first
    assert card(seed=1, workers=2) == first
    assert card(seed=2) != first


def test_no_more_users_are_looked_at_than_were_asked_for(a_measurable_folder):
    model = load_model(a_measurable_folder(), "cpu")

    card = make_result(model, AuditRequest(users=65, metrics=["accuracy", "leakage"]), Thresholds())["card"]

    assert {row["n"] for section in card.values() for row in section["by_mask"]} == {65}


@pytest.fixture
def command(capsys, tmp_path):
    """Runs it in this process: exit status, standard output, standard error."""

    def run(folder, *words, out=tmp_path / "out"):
        status = main(["audit", str(folder), "--out", str(out), *words])
        written = capsys.readouterr()
        return status, written.out, written.err

    return run


def test_it_writes_the_result_and_two_reports_and_says_the_verdict(command, a_measurable_folder, tmp_path):
    status, said, _ = command(a_measurable_folder(), *FEW, "--seed", "4")

    assert status == 4
    assert said.startswith("tiny/1: not judged: ")
    assert said.splitlines()[-1] == str(tmp_path / "out")
    assert {file.name for file in (tmp_path / "out").iterdir()} == {"audit.json", "report.html", "report.md"}
    result = json.loads((tmp_path / "out" / "audit.json").read_text())
    assert result.keys() == {"bundle", "request", "measured", "card", "verdict"}
    assert result["request"] == {
        "profile": "quick",
        "masks": [[], ["gender"]],
        "metrics": ["accuracy", "leakage"],
        "users": None,
        "seed": 4,
        "version": "1",
        "balance": None,
        "balance_weight": None,
    }
    assert result["card"].keys() == result["measured"]["seconds"].keys() == {"accuracy", "leakage"}
    assert (tmp_path / "out" / "report.html").read_text().startswith("<!doctype html>")
    assert (tmp_path / "out" / "report.md").read_text().count("# ") > 1


def test_it_audits_what_the_operators_default_serves_and_the_report_says_so(
    command, a_measurable_folder, tmp_path, monkeypatch
):
    monkeypatch.setenv("EVENHAND_BALANCE", "uniform")
    monkeypatch.setenv("EVENHAND_BALANCE_WEIGHT", "1")
    words = ("--masks=gender", "--metrics=lists,catalogue", "--seed", "4")
    folder = a_measurable_folder()

    def measured(*more):
        command(folder, *words, *more)
        return json.loads((tmp_path / "out" / "audit.json").read_text()), (tmp_path / "out" / "report.md").read_text()

    served, told = measured()
    plain, not_told = measured("--balance", "none")

    assert (served["request"]["balance"], served["request"]["balance_weight"]) == ("uniform", 1)
    assert "balanced towards item groups: uniform, weight 1." in told
    assert plain["request"]["balance"] is None
    assert "balanced towards" not in not_told
    assert served["card"]["fairness"] != plain["card"]["fairness"]


def test_it_begins_with_what_so_many_users_can_show(command, a_planted_folder):
    folder = a_planted_folder(at_random)

    _, _, many = command(folder, *FEW)
    _, _, none = command(folder, "--masks=;gender", "--metrics=accuracy")
    _, _, few = command(folder, *FEW, "--users", "50")

    assert many.startswith("gender: 800 audit users in 2 groups, an interval of about ± 0.040. At 0.6 ")
    assert "gender: " not in none
    assert "gender: cannot be judged: labelled users: 50 users, at least 60 needed" in few


WHOLE = ("--profile", "full", "--metrics=accuracy,leakage,lists,joined", "--kept-at-least=0")


@pytest.mark.parametrize(("most", "status", "overall"), [("0.6", 1, "fail"), ("1", 0, "pass")])
def test_a_failure_ends_with_1_and_a_pass_with_0(command, a_planted_folder, most, status, overall):
    ended, said, _ = command(a_planted_folder(keeps_gender), *WHOLE, "--leakage-at-most", most)

    assert ended == status
    assert said.startswith(f"tiny/1: {overall}\n")


def test_thresholds_come_from_the_environment_and_an_option_wins(command, a_planted_folder, tmp_path, monkeypatch):
    folder = a_planted_folder(keeps_gender)
    monkeypatch.setenv("EVENHAND_AUDIT_LEAKAGE_AT_MOST", "1")
    monkeypatch.setenv("EVENHAND_AUDIT_KEPT_AT_LEAST", "0.1")

    def held_against(*words):
        command(folder, *FEW, *words)
        return json.loads((tmp_path / "out" / "audit.json").read_text())["verdict"]["thresholds"]

    assert held_against() == {"leakage_at_most": 1.0, "kept_at_least": 0.1}
    assert held_against("--leakage-at-most=0.7") == {"leakage_at_most": 0.7, "kept_at_least": 0.1}


@pytest.mark.parametrize(("given", "words", "workers"), [(None, (), 1), ("3", (), 3), ("3", ("--workers=2",), 2)])
def test_workers_come_from_the_environment_and_an_option_wins(command, monkeypatch, given, words, workers):
    used = []
    monkeypatch.setattr(
        "service.audit.command.audit", lambda *_, **options: used.append(options["workers"]) or Outcome(0, ())
    )
    if given:
        monkeypatch.setenv("EVENHAND_AUDIT_WORKERS", given)

    command("bundle", *words)

    assert used == [workers]


@pytest.mark.parametrize(
    ("name", "value", "says"),
    [
        ("EVENHAND_AUDIT_LEAKAGE_AT_MOST", "0.4", "EVENHAND_AUDIT_LEAKAGE_AT_MOST is '0.4'"),
        ("EVENHAND_AUDIT_KEPT_AT_LAST", "0.9", "unknown setting EVENHAND_AUDIT_KEPT_AT_LAST"),
    ],
)
def test_a_setting_of_audits_that_cannot_be_is_refused(command, monkeypatch, name, value, says):
    monkeypatch.setenv(name, value)

    status, _, refusal = command("bundle")

    assert (status, says in refusal) == (2, True), refusal


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (("--masks=gender;shoe",), "cannot protect 'shoe'; this bundle knows gender, age"),
        (("--metrics=luck",), "--metrics has 'luck'"),
        (("--users=0",), "--users has 0"),
        (("--seed=-1",), "--seed has -1"),
        (("--leakage-at-most=0.4",), "leakage_at_most is 0.4, expected 0.5 to 1"),
        (("--kept-at-least=2",), "kept_at_least is 2.0, expected 0.0 to 1"),
    ],
)
def test_what_cannot_be_measured_is_refused_in_one_line(command, a_measurable_folder, tmp_path, words, says):
    status, said, refusal = command(a_measurable_folder(users=6), *words)

    assert (status, said) == (2, "")
    assert refusal.startswith("evenhand: ")
    assert says in refusal
    assert len(refusal.splitlines()) == 1
    assert not (tmp_path / "out" / "audit.json").exists()


def test_a_bundle_that_is_damaged_lacks_audit_data_or_is_not_there_is_refused(command, a_bundle_folder, tmp_path):
    folder = a_bundle_folder()
    load_model(folder, "cpu")  # leaves a stamp, which an audit does not trust
    file = folder / "audit" / "base.safetensors"
    damaged, before = bytearray(file.read_bytes()), file.stat()
    damaged[-1] ^= 1
    file.write_bytes(damaged)
    os.utime(file, ns=(before.st_atime_ns, before.st_mtime_ns))
    load_model(folder, "cpu")  # which finds nothing wrong

    for wrong, says in (
        (folder, "audit/base.safetensors: sha256"),
        (a_bundle_folder(version="2", with_audit=False), "version '2' came without audit/"),
        (tmp_path / "nothing", "no bundle at"),
    ):
        status, _, refusal = command(wrong)
        assert (status, says in refusal) == (2, True), refusal


def test_a_folder_that_cannot_be_written_is_refused_before_anything_is_measured(command, a_measurable_folder, tmp_path):
    (tmp_path / "file").write_text("")

    status, _, refusal = command(a_measurable_folder(), out=tmp_path / "file" / "out")

    assert status == 2
    assert "cannot be written" in refusal


def test_progress_is_told_in_lines_of_json_and_nothing_else(command, a_measurable_folder):
    status, said, _ = command(a_measurable_folder(), *FEW, "--progress")

    told = [json.loads(line) for line in said.splitlines()]
    shares = [one["share"] for one in told]
    assert status == 4
    assert shares == sorted(shares)
    assert (shares[0] < 0.2, shares[-1]) == (True, 1.0)
    assert {"ranking held-out items", "attacking fair vectors"} <= {one["doing"] for one in told}


def test_it_ends_quietly_where_nobody_reads_any_more(a_measurable_folder, tmp_path):
    read, write = os.pipe()
    os.close(read)
    words = [sys.executable, "-m", "service", "audit", a_measurable_folder(), "--out", tmp_path / "out", "--progress"]

    with os.fdopen(write, "wb") as nobody:
        done = subprocess.run([*words, *FEW], cwd=ROOT, stdout=nobody, stderr=subprocess.PIPE, text=True, check=False)

    assert (done.returncode, done.stderr) == (3, "")
    assert not (tmp_path / "out" / "audit.json").exists()


SILENT = """
import multiprocessing, time
from service.audit.reader import *
worker = multiprocessing.get_context("spawn").Process(target=time.sleep, args=(60,))
with only_while_read():
    worker.start()
    print(worker.pid, flush=True)
    input()
"""


def test_it_ends_with_its_workers_when_its_reader_goes_and_not_at_its_next_line():
    streams = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE}
    with subprocess.Popen([sys.executable, "-c", SILENT], cwd=ROOT, **streams) as audit:
        worker = os.pidfd_open(int(audit.stdout.readline()))

        audit.stdout.close()

        assert audit.wait(30) == 3
        assert select.select([worker], [], [], 10)[0]
    os.close(worker)


def test_without_the_packages_that_audits_need_it_says_which_one(command, a_bundle_folder, monkeypatch):
    for name in [name for name in sys.modules if name.startswith("service.audit")]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, "service.audit.command", None)

    status, _, refusal = command(a_bundle_folder())

    assert status == 2
    assert "audits need the package" in refusal


@pytest.mark.real_processes
def test_a_service_does_not_load_what_its_audits_measure_with():
    loaded = "import sys, service.api; print(sorted({name.partition('.')[0] for name in sys.modules}))"

    printed = subprocess.run(
        [sys.executable, "-c", loaded], cwd=ROOT, capture_output=True, text=True, check=True
    ).stdout

    assert "service" in printed
    assert not any(name in printed for name in ("sklearn", "scipy"))
