"""`balance=` over HTTP: what the answer says, what is refused, pages, cache, log."""

from __future__ import annotations

import csv
import json
from io import StringIO

import numpy as np
import pytest

from measure.fairness.calibration import user_kl
from measure.fairness.exposure import rows_of
from measure.fairness.items import item_groups
from service.errors import StartError
from service.store import Interaction, Purpose, add_interactions, hide_item, now_us, put_requirement

SKEWED = {"items": 60, "item_vectors": np.r_[[[3.0, 0, 0, 0], [0.1, 0.1, 0.1, 0.1]] * 30].astype(np.float32)}
"""Even items first for some, odd ones for others."""


def ids(page):
    return [item["item"] for item in page["items"]]


def kl(client, items, target=(0.5, 0.5)):
    groups = item_groups(client.app.state.evenhand.runtime.recommender.model.bundle.items.groups)
    lists = np.array([[int(item[1:]) for item in items]])
    return pytest.approx(user_kl(np.array([target]), rows_of(lists, groups))[0])


@pytest.fixture
def client(a_client):
    return a_client(**SKEWED)


@pytest.fixture
def small_pools(monkeypatch):
    monkeypatch.setattr("service.model.balanced.POOL", 12)
    monkeypatch.setattr("service.model.balanced.PAGES", 1)


def test_the_answer_says_what_the_list_was_balanced_towards_and_what_that_did(client):
    plain = client.get("/recommend?user=u0&sensitive=gender").json()
    even = client.get("/recommend?user=u0&sensitive=gender&balance=uniform&balance_weight=1").json()

    assert plain["balance"] is None
    divergence = even["balance"].pop("divergence")
    assert even["balance"] == {"target": "uniform", "weight": 1.0, "source": "request"}
    assert divergence == {"before": kl(client, ids(plain)), "after": kl(client, ids(even))}
    assert divergence["after"] < 0.1 * divergence["before"]
    assert [item["rank"] for item in even["items"]] == [*range(1, 11)]


def test_weight_0_is_the_ranking_and_the_default_weight_is_a_half(client):
    plain = client.items("/recommend?user=u0")

    assert client.items("/recommend?user=u0&balance=uniform&balance_weight=0") == plain
    assert client.items("/recommend?user=u0&balance=uniform") != plain
    assert client.get("/recommend?user=u0&balance=uniform").json()["balance"]["weight"] == 0.5


@pytest.mark.parametrize(
    ("settings", "stored", "query", "bundle", "source"),
    [
        ({}, None, "&sensitive=gender", {}, "request"),
        ({"default": "gender"}, None, "", {}, "default"),
        ({}, ("gender",), "", {}, "user"),
        ({"required": "gender"}, None, "&sensitive=", {}, "required"),
        ({}, None, "", {"always_protected": ("gender",)}, "bundle"),
    ],
)
def test_a_history_is_no_target_while_anything_is_protected_whoever_protects_it(
    a_client, settings, stored, query, bundle, source
):
    client = a_client(settings=settings, seen={"u0": ["i1", "i3"]}, **bundle)
    if stored:
        client.change(put_requirement, "u0", stored)

    problem = client.problem(f"/recommend?user=u0&balance=history{query}")

    assert (problem["status"], problem["code"]) == (422, "balance_reveals")
    assert (problem["field"], problem["value"], problem["allowed"]) == (
        "balance",
        "history",
        ["uniform", "catalogue", "quotas"],
    )
    assert problem["applied"] == [{"attribute": "gender", "source": source}]
    assert f"gender ({source})" in problem["detail"]
    assert client.get(f"/recommend?user=u0&balance=uniform{query}").status_code == 200
    assert [row.balance.target for row in client.logged()] == ["uniform"]


def test_a_history_is_a_target_where_nothing_is_protected(a_client):
    client = a_client(seen={"u0": ["i1", "i3", "i5"]}, **SKEWED)

    odd = client.get("/recommend?user=u0&balance=history&balance_weight=1").json()
    client.change(add_interactions, [Interaction("u0", f"i{row}", now_us()) for row in (0, 2, 4)])
    mixed = client.get("/recommend?user=u0&balance=history&balance_weight=1").json()

    assert {int(item[1:]) % 2 for item in ids(odd)} == {1}
    assert {int(item[1:]) % 2 for item in ids(mixed)} == {0, 1}
    assert mixed["balance"]["divergence"]["after"] == kl(client, ids(mixed))


def test_without_a_history_the_list_is_the_ranking_and_says_that_nothing_was_followed(client):
    page = client.get("/recommend?user=u0&balance=history").json()

    assert page["balance"] == {"target": "history", "weight": 0.5, "source": "request", "divergence": None}
    assert ids(page) == client.items("/recommend?user=u0")


