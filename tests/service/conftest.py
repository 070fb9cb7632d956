"""Builders of services around tiny real bundles."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import AbstractAsyncContextManager, ExitStack, asynccontextmanager
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import pytest
import torch
from anyio.from_thread import BlockingPortal, start_blocking_portal
from fastapi import FastAPI
from numpy.typing import NDArray

from bundle import Bundle
from service.api import create_app
from service.metrics import Metrics
from service.model import Model, load_model
from service.recommend import Recommender
from service.requirement import Policy
from service.settings import Settings

MakeApp = Callable[..., FastAPI]
MakeClient = Callable[..., "Client"]
MakeRecommender = Callable[..., AbstractAsyncContextManager[Recommender]]


class Client:
    """Asks a running app; for tests that are no coroutines."""

    def __init__(self, app: FastAPI, http: httpx.AsyncClient, portal: BlockingPortal) -> None:
        self.app = app
        self._http = http
        self._portal = portal

    def request(self, method: str, path: str, **headers: str) -> httpx.Response:
        """One request, answered."""
        return self._portal.call(lambda: self._http.request(method, path, headers=headers))

    def get(self, path: str, **headers: str) -> httpx.Response:
        """One GET, answered."""
        return self.request("GET", path, **headers)

    def items(self, path: str) -> list[str]:
        """Item ids of a list that must be answered."""
        answer = self.get(path)
        assert answer.status_code == 200, answer.text
        return [item["item"] for item in answer.json()["items"]]

    def problem(self, path: str) -> dict[str, Any]:
        """A problem that must be answered."""
        answer = self.get(path)
        assert answer.headers["content-type"] == "application/problem+json", answer.text
        assert answer.json()["status"] == answer.status_code
        return answer.json()  # type: ignore[no-any-return]


@asynccontextmanager
async def running(app: FastAPI) -> AsyncIterator[httpx.AsyncClient]:
    """A client of an app, started and stopped around it."""
    transport = httpx.ASGITransport(app, raise_app_exceptions=False)
    async with app.router.lifespan_context(app), httpx.AsyncClient(transport=transport, base_url="http://test") as one:
        yield one


@pytest.fixture
def an_app(a_bundle_folder: Callable[..., Path]) -> MakeApp:
    """The builder of apps: ``settings`` and a ``folder``, or options of the bundle to write."""

    def make(*, settings: dict[str, Any] | None = None, folder: Path | None = None, **bundle: Any) -> FastAPI:
        folder = folder or a_bundle_folder(**bundle)
        return create_app(Settings(bundle=folder, **(settings or {})), load_model(folder, "cpu"))

    return make


@pytest.fixture
def a_client(an_app: MakeApp) -> Iterator[MakeClient]:
    """The builder of clients of running apps."""
    with ExitStack() as stack:
        portal = stack.enter_context(start_blocking_portal())

        def make(**options: Any) -> Client:
            app = an_app(**options)
            return Client(app, stack.enter_context(portal.wrap_async_context_manager(running(app))), portal)

        yield make


@pytest.fixture
def client(a_client: MakeClient) -> Client:
    """A client of the tiniest service; "u0" has seen "i1" and "i2"."""
    return a_client(seen={"u0": ["i1", "i2"]})


@pytest.fixture
def a_recommender(a_bundle_folder: Callable[..., Path]) -> MakeRecommender:
    """The builder of recommenders, without HTTP."""

    @asynccontextmanager
    async def make(
        policy: Policy | None = None, *, max_batch: int = 64, queue_size: int = 1024, **bundle: Any
    ) -> AsyncIterator[Recommender]:
        model = load_model(a_bundle_folder(**bundle), "cpu")
        limits = {"max_batch": max_batch, "queue_size": queue_size, "deadline_s": 20.0}
        recommender = Recommender(model, policy or Policy(), Metrics(), **limits)
        await recommender.start()
        try:
            yield recommender
        finally:
            await recommender.close()

    return make


@pytest.fixture
def run_app() -> Callable[[FastAPI], AbstractAsyncContextManager[httpx.AsyncClient]]:
    """`running`, for tests that are coroutines."""
    return running


Oracle = Callable[..., tuple[list[int], NDArray[np.float64]]]


@pytest.fixture
def oracle() -> Oracle:
    """What the answer must be, from the bundle alone, in plain numpy: item rows and their scores."""

    def rank(
        bundle: Bundle, user: int, protect: tuple[str, ...] = (), k: int = 10, drop: tuple[int, ...] | None = None
    ) -> tuple[list[int], NDArray[np.float64]]:
        mask = torch.tensor([bundle.description.mask(protect)])
        parts = torch.from_numpy(bundle.users.parts[[user]])
        fair = bundle.encoder.double().combine(parts.double(), mask).numpy()[0].astype(np.float32)
        scores = np.array([float((v.astype(np.float64) * fair.astype(np.float64)).sum()) for v in bundle.items.vectors])
        dropped = set(bundle.seen.of(user).tolist()) if drop is None else set(drop)
        rounded = np.round(scores, 6)
        order = sorted((row for row in range(len(scores)) if row not in dropped), key=lambda row: (-rounded[row], row))
        return order[:k], rounded[order[:k]]

    return rank


@pytest.fixture
def a_model(a_bundle_folder: Callable[..., Path]) -> Callable[..., Model]:
    """The builder of loaded models."""
    return lambda **bundle: load_model(a_bundle_folder(**bundle), "cpu")
