"""Vectors of other libraries, protected and served: where nothing is protected, the source's scores."""

from __future__ import annotations

import json
import logging
import re

import httpx
import numpy as np
import pytest
import scipy.sparse
import torch
from implicit.cpu.als import AlternatingLeastSquares
from implicit.cpu.bpr import BayesianPersonalizedRanking
from threadpoolctl import threadpool_limits

from bundle import read_bundle
from service.api import create_app
from service.model.loaded import load_model
from service.settings import Settings
from training.config import RunConfig
from training.data.generated import generate
from training.data.generated_config import GeneratedConfig
from training.data.load import load
from training.data.write import write_tables
from training.errors import ConfigError, DataError, TooLittleDataError
from training.run import run

pytestmark = pytest.mark.usefixtures("a_quick_card", "short_teachers")

CPU = torch.device("cpu")
DATA = GeneratedConfig(users=400, items=80, interactions_per_user=20, seed=1)


@pytest.fixture(scope="module")
def tables(tmp_path_factory):
    """A folder with the three tables, and their interactions as the libraries take them."""
    folder = tmp_path_factory.mktemp("data")
    write_tables(generate(DATA), folder)
    dataset = load(DATA, None)
    ones = np.ones(len(dataset.indices), np.float32)
    shape = (len(dataset.users), len(dataset.items))
    return folder, dataset, scipy.sparse.csr_matrix((ones, dataset.indices, dataset.indptr), shape)


def of_als(folder, dataset, matrix):
    with threadpool_limits(1, "blas"):
        model = AlternatingLeastSquares(8, regularization=1, alpha=3, iterations=5, num_threads=1, random_state=1)
        model.fit(matrix, show_progress=False)
    return as_npy(folder, dataset, model.user_factors, model.item_factors)


def of_bpr(folder, dataset, matrix):
    model = BayesianPersonalizedRanking(8, iterations=30, num_threads=1, random_state=1)
    model.fit(matrix, show_progress=False)
    assert (model.user_factors[:, -1] == 1).all()
    return as_npy(folder, dataset, model.user_factors, model.item_factors)


def of_lightfm(folder, dataset, matrix):
    """The arrays that LightFM keeps: embeddings and biases of both."""
    rng = np.random.default_rng(4)
    u, v = (rng.normal(0, 0.4, (n, 8)).astype(np.float32) for n in matrix.shape)
    b_u, b_i = (rng.normal(0, 1, n).astype(np.float32) for n in matrix.shape)
    config, _ = as_npy(folder, dataset, u, v)
    for name, biases in (("users", b_u), ("items", b_i)):
        np.save(folder / f"{name}_biases.npy", biases)
        config[name]["biases"] = f"{name}_biases.npy"
    return config, u @ v.T + b_u[:, None] + b_i


def of_word2vec(folder, dataset, matrix):
    rng = np.random.default_rng(4)
    u, v = (rng.normal(0, 0.4, (n, 8)).astype(np.float32) for n in matrix.shape)
    for name, ids, vectors in (("users", dataset.users, u), ("items", dataset.items, v)):
        lines = [f"{key} {' '.join(map(repr, row))}" for key, row in zip(ids, vectors.tolist(), strict=True)]
        (folder / f"{name}.w2v").write_text(f"{len(ids)} 8\n" + "\n".join(lines) + "\n")
    return {name: {"file": f"{name}.w2v"} for name in ("users", "items")}, u @ v.T


def as_npy(folder, dataset, users, items):
    for name, ids, vectors in (("users", dataset.users, users), ("items", dataset.items, items)):
        np.save(folder / f"{name}.npy", vectors)
        (folder / f"{name}.ids").write_text("\n".join(ids) + "\n")
    return {name: {"file": f"{name}.npy", "ids": f"{name}.ids"} for name in ("users", "items")}, users @ items.T


def a_config(vectors, **changes):
    return RunConfig.model_validate(
        {
            "name": "brought",
            "threads": 1,
            "profile": "protected",
            "data": {"reader": "auto"},
            "base": {"model": "vectors"} | vectors,
            "fair": {"method": "lattice", "leakage_at_most": 1.0},
        }
        | changes
    )


DIMENSIONS = {of_als: (8, 0), of_bpr: (9, 1), of_lightfm: (10, 1), of_word2vec: (8, 0)}
"""All, and those left alone."""


