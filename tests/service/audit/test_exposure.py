"""Exposure of what was really served, over HTTP, from real logs."""

from __future__ import annotations

import asyncio
import threading
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from math import log2
from urllib.parse import quote

import numpy as np
import pytest
from pydantic import SecretStr

from bundle import read_bundle, write_bundle
from service.api.request_context import new_request_id
from service.audit import count as counting
from service.audit import exposure
from service.balance import Divergence
from service.store import LoggedBalance, LogRecord, Purpose, Store, create_key, register_model

EVEN, ODD = "even", "odd"


@pytest.fixture
def a_served(a_client, ready_url):
    """The builder of clients of services on SQLite and on PostgreSQL: 90 users, 12 items, groups even and odd."""

    def make(*, settings=None, **bundle):
        return a_client(settings={"database_url": SecretStr(ready_url), **(settings or {})}, **{"users": 90, **bundle})

    return make


def asked(client, query=""):
    answer = client.get(f"/audit/exposure{query}")
    assert answer.status_code == 200, answer.text
    return answer.json()


def labels_of(client, attribute):
    bundle = client.app.state.evenhand.runtime.recommender.model.bundle
    return bundle.audit.labels[:, bundle.description.attribute_names.index(attribute)]


def test_shares_are_those_of_the_places_that_items_had(a_served):
    client = a_served()
    client.log({"user": "u0", "items": [0, 1, 3]}, {"user": "u0", "items": [2]}, {"user": "u7", "items": [5]})
    whole = 1 + 1 / log2(3) + 1 / 2 + 1 + 1

    page = asked(client)

    assert (page["by"], page["lists"], page["users"], page["item_groups"]) == (None, 3, 2, [EVEN, ODD])
    (everybody,) = page["groups"]
    assert everybody == {
        "class": None,
        "users": 2,
        "lists": 3,
        "shares": {EVEN: pytest.approx(2 / whole), ODD: pytest.approx((1 / log2(3) + 1 / 2 + 1) / whole)},
        "cold": 0,
    }
    assert (page["total_variation"], page["parity"], page["clients"]) == (None, None, None)
    assert (page["withheld"], page["not_counted"]) == ([], [])


@pytest.fixture
def of_cold(a_served):
    """A client whose bundle has two items that nobody touched, and a log that shows them to some classes alone."""

    def make(shown_to):
        client = a_served(users=200, cold=np.arange(12) >= 10)
        labels = labels_of(client, "gender")
        client.log(*({"user": f"u{user}", "items": [1, 10 if shown_to(labels[user]) else 2]} for user in range(200)))
        return client, labels

    return make


def test_how_often_items_are_shown_that_nobody_had_touched_and_to_whom(of_cold):
    client, labels = of_cold(lambda label: label == 1)
    share = 1 / log2(3) / (1 + 1 / log2(3))

    everybody, page = asked(client), asked(client, "?by=gender")

    assert everybody["groups"][0]["cold"] == pytest.approx(share * (labels == 1).mean())
    assert everybody["cold"] is None, "there are no two groups"
    names = [one["class"] for one in page["groups"]]
    assert [one["cold"] for one in page["groups"]] == [pytest.approx(0), pytest.approx(share)]
    assert page["cold"]["value"] == pytest.approx(share)
    assert page["cold"]["between"] == names[::-1] or page["cold"]["between"] == names
    assert page["cold"]["permutation95"] < share / 2


def test_where_none_of_them_is_shown_there_is_no_gap(of_cold):
    client, _ = of_cold(lambda label: False)

    page = asked(client, "?by=gender")

    assert [one["cold"] for one in page["groups"]] == [0, 0]
    assert page["cold"] is None


def test_balanced_lists_are_counted_by_target_and_weight_with_what_that_did(a_served):
    client = a_served()
    one, other = (LoggedBalance("uniform", 0.5, Divergence(*pair)) for pair in ((1.0, 0.25), (2.0, 0.75)))
    empty = LoggedBalance("history", 1.0, None)
    client.log(
        {"user": "u0", "balance": one},
        {"purpose": Purpose.SESSION, "balance": other},
        {"user": "u1", "balance": one, "purpose": Purpose.UI},
        {"user": "u1", "balance": empty},
        {"user": "u1"},
    )

    page = asked(client)

    assert page["balances"] == [
        {"target": "uniform", "weight": 0.5, "lists": 2, "divergence": {"before": 1.5, "after": 0.5}},
        {"target": "history", "weight": 1.0, "lists": 1, "divergence": None},
    ]


