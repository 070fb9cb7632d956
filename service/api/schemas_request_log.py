"""Rows of the request log as clients read them: JSON objects, lines of JSON, and CSV for spreadsheets."""

from __future__ import annotations

import asyncio
import csv
from collections.abc import Iterable, Sequence
from io import StringIO
from typing import Any, cast

from pydantic_core import to_json
from typing_extensions import TypedDict  # pydantic takes typing's own only from Python 3.12 on

from service.api.schemas import AppliedAttribute, DivergencePage, ModelName
from service.api.times import as_text
from service.audit.catalogues import Catalogues, VersionItems
from service.store import LogRow

FORMULA = ("=", "+", "-", "@", "\t", "\r", "\n")
"""First characters that make a spreadsheet compute a cell and not show it."""


class LoggedBalancePage(TypedDict):
    """What a list was balanced towards."""

    target: str
    weight: float
    divergence: DivergencePage | None


class LoggedList(TypedDict):
    """One answered list."""

    request_id: str
    time: str
    user: str | None
    """As the log has it: the id, or the pseudonym; null for lists of nobody."""
    purpose: str
    key: str | None
    """Name of the API key."""
    model: ModelName
    requested: list[str] | None
    """Null where the request named no attributes, which is not the same as an empty list of them."""
    applied: list[AppliedAttribute]
    k: int
    fallback: str | None
    cached: bool
    shown: int
    """How many items."""
    balance: LoggedBalancePage | None
    items: list[str] | None
    """Best first; null where the items of that version cannot be read from the models folder any more."""


COLUMNS = (
    "request_id",
    "time",
    "user",
    "purpose",
    "key",
    "model",
    "version",
    "requested",
    "applied",
    "k",
    "fallback",
    "cached",
    "shown",
    "balance",
    "items",
)
"""Of the CSV; a list or an object there is JSON."""


async def logged_lists(rows: Sequence[LogRow], catalogues: Catalogues) -> list[LoggedList]:
    """Rows with the names of their items."""
    models = {row.model.content_hash: row.model for row in rows}
    items = {name: await asyncio.to_thread(catalogues.of, model) for name, model in models.items()}
    return [_logged_list(row, items[row.model.content_hash]) for row in rows]


def as_lines(lists: Iterable[LoggedList]) -> bytes:
    """A line of JSON for each."""
    return b"".join(to_json(one) + b"\n" for one in lists)


def csv_head() -> bytes:
    """The header row."""
    return _csv([COLUMNS])


def as_csv(lists: Iterable[LoggedList]) -> bytes:
    """A row for each (RFC 4180); a cell that a spreadsheet would compute begins with an apostrophe."""
    flat = ({**one, "model": one["model"]["name"], "version": one["model"]["version"]} for one in lists)
    return _csv([_cell(each[name]) for name in COLUMNS] for each in flat)


def _logged_list(row: LogRow, items: VersionItems | None) -> LoggedList:
    applied = [{"attribute": name, "source": source} for name, source in row.applied.items()]
    return {
        "request_id": row.request_id,
        "time": as_text(row.time_us),
        "user": row.user_key,
        "purpose": row.purpose.name.lower(),
        "key": row.key,
        "model": {"name": row.model.name, "version": row.model.version},
        "requested": None if row.requested is None else list(row.requested),
        "applied": cast(list[AppliedAttribute], applied),
        "k": row.k,
        "fallback": row.fallback,
        "cached": row.cached,
        "shown": len(row.rows),
        "balance": _balance(row),
        "items": None if items is None else row.items(items.ids),
    }


def _balance(row: LogRow) -> LoggedBalancePage | None:
    balance = row.balance
    if balance is None:
        return None
    divergence = balance.divergence
    told: DivergencePage | None = divergence and {"before": divergence.before, "after": divergence.after}
    return {"target": balance.target, "weight": balance.weight, "divergence": told}


def _cell(value: object) -> str:
    if value is None:
        return ""
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, list | dict):
        return to_json(value).decode()
    text = str(value)
    return f"'{text}" if text.startswith(FORMULA) else text


def _csv(rows: Iterable[Sequence[Any]]) -> bytes:
    text = StringIO(newline="")
    csv.writer(text).writerows(rows)
    return text.getvalue().encode()