@pytest.fixture(scope="module", params=DIMENSIONS)
def served(request, tables, tmp_path_factory):
    """The dataset, the source's scores, and the folder of the bundle that was made of its vectors."""
    folder, dataset, matrix = tables
    vectors, scores = request.param(folder, dataset, matrix)
    path = run(a_config(vectors), folder, tmp_path_factory.mktemp("out"), CPU)
    description = read_bundle(path).description
    found = (description.dimensions, description.constant_dimensions)
    assert (description.base_model, found) == ("vectors", DIMENSIONS[request.param])
    return dataset, scores, path


def client_of(path, tmp_path):
    settings = Settings(bundle=path, deadline_s=60, scores="audit", database_url=f"sqlite:///{tmp_path}/store.db")
    app = create_app(settings, load_model(path, "cpu"))
    return app, httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://test")


@pytest.mark.anyio
async def test_with_nothing_protected_scores_and_lists_are_those_of_the_source(served, tmp_path):
    dataset, scores, path = served
    app, client = client_of(path, tmp_path)
    row_of = {item: row for row, item in enumerate(dataset.items)}

    async with app.router.lifespan_context(app), client:
        for user in (0, 57, -1):
            query = {"user": dataset.users[user], "sensitive": "", "k": 1000, "exclude_seen": False}
            items = (await client.get("/recommend", params=query)).json()["items"]

            shown = [row_of[item["item"]] for item in items]
            assert sorted(shown) == list(range(len(dataset.items)))
            assert np.allclose([item["score"] for item in items], scores[user][shown], atol=1e-5)
            assert np.all(np.diff(scores[user][shown]) <= 2e-5)


@pytest.mark.anyio
async def test_masks_and_sessions_are_answered_as_with_a_base_of_our_own(served, tmp_path):
    dataset, _, path = served
    app, client = client_of(path, tmp_path)

    async with app.router.lifespan_context(app), client:
        lists = {}
        for sensitive in ("", "gender", "gender,age,occupation"):
            query = {"user": dataset.users[3], "sensitive": sensitive, "k": 80, "exclude_seen": False}
            answer = (await client.get("/recommend", params=query)).json()
            applied = [entry["attribute"] for entry in answer["sensitive"]["applied"]]
            assert applied == [name for name in sensitive.split(",") if name]
            lists[sensitive] = [item["item"] for item in answer["items"]]
        session = await client.post("/recommend/session", json={"history": list(dataset.items[:4]), "k": 5})

        assert len({tuple(shown) for shown in lists.values()}) > 1
        assert (session.status_code, len(session.json()["items"])) == (200, 5)


def test_a_dimension_that_is_1_for_everybody_is_1_under_every_mask(served):
    _, _, path = served
    bundle = read_bundle(path)
    description = bundle.description
    constants = description.constant_dimensions
    mask = torch.tensor([True, False, True]).expand(len(bundle.users.ids), -1)

    fair = bundle.encoder.combine(torch.from_numpy(bundle.users.of(slice(None))), mask).numpy()
    folded = bundle.history.user_vectors([np.array([1, 2, 3], np.int32)], bundle.items.vectors)

    varying = description.dimensions - constants
    assert (bundle.audit.base[:, varying:] == 1).all()
    assert (fair[:, varying:] == 1).all()
    assert (folded[:, varying:] == 1).all()
    assert not np.allclose(fair[:, :varying], bundle.audit.base[:, :varying])


def test_the_card_measures_them_as_any_other(served):
    _, _, path = served
    card = json.loads((path / "card.json").read_text())

    assert {tuple(row["sensitive"]) for row in card["accuracy"]["by_mask"]} >= {(), ("gender",)}
    assert any(row["target"] == "fair" for row in card["leakage"]["by_mask"])


@pytest.fixture
def alone(tables, tmp_path):
    """A folder with users and vectors, and nothing of what anybody did."""
    folder, dataset, matrix = tables
    mine = tmp_path / "alone"
    mine.mkdir()
    (mine / "users.csv").write_text((folder / "users.csv").read_text())
    vectors, scores = of_bpr(mine, dataset, matrix)
    return mine, vectors, scores


