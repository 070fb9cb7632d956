"""The Python client against a running service."""

from __future__ import annotations

import asyncio
import inspect
import socket
import threading
import time
from datetime import UTC, datetime

import pytest
from evenhand_client import Ask, AsyncClient, Client, Interaction, Problem, Recommendations, Retries, UnreachableError

from service.access import SCOPES
from service.commands import make_key


@pytest.fixture
def a_client(tmp_path, a_bundle_folder, a_service):
    """The builder of clients of a service with keys; ``scopes`` are those of its own."""
    closing = []

    def make(*scopes, client=Client, retries=None, **settings):
        url = f"sqlite:///{tmp_path}/store.db"
        key = make_key(url, "app", scopes or SCOPES, None)
        folder = a_bundle_folder(seen={"u0": ["i1"]})
        a_bundle_folder(version="2", seed=2)
        service = a_service(folder, database_url=url, **{"rate_limit": "off", **settings})
        made = client(service.url, key=key, retries=retries)
        if isinstance(made, Client):
            closing.append(made)
        return made

    yield make
    for one in closing:
        one.close()


def test_every_method_is_answered_with_its_value(a_client):
    evenhand = a_client()

    page = evenhand.recommend("u0", sensitive=["gender"], k=3, exclude=["i2"], group=["even"])
    assert (page.user, page.requested, page.protected, len(page.items)) == ("u0", ("gender",), {"gender"}, 3)
    assert [(one.attribute, one.source) for one in page.applied] == [("gender", "request")]
    assert [item.rank for item in page.items] == [1, 2, 3]
    assert "i2" not in {item.item for item in page.items}
    assert page.items[0].title == f"Item {page.items[0].item[1:]}"
    whole = [item.item for one in evenhand.pages("u0", k=4) for item in one.items]
    assert whole == [item.item for item in evenhand.recommend("u0", k=100).items]
    assert len(whole) == 11
    even = evenhand.recommend("u0", k=4, balance="uniform", balance_weight=1)
    assert (page.balance, even.balance.target, even.balance.weight, even.balance.source) == (
        None,
        "uniform",
        1,
        "request",
    )
    assert 0 <= even.balance.after <= even.balance.before
    assert len({item.item for one in evenhand.pages("u0", k=4, balance="uniform") for item in one.items}) == 11
    session = evenhand.recommend_session(["i1", "nothing"], sensitive=["age"], k=2)
    assert (session.user, session.unknown_items, session.protected) == (None, ("nothing",), {"age"})
    assert len(evenhand.similar("i1", k=2).items) == 2
    assert [item.item for item in evenhand.popular(k=2, group=["odd"]).items] == ["i11", "i9"]
    attributes = evenhand.attributes()
    assert ([one.name for one in attributes.attributes], attributes.masks) == (["gender", "age"], "all")
    assert attributes.attributes[1].merged == {"50+": ("50-64", "65+")}

    assert evenhand.put_requirement("u0", ["age"]).attributes == ("age",)
    assert evenhand.requirement("u0").stored
    assert evenhand.recommend("u0").protected == {"age"}
    assert not evenhand.delete_requirement("u0").stored
    met = Interaction("u0", whole[0], datetime(2026, 1, 1, tzinfo=UTC), 4.5)
    assert evenhand.post_interactions(met, Interaction("a/b", "i1"), idempotency_key="once").taken == 2
    assert evenhand.post_interactions(met, Interaction("a/b", "i1"), idempotency_key="once").taken == 2
    assert [one["item"] for one in evenhand.user_data("u0")["interactions"]] == [whole[0]]
    assert evenhand.recommend("a/b").user == "a/b"
    assert (evenhand.hide(whole[1]), evenhand.hide(whole[1])) == (True, False)
    assert evenhand.recommend("u0").items[0].item == whole[2]
    assert evenhand.show(whole[1])
    assert evenhand.erase("u0").interactions == 1
    assert evenhand.lift_suppression("u0")

    assert [one.version for one in evenhand.models().versions if one.active] == ["1"]
    shared = evenhand.activate("2", share=0.25)
    assert (shared.active.version, shared.trial.model.version, shared.trial.share) == ("1", "2", 0.25)
    assert {one.version: one.share for one in evenhand.models().versions} == {"1": 0.75, "2": 0.25}
    assert (evenhand.activate("2", share=0).compared, evenhand.models().trial) == (None, None)
    done = evenhand.activate("2")
    assert (done.previous.version, done.active.version, evenhand.models().active.version) == ("1", "2", "2")


