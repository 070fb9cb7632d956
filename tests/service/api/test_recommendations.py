"""The routes that answer with lists, over HTTP: shapes, refusals, paging, and one log row for each list."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from pydantic import TypeAdapter

from bundle import SupportedMasks, write_bundle
from service.api.schemas import BatchPage, PopularPage, SessionPage, SimilarPage
from service.model.active import Arms, ServedModel
from service.store import (
    Interaction,
    Purpose,
    add_interactions,
    erase_user,
    hide_item,
    lift_erasure,
    now_us,
    put_requirement,
)

MANY = {"items": 60, "seen": {"u0": ["i1", "i2"]}}


def ids(page):
    return [item["item"] for item in page["items"]]


def sources(page):
    return {entry["attribute"]: entry["source"] for entry in page["sensitive"]["applied"]}


def session(client, **body):
    answer = client.post("/recommend/session", body)
    assert answer.status_code == 200, answer.text
    return answer.json()


def pages(ask):
    """Every page of a list, by the cursor of the one before."""
    cursor, found = None, []
    while True:
        page = ask(cursor)
        found.append(page)
        cursor = page["next_cursor"]
        if cursor is None:
            return found


def joined(found):
    return [item for page in found for item in ids(page)]


def listing(client, path):
    """Every page of a GET."""
    return pages(lambda cursor: client.get(path + (f"&cursor={cursor}" if cursor else "")).json())


def met(client, user, *items):
    client.change(add_interactions, [Interaction(user, item, now_us()) for item in items])


class TestRecommend:
    def test_a_stored_requirement_is_applied_with_its_source(self, client):
        client.change(put_requirement, "u0", ("age",))

        assert sources(client.get("/recommend?user=u0").json()) == {"age": "user"}
        assert sources(client.get("/recommend?user=u0&sensitive=").json()) == {"age": "user"}
        assert sources(client.get("/recommend?user=u0&sensitive=gender").json()) == {"gender": "request", "age": "user"}
        assert sources(client.get("/recommend?user=u1").json()) == {}

    def test_posted_interactions_count_as_seen_at_once(self, client):
        before = client.items("/recommend?user=u0&k=3")

        met(client, "u0", before[0], "an item of the next bundle")

        assert before[0] not in client.items("/recommend?user=u0&k=12")
        assert client.items("/recommend?user=u0&k=3&exclude_seen=false") != []
        assert before[0] in client.items("/recommend?user=u0&k=12&exclude_seen=false")

    def test_a_hidden_item_is_shown_by_no_route_until_it_is_shown_again(self, client):
        asked = [
            lambda: client.items("/recommend?user=u0&k=12&exclude_seen=false"),
            lambda: client.items("/popular?k=12"),
            lambda: client.items("/similar?item=i5&k=12"),
            lambda: client.items("/recommend?user=nobody&fallback=popular&k=12"),
            lambda: ids(session(client, history=["i5"], k=12)),
        ]
        assert all("i7" in ask() for ask in asked)

        client.change(hide_item, "i7", True)
        assert not any("i7" in ask() for ask in asked)

        client.change(hide_item, "i7", False)
        assert all("i7" in ask() for ask in asked)

    def test_a_group_shows_its_items_only_and_repeated_groups_are_joined(self, client):
        even = client.items("/recommend?user=u1&k=12&group=even")
        both = client.items("/recommend?user=u1&k=12&group=even&group=odd")

        assert set(even) == {f"i{row}" for row in range(0, 12, 2)}
        assert both == client.items("/recommend?user=u1&k=12")
        assert even == [item for item in both if item in even]

    def test_an_unknown_group_is_refused_with_the_known_ones(self, client):
        problem = client.problem("/recommend?user=u1&group=evne")

        assert (problem["status"], problem["code"]) == (422, "unknown_group")
        assert (problem["field"], problem["value"], problem["allowed"]) == ("group", "evne", ["even", "odd"])
        assert client.problem("/popular?group=evne")["code"] == "unknown_group"

    def test_an_unknown_user_gets_the_popular_list_where_asked_for_and_it_says_so(self, client):
        page = client.get("/recommend?user=ripley&fallback=popular&k=3&sensitive=age").json()

        assert (page["fallback"], page["user"], ids(page)) == ("popular", "ripley", ["i11", "i10", "i9"])
        assert sources(page) == {"age": "request"}
        assert client.get("/recommend?user=u1&fallback=popular").json()["fallback"] is None
        assert client.problem("/recommend?user=ripley")["code"] == "unknown_user"
        assert client.problem("/recommend?user=ripley&fallback=random")["code"] == "invalid_query"

    def test_a_user_whom_the_bundle_lacks_is_served_from_posted_interactions(self, client):
        met(client, "ripley", "i3", "i4", "alien")

        page = client.get("/recommend?user=ripley&k=12&sensitive=gender").json()

        assert (page["fallback"], set(ids(page))) == (None, {f"i{row}" for row in range(12)} - {"i3", "i4"})
        assert ids(page) == ids(session(client, history=["i3", "i4"], k=12, sensitive=["gender"]))

    def test_an_erased_user_is_unknown_until_that_is_lifted(self, client):
        store = client.app.state.evenhand.runtime.store
        client.get("/recommend?user=u0")
        client.change(erase_user, "u0", store.pseudonyms)

        page = client.get("/recommend?user=u0&fallback=popular&k=12").json()

        assert client.problem("/recommend?user=u0")["code"] == "unknown_user"
        assert (page["fallback"], len(page["items"])) == ("popular", 12)
        assert [row.user_key for row in client.logged()] == [None]
        client.change(lift_erasure, "u0")
        assert client.get("/recommend?user=u0").status_code == 200

    def test_a_stored_attribute_that_the_bundle_lacks_refuses_and_does_not_protect_less(self, client):
        client.change(put_requirement, "u0", ("gender", "income"))

        problem = client.problem("/recommend?user=u0")

        assert problem["code"] == "unsupported_requirement"
        assert {"attribute": "income", "source": "user"} in problem["applied"]
        assert client.problem("/recommend?user=u0&fallback=popular")["code"] == "unsupported_requirement"

    def test_k_may_be_bounded_by_the_operator(self, a_client):
        client = a_client(settings={"max_k": 5})

        assert len(client.items("/recommend?user=u1&k=5")) == 5
        assert client.problem("/recommend?user=u1&k=6")["errors"][0]["field"] == "k"
        (row,) = client.post("/recommend/batch", {"requests": [{"user": "u1", "k": 6}]}).json()["results"]
        assert row["code"] == "invalid_query"

    def test_a_head_request_shows_nothing_and_is_no_exposure(self, client):
        answer = client.request("HEAD", "/recommend?user=u0")

        assert (answer.status_code, answer.content) == (200, b"")
        assert int(answer.headers["content-length"]) > 0
        (row,) = client.logged()
        assert row.purpose.name == "PROBE"
        assert not row.purpose.is_exposure


class TestPaging:
    @pytest.mark.parametrize("cache", ["off", "memory"])
    def test_the_pages_are_the_one_long_list_with_ranks_that_go_on(self, a_client, cache):
        client = a_client(**MANY, settings={"cache": cache})
        path = "/recommend?user=u0&k=7&sensitive=age"

        for _ in range(2):  # the second time from the cache, where there is one
            found = listing(client, path)

            items = [item for page in found for item in page["items"]]
            assert [item["item"] for item in items] == client.items("/recommend?user=u0&k=1000&sensitive=age")
            assert [item["rank"] for item in items] == list(range(1, 59))
            assert [len(page["items"]) for page in found] == [7] * 8 + [2]
        assert len(client.logged()) == 2 * (9 + 1)

    def test_what_is_hidden_or_seen_meanwhile_neither_repeats_nor_leaves_out_anything_else(self, a_client):
        client = a_client(**MANY)
        whole = client.items("/recommend?user=u0&k=60")
        first = client.get("/recommend?user=u0&k=10").json()

        client.change(hide_item, whole[9], True)  # the last one shown
        client.change(hide_item, whole[12], True)
        met(client, "u0", whole[3], whole[14])
        second = client.get(f"/recommend?user=u0&k=10&cursor={first['next_cursor']}").json()

        assert ids(first) == whole[:10]
        assert ids(second) == [item for item in whole[10:22] if item not in (whole[12], whole[14])]
        assert second["items"][0]["rank"] == 11

    def test_a_cursor_belongs_to_its_request(self, a_client):
        client = a_client(**MANY)
        cursor = client.get("/recommend?user=u0&k=5").json()["next_cursor"]

        for other in ("user=u1&k=5", "user=u0&k=6", "user=u0&k=5&sensitive=age", "user=u0&k=5&exclude=i9"):
            assert client.problem(f"/recommend?{other}&cursor={cursor}")["code"] == "invalid_query"
        assert client.problem("/recommend?user=u0&k=5&cursor=made-up")["code"] == "invalid_query"

    def test_a_stricter_requirement_makes_a_cursor_stale(self, a_client):
        client = a_client(**MANY)
        cursor = client.get("/recommend?user=u0&k=5").json()["next_cursor"]

        client.change(put_requirement, "u0", ("age",))

        problem = client.problem(f"/recommend?user=u0&k=5&cursor={cursor}")
        assert (problem["status"], problem["code"], problem["reason"]) == (409, "stale_cursor", "requirement")

    def test_another_bundle_makes_a_cursor_stale(self, a_client, a_model):
        client = a_client(**MANY)
        cursor = client.get("/recommend?user=u0&k=5").json()["next_cursor"]
        runtime = client.app.state.evenhand.runtime

        runtime.swap(Arms(ServedModel(a_model(items=60, version="2", seed=1), 1, runtime.recommender.policy)))

        assert client.problem(f"/recommend?user=u0&k=5&cursor={cursor}")["code"] == "stale_cursor"

    def test_a_longer_history_makes_a_cursor_stale_where_the_list_is_made_from_it(self, a_client):
        client = a_client(**MANY)
        met(client, "ripley", "i3")
        cursor = client.get("/recommend?user=ripley&k=5").json()["next_cursor"]

        met(client, "ripley", "i4")

        assert client.problem(f"/recommend?user=ripley&k=5&cursor={cursor}")["code"] == "stale_cursor"

    def test_fallback_and_session_lists_have_pages_too(self, a_client):
        client = a_client(**MANY)
        path = "/recommend?user=ripley&fallback=popular&k=25"

        fallback = listing(client, path)
        from_history = pages(lambda cursor: session(client, history=["i5", "i6"], k=25, cursor=cursor))

        assert joined(fallback) == [f"i{row}" for row in reversed(range(60))]
        assert joined(from_history) == ids(session(client, history=["i5", "i6"], k=1000))

    def test_pages_of_a_reranked_list_end_with_its_candidates(self, a_client):
        client = a_client(items=60, candidates=20)

        found = listing(client, "/recommend?user=u0&k=8")

        assert joined(found) == client.items("/recommend?user=u0&k=19") + ids(found[-1])[-1:]
        assert [len(page["items"]) for page in found] == [8, 8, 4]


class TestBatch:
    def test_each_answer_is_the_one_that_it_would_be_alone(self, a_client):
        client = a_client(**MANY, settings={"cache": "off"})
        rows = [
            {"user": f"u{row % 6}", "sensitive": [[], ["age"], ["gender", "age"]][row % 3], "k": 1 + row % 9}
            | ({"exclude": ["i5"], "group": ["odd"], "exclude_seen": False} if row % 4 == 0 else {})
            for row in range(256)
        ]

        answer = client.post("/recommend/batch", {"requests": rows})

        TypeAdapter(BatchPage).validate_python(answer.json(), strict=True)
        results = answer.json()["results"]
        for row, page in list(zip(rows, results, strict=True))[::17]:
            query = f"user={row['user']}&k={row['k']}&sensitive={','.join(row['sensitive'])}"
            query += "&exclude=i5&group=odd&exclude_seen=false" if "group" in row else ""
            alone = client.get(f"/recommend?{query}").json()
            assert (page["items"], page["sensitive"], page["user"]) == (
                alone["items"],
                alone["sensitive"],
                alone["user"],
            )
        assert len({page["request_id"] for page in results} | {answer.headers["x-request-id"]}) == 257
        logged = {row.request_id: row for row in client.logged(purposes=(Purpose.BATCH,))}
        assert logged.keys() == {page["request_id"] for page in results}
        catalogue = client.app.state.evenhand.runtime.recommender.model.bundle.items.ids
        assert all(logged[page["request_id"]].items(catalogue) == ids(page) for page in results)

    def test_a_bad_row_is_a_problem_in_its_place(self, client):
        rows = [
            {"user": "u0"},
            {"user": "ripley"},
            {"user": "u0", "k": 0},
            {"user": "u0", "sensitve": ["gender"]},
            {"user": "u0", "sensitive": ["hair"]},
            {"user": "u0", "sensitive": "gender"},
            [],
            {"user": "u1"},
        ]

        results = client.post("/recommend/batch", {"requests": rows}).json()["results"]

        codes = [result.get("code") for result in results]
        assert codes == [None, "unknown_user", *["invalid_body"] * 2, "unknown_attribute", *["invalid_body"] * 2, None]
        assert all(result["request_id"] for result in results)
        assert results[2]["errors"][0]["field"] == "k"
        assert len(client.logged()) == 2

    def test_a_row_that_breaks_breaks_alone(self, a_bundle, a_client, tmp_path):
        bundle = a_bundle()
        bundle.users.parts[3] = 3e38
        client = a_client(folder=write_bundle(bundle, tmp_path / "b"))

        results = client.post("/recommend/batch", {"requests": [{"user": f"u{row}"} for row in range(6)]}).json()[
            "results"
        ]

        assert [result.get("code") for result in results] == [None] * 3 + ["internal_error"] + [None] * 2

    @pytest.mark.parametrize(
        ("body", "status", "code"),
        [
            ({"requests": [{"user": "u0"}] * 257}, 422, "invalid_body"),
            ({"requests": {}}, 422, "invalid_body"),
            ({}, 422, "invalid_body"),
            ({"requests": [], "more": 1}, 422, "invalid_body"),
            ("[" * 100_000, 422, "invalid_body"),
            ('{"requests": [], "requests": []}', 422, "invalid_body"),
            ('{"requests": [{"user": "u0", "sensitive": ["age"], "sensitive": []}]}', 422, "invalid_body"),
            (b"\xff\xfe", 422, "invalid_body"),
            ("x" * 2_000_000, 413, "body_too_large"),
        ],
    )
    def test_a_body_that_is_no_batch_is_refused(self, client, body, status, code):
        answer = client.post("/recommend/batch", body)

        assert (answer.status_code, answer.json()["code"]) == (status, code)
        assert client.logged() == []

    def test_an_empty_batch_is_answered(self, client):
        assert client.post("/recommend/batch", {"requests": []}).json() == {"results": []}


class TestSession:
    def test_the_list_is_the_one_that_the_bundle_gives_in_numpy(self, a_client):
        client = a_client(**MANY, settings={"scores": "audit"})
        history = ["i9", "i30", "i4"]
        bundle = client.app.state.evenhand.runtime.recommender.model.bundle
        (u,) = bundle.history.user_vectors([np.array([9, 30, 4], np.int32)], bundle.items.vectors)
        network = bundle.encoder.double()
        parts = network.split(torch.from_numpy(u[None]).double()).float().double()
        fair = network.combine(parts, torch.tensor([[True, False]]))[0].float().double().numpy()
        scores = np.round((bundle.items.vectors.astype(np.float64) * fair).sum(axis=1), 6)
        order = sorted({*range(60)} - {9, 30, 4}, key=lambda row: (-scores[row], row))

        page = session(client, history=history, sensitive=["gender"], k=20)

        TypeAdapter(SessionPage).validate_python(page, strict=True)
        assert ids(page) == [f"i{row}" for row in order[:20]]
        assert [item["score"] for item in page["items"]] == pytest.approx(scores[order[:20]], abs=1.1e-6)
        (row,) = client.logged()
        assert (row.purpose, row.user_key, dict(row.applied)) == (Purpose.SESSION, None, {"gender": "request"})
        assert row.rows.tolist() == order[:20]

    def test_unknown_items_are_left_out_and_said(self, client):
        page = session(client, history=["i1", "alien", "i2", "alien"])

        assert page["unknown_items"] == ["alien"]
        assert ids(page) == ids(session(client, history=["i1", "i2"]))

    @pytest.mark.parametrize("history", [[], ["alien"]])
    def test_without_a_known_item_it_is_the_popular_list_or_a_refusal(self, client, history):
        refused = client.post("/recommend/session", {"history": history})
        page = session(client, history=history, fallback="popular", k=2)

        assert (refused.status_code, refused.json()["code"]) == (422, "no_history")
        assert refused.json()["unknown_items"] == history
        assert (page["fallback"], ids(page), page["unknown_items"]) == ("popular", ["i11", "i10"], history)

    def test_options_mean_what_they_mean_for_users(self, client):
        everything = ids(session(client, history=["i1", "i2"], k=12, exclude_seen=False))

        assert set(everything) == {f"i{row}" for row in range(12)}
        assert ids(session(client, history=["i1", "i2"], k=12)) == [
            item for item in everything if item not in ("i1", "i2")
        ]
        assert ids(session(client, history=["i1"], group=["odd"], exclude=["i3"], k=12)) == [
            item for item in ids(session(client, history=["i1"], k=12)) if int(item[1:]) % 2 and item != "i3"
        ]

    def test_defaults_and_the_operators_demands_apply(self, a_client):
        client = a_client(settings={"default": "gender", "required": "age"})

        assert sources(session(client, history=["i1"])) == {"gender": "default", "age": "required"}
        assert sources(session(client, history=["i1"], sensitive=[])) == {"age": "required"}

    def test_a_bundle_of_finished_vectors_cannot_and_says_so(self, a_client):
        client = a_client(table=True, supported_masks=SupportedMasks(kind="list", masks=[[], ["gender", "age"]]))
        met(client, "ripley", "i1")

        answer = client.post("/recommend/session", {"history": ["i1"], "fallback": "popular"})

        assert (answer.status_code, answer.json()["code"]) == (422, "sessions_unsupported")
        assert client.problem("/recommend?user=ripley")["code"] == "unknown_user"
        assert "i1" not in client.items("/recommend?user=ripley&fallback=popular&k=12")

    @pytest.mark.parametrize(
        "body",
        [
            {},
            {"history": "i1"},
            {"history": ["i1"], "k": "10"},
            {"history": ["i1"], "k": 0},
            {"history": [1]},
            {"history": [""]},
            {"history": ["i1"], "sensitve": []},
            {"history": ["i"] * 1001},
            '{"history": ["\\ud800"]}',
            '{"history": ["i1"], "k": 1e400}',
            '{"history": ["i1"], "k": NaN}',
        ],
    )
    def test_a_body_that_is_no_session_is_refused(self, client, body):
        answer = client.post("/recommend/session", body)

        assert (answer.status_code, answer.json()["code"]) == (422, "invalid_body")

    @pytest.mark.parametrize("field", ["k", "balance_weight"])
    def test_a_number_that_json_cannot_say_is_not_sent_back(self, client, field):
        answer = client.post("/recommend/session", f'{{"history": ["i1"], "{field}": 1e400}}')

        (error,) = answer.json()["errors"]
        assert (error["field"], error["value"]) == (field, None)

    def test_a_body_must_say_that_it_is_json(self, client):
        answer = client.post("/recommend/session", {"history": ["i1"]}, **{"content-type": "text/plain"})

        assert answer.status_code == 415


class TestListsOfNobody:
    def test_similar_items_come_by_cosine_without_the_item_itself(self, client):
        page = client.get("/similar?item=i5&k=4").json()

        vectors = client.app.state.evenhand.runtime.recommender.model.bundle.items.vectors.astype(np.float64)
        unit = vectors / np.linalg.norm(vectors, axis=1, keepdims=True)
        expected = [f"i{row}" for row in np.argsort(-(unit @ unit[5]), kind="stable") if row != 5][:4]
        TypeAdapter(SimilarPage).validate_python(page, strict=True)
        assert (page["item"], page["model"], ids(page)) == ("i5", {"name": "tiny", "version": "1"}, expected)
        assert client.problem("/similar?item=alien")["code"] == "unknown_item"
        (row,) = client.logged()
        assert (row.purpose, row.user_key, dict(row.applied), row.requested) == (Purpose.SIMILAR, None, {}, None)

    def test_popular_items_come_by_popularity_in_their_groups(self, client):
        page = client.get("/popular?k=3").json()

        TypeAdapter(PopularPage).validate_python(page, strict=True)
        assert ids(page) == ["i11", "i10", "i9"]
        assert client.items("/popular?k=2&group=even") == ["i10", "i8"]
        assert [row.purpose for row in client.logged()] == [Purpose.POPULAR] * 2


def test_every_list_is_logged_once_as_it_was_shown(a_client):
    client = a_client(**MANY, settings={"default": "gender"})
    client.change(put_requirement, "u0", ("age",))
    asked = ["/recommend?user=u0&k=5"] * 2 + ["/recommend?user=u1&k=4&sensitive=", "/popular?k=3"]

    answers = [client.get(path).json() for path in asked]
    client.get("/recommend?user=ripley")

    rows = client.logged()
    catalogue = client.app.state.evenhand.runtime.recommender.model.bundle.items.ids
    assert [row.request_id for row in rows] == [answer["request_id"] for answer in answers]
    assert [row.items(catalogue) for row in rows] == list(map(ids, answers))
    assert [row.cached for row in rows] == [False, True, False, False]
    assert [row.user_key for row in rows] == ["u0", "u0", "u1", None]
    assert [dict(row.applied) for row in rows] == [*[{"gender": "default", "age": "user"}] * 2, {}, {}]
    assert [row.requested for row in rows] == [None, None, (), None]
    assert [row.model.version for row in rows] == ["1"] * 4
    assert [row.k for row in rows] == [5, 5, 4, 3]
    ordered = [row.request_id for row in rows]
    assert ordered == sorted(ordered)


def test_scores_are_for_callers_with_the_audit_scope(a_client):
    shown, hidden = a_client(settings={"scores": "audit"}), a_client(version="2")

    for path in ("/recommend?user=u0", "/similar?item=i1", "/popular"):
        for _ in range(2):  # the second time from the cache
            assert all("score" in item for item in shown.get(path).json()["items"])
            assert not any("score" in item for item in hidden.get(path).json()["items"])


def test_readiness_follows_the_database(client, monkeypatch):
    store = client.app.state.evenhand.runtime.store
    monkeypatch.setattr(store.writer, "_problem", "the database does not answer as it should")

    assert client.problem("/health/ready")["detail"] == "the database is lost, full, or too slow"
    assert client.problem("/recommend?user=u0")["code"] == "store_unavailable"


def test_an_answer_that_changes_keep_overtaking_is_a_503_and_not_an_old_one(client, monkeypatch):
    store = client.app.state.evenhand.runtime.store
    monkeypatch.setattr(store.writer._group, "_stale", lambda records, _: frozenset(range(len(records))))

    answer = client.get("/recommend?user=u0")

    assert (answer.status_code, answer.json()["code"], answer.headers["retry-after"]) == (503, "outdated", "1")
