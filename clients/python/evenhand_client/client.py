"""Two clients with the same methods: `Client` waits, `AsyncClient` awaits."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from types import TracebackType
from typing import Any, Self, Unpack

import httpx

from evenhand_client import calls
from evenhand_client.answers import (
    Activation,
    Attributes,
    Erasure,
    Items,
    Models,
    Recommendations,
    Requirement,
    Taken,
)
from evenhand_client.calls import Answer, Ask, Call, Interaction, ListOptions, WholeListOptions
from evenhand_client.errors import EvenhandError, Problem, UnreachableError
from evenhand_client.retry import Retries

TIMEOUT_S = 10.0


class Client:
    """Asks one service. May be shared by threads; close it, or use it in ``with``."""

    def __init__(
        self, url: str, *, key: str | None = None, timeout_s: float = TIMEOUT_S, retries: Retries | None = None
    ) -> None:
        """Connect to nothing yet.

        Args:
            url: like ``http://127.0.0.1:8000``.
            key: an API key, where the service has any.
            timeout_s: of each attempt.
            retries: how often requests that may be repeated are; `Retries` by default.
        """
        self._http = httpx.Client(base_url=url, headers=_key(key), timeout=timeout_s)
        self._retries = retries or Retries()

    def close(self) -> None:
        """Let go of the connections."""
        self._http.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def recommend(self, user: str, **options: Unpack[ListOptions]) -> Recommendations:
        """Items for one user, withholding what ``sensitive`` names and whatever else applies to them.

        Raises:
            Problem: the service refuses.
            UnreachableError: there is no answer.
        """
        return self._ask(calls.recommend(Ask(user, **options)))

    def pages(self, user: str, **options: Unpack[WholeListOptions]) -> Iterator[Recommendations]:
        """A user's whole list, page by page, without repeats or gaps; `stale_cursor` where it changes meanwhile."""
        ask = Ask(user, **options)
        page = self._ask(calls.recommend(ask))
        yield page
        while page.next_cursor is not None:
            page = self._ask(calls.recommend(replace(ask, cursor=page.next_cursor)))
            yield page

    def recommend_batch(self, asks: Iterable[Ask]) -> list[Recommendations | Problem]:
        """Up to 256 lists at once: for each request, in order, a list or the problem in its place."""
        return self._ask(calls.batch(asks))

    def recommend_session(self, history: Sequence[str], **options: Unpack[ListOptions]) -> Recommendations:
        """Items for somebody of whom only a history is known, oldest item first."""
        return self._ask(calls.session(history, **options))

    def similar(self, item: str, *, k: int = 10) -> Items:
        """Items like an item."""
        return self._ask(calls.similar(item, k))

    def popular(self, *, k: int = 10, group: Sequence[str] = ()) -> Items:
        """Items that most users liked."""
        return self._ask(calls.popular(k, group))

    def attributes(self) -> Attributes:
        """What can be protected."""
        return self._ask(calls.attributes())

    def requirement(self, user: str) -> Requirement:
        """What is protected for a user by their own requirement."""
        return self._ask(calls.requirement(user))

    def put_requirement(self, user: str, attributes: Iterable[str]) -> Requirement:
        """Store what is to be protected in every answer to a user."""
        return self._ask(calls.put_requirement(user, attributes))

    def delete_requirement(self, user: str) -> Requirement:
        """Remove a user's stored requirement."""
        return self._ask(calls.delete_requirement(user))

    def post_interactions(self, *interactions: Interaction, idempotency_key: str | None = None) -> Taken:
        """Tell what users met; all of it is taken, once, or none. Without a key of yours it gets one of its own."""
        return self._ask(calls.post_interactions(interactions, idempotency_key))

    def user_data(self, user: str) -> Mapping[str, Any]:
        """Everything that is stored of a user."""
        return self._ask(calls.user_data(user))

    def erase(self, user: str) -> Erasure:
        """Delete everything that is stored of a user, and store nothing more."""
        return self._ask(calls.erase(user))

    def lift_suppression(self, user: str) -> bool:
        """Store things of an erased user again; whether that changed anything."""
        return self._ask(calls.lift_suppression(user))

    def hide(self, item: str) -> bool:
        """Recommend an item to nobody; whether that changed anything."""
        return self._ask(calls.hide(item))

    def show(self, item: str) -> bool:
        """Recommend an item again; whether that changed anything."""
        return self._ask(calls.show(item))

    def models(self) -> Models:
        """The bundles that the service knows."""
        return self._ask(calls.models())

    def activate(self, version: str, *, force: bool = False, share: float = 1.0) -> Activation:
        """Serve another version: to everybody, or to a share of the users, 0 to end it. Never sent twice by itself."""
        return self._ask(calls.activate(version, force, share))

    def _ask(self, call: Call[Answer]) -> Answer:
        attempt = 0
        while True:
            try:
                return _read(call, self._send(call))
            except EvenhandError as error:
                wait_s = self._retries.wait_s(call, error, attempt)
                if wait_s is None:
                    raise
            attempt += 1
            time.sleep(wait_s)

    def _send(self, call: Call[Any]) -> httpx.Response:
        try:
            return self._http.request(call.method, call.path, **_options(call))
        except httpx.TransportError as error:
            raise UnreachableError(f"{type(error).__name__}: {error}") from error


