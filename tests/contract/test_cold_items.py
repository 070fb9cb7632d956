"""An item that nobody has touched, and that has features, is served as any other."""

from __future__ import annotations

import httpx
import numpy as np
import pytest
import torch

from bundle import read_bundle, write_bundle
from service.api import create_app
from service.model.loaded import load_model
from service.settings import Settings
from training.base.cold import cold_vectors
from training.base.train import train_base
from training.config import RunConfig
from training.data.load import load
from training.demands import experiment_of
from training.export import export
from training.fair.train import train_fair
from training.run import run
from training.summary import summary

pytestmark = pytest.mark.usefixtures("a_quick_card", "short_teachers")

SCHEDULE = {"epochs": 2, "validate_every": 1}
EPOCHS = {"dimensions": 8, "learning_rate": 1e-2, "batch": 512, "schedule": SCHEDULE}
BASES = {
    "als": {"model": "als", "dimensions": 8, "iterations": 3, "regularization": 1},
    "pmf": EPOCHS | {"model": "pmf"},
    "vbpr": EPOCHS | {"model": "vbpr", "feature_dimensions": 4},
    "mm_lattice": {"model": "mm_lattice", "dimensions": 8, "steps": 4, "schedule": SCHEDULE},
    "freedom": {"model": "freedom", "dimensions": 8, "steps": 4, "schedule": SCHEDULE},
    "dragon": {"model": "dragon", "dimensions": 8, "steps": 4, "schedule": SCHEDULE},
    "mmgcn": {"model": "mmgcn", "dimensions": 8, "steps": 4, "schedule": SCHEDULE},
    "sasrec": EPOCHS | {"model": "sasrec", "length": 10, "batch": 64},
    "prism": EPOCHS | {"model": "sasrec", "length": 10, "batch": 64, "prism": {}},
}
COLD = tuple(str(item) for item in range(81, 93))
SIZES = {"users": 200, "items": 80, "interactions_per_user": 20, "seed": 3}


def config_of(base, cold=COLD):
    data = {"reader": "generated", **SIZES, "cold_items": len(cold), "modalities": {"looks": {}}}
    fields = {"name": "cold", "threads": 1, "profile": "protected", "data": data}
    return RunConfig.model_validate(fields | {"base": BASES[base], "fair": {"method": "lattice"}})


def exported(config, work):
    """A bundle in memory, without its card."""
    cpu = torch.device("cpu")
    experiment = experiment_of(config, load(config.data, None))
    base = train_base(experiment, config.base, work / "base.safetensors", cpu)
    fair = train_fair(experiment, base, config.fair, work, cpu)
    return export(config, experiment, fair, cold_vectors(experiment, fair.base))


@pytest.fixture(scope="module", params=BASES)
def version(request, tmp_path_factory):
    torch.set_num_threads(1)
    work = tmp_path_factory.mktemp("cold")
    return write_bundle(exported(config_of(request.param), work), work)


@pytest.mark.anyio
async def test_a_cold_item_appears_in_answers_and_leads_to_others(version, tmp_path):
    settings = Settings(bundle=version, deadline_s=60, database_url=f"sqlite:///{tmp_path}/store.db")
    app = create_app(settings, load_model(version, "cpu"))
    users = read_bundle(version).users.ids
    shown: list[str] = []

    async with (
        app.router.lifespan_context(app),
        httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://test") as client,
    ):
        for user in [users[row] for row in range(0, 200, 4)]:
            answer = await client.get("/recommend", params={"user": user, "sensitive": "gender", "k": 20})
            shown += [item["item"] for item in answer.json()["items"]]
        exposure = await client.get("/audit/exposure")
        similar = await client.get("/similar", params={"item": COLD[0], "k": 5})
        session = await client.post("/recommend/session", json={"history": [COLD[0], COLD[1]], "sensitive": ["gender"]})

    assert set(shown) & set(COLD)
    assert 0 < exposure.json()["groups"][0]["cold"] < 1
    assert len(similar.json()["items"]) == 5
    assert session.status_code == 200
    assert not {COLD[0], COLD[1]} & {item["item"] for item in session.json()["items"]}


def test_the_bundle_marks_them(version):
    items = read_bundle(version).items

    assert tuple(items.ids[row] for row in np.flatnonzero(items.cold)) == COLD
    assert items.popularity[items.cold].tolist() == [0] * len(COLD)
    assert len({vector.tobytes() for vector in items.vectors[items.cold]}) == len(COLD)


def test_the_others_are_trained_as_if_there_were_no_cold_ones(tmp_path):
    with_cold = exported(config_of("als"), tmp_path / "with")
    plain = exported(config_of("als", cold=()), tmp_path / "without")

    np.testing.assert_array_equal(with_cold.items.vectors[: len(plain.items.ids)], plain.items.vectors)
    np.testing.assert_array_equal(with_cold.users.parts, plain.users.parts)


def test_the_card_of_a_run_counts_them(tmp_path):
    card = read_bundle(run(config_of("als"), None, tmp_path, torch.device("cpu"))).card

    cold, (looks,) = card["cold_items"], card["modalities"]
    assert (cold["served"], cold["map"]) == (len(COLD), "ridge")
    assert (looks["name"], looks["dimensions"], looks["items"]) == ("looks", 16, looks["of"])
    assert "cold items: 12 served by their features (the map explains " in summary(card)
