"""One user's lists under every mask, over HTTP."""

from __future__ import annotations

import asyncio

import pytest

from bundle import SupportedMasks
from measure.masks import masks_to_measure
from service.audit.people import MOST, Left, ListComparison, Logged, masks_of, side_by_side
from service.audit.sentences import listed, sentence
from service.errors import OutdatedError
from service.model.active import ServedModel
from service.recommend.queries import UserQuery
from service.requirement import Policy
from service.store import Purpose

TWO = SupportedMasks(kind="list", masks=[["age"], ["gender", "age"]])


def asked(client, query="", user="u0"):
    answer = client.get(f"/audit/users/{user}{query}")
    assert answer.status_code == 200, answer.text
    return answer.json()


def masks(page):
    return [one["sensitive"] for one in page["lists"]]


def sources(one):
    return {row["attribute"]: row["source"] for row in one["applied"]}


def test_every_mask_is_there_once_and_each_list_is_what_a_request_gets(client):
    page = asked(client, "?k=5")

    assert (page["user"], page["k"], page["reference"]) == ("u0", 5, [])
    assert page["model"] == {"name": "tiny", "version": "1"}
    assert masks(page) == [[], ["gender"], ["age"], ["gender", "age"]]
    for one in page["lists"]:
        answer = client.get(f"/recommend?user=u0&k=5&sensitive={','.join(one['sensitive'])}").json()
        assert [(item["item"], item["rank"], item["title"]) for item in one["items"]] == [
            (item["item"], item["rank"], item["title"]) for item in answer["items"]
        ]
        assert one["applied"] == answer["sensitive"]["applied"]
        assert not {"i1", "i2"} & {item["item"] for item in one["items"]}


def test_each_list_is_compared_with_the_least_protected_one(client):
    page = asked(client, "?k=5")
    reference, *others = page["lists"]
    before = [item["item"] for item in reference["items"]]
    places = {item: rank for rank, item in enumerate(before, 1)}

    assert [item["was"] for item in reference["items"]] == [1, 2, 3, 4, 5]
    assert (reference["left"], reference["sentence"]) == ([], None)
    assert reference["overlap"] == {"jaccard": 1, "rbo": 1}
    for one in others:
        after = [item["item"] for item in one["items"]]
        assert [item["was"] for item in one["items"]] == [places.get(item) for item in after]
        assert [(row["item"], row["was"]) for row in one["left"]] == [
            (item, places[item]) for item in before if item not in after
        ]
        both, either = set(before) & set(after), set(before) | set(after)
        assert one["overlap"]["jaccard"] == pytest.approx(len(both) / len(either), abs=1e-6)
        assert one["overlap"]["rbo"] == pytest.approx(extrapolated_rbo(before, after), abs=1e-6)
    assert any(one["left"] for one in others)


def extrapolated_rbo(first, second, p=0.9):
    """Webber, Moffat and Zobel, 2010, equation 30."""
    agreement = [len(set(first[:d]) & set(second[:d])) / d for d in range(1, len(first) + 1)]
    terms = sum(each * p**d for d, each in enumerate(agreement, 1))
    return agreement[-1] * p ** len(first) + (1 - p) / p * terms


def test_the_lists_are_logged_each_for_its_purpose_and_none_is_exposure(client):
    page = asked(client, "?k=3&purpose=ui&sensitive=age")
    other = asked(client, "?k=3")

    rows = client.logged()

    assert [row.purpose for row in rows] == [Purpose.UI] * 2 + [Purpose.AUDIT] * 4
    assert not any(row.purpose.is_exposure for row in rows)
    assert {row.request_id for row in rows} == {one["request_id"] for one in page["lists"] + other["lists"]}
    assert {row.user_key for row in rows} == {"u0"}
    assert client.get("/audit/exposure").json()["lists"] == 0


def test_with_sensitive_there_are_two_lists_or_one(client):
    assert masks(asked(client, "?sensitive=age,gender")) == [[], ["gender", "age"]]
    assert masks(asked(client, "?sensitive=age&sensitive=gender")) == [[], ["gender", "age"]]
    assert masks(asked(client, "?sensitive=")) == [[]]
    assert [one["attribute"] for one in asked(client, "?sensitive=age")["attributes"]] == ["age"]