@pytest.mark.anyio
async def test_without_interactions_nothing_is_seen_accuracy_is_absent_and_sessions_are_refused(alone, tmp_path):
    folder, vectors, scores = alone

    path = run(a_config(vectors), folder, tmp_path / "out", CPU)

    bundle = read_bundle(path)
    assert len(bundle.seen.indices) == 0
    assert bundle.description.history.kind == "none"
    assert len(bundle.items.ids) == scores.shape[1]
    app, client = client_of(path, tmp_path)
    async with app.router.lifespan_context(app), client:
        session = await client.post("/recommend/session", json={"history": list(bundle.items.ids[:4])})
        query = {"user": bundle.users.ids[0], "sensitive": "gender", "k": 1000}
        shown = (await client.get("/recommend", params=query)).json()["items"]
    assert (session.status_code, session.json()["code"]) == (422, "sessions_unsupported")
    assert len(shown) == scores.shape[1]
    assert not bundle.card["accuracy"].get("by_mask")


def test_without_interactions_what_needs_them_cannot_be_fitted(alone, tmp_path):
    folder, vectors, _ = alone

    with pytest.raises((ConfigError, DataError)) as refused:
        run(a_config(vectors, fair={"method": "afrl"}), folder, tmp_path / "out", CPU)

    assert "fair.method" in str(refused.value)


@pytest.mark.parametrize("fair", [{"method": "lattice", "front": [0]}, {"method": "afrl"}])
def test_without_interactions_what_is_chosen_by_accuracy_is_refused(tables, alone, tmp_path, fair):
    folder, _, _ = alone
    vectors, _ = of_als(folder, *tables[1:])

    with pytest.raises(TooLittleDataError, match="positives"):
        run(a_config(vectors, fair=fair), folder, tmp_path / "out", CPU)


def test_vectors_that_are_there_forget_an_attribute_without_any_interaction(tables, alone, tmp_path):
    folder, _, _ = alone
    vectors, _ = of_als(folder, *tables[1:])
    fair = {"method": "pot_au", "protect": ["gender"], "learning_rate": 0.02, "schedule": {"epochs": 3}}

    bundle = read_bundle(run(a_config(vectors, mode="reproduce", fair=fair), folder, tmp_path / "out", CPU))

    assert bundle.description.always_protected == ["gender"]
    assert bundle.description.history.kind == "none"
    assert not np.allclose(np.asarray(bundle.users.part(0, np.arange(9))), bundle.audit.base[:9])


def test_ids_in_one_table_only_are_counted_and_named(tables, tmp_path, caplog):
    folder, dataset, matrix = tables
    mine = tmp_path / "mine"
    mine.mkdir()
    for name in ("users.csv", "interactions.csv"):
        (mine / name).write_text((folder / name).read_text())
    vectors, _ = of_als(mine, dataset, matrix)
    users, items = list(dataset.users), list(dataset.items)
    (mine / "users.ids").write_text("\n".join(["stranger", *users[1:]]) + "\n")
    (mine / "items.ids").write_text("\n".join([*items[:-1], "novelty"]) + "\n")
    caplog.set_level(logging.INFO)

    bundle = read_bundle(run(a_config(vectors), mine, tmp_path / "out", CPU))

    said = caplog.text
    assert "left out ids of users.npy that are not in users.csv ('stranger'): 1" in said
    assert re.search(rf"left out ids of users.csv that are not in users.npy \({users[0]!r}.*\): \d", said)
    assert f"left out ids of the interactions that are not in items.npy ({items[-1]!r}): 1" in said
    assert users[0] not in list(bundle.users.ids)
    assert "novelty" in list(bundle.items.ids)
    assert len(bundle.users.ids) == len(users) - 1


def test_new_users_cannot_be_asked_for(tables, tmp_path):
    folder, dataset, matrix = tables
    vectors, _ = of_als(folder, dataset, matrix)

    with pytest.raises(ConfigError, match="new_users"):
        run(a_config(vectors, new_users=0.1), folder, tmp_path, CPU)


def test_no_shared_user_is_refused(tables, tmp_path):
    folder, dataset, matrix = tables
    vectors, _ = of_als(folder, dataset, matrix)
    (folder / "strangers.ids").write_text("\n".join(f"x{row}" for row in range(matrix.shape[0])) + "\n")
    vectors["users"]["ids"] = "strangers.ids"

    with pytest.raises(DataError, match=r"users.npy: has no id of users.csv"):
        run(a_config(vectors), folder, tmp_path, CPU)
