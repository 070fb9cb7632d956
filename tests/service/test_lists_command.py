"""`python -m service lists`: the lists of requests as one file, whole, once, and refused in one line."""

from __future__ import annotations

import os
import subprocess
import sys
from contextlib import closing
from pathlib import Path

import pyarrow.parquet as pq
import pytest

from bundle import SupportedMasks, write_bundle
from service.lists import run as lists_run
from service.lists.maker import ListMaker
from service.lists.parts import Parts
from service.store import (
    Interaction,
    Pseudonyms,
    add_interactions,
    erase_user,
    hide_item,
    put_requirement,
)

ROOT = Path(__file__).parents[2]
SEEN = {"u0": ["i1", "i2"], "u1": ["i3"], "u5": [f"i{row}" for row in range(10)]}


def as_answered(client, row, options):
    """What HTTP says to the user of a row, in the form of a row."""
    answer = client.get(f"/recommend?user={row['user']}&{options}").json()
    return {
        "user": answer["user"],
        "applied": [each["attribute"] for each in answer["sensitive"]["applied"]],
        "items": [each["item"] for each in answer["items"]],
        "fallback": answer["fallback"],
    }


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ("", ()),
        ("sensitive=", ("--sensitive", "")),
        ("sensitive=age&k=5", ("--sensitive", "age", "--k", 5)),
        (
            "sensitive=gender,age&k=3&exclude_seen=false",
            ("--sensitive", "gender", "--sensitive", "age", "--k", 3, "--no-exclude-seen"),
        ),
        ("group=odd&fallback=popular", ("--group", "odd", "--fallback", "popular")),
        ("balance=uniform&balance_weight=0.8", ("--balance", "uniform", "--balance-weight", "0.8")),
    ],
)
@pytest.mark.parametrize("out", ["lists.parquet", "lists.ndjson"])
def test_lists_are_those_that_requests_get(
    a_client, a_bundle_folder, lists, ready_sqlite, monkeypatch, options, words, out, changed
):
    monkeypatch.setenv("EVENHAND_REQUIRED", "age")
    monkeypatch.setenv("EVENHAND_DEFAULT", "gender")
    changed(
        ready_sqlite,
        (hide_item, "i4", True),
        (add_interactions, [Interaction("u2", "i5", 0), Interaction("u2", "i6", 0), Interaction("new", "i7", 0)]),
        (erase_user, "u3", Pseudonyms(None)),
        (put_requirement, "u4", ["gender"]),
    )
    folder = a_bundle_folder(seen=SEEN)
    people = [f"u{row}" for row in range(6)] + ["new"]
    Path("people.txt").write_text("".join(f"{user}\r\n" for user in people))

    status, rows, said, _ = lists(folder, "--users", "people.txt", "--database", ready_sqlite, *words, out=out)

    client = a_client(folder=folder, settings={"database_url": ready_sqlite, "cache": "off"})
    assert status == 0
    kept = people if "--fallback" in words else [user for user in people if user != "u3"]
    assert [row["user"] for row in rows] == kept
    assert rows == [as_answered(client, row, options) for row in rows]
    assert ("not finite: 1\n" in said) == ("--fallback" not in words)


def test_everybody_is_in_the_file_and_no_score(lists, a_bundle_folder):
    _, rows, said, _ = lists(a_bundle_folder(seen=SEEN), out="lists.parquet")

    assert [row["user"] for row in rows] == [f"u{row}" for row in range(6)]
    assert {*rows[0]} == {"user", "applied", "items", "fallback"}
    assert "without a database" in said
    assert [path.name for path in Path().iterdir() if path.name.startswith(".lists")] == []


def test_the_database_is_that_of_the_service_unless_it_is_said_otherwise(
    lists, a_bundle_folder, ready_sqlite, monkeypatch, changed
):
    folder = a_bundle_folder()
    changed(ready_sqlite, (erase_user, "u3", Pseudonyms(None)))
    monkeypatch.setenv("EVENHAND_DATABASE_URL", ready_sqlite)

    assert [len(lists(folder, *words)[1]) for words in ((), ("--database", "none"))] == [5, 6]
    monkeypatch.delenv("EVENHAND_DATABASE_URL")
    Path("state").mkdir()
    Path(ready_sqlite.removeprefix("sqlite:///")).rename("state/evenhand.db")
    assert len(lists(folder)[1]) == 5