def test_sessions_and_batches_are_balanced_and_refused_alike(client):
    body = {"history": ["i1", "i3"], "balance": "uniform", "balance_weight": 1}
    session = client.post("/recommend/session", body).json()
    refused = client.post("/recommend/session", body | {"balance": "history", "sensitive": ["age"]}).json()
    rows = [
        {"user": "u0", "balance": "uniform", "balance_weight": 1},
        {"user": "u0", "balance": "history", "sensitive": ["age"]},
        {"user": "u0"},
    ]
    even, problem, plain = client.post("/recommend/batch", {"requests": rows}).json()["results"]

    assert session["balance"]["divergence"]["after"] == kl(client, ids(session))
    assert refused["code"] == problem["code"] == "balance_reveals"
    assert ids(even) == client.items("/recommend?user=u0&balance=uniform&balance_weight=1")
    assert ids(plain) == client.items("/recommend?user=u0")


def test_a_popular_list_is_balanced_too(client):
    page = client.get("/recommend?user=nobody&fallback=popular&balance=uniform&balance_weight=1&k=2").json()

    assert (page["fallback"], {int(item[1:]) % 2 for item in ids(page)}) == ("popular", {0, 1})


@pytest.mark.usefixtures("small_pools")
@pytest.mark.parametrize("k", [5, 7, 60])
def test_pages_go_through_one_balanced_order_pool_by_pool(a_client, k):
    client = a_client(items=60)
    path = f"/recommend?user=u0&sensitive=age&balance=uniform&balance_weight=1&k={k}"
    ranking = client.items("/recommend?user=u0&sensitive=age&k=60")
    found, cursor = [], None
    while True:
        page = client.get(path + (f"&cursor={cursor}" if cursor else "")).json()
        assert page["balance"]["divergence"] == {
            "before": kl(client, ranking[len(found) : len(found) + k]),
            "after": kl(client, ids(page)),
        }
        assert [item["rank"] for item in page["items"]] == [*range(len(found) + 1, len(found) + 1 + len(ids(page)))]
        found += ids(page)
        cursor = page["next_cursor"]
        if cursor is None:
            break

    pool = k * -(-12 // k)
    assert sorted(found) == sorted(ranking)
    assert found != ranking
    for start in range(0, 60, pool):
        assert sorted(found[start : start + pool]) == sorted(ranking[start : start + pool])


def test_a_cursor_is_bound_to_the_balance_and_to_what_is_left_out(client):
    path = "/recommend?user=u0&balance=uniform&k=5"
    cursor = client.get(path).json()["next_cursor"]

    other = client.problem(f"/recommend?user=u0&balance=catalogue&k=5&cursor={cursor}")
    weight = client.problem(f"{path}&balance_weight=0.7&cursor={cursor}")
    client.change(hide_item, "i9", True)
    hidden = client.problem(f"{path}&cursor={cursor}")
    cursor = client.get(path).json()["next_cursor"]
    client.change(add_interactions, [Interaction("u0", "i3", now_us())])
    met = client.problem(f"{path}&cursor={cursor}")

    assert [other["code"], weight["code"]] == ["invalid_query"] * 2
    assert [(one["code"], one["reason"]) for one in (hidden, met)] == [("stale_cursor", "bundle")] * 2
    assert client.get("/recommend?user=u0&k=5&cursor=" + client.get("/recommend?user=u0&k=5").json()["next_cursor"])


def test_cached_answers_are_those_of_the_same_balance(client):
    paths = [
        "/recommend?user=u0",
        "/recommend?user=u0&balance=uniform",
        "/recommend?user=u0&balance=uniform&balance_weight=1",
        "/recommend?user=u0&balance=uniform&balance_weight=0.5",
    ]
    first = [client.get(path).json() for path in paths]
    again = [client.get(path).json() for path in paths]

    for one, other in zip(first, again, strict=True):
        own = {"request_id": 0, "next_cursor": 0}  # a cursor holds the second at which it expires
        assert {**one, **own} == {**other, **own}
    assert len({tuple(ids(page)) for page in first}) == 3
    assert [row.cached for row in client.logged()] == [False, False, False, True, *[True] * 4]


@pytest.mark.parametrize(
    ("query", "field", "said"),
    [
        ("balance=equal", "balance", "uniform"),
        ("balance=", "balance", "uniform"),
        ("balance=uniform&balance=catalogue", "balance", "once"),
        ("balance=target", "balance", "neither the operator nor the bundle"),
        ("balance_weight=0.5", "balance_weight", "name a `balance`"),
        ("balance=none&balance_weight=0.5", "balance_weight", "name a `balance`"),
        ("balance=uniform&balance_weight=1.5", "balance_weight", "less than or equal to 1"),
        ("balance=uniform&balance_weight=nan", "balance_weight", "finite"),
        ("balance=uniform&balance_weight=0.9", "balance_weight", "at most 0.8"),
    ],
)
def test_a_wrong_balance_is_refused_with_what_is_allowed(a_client, query, field, said):
    problem = a_client(settings={"balance_weight_max": 0.8}).problem(f"/recommend?user=u0&{query}")

    assert (problem["status"], problem["code"]) == (422, "invalid_query")
    (error,) = problem["errors"]
    assert error["field"] == field
    assert said in f"{error['reason']} {error['allowed']}"


def test_the_operator_sets_default_weight_and_target(a_client, tmp_path):
    file = tmp_path / "target.json"
    file.write_text('{"even": 1, "odd": 3}')
    settings = {"balance": "target", "balance_weight": 0.9, "balance_target": file}
    client = a_client(settings=settings, **SKEWED)

    page = client.get("/recommend?user=u0").json()

    divergence = page["balance"].pop("divergence")
    assert page["balance"] == {"target": "target", "weight": 0.9, "source": "default"}
    assert divergence["after"] == kl(client, ids(page), (0.25, 0.75))
    assert client.get("/recommend?user=u0&balance=none").json()["balance"] is None
    assert client.get("/recommend?user=u0&balance_weight=0.1").json()["balance"]["weight"] == 0.1
    assert client.get("/attributes").json()["balance"] == {
        "target_from": "operator",
        "targets": ["uniform", "catalogue", "target", "quotas", "history"],
        "default": "target",
        "weight": 0.9,
        "max_weight": 1.0,
    }


@pytest.mark.parametrize("mask", ["", "gender", "gender,age"])
def test_without_the_operators_the_bundles_target_is_followed_under_any_mask(a_client, mask):
    client = a_client(personal=True, **SKEWED)

    page = client.get(f"/recommend?user=u0&sensitive={mask}&balance=target&balance_weight=1").json()

    assert client.get("/attributes").json()["balance"]["target_from"] == "bundle"
    assert page["balance"]["target"] == "target"
    assert page["balance"]["divergence"]["after"] <= page["balance"]["divergence"]["before"]


def test_a_default_of_target_needs_the_operators_or_the_bundles(a_client):
    assert a_client(settings={"balance": "target"}, personal=True).get("/recommend?user=u0").json()["balance"]

    with pytest.raises(StartError, match="names no file, and this bundle brings no targets"):
        a_client(settings={"balance": "target"}, version="2")


@pytest.mark.parametrize(("settings", "bundle"), [({"required": "age"}, {}), ({}, {"always_protected": ("gender",)})])
def test_a_history_is_not_on_offer_where_something_is_always_protected(a_client, settings, bundle):
    page = a_client(settings=settings, **bundle).get("/attributes").json()

    assert page["balance"]["targets"] == ["uniform", "catalogue", "quotas"]


def test_a_version_without_the_groups_of_the_target_is_not_activated(a_client, a_bundle_folder, tmp_path):
    file = tmp_path / "target.json"
    file.write_text('{"even": 1, "odd": 3}')
    client = a_client(folder=a_bundle_folder(version="1"), settings={"balance_target": file})
    a_bundle_folder(version="2", items=1)  # an even one

    refused = client.request("POST", "/models/2/activate").json()

    assert (refused["code"], refused["status"]) == ("model_refused", 422)
    assert "'odd'" in refused["detail"]
    assert client.get("/recommend?user=u0&balance=target").json()["model"]["version"] == "1"


def test_a_users_list_is_set_beside_the_same_without_balance(client):
    path = "/audit/users/u0?sensitive=gender&balance=uniform&balance_weight=1"
    plain, even = client.get(path).json()["lists"]

    assert (plain["balance"], plain["sensitive"], even["sensitive"]) == (None, ["gender"], ["gender"])
    assert even["balance"]["divergence"] == {"before": kl(client, ids(plain)), "after": kl(client, ids(even))}
    assert ids(even) == client.items("/recommend?user=u0&sensitive=gender&balance=uniform&balance_weight=1")
    assert client.problem(path.replace("uniform", "history"))["code"] == "balance_reveals"
    assert {row.purpose for row in client.logged()} == {Purpose.AUDIT, Purpose.RECOMMEND}


def test_the_request_log_has_the_balance(client):
    client.get("/recommend?user=u0")
    page = client.get("/recommend?user=u0&balance=uniform").json()
    client.get("/recommend?user=u0&balance=history")

    nothing, even, plain = client.get("/audit/requests").json()["requests"]
    told = client.get("/audit/requests?format=csv").text
    cells = [row["balance"] for row in csv.DictReader(StringIO(told))]

    assert plain["balance"] is None
    assert even["balance"] == {name: page["balance"][name] for name in ("target", "weight", "divergence")}
    assert nothing["balance"] == {"target": "history", "weight": 0.5, "divergence": None}
    assert [cell and json.loads(cell) for cell in cells] == ["", even["balance"], nothing["balance"]]
    assert {row.purpose for row in client.logged()} == {Purpose.RECOMMEND}
