"""What training computes, the service answers."""

from __future__ import annotations

from itertools import chain, combinations
from pathlib import Path

import httpx
import numpy as np
import pytest
import torch

from bundle import read_bundle, write_bundle
from service.api import create_app
from service.model.loaded import load_model
from service.settings import Settings
from training.base.train import train_base
from training.config import RunConfig
from training.data.load import load
from training.data.split import hold_out, split_users
from training.experiment import Experiment
from training.export import export
from training.fair.train import train_fair

pytestmark = pytest.mark.usefixtures("short_teachers")

SCHEDULE = {"epochs": 3, "validate_every": 3}
EPOCHS = {"dimensions": 8, "learning_rate": 1e-2, "batch": 512, "schedule": SCHEDULE}

AFRL = {"method": "afrl", "learning_rate": 1e-3, "batch": 64, "schedule": SCHEDULE}
SM = {"method": "sm", "learning_rate": 1e-2, "batch": 512, "adversary_steps": 2, "schedule": SCHEDULE}
ALS = {"model": "als", "dimensions": 8, "iterations": 3, "regularization": 1}
PMF = EPOCHS | {"model": "pmf"}
LIGHTGCN = {"model": "lightgcn", "dimensions": 8, "steps": 4, "schedule": SCHEDULE}
AUTOREC = {"model": "autorec", "dimensions": 8, "batch": 32, "learning_rate": 1e-2, "schedule": SCHEDULE}
MULTVAE = AUTOREC | {"model": "multvae", "hidden": 16, "code": 6}
DIFFREC = AUTOREC | {"model": "diffrec", "hidden": 16, "steps": 3}
FAIRGAN = AUTOREC | {"model": "fairgan", "hidden": 16}
DEEP = EPOCHS | {"model": "deep", "candidates": 20}
SASREC = EPOCHS | {"model": "sasrec", "length": 10, "batch": 64}
PRISM = SASREC | {"prism": {}}
PFREC = {"method": "pfrec", "prompts": 2, "bottleneck": 2, "batch": 64, "moments": 1, "schedule": SCHEDULE}
FFVAE = {"method": "ffvae", "hidden": 16, "batch": 64, "schedule": SCHEDULE}
DIFFAIREC = {"method": "diffairec", "attribute": "gender", "width": 16, "tokens": 4, "batch": 32, "schedule": SCHEDULE}
LEGO = {"method": "lego", "hidden": 16, "learning_rate": 1e-2, "batch": 64, "schedule": SCHEDULE}
POT_AU = {"method": "pot_au", "learning_rate": 0.02, "batch": 64, "schedule": {"epochs": 5}}
FILTERS = {"batch": 64, "adversary_steps": 2, "schedule": SCHEDULE}
READ_FEATURES = ("freedom", "dragon", "mmgcn")
METHODS = {
    "als-lattice": (ALS, {"method": "lattice"}),
    "als-afrl": (ALS, AFRL),
    "pmf-afrl": (PMF, AFRL),
    "pmf-lattice": (PMF, {"method": "lattice"}),
    "lightgcn-lattice": (LIGHTGCN, {"method": "lattice"}),
    "lightgcn-ffvae": (LIGHTGCN, FFVAE),
    "freedom-lattice": (LIGHTGCN | {"model": "freedom"}, {"method": "lattice"}),
    "dragon-lattice": (LIGHTGCN | {"model": "dragon"}, {"method": "lattice"}),
    "mmgcn-lattice": (LIGHTGCN | {"model": "mmgcn"}, {"method": "lattice"}),
    "autorec-lattice": (AUTOREC, {"method": "lattice"}),
    "multvae-lattice": (MULTVAE, {"method": "lattice"}),
    "multvae-afrl": (MULTVAE | {"item_biases": False}, AFRL),
    "diffrec-lattice": (DIFFREC, {"method": "lattice"}),
    "diffrec-diffairec-posterior": (DIFFREC | {"item_biases": False}, DIFFAIREC),
    "diffrec-diffairec-own": (DIFFREC | {"item_biases": False}, DIFFAIREC | {"condition": "own"}),
    "fairgan-lattice": (FAIRGAN, {"method": "lattice"}),
    "pmf-sm-separate": (PMF, SM),
    "pmf-sm-combine": (PMF, SM | {"variant": "combine"}),
    "pmf-ffvae": (PMF, FFVAE),
    "pmf-lego": (PMF, LEGO),
    "deep-sm-separate": (DEEP, SM),
    "sasrec-afrl": (SASREC, AFRL),
    "bert4rec-lattice": (SASREC | {"model": "bert4rec"}, {"method": "lattice"}),
    "sasrec-sm-combine": (SASREC, SM | {"variant": "combine"}),
    "sasrec-ffvae": (SASREC, FFVAE),
    "sasrec-pfrec": (SASREC, PFREC),
    "sasrec-pfrec-some-masks": (SASREC, PFREC | {"masks": [["age"], ["gender", "age", "occupation"]]}),
    "sasrec-pfrec-user-prompts": (SASREC, PFREC | {"user_prompts": True}),
    "sasrec-prism-lattice": (PRISM, {"method": "lattice"}),
    "bert4rec-prism-afrl": (PRISM | {"model": "bert4rec"}, AFRL),
    "deep-afrl": (DEEP, AFRL),
    "pmf-pot-au": (PMF, POT_AU | {"protect": ["gender"]}),
    "deep-pot-au": (DEEP, POT_AU | {"distance": "u2u"}),
    "sasrec-pot-au": (SASREC, POT_AU | {"protect": ["age", "occupation"]}),
    "als-al": (ALS, FILTERS | {"method": "al", "protect": ["gender", "age"]}),
    "sasrec-cal": (SASREC, FILTERS | {"method": "cal"}),
    "deep-cal": (DEEP, FILTERS | {"method": "cal"}),
    "pmf-fairgo": (PMF, FILTERS | {"method": "fairgo", "protect": ["age"]}),
    "lightgcn-fmmrec": (LIGHTGCN, FILTERS | {"method": "fmmrec", "modal_epochs": 3}),
    "pmf-afrl-float16": (PMF, AFRL, "float16"),
    "pmf-lattice-float16": (PMF, {"method": "lattice"}, "float16"),
    "sasrec-pfrec-float16": (SASREC, PFREC, "float16"),
}