def test_a_service_may_run_from_the_database_that_is_read_and_not_from_one_that_is_logged_to(
    a_client, a_bundle_folder, lists, ready_sqlite
):
    folder = a_bundle_folder()
    a_client(folder=folder, settings={"database_url": ready_sqlite})

    assert lists(folder, "--database", ready_sqlite)[0] == 0
    status, _, _, error = lists(folder, "--database", ready_sqlite, "--log", out="other.ndjson")

    assert status == 2
    assert "serves from" in error
    assert len(error.splitlines()) == 1
    assert not Path("other.ndjson").exists()


def test_lists_are_in_the_log_as_shown(a_client, a_bundle_folder, lists, ready_sqlite, changed):
    folder = a_bundle_folder(seen=SEEN)
    changed(ready_sqlite, (put_requirement, "u4", ["gender"]), (erase_user, "u3", Pseudonyms(None)))

    _, rows, _, _ = lists(folder, "--database", ready_sqlite, "--log", "--sensitive", "age", "--k", 4)

    client = a_client(folder=folder, settings={"database_url": ready_sqlite})
    logged = client.get("/audit/requests?limit=100").json()["requests"]
    assert {row["user"]: row["items"] for row in logged} == {row["user"]: row["items"] for row in rows}
    assert {row["user"]: row["applied"] for row in logged}["u4"] == [
        {"attribute": "gender", "source": "user"},
        {"attribute": "age", "source": "request"},
    ]
    assert {row["purpose"] for row in logged} == {"batch"}
    assert client.get("/audit/exposure?by=gender").json()["lists"] == 5


def test_balanced_lists_are_logged_with_what_that_did(a_client, a_bundle_folder, lists, ready_sqlite):
    folder = a_bundle_folder(items=40, seen={"u0": ["i1", "i2"]})

    lists(folder, "--database", ready_sqlite, "--log", "--balance", "history", "--balance-weight", "1")

    client = a_client(folder=folder, settings={"database_url": ready_sqlite, "cache": "off"})
    for row in client.get("/audit/requests?limit=100").json()["requests"]:
        answer = client.get(f"/recommend?user={row['user']}&balance=history&balance_weight=1").json()
        del answer["balance"]["source"]
        assert (row["balance"], row["items"]) == (answer["balance"], [each["item"] for each in answer["items"]])
        assert (row["balance"]["divergence"] is None) == (row["user"] != "u0")


def test_a_stored_requirement_forbids_lists_that_follow_histories(lists, a_bundle_folder, ready_sqlite, changed):
    changed(ready_sqlite, (put_requirement, "u4", ["age"]))

    status, _, _, error = lists(a_bundle_folder(), "--balance", "history", "--database", ready_sqlite)

    assert status == 2
    assert "1 stored requirements of users cannot be met; user 'u4': balance=history would show" in error


def test_a_list_that_a_change_overtakes_while_others_are_made_is_made_again(
    a_client, a_bundle_folder, lists, ready_sqlite, monkeypatch, changed
):
    folder = a_bundle_folder(seen=SEEN)
    made = ListMaker.start
    ways = iter(
        [
            lambda: (put_requirement, "u0", ["age"]),
            lambda: (erase_user, "u1", Pseudonyms(None)),
            lambda: (hide_item, "i9", True),
        ]
    )

    def overtaken(self, plans):
        found = made(self, plans)
        if (way := next(ways, None)) is not None:
            changed(ready_sqlite, way())
        return found

    monkeypatch.setattr(lists_run.Run.__init__, "__defaults__", (2,))
    monkeypatch.setattr(ListMaker, "start", overtaken)
    status, rows, _, _ = lists(folder, "--database", ready_sqlite, "--sensitive", "")

    client = a_client(folder=folder, settings={"database_url": ready_sqlite, "cache": "off"})
    assert status == 0
    assert [row["user"] for row in rows] == ["u0", "u2", "u3", "u4", "u5"]
    assert rows[0]["applied"] == ["age"]
    assert rows == [as_answered(client, row, "sensitive=") for row in rows]


