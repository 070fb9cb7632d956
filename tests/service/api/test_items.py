"""Hidden items are recommended to nobody."""

from __future__ import annotations


def test_a_hidden_item_is_gone_from_the_very_next_list_of_everybody(client):
    everything = client.items("/recommend?user=u3&k=12")

    hidden = client.request("PUT", f"/items/{everything[0]}/hidden").json()

    assert hidden == {"item": everything[0], "hidden": True, "changed": True}
    for path in ("/recommend?user=u3&k=12", "/recommend?user=u4&k=12&exclude_seen=false", "/popular?k=12"):
        assert everything[0] not in client.items(path)
    assert client.items("/recommend?user=u3&k=12") == everything[1:]
    assert client.request("PUT", f"/items/{everything[0]}/hidden").json()["changed"] is False

    shown = client.request("DELETE", f"/items/{everything[0]}/hidden").json()

    assert shown == {"item": everything[0], "hidden": False, "changed": True}
    assert client.items("/recommend?user=u3&k=12") == everything
    assert client.request("DELETE", f"/items/{everything[0]}/hidden").json()["changed"] is False


def test_an_item_that_the_bundle_does_not_know_may_be_hidden(client):
    assert client.request("PUT", "/items/a%2Fb/hidden").json() == {"item": "a/b", "hidden": True, "changed": True}