def test_only_what_somebody_was_shown_counts(a_served):
    client = a_served()
    client.log(*({"user": "u1", "items": [0], "purpose": purpose} for purpose in Purpose))
    client.log({"items": [1], "purpose": Purpose.SESSION}, {"user": "stranger", "items": [1]})

    page = asked(client)

    assert page["lists"] == sum(purpose.is_exposure for purpose in Purpose) == 5
    assert page["groups"][0]["shares"] == {EVEN: 1, ODD: 0}
    model = {"name": "tiny", "version": "1"}
    assert page["not_counted"] == [
        {"model": model, "lists": 1, "reason": counting.NOBODYS},
        {"model": model, "lists": 1, "reason": counting.STRANGERS},
    ]


def test_what_the_service_answers_is_what_it_counts(a_served):
    client = a_served()
    for user in range(4):
        assert client.get(f"/recommend?user=u{user}&k=5").status_code == 200
    client.get("/audit/users/u5")
    client.get("/audit/users/u5?purpose=ui")
    rows = client.logged(purposes=(Purpose.RECOMMEND,))
    shown = np.array([row.rows for row in rows])
    weights = 1 / np.log2(np.arange(2, 7))

    page = asked(client)

    assert (page["lists"], page["users"]) == (4, 4)
    expected = ((shown % 2 == 0) * weights).sum() / (4 * weights.sum())
    assert page["groups"][0]["shares"][EVEN] == pytest.approx(expected)


@pytest.mark.parametrize("attribute", ["gender", "age"])
def test_any_log_by_class_is_as_plain_numpy_says(a_served, attribute, monkeypatch):
    monkeypatch.setattr(exposure, "PART", 37)
    client = a_served(users=300, items=20)
    rng = np.random.default_rng(11)
    lists = [(int(rng.integers(300)), rng.permutation(20)[: rng.integers(0, 9)]) for _ in range(700)]
    client.log(*({"user": f"u{user}", "items": items} for user, items in lists))
    labels, seen, odd = labels_of(client, attribute), {}, np.zeros((300, 2))
    for user, items in lists:
        weights = 1 / np.log2(np.arange(2, len(items) + 2))
        odd[user] += weights[items % 2 == 0].sum(), weights[items % 2 == 1].sum()
        seen.setdefault(user, []).append((items % 2 == 1).any())

    page = asked(client, f"?by={attribute}")

    classes = sorted(set(labels.tolist()))
    by_class = [odd[labels == one].sum(axis=0) for one in classes]
    shares = [sums / sums.sum() for sums in by_class]
    for group, share, one in zip(page["groups"], shares, classes, strict=True):
        assert group["shares"] == {EVEN: pytest.approx(share[0]), ODD: pytest.approx(share[1])}
        assert group["users"] == len({user for user, _ in lists if labels[user] == one})
        assert group["lists"] == sum(labels[user] == one for user, _ in lists)
    variation = max(abs(one - other).sum() / 2 for one in shares for other in shares)
    assert page["total_variation"]["value"] == pytest.approx(variation)
    low, high = page["total_variation"]["ci95"]
    assert -1 <= low <= high <= 1  # of two classes, the direction may be uncertain
    rates = [np.mean([np.mean(seen[user]) for user in seen if labels[user] == one]) for one in classes]
    if page["parity"]["item_group"] == ODD:
        assert page["parity"]["value"] == pytest.approx(max(rates) - min(rates))
    assert len(page["parity"]["between"]) == 2
    assert page["lists"] == 700


def test_the_answer_names_classes_and_gives_no_value_of_any_user(a_served):
    client = a_served()
    client.log(*({"user": f"u{user}", "items": [user % 12]} for user in range(90)))

    page = asked(client, "?by=gender")

    assert {group["class"] for group in page["groups"]} == {"F", "M"}
    assert sum(group["users"] for group in page["groups"]) == page["users"] == 90
    assert not any(f'"u{user}"' in str(page).replace("'", '"') for user in range(90))


def test_times_cut_the_log(a_served):
    client = a_served()
    client.log(*({"user": "u0", "items": [step % 2], "time_us": 1_000_000 * step} for step in range(6)))

    page = asked(client, "?since=1970-01-01T00:00:02Z&until=1970-01-01T01:00:05%2B01:00")

    assert (page["since"], page["until"]) == ("1970-01-01T00:00:02.000000Z", "1970-01-01T00:00:05.000000Z")
    assert (page["lists"], page["groups"][0]["shares"][ODD]) == (3, pytest.approx(1 / 3))
    assert asked(client, "?since=2000-01-01T00:00:00Z")["groups"] == []


