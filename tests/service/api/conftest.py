"""Services with API keys."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

import pytest

from service.access import SCOPES
from service.commands import make_key

Keyed = tuple[Any, dict[str, str]]


@pytest.fixture
def a_keyed_client(a_client: Callable[..., Any], tmp_path: Any) -> Callable[..., Keyed]:
    """The builder of clients of services that have a key for each scope, named as the scope is; and their secrets."""

    def make(*, settings: dict[str, Any] | None = None, **bundle: Any) -> Keyed:
        url = f"sqlite:///{tmp_path}/keyed.db"
        keys = {scope: make_key(url, scope, [scope], None) for scope in SCOPES}
        keys["all"] = make_key(url, "all", SCOPES, None)
        return a_client(settings={"database_url": url, "rate_limit": "off", **(settings or {})}, **bundle), keys

    return make


@pytest.fixture
def soon() -> Callable[[Callable[[], bool]], None]:
    """Waits until something holds."""

    def wait(holds: Callable[[], bool], within_s: float = 60) -> None:
        deadline = time.monotonic() + within_s
        while not holds():
            assert time.monotonic() < deadline, "it never came to hold"
            time.sleep(0.02)

    return wait