def test_what_is_stored_or_required_is_protected_in_every_list(a_client):
    client = a_client(
        settings={"required": "age"}, attributes=("gender", "age", "occupation"), always_protected=["occupation"]
    )
    assert masks(asked(client)) == [["age", "occupation"], ["gender", "age", "occupation"]]
    client.request("PUT", "/users/u0/requirement", json={"attributes": ["gender"]})

    page = asked(client)

    assert masks(page) == [["gender", "age", "occupation"]]
    assert sources(page["lists"][0]) == {"gender": "user", "age": "required", "occupation": "bundle"}
    assert page["reference"] == ["gender", "age", "occupation"]
    told = {one["attribute"]: one["sentence"] for one in page["attributes"]}
    assert told == {
        "gender": "Gender is protected in every list of this user: the user's own requirement asks for it.",
        "age": "Age is protected in every list of this user: the operator requires it.",
        "occupation": "Occupation is protected in every list of this user: this bundle always does.",
    }
    assert masks(asked(client, user="u1")) == [["age", "occupation"], ["gender", "age", "occupation"]]


def test_masks_that_the_bundle_has_no_list_for_are_left_out_and_refused_where_asked_for(a_client):
    client = a_client(supported_masks=TWO)

    page, problem = asked(client), client.problem("/audit/users/u0?sensitive=gender")

    assert masks(page) == [["age"], ["gender", "age"]]
    told = {one["attribute"]: one["sentence"] for one in page["attributes"]}
    assert told["age"] == "Age is protected in every list of this user: there is no list here without that."
    assert told["gender"].startswith("Protecting gender changes ")
    assert (problem["status"], problem["code"]) == (422, "unsupported_requirement")


def test_attributes_that_are_only_protected_together_are_spoken_of_together(a_client):
    client = a_client(supported_masks=SupportedMasks(kind="list", masks=[[], ["gender", "age"]]))

    told = asked(client)["attributes"]

    assert [one["attribute"] for one in told] == ["gender", "age"]
    for one in told:
        alone = f"No list here adds {one['attribute']} alone. Protecting gender and age changes "
        assert one["sentence"].startswith(alone)


def test_a_fixed_bundle_and_a_pinned_service_have_their_one_list(a_client):
    fixed = a_client(supported_masks=SupportedMasks(kind="fixed", masks=[["gender"]]))
    pinned = a_client(settings={"default": "age", "pinned": True}, version="2")

    assert masks(asked(fixed)) == [["gender"]]
    assert masks(asked(pinned)) == [["age"]]
    assert pinned.problem("/audit/users/u0?sensitive=gender")["code"] == "requirement_pinned"


def test_a_user_known_by_interactions_alone_is_shown_and_an_erased_one_is_not(client):
    client.request("POST", "/interactions", json={"user": "new", "item": "i3"})
    client.request("DELETE", "/users/u1")

    page, problem = asked(client, user="new"), client.problem("/audit/users/u1")

    assert len(page["lists"]) == 4
    assert (problem["status"], problem["code"], problem["value"]) == (404, "unknown_user", "u1")
    assert client.get("/audit/users").json() == {"users": ["u0", "u2", "u3", "u4", "u5"], "total": 5}


def test_a_user_who_has_seen_everything_has_empty_lists_and_no_overlap(a_client):
    client = a_client(seen={"u0": [f"i{item}" for item in range(12)]})

    page = asked(client)

    assert all(one["items"] == [] for one in page["lists"])
    assert page["lists"][1]["overlap"] == {"jaccard": None, "rbo": None}
    assert page["attributes"][0]["sentence"] == (
        "Protecting gender changes nothing: nothing is left to recommend to this user."
    )


def test_unknown_users_missing_audit_data_and_bad_values_are_refused(client, a_client):
    bare = a_client(with_audit=False, version="2")

    assert client.problem("/audit/users/nobody")["code"] == "unknown_user"
    refused = bare.problem("/audit/users/u0")
    assert (refused["status"], refused["code"], refused["value"]) == (409, "no_audit_data", "2")
    assert client.problem("/audit/users/u0?sensitive=hair")["code"] == "unknown_attribute"
    for query, field in [
        ("k=0", "k"),
        ("purpose=probe", "purpose"),
        ("sensitve=age", "sensitve"),
        ("sensitive=age,", "sensitive"),
    ]:
        (error,) = client.problem(f"/audit/users/u0?{query}")["errors"]
        assert (error["field"], bool(error["allowed"])) == (field, True)
    limited = a_client(settings={"max_k": 4}, version="3").problem("/audit/users/u0?k=5")
    assert limited["errors"][0] == {
        "field": "k",
        "value": "5",
        "reason": "this service gives at most 4 items",
        "allowed": 4,
    }