def test_pseudonyms_are_found_and_so_is_what_was_logged_before_there_were_any(a_client, a_bundle_folder, ready_url):
    folder = a_bundle_folder(users=90)

    async def before():
        store = Store(ready_url, deadline_s=20)
        store.start()
        facts = ("tiny", "1", read_bundle(folder).description.content_hash, ["gender", "age"])
        model = await store.change(register_model, *facts)
        items = np.array([0], np.int32)
        await store.log([LogRecord(new_request_id(), 5, Purpose.RECOMMEND, model.id, items, 1, user="u3")])
        await store.close()

    asyncio.run(before())
    secret = {"database_url": SecretStr(ready_url), "pseudonym_secret": SecretStr("a secret of some length")}
    client = a_client(settings=secret, folder=folder)
    client.log({"user": "u3", "items": [1]}, {"user": "u4", "items": [1]}, {"user": "nobody we know", "items": [1]})

    page = asked(client)
    assert (page["lists"], page["users"], page["not_counted"][0]["lists"]) == (3, 2, 1)
    assert page["groups"][0]["shares"] == {EVEN: pytest.approx(1 / 3), ODD: pytest.approx(2 / 3)}
    assert {row.user_key for row in client.logged()} >= {"u3"}
    assert sum((row.user_key or "").startswith("hmac-sha256:") for row in client.logged()) == 3


@pytest.fixture
def two_versions(a_bundle, tmp_path, a_client, ready_url):
    """A service of version 1 with version 2 beside it, whose item i is what item 11 - i is in version 1."""
    first = write_bundle(a_bundle(users=90, version="1"), tmp_path / "bundles")
    other = a_bundle(users=90, version="2", seed=8)
    items = replace(
        other.items, ids=other.items.ids[::-1], groups=(("new",), *(("even",), ("odd", "new")) * 5, ("even",))
    )
    second = write_bundle(replace(other, items=items), tmp_path / "bundles")
    client = a_client(settings={"database_url": SecretStr(ready_url)}, folder=first)
    description = read_bundle(second).description
    known = client.change(register_model, "tiny", "2", description.content_hash, ["gender", "age"])
    return client, known, second


def test_lists_of_another_version_are_counted_by_its_own_items(two_versions):
    client, second, _ = two_versions
    client.log({"user": "u0", "items": [1]}, {"user": "u0", "items": [0, 2], "model_id": second.id})
    whole = 2 + 1 / log2(3)

    page = asked(client)

    assert page["item_groups"] == [EVEN, "new", ODD]
    assert page["groups"][0]["shares"] == {
        ODD: pytest.approx((1 + 1 / log2(3) / 2) / whole),
        "new": pytest.approx((1 + 1 / log2(3) / 2) / whole),
        EVEN: 0,
    }
    assert page["not_counted"] == []


