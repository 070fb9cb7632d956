"""Facts of one request for its log line, carried in the ASGI scope. No user ids, no attribute values."""

from __future__ import annotations

import os
import random
from collections.abc import MutableMapping
from dataclasses import dataclass
from time import time_ns
from typing import Any

from starlette.requests import Request

from service.recommend.recommender import Recommendation

_KEY = "evenhand.context"
_random = random.Random()  # ids are no secrets, so no system call for each
os.register_at_fork(after_in_child=_random.seed)


def new_request_id() -> str:
    """32 hexadecimal digits that grow with time (48 bits of milliseconds, then chance): cheap to keep in order."""
    return f"{time_ns() // 1_000_000:012x}{_random.getrandbits(80):020x}"


@dataclass(slots=True)
class RequestContext:
    """Filled in while the request is answered."""

    request_id: str
    status: int | None = None
    """None until the answer begins."""
    shows: bool = True
    """False for HEAD: nothing of what is answered is shown to anybody."""
    refused: str | None = None
    """Code of the problem."""
    protected: tuple[str, ...] | None = None
    bundle: str | None = None
    made: Recommendation | None = None
    """The list that is the answer, where it is one."""
    key: str | None = None
    """Name of the API key."""


def put_context(scope: MutableMapping[str, Any], context: RequestContext) -> None:
    """Attach a context to a request."""
    scope[_KEY] = context


def context_of(request: Request) -> RequestContext:
    """The context of a request."""
    context: RequestContext = request.scope[_KEY]
    return context