class AsyncClient:
    """`Client` with coroutines. For one event loop; close it, or use it in ``async with``."""

    def __init__(
        self, url: str, *, key: str | None = None, timeout_s: float = TIMEOUT_S, retries: Retries | None = None
    ) -> None:
        """As `Client`."""
        self._http = httpx.AsyncClient(base_url=url, headers=_key(key), timeout=timeout_s)
        self._retries = retries or Retries()

    async def close(self) -> None:
        """Let go of the connections."""
        await self._http.aclose()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.close()

    async def recommend(self, user: str, **options: Unpack[ListOptions]) -> Recommendations:
        """Items for one user, withholding what ``sensitive`` names and whatever else applies to them."""
        return await self._ask(calls.recommend(Ask(user, **options)))

    async def pages(self, user: str, **options: Unpack[WholeListOptions]) -> AsyncIterator[Recommendations]:
        """A user's whole list, page by page, without repeats or gaps; `stale_cursor` where it changes meanwhile."""
        ask = Ask(user, **options)
        page = await self._ask(calls.recommend(ask))
        yield page
        while page.next_cursor is not None:
            page = await self._ask(calls.recommend(replace(ask, cursor=page.next_cursor)))
            yield page

    async def recommend_batch(self, asks: Iterable[Ask]) -> list[Recommendations | Problem]:
        """Up to 256 lists at once: for each request, in order, a list or the problem in its place."""
        return await self._ask(calls.batch(asks))

    async def recommend_session(self, history: Sequence[str], **options: Unpack[ListOptions]) -> Recommendations:
        """Items for somebody of whom only a history is known, oldest item first."""
        return await self._ask(calls.session(history, **options))

    async def similar(self, item: str, *, k: int = 10) -> Items:
        """Items like an item."""
        return await self._ask(calls.similar(item, k))

    async def popular(self, *, k: int = 10, group: Sequence[str] = ()) -> Items:
        """Items that most users liked."""
        return await self._ask(calls.popular(k, group))

    async def attributes(self) -> Attributes:
        """What can be protected."""
        return await self._ask(calls.attributes())

    async def requirement(self, user: str) -> Requirement:
        """What is protected for a user by their own requirement."""
        return await self._ask(calls.requirement(user))

    async def put_requirement(self, user: str, attributes: Iterable[str]) -> Requirement:
        """Store what is to be protected in every answer to a user."""
        return await self._ask(calls.put_requirement(user, attributes))

    async def delete_requirement(self, user: str) -> Requirement:
        """Remove a user's stored requirement."""
        return await self._ask(calls.delete_requirement(user))

    async def post_interactions(self, *interactions: Interaction, idempotency_key: str | None = None) -> Taken:
        """Tell what users met; all of it is taken, once, or none. Without a key of yours it gets one of its own."""
        return await self._ask(calls.post_interactions(interactions, idempotency_key))

    async def user_data(self, user: str) -> Mapping[str, Any]:
        """Everything that is stored of a user."""
        return await self._ask(calls.user_data(user))

    async def erase(self, user: str) -> Erasure:
        """Delete everything that is stored of a user, and store nothing more."""
        return await self._ask(calls.erase(user))

    async def lift_suppression(self, user: str) -> bool:
        """Store things of an erased user again; whether that changed anything."""
        return await self._ask(calls.lift_suppression(user))

    async def hide(self, item: str) -> bool:
        """Recommend an item to nobody; whether that changed anything."""
        return await self._ask(calls.hide(item))

    async def show(self, item: str) -> bool:
        """Recommend an item again; whether that changed anything."""
        return await self._ask(calls.show(item))

    async def models(self) -> Models:
        """The bundles that the service knows."""
        return await self._ask(calls.models())

    async def activate(self, version: str, *, force: bool = False, share: float = 1.0) -> Activation:
        """Serve another version: to everybody, or to a share of the users, 0 to end it. Never sent twice by itself."""
        return await self._ask(calls.activate(version, force, share))

    async def _ask(self, call: Call[Answer]) -> Answer:
        attempt = 0
        while True:
            try:
                return _read(call, await self._send(call))
            except EvenhandError as error:
                wait_s = self._retries.wait_s(call, error, attempt)
                if wait_s is None:
                    raise
            attempt += 1
            await asyncio.sleep(wait_s)

    async def _send(self, call: Call[Any]) -> httpx.Response:
        try:
            return await self._http.request(call.method, call.path, **_options(call))
        except httpx.TransportError as error:
            raise UnreachableError(f"{type(error).__name__}: {error}") from error


def _key(key: str | None) -> dict[str, str]:
    return {} if key is None else {"authorization": f"Bearer {key}"}


def _options(call: Call[Any]) -> dict[str, Any]:
    options: dict[str, Any] = {"params": call.parameters, "headers": call.headers}
    return options if call.body is None else options | {"json": call.body}


def _read(call: Call[Answer], response: httpx.Response) -> Answer:
    try:
        page = response.json()
        if response.is_success:
            return call.read(page)
        problem = Problem(page, _seconds(response.headers.get("retry-after")))
    except (ValueError, KeyError, TypeError) as error:
        text = f"{response.status_code} with something else than Evenhand answers: {response.text[:200]!r}"
        raise UnreachableError(text) from error
    raise problem


def _seconds(text: str | None) -> float | None:
    """Retry-After; None where it is a date, which this service never sends."""
    return float(text) if text is not None and text.isdigit() else None
