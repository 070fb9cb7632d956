"""No path gives a less protected answer than the resolved requirement, or an item that must not be shown.

What is asked and what happens in between is drawn; what must come out is worked out anew from the bundle, in numpy.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import cache
from hashlib import blake2b

import numpy as np
import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from balance import targets
from balance.calibration import calibrated
from balance.pct import tilted
from balance.shares import ItemShares
from service.model.active import Arms, ServedModel, Trial
from service.model.share import Share
from service.store import (
    Interaction,
    Purpose,
    add_interactions,
    erase_user,
    hide_item,
    lift_erasure,
    now_us,
    put_requirement,
    register_model,
)

ATTRIBUTES = ("gender", "age", "occupation")
ITEMS = 24
USERS = ("u0", "u1", "new", "nobody")
"""Two that the bundle has, and two that it has not."""
KEY = bytes(32)
"""Of shares; with it, `new` is in one of .2, u0 and `nobody` in one of .43 too, and u1 in neither."""
POLICIES = {
    "nothing is demanded": {},
    "a default": {"default": "gender"},
    "required": {"required": "age", "default": "occupation"},
    "lists are balanced": {"required": "gender", "balance": "catalogue", "balance_weight": 0.3},
    "the bundle's targets": {"default": "gender", "balance": "target"},
}

items = st.integers(0, ITEMS - 1).map("i{}".format)
names = st.lists(st.sampled_from(ATTRIBUTES), unique=True, max_size=3)
some_items = st.lists(items, max_size=3)
asked = st.fixed_dictionaries(
    {
        "user": st.sampled_from(USERS),
        "sensitive": st.none() | names,
        "k": st.sampled_from([1, 5, 40]),
        "exclude": some_items,
        "exclude_seen": st.booleans(),
        "group": st.sampled_from([[], ["even"], ["even", "odd"]]),
        "fallback": st.sampled_from([None, "popular"]),
        "balance": st.sampled_from([None, None, "none", "uniform", "catalogue", "target", "history"]),
    }
)
steps = st.one_of(
    st.tuples(st.just("require"), st.sampled_from(USERS), st.none() | names),
    st.tuples(st.just("meet"), st.sampled_from(USERS), items),
    st.tuples(st.just("hide"), items, st.booleans()),
    st.tuples(st.just("erase"), st.sampled_from(USERS), st.booleans()),
    st.tuples(st.just("swap"), st.sampled_from(["1", "2"]), st.sampled_from([None, 0.2, 0.43])),
    st.tuples(st.just("get"), asked, st.none()),
    st.tuples(st.just("get"), asked, st.none()),
    st.tuples(st.just("pages"), asked, st.none()),
    st.tuples(st.just("batch"), st.lists(asked, min_size=2, max_size=3), st.none()),
    st.tuples(st.just("session"), asked, some_items),
)


@dataclass
class World:
    """A running service, and what the test knows of it."""

    client: object
    served: dict
    policy: dict
    active: str = "1"
    share: float | None = None
    """Of the other version, beside the active one."""
    version: str = "1"
    """The one that answers what is being checked."""
    stored: dict = field(default_factory=dict)
    met: dict = field(default_factory=dict)
    hidden: set = field(default_factory=set)
    erased: set = field(default_factory=set)
    shown: list = field(default_factory=list)
    """Request id, purpose, applied and items of every list answered."""

    @property
    def bundle(self):
        return self.served[self.version].model.bundle

    # What happens

    def require(self, user, attributes):
        kept = None if attributes is None else tuple(attributes)
        if self.client.change(put_requirement, user, kept):
            self.stored[user] = kept

    def meet(self, user, item):
        if self.client.change(add_interactions, [Interaction(user, item, now_us())]).taken:
            self.met.setdefault(user, [])
            self.met[user] += [item] * (item not in self.met[user])

    def hide(self, item, hidden):
        self.client.change(hide_item, item, hidden)
        (self.hidden.add if hidden else self.hidden.discard)(item)

    def erase(self, user, erased):
        if erased:
            store = self.client.app.state.evenhand.runtime.store
            self.client.change(erase_user, user, store.pseudonyms)
            self.shown = [row for row in self.shown if row[4] != user]
            self.stored.pop(user, None)
            self.met.pop(user, None)
            self.erased.add(user)
        else:
            self.client.change(lift_erasure, user)
            self.erased.discard(user)

    def swap(self, version, share):
        self.active, self.share = version, share
        trial = None if share is None else Trial(self.served[self.other], Share(share, KEY))
        self.client.app.state.evenhand.runtime.swap(Arms(self.served[version], trial))

    @property
    def other(self):
        return {"1": "2", "2": "1"}[self.active]

    def version_of(self, user):
        if self.share is None or user is None:
            return self.active
        digest = blake2b(user.encode(), digest_size=8, key=KEY, person=b"share").digest()
        return self.other if int.from_bytes(digest, "big") / 2**64 < self.share else self.active

    # What is asked

    def get(self, query, _):
        self.check(query, self.client.get(path_of(query)).json(), Purpose.RECOMMEND)

    def batch(self, queries, _):
        results = self.client.post("/recommend/batch", {"requests": queries}).json()["results"]
        for query, page in zip(queries, results, strict=True):
            self.check(query, page, Purpose.BATCH)

    def session(self, query, history):
        body = {name: value for name, value in query.items() if name != "user"} | {"history": history}
        self.check(body, self.client.post("/recommend/session", body).json(), Purpose.SESSION)

    def pages(self, query, _):
        query = query | {"k": 5}
        cursor, before = None, 0
        while True:
            page = self.client.get(path_of(query) + (f"&cursor={cursor}" if cursor else "")).json()
            self.check(query, page, Purpose.RECOMMEND, before)
            before += 5
            cursor = page.get("next_cursor")
            if cursor is None:
                return

    # What must come out

    def check(self, query, page, purpose, before=0):
        user = query.get("user")
        self.version = self.version_of(user)
        asked = query["sensitive"]
        why = dict.fromkeys(self.policy.get("required", "").split(","), "required")
        why |= dict.fromkeys(self.stored.get(user) or (), "user")
        why |= dict.fromkeys(self.policy.get("default", "").split(","), "default") if asked is None else {}
        why |= dict.fromkeys(asked or (), "request")
        why.pop("", None)
        known = user is not None and user in self.bundle.users.row and user not in self.erased
        history = query["history"] if user is None else [] if known else self.met.get(user, [])
        if not known and not history and query["fallback"] is None:
            assert page["code"] == ("no_history" if user is None else "unknown_user"), page
            return
        drop = {*query["exclude"], *self.hidden}
        if query["exclude_seen"]:
            drop |= {*history, *(self.met.get(user, ()) if user not in self.erased else ())}
            if known:
                drop |= {f"i{row}" for row in self.bundle.seen.of(self.bundle.users.row[user])}
        left = [item for item in self.bundle.items.ids if item not in drop]
        left = [item for item in left if not query["group"] or ("even", "odd")[int(item[1:]) % 2] in query["group"]]
        balance = query["balance"] or self.policy.get("balance", "none")
        if balance == "history" and why:
            reasons = [{"attribute": name, "source": why[name]} for name in ATTRIBUTES if name in why]
            assert (page["code"], page["applied"], page["status"]) == ("balance_reveals", reasons, 422)
            return
        popular = not known and not history
        order = by_popularity if popular else self.order_of(user if known else tuple(history), frozenset(why))
        ranked = sorted(left, key=order)
        met = {f"i{row}" for row in self.bundle.seen.of(self.bundle.users.row[user])} if known else set()
        met |= {*history, *(self.met.get(user, ()) if user not in self.erased else ())}
        own = [int(item[1:]) for item in sorted(self.bundle.items.ids, key=order)]
        target = self.target(balance, met, own, frozenset(why))
        scores = [-order(item)[0] for item in ranked]
        expected = self.balanced(ranked, scores, target)[before : before + query["k"]]

        assert "items" in page, page
        assert {entry["attribute"]: entry["source"] for entry in page["sensitive"]["applied"]} == why
        assert (page["balance"] and page["balance"]["target"]) == (None if balance == "none" else balance)
        assert (page["fallback"], page["model"]["version"]) == ("popular" if popular else None, self.version)
        assert [item["item"] for item in page["items"]] == expected
        assert [item["rank"] for item in page["items"]] == [*range(before + 1, before + 1 + len(expected))]
        logged_user = None if user in self.erased else user
        self.shown.append((page["request_id"], purpose, why, expected, logged_user, balance))

    def order_of(self, whose, protected):
        scores = scores_of(self.version, whose, protected, self)
        return lambda item: (-scores[int(item[1:])], int(item[1:]))

    def target(self, balance, met, own, protected):
        """Of a list: from what was met only for `history`; from all items in their order, whatever is dropped, for
        `target`."""
        shares = ItemShares(self.bundle.items.groups)
        history = np.array(sorted(int(item[1:]) for item in met), np.int64)
        return {
            "none": lambda: None,
            "uniform": lambda: targets.uniform(shares),
            "catalogue": lambda: targets.catalogue(shares),
            "target": lambda: self.personal(own, protected),
            "history": lambda: targets.of_items(shares, history),
        }[balance]()

    def personal(self, own, protected):
        stored, described = self.bundle.balance, self.bundle.description.balance
        masks = [frozenset(mask) for mask in described.masks]
        tilt = stored.tilts[1 + masks.index(protected) if protected in masks else 0]
        odd = np.mean([row % 2 for row in own[: described.depth]])
        return tilted(np.array([[1 - odd, odd]]), tilt, stored.target)[0]

    def balanced(self, ranked, scores, target):
        """The order of all items that are left: fewer than a pool has."""
        shares = ItemShares(self.bundle.items.groups)
        rows = np.array([[int(item[1:]) for item in ranked]], np.int64)
        if target is None or not ranked:
            return ranked
        weight = np.array([self.policy.get("balance_weight", 0.5)])
        order = calibrated(rows, np.array([scores], float), shares, target[None], weight, len(ranked))
        return [ranked[place] for place in order[0]]

    def check_log(self):
        catalogue = self.bundle.items.ids
        logged = {row.request_id: row for row in self.client.logged()}
        found = [
            (
                row.request_id,
                row.purpose,
                dict(row.applied),
                row.items(catalogue),
                row.user_key,
                row.balance.target if row.balance else "none",
            )
            for row in logged.values()
        ]
        assert sorted(found, key=lambda row: row[0]) == sorted(self.shown, key=lambda row: row[0])


_SCORES = {}


def scores_of(version, whose, protected, world):
    """Every item's score for a user, or a history, under a mask: in float64, in numpy but for the network."""
    if (version, whose, protected) not in _SCORES:
        bundle = world.bundle
        network = bundle.encoder.double()
        if isinstance(whose, str):
            parts = torch.from_numpy(bundle.users.parts[[bundle.users.row[whose]]]).double()
        else:
            rows = np.array([int(item[1:]) for item in whose], np.int32)
            u = bundle.history.user_vectors([rows], bundle.items.vectors)
            parts = network.split(torch.from_numpy(u).double()).float().double()
        mask = torch.tensor([[name in protected for name in ATTRIBUTES]])
        fair = network.combine(parts, mask)[0].float().double().numpy()
        _SCORES[version, whose, protected] = np.round((bundle.items.vectors.astype(np.float64) * fair).sum(axis=1), 6)
    return _SCORES[version, whose, protected]


