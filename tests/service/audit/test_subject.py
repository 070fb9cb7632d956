"""What is audited is what is served."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from bundle import write_bundle
from service.audit.subject import ServedSubject, population_of
from service.balance import Balance
from service.model.inference import compute
from service.model.loaded import load_model
from service.recommend.queries import UserQuery

MASKS = ((), ("gender",), ("age",), ("gender", "age"))
SEEN = {"u0": ["i1", "i2"], "u3": [f"i{item}" for item in range(8)]}


def subject_of(model):
    return ServedSubject(model, population_of(model, model.bundle.audit))


@pytest.fixture
def a_subject(a_model):
    return lambda **options: subject_of(a_model(**options))


@pytest.fixture
def a_cosine_subject(a_bundle, tmp_path):
    bundle = a_bundle(users=300)
    description = bundle.description.model_copy(update={"scorer": "cosine"})
    return subject_of(load_model(write_bundle(replace(bundle, description=description), tmp_path), "cpu"))


def without_gaps(lists):
    return [[item for item in row if item >= 0] for row in lists.tolist()]


@pytest.mark.anyio
@pytest.mark.parametrize("drop_seen", [True, False])
@pytest.mark.parametrize("options", [{}, {"candidates": 7}], ids=["inner", "rerank"])
async def test_lists_are_those_that_requests_are_answered_with(a_recommender, options, drop_seen):
    async with a_recommender(seen=SEEN, **options) as desk:
        subject = subject_of(desk.model)

        for mask in MASKS:
            lists = subject.lists(mask, 5, drop_seen=drop_seen)
            for row, user in enumerate(desk.model.bundle.users.ids):
                query = UserQuery(user, sensitive=mask, k=5, exclude_seen=drop_seen)
                answer = await desk.recommend(query)

                assert without_gaps(lists)[row] == answer.ranking.rows.tolist()


@pytest.mark.anyio
@pytest.mark.parametrize("drop_seen", [True, False])
async def test_balanced_lists_are_those_that_requests_are_answered_with(a_recommender, drop_seen):
    async with a_recommender(seen=SEEN, items=60) as desk:
        model = desk.model
        balance = Balance("uniform", 0.8, "request")
        subject = ServedSubject(model, population_of(model, model.bundle.audit), balance=balance)

        for k in (5, 3):
            lists = subject.lists(("gender",), k, drop_seen=drop_seen)
            for row, user in enumerate(model.bundle.users.ids):
                asked = {"sensitive": ("gender",), "k": k, "exclude_seen": drop_seen}
                answer = await desk.recommend(UserQuery(user, balance="uniform", balance_weight=0.8, **asked))

                assert without_gaps(lists)[row] == answer.ranking.rows.tolist()


def test_where_fewer_items_are_left_places_stay_empty(a_subject):
    lists = a_subject(seen=SEEN).lists((), 10, drop_seen=True)

    assert (lists[3] >= 0).tolist() == [True] * 4 + [False] * 6
    assert (lists[0] >= 0).all()


def test_a_short_list_after_a_long_one_is_the_short_one_also_where_a_reranker_orders_candidates(a_subject):
    subject, fresh = a_subject(candidates=3, items=30), a_subject(candidates=3, items=30, version="2")

    long = subject.lists((), 25)
    short = subject.lists((), 3)

    assert np.array_equal(short, fresh.lists((), 3))
    assert not np.array_equal(short, long[:, :3])


def test_a_short_list_after_a_long_one_is_asked_for_again_where_the_index_is_approximate(a_model, monkeypatch):
    model = a_model()
    subject = subject_of(replace(model, index_report=replace(model.index_report, exact=False)))
    subject.lists((), 10)
    asked = []

    def made(tasks):
        asked.extend(task.k for task in tasks)
        return compute(tasks)

    monkeypatch.setattr("service.audit.subject.compute", made)
    subject.lists((), 4)

    assert asked == [4] * 6


def test_a_list_is_made_once(a_subject, monkeypatch):
    subject = a_subject()
    long = subject.lists((), 10)
    monkeypatch.setattr("service.audit.subject.compute", None)

    assert np.array_equal(subject.lists((), 4), long[:, :4])


def test_fair_vectors_are_searched_with_as_they_are(a_subject):
    subject = a_subject()

    for mask in MASKS:
        assert np.array_equal(subject.lists_of(subject.fair(mask), 6), subject.lists(mask, 6))


def test_fair_vectors_of_a_cosine_bundle_have_length_one_and_are_not_scaled_again(a_cosine_subject):
    subject = a_cosine_subject

    for mask in MASKS:
        fair = subject.fair(mask)
        assert np.array_equal(fair, subject.fair_vectors(mask))
        assert np.allclose(np.linalg.norm(fair, axis=1), 1, atol=1e-6)
    for vectors in (subject.base, subject.scorer.items):
        assert np.allclose(np.linalg.norm(vectors, axis=1), 1, atol=1e-6)


def test_what_is_ranked_first_is_what_the_list_begins_with(a_bundle, tmp_path):
    bundle = a_bundle(seen={f"u{row}": [f"i{row}"] for row in range(6)}, candidates=12)
    audit = replace(bundle.audit, test=np.arange(6, dtype=np.int32), split=np.full(6, 2, np.uint8))
    subject = subject_of(load_model(write_bundle(replace(bundle, audit=audit), tmp_path), "cpu"))

    ranks, lists = subject.full_ranks(("gender",)), subject.lists(("gender",), 12)

    assert [int(row[rank]) for row, rank in zip(lists, ranks, strict=True)] == list(range(6))


def test_the_same_vector_for_everybody_gives_the_same_list_less_what_each_has_seen(a_subject):
    subject = a_subject(seen=SEEN)
    same = np.broadcast_to(subject.base[1], subject.base.shape)

    kept, dropped = subject.lists_of(same, 12), subject.lists_of(same, 12, drop_seen=True)

    assert (kept == kept[0]).all()
    for user, row in (("u0", 0), ("u1", 1), ("u3", 3)):
        gone = {int(item[1:]) for item in SEEN.get(user, ())}
        assert without_gaps(dropped)[row] == [item for item in kept[0].tolist() if item not in gone]


def test_parts_are_those_of_the_bundle(a_model):
    model = a_model()
    subject = subject_of(model)

    assert subject.parts == ("shared", "gender", "age")
    for place in range(3):
        assert np.array_equal(subject.part(place), model.bundle.users.parts[:, place])