@pytest.mark.parametrize(
    ("words", "complaint"),
    [
        (("--sensitive", "religion"), "'religion'; this bundle knows gender, age"),
        (("--sensitive", "gender,,age"), "cannot protect ''"),
        (("--k", "0"), "--k is 0; it can be 1 to 1000"),
        (("--k", "1001"), "--k is 1001"),
        (("--group", "neither"), "no item is in group 'neither'"),
        (("--balance", "history", "--sensitive", "age"), "would show what is withheld: age (request)"),
        (("--balance", "target"), "neither the operator nor the bundle has one"),
        (("--balance-weight", "0.5"), "name a `balance`"),
        (("--users", "people.txt"), "people.txt, line 2: no user 'nobody'"),
        (("--users", "twice.txt"), "twice.txt, line 3: user 'u1' is in line 1 already"),
        (("--users", "gap.txt"), "gap.txt, line 2: no user id"),
        (("--users", "absent.txt"), "absent.txt cannot be read"),
        (("--database", "sqlite:///absent.db"), "there is no database"),
        (("--log",), "--log needs a database"),
    ],
)
def test_bad_input_is_refused_in_one_line_before_any_list_is_made(
    lists, a_bundle_folder, monkeypatch, words, complaint
):
    folder = a_bundle_folder()
    Path("people.txt").write_text("u1\nnobody\n")
    Path("twice.txt").write_text("u1\nu2\nu1\n")
    Path("gap.txt").write_text("u1\n\nu2\n")
    monkeypatch.setattr(ListMaker, "start", lambda *_: pytest.fail("lists were made"))

    status, _, said, error = lists(folder, *words)

    assert (status, said) == (2, "")
    assert complaint in error
    assert len(error.splitlines()) == 1
    assert not list(Path().glob(".lists*"))


@pytest.mark.parametrize(
    ("out", "complaint"),
    [
        ("lists.csv", "must end in"),
        ("absent/lists.parquet", "there is no folder"),
        ("full.ndjson", "which is a folder"),
    ],
)
def test_an_output_that_cannot_be_written_is_refused_before_the_bundle_is_read(lists, tmp_path, out, complaint):
    (tmp_path / "full.ndjson").mkdir()

    status, _, _, error = lists("no-bundle", out=out)

    assert status == 2
    assert complaint in error


def test_settings_bound_lists_as_they_bound_requests(lists, a_bundle_folder, monkeypatch):
    folder = a_bundle_folder()
    monkeypatch.setenv("EVENHAND_MAX_K", "5")
    monkeypatch.setenv("EVENHAND_PINNED", "true")
    monkeypatch.setenv("EVENHAND_DEFAULT", "age")

    assert "1 to 5 (EVENHAND_MAX_K)" in lists(folder, "--k", 6)[3]
    assert "cannot choose" in lists(folder, "--k", 5, "--sensitive", "gender")[3]
    assert {tuple(row["applied"]) for row in lists(folder, "--k", 5)[1]} == {("age",)}


def test_stored_requirements_that_cannot_be_met_are_refused_and_named(
    lists, a_bundle_folder, ready_sqlite, monkeypatch, changed
):
    folder = a_bundle_folder(supported_masks=SupportedMasks(kind="list", masks=[["gender"], ["age"]]))
    changed(ready_sqlite, (put_requirement, "u4", ["age"]), (put_requirement, "stranger", ["age"]))
    monkeypatch.setattr(lists_run.Run, "make", lambda *_: pytest.fail("lists were made"))

    for asked, complaint in [
        ("gender,age", ""),
        ("gender", "1 stored requirements of users cannot be met; user 'u4': "),
    ]:
        status, _, _, error = lists(folder, "--sensitive", asked, "--database", ready_sqlite)

        assert status == 2
        assert f"evenhand: {complaint}this bundle has no list that protects exactly: gender (request), age" in error
        assert len(error.splitlines()) == 1


def test_a_user_whose_vectors_are_not_finite_costs_the_others_nothing(lists, a_bundle, tmp_path):
    made = a_bundle()
    made.users.parts[2] = 3e38

    status, rows, said, _ = lists(write_bundle(made, tmp_path / "bundles"))

    assert status == 0
    assert [row["user"] for row in rows] == ["u0", "u1", "u3", "u4", "u5"]
    assert "not finite: 1\n" in said


