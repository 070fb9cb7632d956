"""`python -m service lists --rerank`: all lists at once, of requests' candidates, and never with less protection."""

from __future__ import annotations

import stat
from pathlib import Path

import numpy as np
import pytest

from balance.shares import ItemShares, discount
from bundle import write_bundle
from service.errors import BalanceRevealsError, RerankRevealsError
from service.lists import command
from service.lists.maker import ListMaker
from service.lists.reranking import RerankAsked, Reranker, check_withheld
from service.store import Interaction, Pseudonyms, add_interactions, erase_user, hide_item
from service.store import put_requirement as require

TFROM = ("--rerank", "tfrom", "--rerank-candidates", 12, "--k", 4)
UOF = ("--rerank", "uof", "--rerank-candidates", 12, "--rerank-gap", 0.2, "--k", 4, "--sensitive", "")


def off(rows, target=(0.5, 0.5)):
    """How far the exposure of "even" and "odd" is from a target."""
    shares = ItemShares([(("even", "odd")[row % 2],) for row in range(40)])
    items = np.array([[int(item[1:]) for item in row["items"]] for row in rows])
    exposure = shares.exposure(items, discount(items.shape[1])).sum(axis=0)
    return float(np.abs(exposure / exposure.sum() - target).sum())


def scored(a_client, folder, k=12, **users):
    """User → item → score, of the candidates that requests get."""
    client = a_client(folder=folder, settings={"scores": "audit"})
    found = {}
    for user in range(30):
        answer = client.get(f"/recommend?user=u{user}&k={k}&sensitive=").json()
        found[f"u{user}"] = {each["item"]: each["score"] for each in answer["items"]}
    return found


def gap(scores, rows, groups):
    means = np.array([sum(scores[row["user"]][item] for item in row["items"]) for row in rows])
    return abs(means[groups == 0].mean() - means[groups == 1].mean())


def test_tfrom_brings_exposure_to_the_target_with_items_that_requests_would_get(a_client, a_bundle_folder, lists):
    folder = a_bundle_folder(users=30, items=40, seed=5)
    _, before, _, _ = lists(folder, "--k", 4, "--sensitive", "age")

    status, rows, _, _ = lists(folder, *TFROM, "--sensitive", "age")

    client = a_client(folder=folder)
    assert status == 0
    assert off(rows) < 0.02 < 0.5 * off(before)
    for row in rows:
        candidates = client.get(f"/recommend?user={row['user']}&k=12&sensitive=age").json()["items"]
        assert {*row["items"]} <= {each["item"] for each in candidates}
        assert len({*row["items"]}) == 4
        assert row["applied"] == ["age"]
    assert rows == lists(folder, *TFROM, "--sensitive", "age")[1]


@pytest.mark.parametrize("kind", ["uof", "cpfair"])
def test_two_groups_of_users_have_lists_that_are_alike(a_client, a_bundle, tmp_path, lists, kind):
    bundle = a_bundle(users=30, items=40, seed=11)
    groups = bundle.audit.labels[:, 0]
    folder = write_bundle(bundle, tmp_path / "bundles")
    prices = ("--rerank-consumers", 20, "--rerank-producers", 0)
    words = (
        UOF if kind == "uof" else ("--rerank", kind, "--rerank-candidates", 12, "--k", 4, "--sensitive", "", *prices)
    )
    scores = scored(a_client, folder)
    before = gap(scores, lists(folder, "--k", 4, "--sensitive", "")[1], groups)

    status, rows, _, _ = lists(folder, *words, "--rerank-users", "gender")

    assert status == 0
    assert [row["user"] for row in rows] == [f"u{user}" for user in range(30)]
    assert gap(scores, rows, groups) <= 0.2 * before + 1e-4
    best = [sorted(scores[row["user"]].values())[-4:] for row in rows]
    better = np.argmax([np.mean([sum(best[user]) for user in np.flatnonzero(groups == each)]) for each in (0, 1)])
    kept = [{*row["items"]} == {*list(scores[row["user"]])[:4]} for row in rows]
    assert not all(kept)
    assert kind == "cpfair" or all(kept[user] for user in np.flatnonzero(groups != better))


def test_activity_counts_what_the_bundle_and_the_service_have_seen(
    a_bundle_folder, lists, ready_sqlite, changed, monkeypatch
):
    found = []
    whole = Reranker.places

    def looked_at(self, users, met, items, scores):
        found.append(dict(zip(users, met.tolist(), strict=True)))
        return whole(self, users, met, items, scores)

    monkeypatch.setattr(Reranker, "places", looked_at)
    changed(ready_sqlite, (add_interactions, [Interaction("u1", "i5", 0), Interaction("u1", "i6", 0)]))
    folder = a_bundle_folder(users=30, items=40, seen={"u1": ["i1"], "u2": ["i1", "i2"]})

    assert lists(folder, *UOF, "--rerank-users", "activity", "--database", ready_sqlite)[0] == 0
    assert (found[0]["u1"], found[0]["u2"], found[0]["u3"]) == (3, 2, 0)