def test_users_are_found_by_how_their_ids_begin(a_client):
    client = a_client(users=120)

    def found(query):
        page = client.get(f"/audit/users{query}").json()
        return page["users"], page["total"]

    assert found("?prefix=u11") == ([f"u{user}" for user in (11, *range(110, 120))], 11)
    assert found("?prefix=u1&limit=2") == (["u1", "u10"], 31)
    assert found("") == ([f"u{user}" for user in range(20)], 120)
    assert found("?prefix=U") == ([], 0)
    for query, field in [
        ("limit=0", "limit"),
        ("limit=1001", "limit"),
        ("prefix=" + "x" * 257, "prefix"),
        ("p=u", "p"),
    ]:
        assert client.problem(f"/audit/users?{query}")["errors"][0]["field"] == field


def test_a_bundle_of_many_attributes_costs_no_more_lists_than_a_batch(a_bundle):
    names = [f"a{place}" for place in range(40)]
    bundle = a_bundle()
    description = bundle.description.model_copy(
        update={"attributes": [bundle.description.attributes[0].model_copy(update={"name": name}) for name in names]}
    )

    class Model:
        pass

    model = Model()
    model.bundle = type("B", (), {"description": description, "balance": None})
    found = masks_of(ServedModel(model, 1, Policy()), None, None)

    assert len(masks_to_measure(names)) > MOST >= len(found)
    assert found == [(), *((name,) for name in names), tuple(names)]


def test_lists_of_two_models_are_never_put_side_by_side(a_recommender, a_model):
    async def story():
        async with a_recommender() as desk:
            other, made = a_model(version="2", seed=9), []

            async def ask(query: UserQuery) -> Logged:
                if len(made) in (1, 3):
                    desk.serve(other if len(made) == 1 else desk.first)
                made.append(await desk.recommend(query, Purpose.AUDIT))
                return Logged(f"{len(made):032x}", made[-1])

            desk.first = desk.model
            queries = [UserQuery("u0", sensitive=mask, k=3) for mask in ((), ("gender",), ("age",))]
            lists = await side_by_side(queries, ask)

            assert len(made) == 6
            assert {one.made.model.version for one in lists} == {"1"}

            async def restless(query: UserQuery) -> Logged:
                desk.serve(other if desk.model is desk.first else desk.first)
                return Logged("0" * 32, await desk.recommend(query, Purpose.AUDIT))

            with pytest.raises(OutdatedError):
                await side_by_side(queries[:2], restless)

    asyncio.run(story())


@pytest.mark.parametrize(("names", "text"), [(["a"], "a"), (["a", "b"], "a and b"), (["a", "b", "c"], "a, b and c")])
def test_names_are_listed_as_in_a_sentence(names, text):
    assert listed(names) == text


def test_sentences_say_what_changes(a_recommender):
    async def story():
        async with a_recommender() as desk:
            made = await desk.recommend(UserQuery("u0", sensitive=(), k=4))

            def said(was, left=()):
                reference = ListComparison("", made, (1, 2, 3, 4), (), 1, 1)
                rows = tuple(Left(rank, rank) for rank in left)
                return sentence(["gender"], reference, ListComparison("", made, was, rows, 0, 0))

            assert (
                said((1, None, 3, 2), [4]) == "Protecting gender changes 1 of 4 items; 3 stay, the first place stays."
            )
            assert said((2, None, None, None), [1, 3, 4]) == (
                "Protecting gender changes 3 of 4 items; 1 stays, the first place goes to another item."
            )
            assert said((None,) * 4, [1, 2, 3, 4]) == "Protecting gender changes all of 4 items."
            assert said((2, 1, 3, 4)) == (
                "Protecting gender changes no item; 2 of 4 items move, the first place goes to another item."
            )
            assert said((1, 2, 3, 4)) == "Protecting gender changes nothing: the same 4 items in the same order."

    asyncio.run(story())


def test_the_values_of_users_are_in_no_answer(client):
    text = client.get("/audit/users/u0").text + client.get("/audit/users").text + client.get("/users/u0/data").text

    assert not any(f'"{value}"' in text for value in ("F", "M", "under 30", "30-49", "50+"))