def test_nothing_is_held_but_one_part(lists, a_bundle_folder, monkeypatch):
    most = []
    made = ListMaker.start
    monkeypatch.setattr(lists_run.Run.__init__, "__defaults__", (16,))
    monkeypatch.setattr(ListMaker, "start", lambda self, plans: most.append(len(plans)) or made(self, plans))

    _, rows, _, _ = lists(a_bundle_folder(users=100))

    assert len(rows) == 100
    assert max(most) == 16


DYING = """
import os, signal, sys
from service.lists import files, parts, run
from service.__main__ import main

owner, name, calls = {place}
run.Run.__init__.__defaults__ = (8,)
whole = getattr(owner, name)

def dying(*given):
    global calls
    calls -= 1
    if calls < 0:
        os.kill(os.getpid(), signal.SIGKILL)
    return whole(*given)

setattr(owner, name, dying)
sys.exit(main(sys.argv[1:]))
"""
PLACES = [
    "parts.Parts, 'write', 2",
    "files.ParquetLists, 'write', 1",
    "parts.Parts, 'remove', 0",
    "parts.Parts, 'remove', 9",
]
"""Where the process kills itself: in the third part; with two in the log; before it cleans up; not at all."""


@pytest.mark.usefixtures("preloaded")
def test_a_run_that_is_killed_goes_on_and_nothing_is_made_or_logged_twice(
    lists, a_client, a_bundle_folder, ready_sqlite, tmp_path
):
    folder = a_bundle_folder(users=40, seen=SEEN)
    words = ["--sensitive", "age", "--database", ready_sqlite, "--out", "killed.parquet", "--log"]
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    left, made = [], []
    for place in PLACES:
        command = [sys.executable, "-c", DYING.format(place=place), "lists", str(folder), *words]
        done = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True, check=False)
        left.append((done.returncode, Path("killed.parquet").exists()))
        made.append({path: path.stat().st_mtime_ns for path in Path(".killed.parquet.parts").glob("0*")})

    assert left == [(-9, False), (-9, False), (-9, True), (0, True)], done.stderr
    assert "40 of 40 users were done before" in done.stdout
    assert [len(paths) for paths in made] == [2, 5, 5, 0]
    assert made[0].items() <= made[1].items() == made[2].items()
    rows = pq.read_table(tmp_path / "killed.parquet").to_pylist()
    assert rows == lists(folder, "--sensitive", "age", out="whole.parquet")[1]
    client = a_client(folder=folder, settings={"database_url": ready_sqlite})
    logged = client.get("/audit/requests?limit=100").json()["requests"]
    assert [(row["user"], row["items"]) for row in logged[::-1]] == [(row["user"], row["items"]) for row in rows]


def test_a_broken_off_run_is_not_mixed_with_another(lists, a_bundle_folder, monkeypatch):
    folder = a_bundle_folder()
    with monkeypatch.context() as patched:
        patched.setattr(ListMaker, "start", interrupted)
        assert lists(folder, "--k", 3)[0] == 130

    status, _, _, error = lists(folder, "--k", 4, "--sensitive", "age")

    assert status == 2
    assert "with other k, sensitive: repeat its command" in error


def interrupted(*_):
    raise KeyboardInterrupt


def test_two_processes_do_not_make_one_file(lists, a_bundle_folder):
    folder = a_bundle_folder()
    with closing(Parts(Path("lists.ndjson"), {})):
        status, _, _, error = lists(folder)

    assert status == 2
    assert "another process makes lists.ndjson already" in error


def test_lists_are_logged_while_a_service_runs_on_postgresql(a_client, a_bundle_folder, lists, ready_postgres):
    folder = a_bundle_folder(seen=SEEN)
    client = a_client(folder=folder, settings={"database_url": ready_postgres})

    status, rows, _, _ = lists(folder, "--database", ready_postgres, "--log")

    logged = client.get("/audit/requests?limit=100").json()["requests"]
    assert status == 0
    assert [(row["user"], row["items"]) for row in logged[::-1]] == [(row["user"], row["items"]) for row in rows]