@pytest.mark.parametrize("users", ["gender", "activity"])
@pytest.mark.parametrize("protect", ["request", "default", "required", "user"])
def test_groups_of_users_are_refused_where_anything_is_protected(
    a_bundle_folder, lists, ready_sqlite, changed, monkeypatch, users, protect
):
    monkeypatch.setattr(ListMaker, "start", lambda *_: pytest.fail("lists were made"))
    words = [*UOF[:-2], "--rerank-users", users, "--database", ready_sqlite]
    if protect == "request":
        words += ["--sensitive", "age"]
    elif protect == "user":
        changed(ready_sqlite, (require, "u2", ["age"]))
    else:
        monkeypatch.setenv(f"EVENHAND_{protect.upper()}", "age")

    status, _, said, error = lists(a_bundle_folder(), *words)

    assert (status, said) == (2, "")
    assert f"by {users} would make lists by users' groups, and show what is withheld: age ({protect})" in error
    assert len(error.splitlines()) == 1
    assert not list(Path().glob(".lists*"))


def test_the_refusal_has_the_code_of_balance():
    with pytest.raises(BalanceRevealsError) as refused:
        check_withheld(RerankAsked(kind="uof", users="gender"), {"age": "request"})

    assert isinstance(refused.value, RerankRevealsError)
    assert refused.value.code == "balance_reveals"
    check_withheld(RerankAsked(kind="tfrom"), {"age": "request"})
    check_withheld(RerankAsked(kind="uof", users="gender"), {})


def test_a_requirement_that_is_stored_while_candidates_are_made_is_refused_too(
    a_bundle_folder, lists, ready_sqlite, changed, monkeypatch
):
    made = ListMaker.start

    def overtaken(self, plans):
        found = made(self, plans)
        changed(ready_sqlite, (require, "u0", ["age"]))
        return found

    monkeypatch.setattr(ListMaker, "start", overtaken)
    status, _, _, error = lists(a_bundle_folder(), *UOF, "--rerank-users", "gender", "--database", ready_sqlite)

    assert status == 2
    assert "show what is withheld: age (user)" in error
    assert not Path("lists.ndjson").exists()


def test_what_changes_after_the_re_ranking_is_as_a_request_gets_it(
    a_client, a_bundle_folder, lists, ready_sqlite, changed, monkeypatch
):
    whole = command.rerank

    def overtaken(*given):
        whole(*given)
        changed(ready_sqlite, (require, "u0", ["age"]), (erase_user, "u1", Pseudonyms(None)))

    monkeypatch.setattr(command, "rerank", overtaken)
    folder = a_bundle_folder(users=30, items=40, seed=5)

    status, rows, said, _ = lists(folder, *TFROM, "--sensitive", "", "--database", ready_sqlite)

    client = a_client(folder=folder, settings={"database_url": ready_sqlite, "cache": "off"})
    answer = client.get("/recommend?user=u0&k=4&sensitive=").json()
    assert status == 0
    assert rows[0]["applied"] == ["age"]
    assert rows[0]["items"] == [each["item"] for each in answer["items"]]
    assert [row["user"] for row in rows] == ["u0", *(f"u{user}" for user in range(2, 30))]
    assert "as a request gets them: 1\n" in said


def test_hidden_items_and_erasures_before_the_re_ranking_count_for_it(a_bundle_folder, lists, ready_sqlite, changed):
    changed(ready_sqlite, (hide_item, "i4", True), (erase_user, "u1", Pseudonyms(None)))
    folder = a_bundle_folder(users=30, items=40, seed=5)

    _, rows, said, _ = lists(folder, *TFROM, "--database", ready_sqlite, "--fallback", "popular")

    assert all("i4" not in row["items"] for row in rows)
    assert rows[1] == {"user": "u1", "applied": [], "items": ["i39", "i38", "i37", "i36"], "fallback": "popular"}
    assert "as a request gets them" not in said


