"""`balance=quotas`: what the request log has counted decides on what the next lists show."""

from __future__ import annotations

import numpy as np
import pytest

from balance.shares import ItemShares, discount

SKEWED = {
    "users": 30,
    "items": 60,
    "item_vectors": (np.random.default_rng(0).normal(size=(60, 4)) * np.array([3.0, 0.1] * 30)[:, None]).astype("f4"),
}
"""Whoever ranks them has even items first."""


def count(client):
    client._portal.call(client.app.state.evenhand.runtime.exposure_counts.count)


def exposure(pages):
    shares = ItemShares([(("even", "odd")[row % 2],) for row in range(60)])
    lists = np.array([[int(item["item"][1:]) for item in page["items"]] for page in pages])
    return shares.exposure(lists, discount(lists.shape[1]))


def off(pages):
    shown = exposure(pages).sum(axis=0)
    return abs(shown[0] / shown.sum() - 0.5)


@pytest.fixture
def client(a_client, monkeypatch):
    monkeypatch.setattr("service.exposure_counts.LOOK_S", 3600.0)
    monkeypatch.setattr("service.exposure_counts.EVERY_S", 3600.0)
    return a_client(settings={"cache": "off"}, **SKEWED)


def asked(client, more, users=range(30)):
    pages = []
    for user in users:
        pages.append(client.get(f"/recommend?user=u{user}&k=5{more}").json())
        if user % 5 == 4:
            count(client)
    return pages


def test_exposure_becomes_more_even_over_requests_with_everything_protected(client):
    plain = asked(client, "&sensitive=gender,age")

    after = asked(client, "&sensitive=gender,age&balance=quotas&balance_weight=1")

    assert off(plain) > 0.4
    assert off(plain + after) < off(plain + after[:15]) < off(plain + after[:5])
    assert off(plain + after) < 0.1
    assert after[0]["balance"]["target"] == "quotas"
    assert all(len(page["items"]) == 5 for page in after)


def test_what_is_counted_is_the_exposure_of_the_log(client):
    pages = asked(client, "&balance=quotas", users=range(10))
    client.get("/similar?item=i3&k=5")

    count(client)

    served = client.app.state.evenhand.runtime.serving.arms.active
    similar = client.logged()[-1].items(served.model.bundle.items.ids)
    shown = exposure(pages).sum(axis=0) + exposure([{"items": [{"item": item} for item in similar]}])[0]
    assert served.counted().exposure == pytest.approx(shown)


def test_weight_0_keeps_the_ranking_and_a_page_goes_on_until_the_next_count(client):
    plain = client.get("/recommend?user=u3&k=20").json()
    client.get("/recommend?user=u3&k=5&balance=quotas")
    count(client)
    first = client.get("/recommend?user=u3&k=5&balance=quotas&balance_weight=0").json()
    second = client.get(f"/recommend?user=u3&k=5&balance=quotas&balance_weight=0&cursor={first['next_cursor']}").json()

    assert [*first["items"], *second["items"]] == plain["items"][:10]
    count(client)
    late = client.problem(f"/recommend?user=u3&k=5&balance=quotas&balance_weight=0&cursor={first['next_cursor']}")
    assert (late["status"], late["code"]) == (409, "stale_cursor")


def test_nobody_counts_before_a_list_is_to_follow_quotas(client):
    client.get("/recommend?user=u3")
    assert not client.app.state.evenhand.runtime.serving.arms.active.quotas_wanted

    client.get("/recommend?user=u3&balance=quotas")

    assert client.app.state.evenhand.runtime.serving.arms.active.quotas_wanted