def test_a_batch_has_a_list_or_a_problem_for_each(a_client):
    results = a_client().recommend_batch([Ask("u1", ["gender"], 2), Ask("nobody"), Ask("u2", exclude=["a,b"])])

    assert [type(one) for one in results] == [Recommendations, Problem, Recommendations]
    assert results[1].code == "unknown_user"


def test_what_a_query_string_cannot_say_is_asked_all_the_same(a_client):
    evenhand = a_client()

    assert len(evenhand.recommend("u1", exclude=["a,b"]).items) == 10
    assert len(evenhand.recommend("u1", exclude=["a" * 200] * 400).items) == 10
    with pytest.raises(Problem) as refusal:
        evenhand.recommend("u1", group=["even,odd"])
    assert refusal.value.facts["value"] == "even,odd"


def test_a_refusal_is_an_exception_with_its_facts(a_client):
    evenhand = a_client("recommend")

    with pytest.raises(Problem) as refusal:
        evenhand.recommend("u1", sensitive=["hair"])
    assert (refusal.value.status, refusal.value.code, refusal.value.facts["allowed"]) == (
        422,
        "unknown_attribute",
        ["gender", "age"],
    )
    assert len(refusal.value.request_id) == 32
    with pytest.raises(Problem) as refusal:
        evenhand.hide("i1")
    assert (refusal.value.code, refusal.value.facts) == ("scope_missing", {"scope": "admin"})


def test_what_is_refused_for_now_is_sent_again_when_the_service_says_so(a_client):
    evenhand = a_client(rate_limit="3/second", retries=Retries(count=3))

    began = time.monotonic()
    pages = [evenhand.recommend("u1") for _ in range(7)]

    assert len(pages) == 7
    assert time.monotonic() - began > 1


def test_without_retries_a_refusal_for_now_is_raised_with_its_time(a_client):
    evenhand = a_client(rate_limit="1/10 seconds", retries=Retries(count=0))
    evenhand.recommend("u1")

    with pytest.raises(Problem) as refusal:
        evenhand.recommend("u1")

    assert (refusal.value.status, refusal.value.code) == (429, "rate_limited")
    assert refusal.value.retry_after_s is not None
    assert 1 <= refusal.value.retry_after_s <= 10


def test_a_service_that_is_not_there_is_tried_again_only_where_that_is_safe(monkeypatch):
    waits = []
    monkeypatch.setattr(time, "sleep", waits.append)
    with socket.socket() as held:  # bound, and not listening: nobody else takes the port
        held.bind(("127.0.0.1", 0))
        with Client(f"http://127.0.0.1:{held.getsockname()[1]}", retries=Retries(count=3)) as evenhand:
            with pytest.raises(UnreachableError):
                evenhand.recommend("u1")
            assert (len(waits), sum(waits) > 0.3) == (3, True)
            with pytest.raises(UnreachableError):
                evenhand.activate("2")

    assert len(waits) == 3


def test_something_else_than_evenhand_is_told_from_it():
    def answer(listening):
        connection, _ = listening.accept()
        with connection:
            connection.recv(65_536)
            connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello")

    with socket.create_server(("127.0.0.1", 0)) as listening:
        other = threading.Thread(target=answer, args=(listening,))
        other.start()
        with (
            Client(f"http://127.0.0.1:{listening.getsockname()[1]}", retries=Retries(count=0)) as evenhand,
            pytest.raises(UnreachableError, match="something else"),
        ):
            evenhand.recommend("u1")
        other.join()


def test_the_coroutines_are_the_same_methods(a_client):
    names = [name for name in vars(Client) if not name.startswith("_")]
    for name in names:
        parameters = inspect.signature(getattr(Client, name)).parameters
        assert inspect.signature(getattr(AsyncClient, name)).parameters == parameters
    evenhand = a_client(client=AsyncClient)

    async def story():
        async with evenhand:
            lists = await asyncio.gather(*(evenhand.recommend("u1", k=3) for _ in range(20)))
            whole = [item.item async for page in evenhand.pages("u1", k=5) for item in page.items]
            batch = await evenhand.recommend_batch([Ask("u1", k=3)])
            return lists, whole, batch

    lists, whole, batch = asyncio.run(story())

    assert {page.items for page in [*lists, *batch]} == {lists[0].items}
    assert len(whole) == len(set(whole)) == 12
