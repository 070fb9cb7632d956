"""What an audit of a served bundle sees is what its card was measured on."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from bundle import SupportedMasks, read_bundle, write_bundle
from measure.audit import METRICS, Thresholds
from measure.masks import masks_to_measure
from measure.profiles import Profile
from service.audit.request import AuditRequest
from service.audit.result import make_result
from service.audit.subject import ServedSubject, population_of
from service.model.loaded import load_model
from training.card import make_card
from training.card.views import Views

USERS, ITEMS = 300, 70
NAMES = ("gender", "age", "occupation")
EVERY_MASK = SupportedMasks(kind="list", masks=[list(mask) for mask in masks_to_measure(NAMES)])
KINDS = {
    "parts": {},
    "pairs": {"pairs": (("gender", "age"),)},
    "table": {"table": True, "supported_masks": EVERY_MASK},
    "rerank": {"candidates": 20},
    "cosine": {"scorer": "cosine"},
    "changed items": {"changed": True},
    "changed items, cosine": {"changed": True, "scorer": "cosine"},
}


@pytest.fixture(params=KINDS)
def folder(request, a_bundle, tmp_path):
    """A written bundle of each kind, in which some users have seen almost everything."""
    options = {**KINDS[request.param]}
    scorer, changed = options.pop("scorer", None), options.pop("changed", False)
    seen = {
        f"u{user}": [f"i{(user * 3 + step) % ITEMS}" for step in range(66 if user % 50 == 0 else 9)]
        for user in range(USERS)
    }
    made = a_bundle(users=USERS, items=ITEMS, dimensions=8, attributes=NAMES, seen=seen, **options)
    last = np.array([made.seen.of(row)[-1] for row in range(USERS)], np.int32)
    made = replace(made, audit=replace(made.audit, test=last))
    if scorer is not None:
        made = replace(made, description=made.description.model_copy(update={"scorer": scorer}))
    if changed:
        before = np.random.default_rng(5).normal(size=made.items.vectors.shape).astype(np.float32)
        description = made.description.model_copy(update={"base_items": True})
        made = replace(made, description=description, audit=replace(made.audit, items=before))
    return write_bundle(made, tmp_path)


@pytest.fixture
def both(folder):
    """The same bundle as serving and as training see it."""
    model, bundle = load_model(folder, "cpu"), read_bundle(folder)
    return ServedSubject(model, population_of(model, model.bundle.audit)), Views(bundle, bundle.audit)


@pytest.mark.parametrize("mask", [(), ("age",), NAMES], ids=lambda mask: "+".join(mask) or "nothing")
def test_vectors_lists_and_ranks_are_the_same(both, mask):
    served, trained = both

    assert np.allclose(served.fair(mask), trained.fair(mask), atol=1e-5, rtol=0)
    for drop_seen in (False, True):
        assert np.array_equal(served.lists(mask, 10, drop_seen=drop_seen), trained.lists(mask, 10, drop_seen=drop_seen))
    assert np.array_equal(served.base_lists(10, drop_seen=True), trained.base_lists(10, drop_seen=True))
    assert np.array_equal(served.full_ranks(mask), trained.full_ranks(mask))
    assert np.array_equal(served.base_ranks(), trained.base_ranks())


def test_user_vectors_are_ranked_among_the_items_that_they_go_with(both):
    served, _ = both
    before = served._model.bundle.audit.items
    vectors = served._model.bundle.items.vectors if before is None else before
    if served.scorer.own is not None:
        pytest.skip("a reranker's scores are no product with items")
    items = served.scored(np.asarray(vectors))

    scores = np.round((served.base.astype(np.float64) @ items.T.astype(np.float64))[7], 6)

    assert served.base_lists(10)[7].tolist() == np.argsort(-scores, kind="stable")[:10].tolist()


def test_population_and_parts_are_the_same(both):
    served, trained = both

    assert served.parts == trained.parts
    assert all(np.array_equal(served.part(place), trained.part(place)) for place in range(len(served.parts)))
    for field, value in vars(trained.population).items():
        found = getattr(served.population, field)
        assert np.array_equal(found, value) if isinstance(value, np.ndarray) else found == value, field


def test_some_users_alone_have_the_vectors_lists_and_ranks_that_they_have_among_all(folder):
    model, bundle = load_model(folder, "cpu"), read_bundle(folder)
    everyone = population_of(model, model.bundle.audit)
    rows = everyone.at_most(20, seed=1).needed(learned=30, seed=1)
    assert np.array_equal(np.bincount(everyone.split[rows]), [30, np.sum(everyone.split == 1), 20])

    for whole, some in (
        (ServedSubject(model, everyone), ServedSubject(model, everyone, rows)),
        (Views(bundle, bundle.audit), Views(bundle, bundle.audit, rows)),
    ):
        population, mask = some.population, ("age",)
        assert np.array_equal(some.fair(mask), whole.fair(mask)[rows])
        assert np.array_equal(some.part(0), whole.part(0)[rows])
        assert np.array_equal(some.lists(mask, 10, drop_seen=True), whole.lists(mask, 10, drop_seen=True)[rows])
        assert np.array_equal(some.base_lists(10, drop_seen=True), whole.base_lists(10, drop_seen=True)[rows])
        looked_at = population.held_out >= 0
        assert looked_at.any()
        assert np.array_equal(some.full_ranks(mask)[looked_at], whole.full_ranks(mask)[rows][looked_at])


def test_an_audit_finds_what_the_card_says(a_measurable_bundle_folder, monkeypatch):
    look = Profile("quick", ("logistic",), 2, 1, 1, 50, 50, fit_rows=300, verdict=False)
    monkeypatch.setattr("service.audit.result.PROFILES", {"quick": look})
    folder = a_measurable_bundle_folder
    card = make_card(read_bundle(folder), look)

    found = make_result(load_model(folder, "cpu"), AuditRequest(), Thresholds())

    assert found["request"]["metrics"] == list(METRICS)
    assert found["card"] == card


@pytest.fixture
def a_measurable_bundle_folder(a_bundle, tmp_path):
    """Two attributes and a held-out item for everyone."""
    seen = {f"u{user}": [f"i{(user + step) % 40}" for step in range(8)] for user in range(240)}
    made = a_bundle(users=240, items=40, seen=seen)
    last = np.array([made.seen.of(row)[-1] for row in range(240)], np.int32)
    return write_bundle(replace(made, audit=replace(made.audit, test=last)), tmp_path)