def own_labels(method):
    """Whether the method uses labels of everybody."""
    return method["method"] == "pot_au" or method.get("user_prompts") or method.get("condition") == "own"


@pytest.fixture(scope="module", params=METHODS)
def trained(request, tmp_path_factory):
    """What was trained, itself, the folder of the bundle exported from it, and the dtype of its parts."""
    torch.set_num_threads(1)
    base_model, method, dtype = (*METHODS[request.param], "float32")[:3]
    reads = method["method"] == "fmmrec" or "prism" in base_model or base_model["model"] in READ_FEATURES
    features = {"modalities": {"looks": {}, "sound": {}}, "featureless": 0.1} if reads else {}
    config = RunConfig.model_validate(
        {
            "name": "contract",
            "mode": "reproduce" if own_labels(method) else "strict",
            "data": {"reader": "generated", "users": 200, "items": 80, "interactions_per_user": 20} | features,
            "base": base_model,
            "fair": method,
            "export": {"parts": dtype},
        }
    )
    work: Path = tmp_path_factory.mktemp("work")
    cpu = torch.device("cpu")
    dataset = load(config.data, None)
    held_out, split = hold_out(dataset), split_users(dataset.users, config.split_salt)
    experiment = Experiment(dataset, held_out, split, config.mode, config.seed)
    base = train_base(experiment, config.base, work / "base.safetensors", cpu)
    fair = train_fair(experiment, base, config.fair, work, cpu)
    folder = write_bundle(export(config, experiment, fair), work)
    return dataset, fair, folder, dtype


