"""Everything that is stored of one user, as JSON in pieces: the request log of a busy user is long."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

from pydantic_core import to_json

from service.api.schemas_request_log import logged_lists
from service.api.times import as_text
from service.audit.catalogues import Catalogues
from service.store import LogFilter, Store, UserData, user_data

CHUNK = 500
"""Rows of the request log in one piece."""


async def user_export(store: Store, catalogues: Catalogues, user: str) -> AsyncIterator[bytes]:
    """One JSON object: user, suppressed, requirement, interactions, requests.

    Items of lists from bundles that are not in the models folder any more are counted, not named.

    Raises:
        StoreUnavailableError: the database is lost.
    """
    head = to_json(_head(user, await store.read(user_data, user, store.pseudonyms)))
    yield head[:-1] + b',"requests":['
    first = True
    async for rows in store.export_log(LogFilter(user=user), CHUNK):
        text = b",".join(map(to_json, await logged_lists(rows, catalogues)))
        yield text if first else b"," + text
        first = False
    yield b"]}"


def _head(user: str, data: UserData) -> dict[str, Any]:
    changed = data.requirement_changed_us
    return {
        "user": user,
        "suppressed": data.suppressed,
        "requirement": None
        if data.requirement is None or changed is None
        else {"attributes": data.requirement, "changed": as_text(changed)},
        "interactions": [
            {"item": one.item, "time": as_text(one.time_us), "rating": one.rating} for one in data.interactions
        ],
    }