def by_popularity(item):
    return (-int(item[1:]),)


def path_of(query):
    parts = {name: ",".join(query[name]) for name in ("exclude", "group") if query[name]}
    parts |= {"user": query["user"], "k": query["k"], "exclude_seen": str(query["exclude_seen"]).lower()}
    parts |= {"sensitive": ",".join(query["sensitive"])} if query["sensitive"] is not None else {}
    parts |= {name: query[name] for name in ("fallback", "balance") if query[name]}
    return "/recommend?" + "&".join(f"{name}={value}" for name, value in parts.items())


@cache
def _bundle_options(version):
    return {
        "users": 2,
        "items": ITEMS,
        "attributes": ATTRIBUTES,
        "dimensions": 6,
        "seen": {"u0": ["i1", "i2"], "u1": ["i3"]},
        "personal": True,
        "version": version,
        "seed": int(version),
    }


@pytest.fixture(params=POLICIES)
def world(request, a_client, a_model):
    policy = POLICIES[request.param]
    _SCORES.clear()
    client = a_client(settings=policy, **_bundle_options("1"))
    runtime = client.app.state.evenhand.runtime
    other = a_model(**_bundle_options("2"))
    facts = (other.name, other.version, other.content_hash, other.bundle.description.attribute_names)
    stored = client.change(register_model, *facts)
    served = {"1": runtime.serving.arms.active, "2": ServedModel(other, stored.id, runtime.recommender.policy)}
    return World(client, served, policy)


def test_lists_differ_by_what_is_protected(world):
    """Else the next test would show nothing."""
    lists = {
        tuple(np.argsort(-scores_of("1", "u0", frozenset(names), world)))
        for names in [(), ("gender",), ("age",), ("gender", "age"), ATTRIBUTES]
    }

    assert len(lists) == 5


@settings(
    max_examples=20,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow, HealthCheck.data_too_large],
)
@given(st.lists(steps, min_size=4, max_size=14))
def test_whatever_happens_each_list_is_the_one_that_its_requirement_demands(world, story):
    for step, *facts in story:
        getattr(world, step)(*facts)

    world.check_log()
