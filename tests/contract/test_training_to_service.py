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
from service.model import load_model
from service.settings import Settings
from training.base.train import train_base
from training.config import RunConfig
from training.data.load import load
from training.data.split import hold_out, split_users
from training.experiment import Experiment
from training.export import export
from training.fair.train import train_fair

SCHEDULE = {"epochs": 3, "validate_every": 3}


METHODS = {
    "afrl": {"method": "afrl", "learning_rate": 1e-3, "batch": 64, "schedule": SCHEDULE},
    "lattice": {"method": "lattice", "epochs": 2},
}


@pytest.fixture(scope="module", params=METHODS)
def trained(request, tmp_path_factory):
    """The trained networks themselves, and the folder of the bundle exported from them."""
    torch.set_num_threads(1)
    config = RunConfig.model_validate(
        {
            "name": "contract",
            "data": {"reader": "generated", "users": 200, "items": 80, "interactions_per_user": 20},
            "base": {"dimensions": 8, "learning_rate": 1e-2, "batch": 512, "schedule": SCHEDULE},
            "fair": METHODS[request.param],
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
    return dataset, base, fair.encoder, folder


ATTRIBUTES = ("gender", "age", "occupation")
MASKS = list(chain.from_iterable(combinations(ATTRIBUTES, size) for size in range(4)))


@pytest.mark.anyio
@pytest.mark.parametrize("protected", MASKS, ids=lambda mask: "+".join(mask) or "nothing")
async def test_every_answer_is_what_the_trained_encoder_scores(trained, protected):
    dataset, base, encoder, folder = trained
    flags = torch.tensor([name in protected for name in ATTRIBUTES]).expand(len(dataset.users), -1)
    with torch.no_grad():
        fair = encoder.combine(encoder.split(torch.from_numpy(base.users)), flags).numpy()
    expected = fair @ base.items.T
    settings = Settings(bundle=folder, scores="audit")
    app = create_app(settings, load_model(folder, "cpu"))
    row_of = {item: row for row, item in enumerate(dataset.items)}

    async with (
        app.router.lifespan_context(app),
        httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://test") as client,
    ):
        for user in (0, 57, -1):
            query = {"user": dataset.users[user], "sensitive": ",".join(protected), "k": 1000, "exclude_seen": False}
            answer = (await client.get("/recommend", params=query)).json()

            shown = [row_of[item["item"]] for item in answer["items"]]
            assert sorted(shown) == list(range(len(dataset.items)))
            assert np.allclose([item["score"] for item in answer["items"]], expected[user][shown], atol=1e-5)
            assert [entry["attribute"] for entry in answer["sensitive"]["applied"]] == list(protected)


@pytest.mark.anyio
async def test_what_a_user_has_interacted_with_is_never_shown_unless_asked_for(trained):
    dataset, _, _, folder = trained
    bundle = read_bundle(folder)
    settings = Settings(bundle=folder)
    app = create_app(settings, load_model(folder, "cpu"))

    async with (
        app.router.lifespan_context(app),
        httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://test") as client,
    ):
        for user in range(0, len(dataset.users), 20):
            answer = (await client.get("/recommend", params={"user": dataset.users[user], "k": 1000})).json()

            seen = {dataset.items[row] for row in dataset.indices[dataset.indptr[user] : dataset.indptr[user + 1]]}
            shown = {item["item"] for item in answer["items"]}
            assert not seen & shown
            assert len(shown) == len(dataset.items) - len(seen) == len(bundle.items.ids) - len(bundle.seen.of(user))