@pytest.fixture(scope="module")
async def client(trained, tmp_path_factory):
    """Asks a service of that bundle, whose answers have scores."""
    folder, store = trained[2], tmp_path_factory.mktemp("store")
    settings = Settings(bundle=folder, deadline_s=60, scores="audit", database_url=f"sqlite:///{store}/store.db")
    app = create_app(settings, load_model(folder, "cpu"))
    async with (
        app.router.lifespan_context(app),
        httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://test") as client,
    ):
        yield client


READ = ("als", "sasrec", "bert4rec", "prism_sasrec", "prism_bert4rec", "autorec", "multvae", "diffrec", "fairgan")
"""Bases whose user vectors are what a history gives."""
ATTRIBUTES = ("gender", "age", "occupation")
MASKS = list(chain.from_iterable(combinations(ATTRIBUTES, size) for size in range(4)))


def fair_in_training(fair, protected, dtype):
    """(U, d) fair vectors by what was trained, in float32 of parts as stored; None where the mask is not supported."""

    def stored(parts):
        return parts.astype(dtype).astype(np.float32)

    masks = [set(mask) for mask in fair.supported_masks.masks]
    if masks and set(protected) not in masks:
        return None
    if fair.vectors is not None:
        return stored(fair.vectors[:, masks.index(set(protected))])
    flags = torch.tensor([name in protected for name in ATTRIBUTES]).expand(len(fair.base.users), -1)
    with torch.no_grad():
        parts = fair.encoder.split(torch.from_numpy(fair.base.users)).numpy()
        return fair.encoder.combine(torch.from_numpy(stored(parts)), flags).numpy()


def applied(fair, requested):
    """What an answer protects: what was asked and what the bundle always does."""
    return tuple(name for name in ATTRIBUTES if name in (*requested, *fair.always_protected))


def scored_in_training(base, fair):
    """(U, I) scores by the networks that were trained, in float32."""
    if base.reranker is None:
        return fair @ base.items.T
    with torch.no_grad():
        return base.reranker(torch.from_numpy(fair), torch.arange(len(base.items)).expand(len(fair), -1)).numpy()


def candidates_of(base, u, count):
    """Items by inner product, as training computes it; all of them where there is no reranker."""
    if base.reranker is None:
        return set(range(len(base.items)))
    return set(np.argsort(-(base.items @ u), kind="stable")[: max(count, base.reranker.spec.candidates)].tolist())


@pytest.mark.anyio
@pytest.mark.parametrize("protected", MASKS, ids=lambda mask: "+".join(mask) or "nothing")
async def test_every_answer_is_what_the_trained_encoder_scores(trained, client, protected):
    dataset, fair, _, dtype = trained
    vectors = fair_in_training(fair, applied(fair, protected), dtype)
    row_of = {item: row for row, item in enumerate(dataset.items)}

    for user in (0, 57, -1):
        query = {"user": dataset.users[user], "sensitive": ",".join(protected), "k": 1000, "exclude_seen": False}
        response = await client.get("/recommend", params=query)

        answer = response.json()
        if vectors is None:
            assert (response.status_code, answer["code"]) == (422, "unsupported_requirement")
            continue
        expected = scored_in_training(fair.base, vectors)
        shown = [row_of[item["item"]] for item in answer["items"]]
        assert sorted(shown) == list(range(len(dataset.items)))
        assert np.allclose([item["score"] for item in answer["items"]], expected[user][shown], atol=1e-5)
        assert [entry["attribute"] for entry in answer["sensitive"]["applied"]] == list(applied(fair, protected))