@pytest.mark.parametrize("harm", ["other content", "damaged", "exchanged", "gone"])
def test_a_version_whose_items_cannot_be_read_is_not_guessed(two_versions, harm):
    client, second, folder = two_versions
    if harm == "other content":
        second = client.change(register_model, "tiny", "2", "0" * 64, ["gender", "age"])
    elif harm == "damaged":
        file = folder / "items.parquet"
        raw = bytearray(file.read_bytes())
        raw[len(raw) // 2] ^= 1
        file.chmod(0o644)
        file.write_bytes(raw)
    elif harm == "exchanged":
        file = folder / "items.parquet"
        file.unlink()
        file.write_bytes((folder.with_name("1") / "items.parquet").read_bytes())
    else:
        folder.rename(folder.with_name("moved"))
    client.log({"user": "u0", "items": [1]})
    client.log(*({"user": "u0", "items": [0], "model_id": second.id} for _ in range(3)))

    page = asked(client)

    assert page["lists"] == 1
    (left_out,) = page["not_counted"]
    assert (left_out["model"], left_out["lists"]) == ({"name": "tiny", "version": "2"}, 3)
    assert "models folder" in left_out["reason"]


def test_keys_are_the_clients_of_the_local_gap(a_served):
    client = a_served(users=200)
    labels = labels_of(client, "gender")
    for name in ("shop", "app"):
        client.change(create_key, name, ["recommend"])
    known = client.app.state.evenhand.runtime.store.known
    shop, app = known.key_named("shop").id, known.key_named("app").id
    client.log(
        *({"user": f"u{user}", "items": [int(labels[user])], "key_id": shop} for user in range(200)),
        *({"user": f"u{user}", "items": [1 - int(labels[user])], "key_id": app} for user in range(200)),
        {"user": "u0", "items": [0]},
    )
    key = client.change(create_key, "auditor", ["audit"])

    answer = client.get("/audit/exposure?by=gender", authorization=f"Bearer {key}").json()

    clients = answer["clients"]
    assert clients["global"] == pytest.approx(0, abs=0.01)
    assert clients["local"] == {"max": 1, "mean": 1}
    assert clients["by_client"] == [
        {"client": "shop", "users": 200, "value": 1},
        {"client": "app", "users": 200, "value": 1},
    ]
    assert [(one["attribute"], one["classes"]) for one in answer["withheld"]] == [("client", ["(no key)"])]


def test_users_without_a_label_are_in_no_class_and_counted_as_such(a_client, a_measurable_folder):
    def forget(bundle):
        labels = bundle.audit.labels.copy()
        labels[:5, 0] = -1
        return replace(bundle, audit=replace(bundle.audit, labels=labels))

    client = a_client(folder=a_measurable_folder(users=120, change=forget))
    client.log(*({"user": f"u{user}", "items": [user % 3]} for user in range(120)))

    page = asked(client, "?by=gender")

    assert (page["users"], sum(group["users"] for group in page["groups"])) == (120, 115)
    assert page["not_counted"] == [{"model": None, "lists": 5, "reason": counting.UNLABELLED}]


def test_without_audit_data_there_are_overall_shares_and_nothing_by_class(a_served):
    client = a_served(with_audit=False)
    client.log({"user": "u0", "items": [0]})

    problem = client.problem("/audit/exposure?by=gender")

    assert (problem["status"], problem["code"]) == (409, "no_audit_data")
    assert asked(client)["lists"] == 1


@pytest.mark.parametrize(
    ("query", "field", "code"),
    [
        ("by=hair", "by", "invalid_query"),
        ("by=", "by", "invalid_query"),
        ("by=gender&by=age", "by", "invalid_query"),
        ("since=yesterday", "since", "invalid_query"),
        ("since=2026", "since", "invalid_query"),
        ("since=2026-01-31T12:00:00", "since", "invalid_query"),
        ("since=2026-01-02T00:00:00Z&until=2026-01-01T00:00:00Z", "until", "invalid_query"),
        ("groups=even", "groups", "invalid_query"),
        ("group=even,", "group", "invalid_query"),
    ],
)
def test_bad_values_are_named(client, query, field, code):
    problem = client.problem(f"/audit/exposure?{query}")

    assert (problem["status"], problem["code"]) == (422, code)
    (error,) = problem["errors"]
    assert error["field"] == field
    assert error["allowed"]
    assert error["value"] is not None


def test_an_unknown_attribute_or_group_is_refused_with_the_known_ones(client):
    by = client.problem("/audit/exposure?by=hair")["errors"][0]
    group = client.problem(f"/audit/exposure?group={quote('even,Western')}")

    assert (by["value"], by["allowed"]) == ("hair", ["gender", "age", "model"])
    assert (group["status"], group["code"], group["value"]) == (422, "unknown_group", "Western")
    assert group["allowed"] == [EVEN, ODD]


def test_lists_are_answered_while_the_log_is_counted_and_not_too_many_wait_for_it(client, monkeypatch):
    going, go_on = threading.Event(), threading.Event()
    read = exposure.log_columns

    def slow(*args):
        going.set()
        assert go_on.wait(30)
        return read(*args)

    monkeypatch.setattr(exposure, "log_columns", slow)
    monkeypatch.setattr(exposure, "WAITING", 1)
    client.log({"user": "u0", "items": [0]})
    with ThreadPoolExecutor(2) as others:
        counted = others.submit(client.get, "/audit/exposure")
        assert going.wait(30)
        waiting = others.submit(client.get, "/audit/requirements")
        while client.app.state.evenhand.runtime.log_statistics._waiting < 1:
            pass

        served, refused = client.get("/recommend?user=u1"), client.get("/audit/exposure")
        go_on.set()

        assert served.status_code == 200
        assert (refused.status_code, refused.json()["code"]) == (503, "queue_full")
        assert refused.headers["retry-after"] == "1"
        assert (counted.result(30).status_code, waiting.result(30).status_code) == (200, 200)
    assert client.get("/audit/exposure").status_code == 200


def test_a_database_that_is_lost_is_a_problem_and_the_next_request_is_answered(a_client, postgres, ready_postgres):
    client = a_client(settings={"database_url": SecretStr(ready_postgres)})
    client.log({"user": "u0", "items": [0]})
    postgres.stop()

    try:
        lost = client.get("/audit/exposure")
    finally:
        postgres.start()

    assert (lost.status_code, lost.json()["code"]) == (503, "store_unavailable")
    assert client.get("/audit/exposure").status_code == 200