def test_a_run_that_is_broken_off_in_the_re_ranking_keeps_its_candidates(a_bundle_folder, lists, monkeypatch):
    folder = a_bundle_folder(users=30, items=40)
    whole = lists(folder, *TFROM, out="whole.ndjson")[1]
    with monkeypatch.context() as patched:
        patched.setattr(Reranker, "places", interrupted)
        assert lists(folder, *TFROM)[0] == 130
    parts = Path(".lists.ndjson.parts")
    assert stat.S_IMODE(parts.stat().st_mode) == 0o700
    assert [path.name for path in (parts / "candidates").iterdir()] == ["000000.npz"]

    assert "rerank_kind: repeat its command" in lists(folder, "--k", 4)[3]
    monkeypatch.setattr(ListMaker, "start", lambda *_: pytest.fail("candidates were made again"))
    status, rows, said, _ = lists(folder, *TFROM)

    assert status == 0
    assert rows == whole
    assert "30 of 30 users were done before" in said
    assert not parts.exists()


def test_a_run_that_is_broken_off_in_the_file_is_not_re_ranked_again(a_bundle_folder, lists, monkeypatch):
    folder = a_bundle_folder(users=30, items=40)
    with monkeypatch.context() as patched:
        patched.setattr("service.lists.run.Run.finish", interrupted)
        assert lists(folder, *TFROM)[0] == 130

    monkeypatch.setattr(Reranker, "places", lambda *_: pytest.fail("re-ranked again"))

    assert lists(folder, *TFROM)[0] == 0


def interrupted(*_, **__):
    raise KeyboardInterrupt


def test_re_ranked_lists_are_in_the_log_as_shown(a_client, a_bundle_folder, lists, ready_sqlite):
    folder = a_bundle_folder(users=30, items=40)

    _, rows, _, _ = lists(folder, *TFROM, "--database", ready_sqlite, "--log")

    client = a_client(folder=folder, settings={"database_url": ready_sqlite})
    logged = client.get("/audit/requests?limit=100").json()["requests"]
    assert {row["user"]: row["items"] for row in logged} == {row["user"]: row["items"] for row in rows}


@pytest.mark.parametrize(
    ("words", "complaint"),
    [
        (("--rerank-gap", 0.5), "--rerank-gap says how to re-rank, and there is no --rerank"),
        (("--rerank-candidates", 50), "--rerank-candidates says how to re-rank, and there is no --rerank"),
        (("--rerank", "uof"), "--rerank uof needs --rerank-users and --rerank-gap"),
        (("--rerank", "tfrom", "--rerank-users", "gender"), "--rerank-users is nothing to --rerank tfrom, which takes"),
        (("--rerank", "tfrom", "--rerank-candidates", 3), "--rerank-candidates is 3; it can be --k, 10, to 1000"),
        (("--rerank", "tfrom", "--rerank-candidates", 1001), "--rerank-candidates is 1001"),
        (("--rerank", "cpfair", "--rerank-consumers", 2), "--rerank-consumers needs --rerank-users"),
        (("--rerank", "tfrom", "--balance", "uniform"), "give one of them"),
        (("--rerank", "tfrom", "--rerank-target", "target"), "there is no EVENHAND_BALANCE_TARGET"),
        (
            ("--rerank", "uof", "--rerank-users", "age", "--rerank-gap", 0.5),
            "--rerank-users is 'age'; it can be activity, gender",
        ),
        (
            ("--rerank", "cpfair", "--rerank-users", "nope"),
            "--rerank-users is 'nope'; it can be activity, gender",
        ),
    ],
)
def test_bad_options_are_refused_in_one_line_before_any_list_is_made(
    lists, a_bundle_folder, monkeypatch, words, complaint
):
    monkeypatch.setattr(ListMaker, "start", lambda *_: pytest.fail("lists were made"))
    if "--rerank-users" in words:
        monkeypatch.setattr("service.lists.command.load_model", lambda *_, **__: pytest.fail("a model was loaded"))

    status, _, said, error = lists(a_bundle_folder(), "--sensitive", "", *words)

    assert (status, said) == (2, "")
    assert complaint in error
    assert len(error.splitlines()) == 1
    assert not list(Path().glob(".lists*"))


def test_a_bundle_without_labels_and_users_who_are_one_group_are_refused(lists, a_bundle_folder):
    words = (*UOF, "--rerank-users", "gender")
    assert "came without audit/" in lists(a_bundle_folder(with_audit=False), *words)[3]

    assert "groups have 6 and 0 users" in lists(a_bundle_folder(version="2"), *UOF, "--rerank-users", "activity")[3]


def test_the_operators_target_is_followed(a_bundle_folder, lists, monkeypatch, tmp_path):
    (tmp_path / "target.json").write_text('{"even": 1, "odd": 3}')
    monkeypatch.setenv("EVENHAND_BALANCE_TARGET", str(tmp_path / "target.json"))
    monkeypatch.setenv("EVENHAND_BALANCE", "uniform")
    folder = a_bundle_folder(users=30, items=40)

    _, rows, _, _ = lists(folder, *TFROM, "--rerank-target", "target")

    assert off(rows, (0.25, 0.75)) < 0.05