@pytest.mark.anyio
@pytest.mark.parametrize("k", [1, 10, 1000])
async def test_the_list_is_the_best_of_the_candidates_in_the_order_of_training(trained, client, k):
    dataset, fair, _, dtype = trained
    row_of = {item: row for row, item in enumerate(dataset.items)}

    for protected in ((), ("age",), ATTRIBUTES):
        vectors = fair_in_training(fair, applied(fair, protected), dtype)
        if vectors is None:
            continue
        expected = scored_in_training(fair.base, vectors)
        for user in (3, 101):
            query = {"user": dataset.users[user], "sensitive": ",".join(protected), "k": k, "exclude_seen": False}
            answer = (await client.get("/recommend", params=query)).json()

            candidates = candidates_of(fair.base, vectors[user], k)
            best = sorted(expected[user][list(candidates)], reverse=True)[:k]
            assert {row_of[item["item"]] for item in answer["items"]} <= candidates
            assert np.allclose([item["score"] for item in answer["items"]], best, atol=1e-5)


def test_a_history_alone_gives_the_vector_that_training_computed_from_it(trained):
    dataset, fair, folder, _ = trained
    if fair.base.model not in READ:
        pytest.skip("this base learns a vector for each user, which a history only approximates")
    held_out = hold_out(dataset)
    histories = [held_out.history(user, with_validation=True) for user in range(len(dataset.users))]
    bundle = read_bundle(folder)

    alone = np.concatenate([bundle.history.user_vectors([history], bundle.items.vectors) for history in histories])

    assert np.allclose(alone, fair.base.users, atol=1e-6)
    assert np.array_equal(bundle.audit.base, fair.base.users)


@pytest.mark.anyio
async def test_a_session_is_scored_as_the_user_with_that_history(trained, client):
    dataset, fair, _, _ = trained
    if fair.base.model not in READ or fair.vectors is not None:
        pytest.skip("a history only approximates a user of this base, or is not read")
    held_out, row_of = hold_out(dataset), {item: row for row, item in enumerate(dataset.items)}
    for protected in fair.supported_masks.masks or [(), ("age",)]:
        expected = scored_in_training(fair.base, fair_in_training(fair, applied(fair, protected), "float32"))
        for user in (3, 101):
            history = [dataset.items[row] for row in held_out.history(user, with_validation=True)]
            asked = {"history": history, "sensitive": list(protected), "k": 1000}
            response = await client.post("/recommend/session", json=asked)

            shown = {row_of[item["item"]]: item["score"] for item in response.json()["items"]}
            assert shown
            assert np.allclose(list(shown.values()), expected[user][list(shown)], atol=1e-5)


@pytest.mark.anyio
async def test_a_session_has_the_fair_vector_of_its_history_where_users_were_given_theirs(trained, client):
    dataset, fair, _, _ = trained
    if fair.vectors is None or not fair.parts:
        pytest.skip("a fair vector is made of u, or no history is read")
    held_out, row_of = hold_out(dataset), {item: row for row, item in enumerate(dataset.items)}
    for protected in fair.supported_masks.masks:
        for user in (3, 101):
            rows = held_out.history(user)
            expected = scored_in_training(fair.base, fair.base.history.user_vectors([rows], fair.base.items))[0]
            asked = {"history": [dataset.items[row] for row in rows], "sensitive": list(protected), "k": 1000}
            response = await client.post("/recommend/session", json=asked)

            shown = {row_of[item["item"]]: item["score"] for item in response.json()["items"]}
            assert len(shown) == len(dataset.items) - len(rows)
            assert np.allclose(list(shown.values()), expected[list(shown)], atol=1e-5)


@pytest.mark.anyio
async def test_what_a_user_has_interacted_with_is_never_shown_unless_asked_for(trained, client):
    dataset, fair, folder, _ = trained
    bundle = read_bundle(folder)
    asked = {"sensitive": ",".join(fair.supported_masks.masks[-1])} if fair.supported_masks.masks else {}

    for user in range(0, len(dataset.users), 20):
        query = {"user": dataset.users[user], "k": 1000} | asked
        answer = (await client.get("/recommend", params=query)).json()

        seen = {dataset.items[row] for row in dataset.indices[dataset.indptr[user] : dataset.indptr[user + 1]]}
        shown = {item["item"] for item in answer["items"]}
        assert not seen & shown
        assert len(shown) == len(dataset.items) - len(seen) == len(bundle.items.ids) - len(bundle.seen.of(user))
