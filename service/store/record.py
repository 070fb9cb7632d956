"""One answered list as the request log holds it: small, and decoded with the model's catalogue."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from enum import IntEnum
from typing import Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from service.balance import Divergence
from service.store.pseudonym import Pseudonyms

COLUMNS: Final = (
    "request_id",
    "time_us",
    "purpose",
    "user_key",
    "key_id",
    "model_id",
    "requested",
    "applied",
    "sources",
    "k",
    "fallback",
    "cached",
    "item_rows",
    "balance",
    "balance_weight",
    "divergence_before",
    "divergence_after",
)
_LETTER: Final = {"request": "r", "default": "d", "user": "u", "required": "o", "bundle": "b"}
"""The letter in ``sources`` for each source of an attribute; ``o`` is the operator."""
NOT_BALANCED: Final = (None, None, None, None)
_SOURCE: Final = {letter: source for source, letter in _LETTER.items()}


class Purpose(IntEnum):
    """The use of a list. The numbers are stored: none may change."""

    RECOMMEND = 1
    BATCH = 2
    SESSION = 3
    POPULAR = 4
    SIMILAR = 5
    UI = 6
    AUDIT = 7
    PROBE = 8

    @property
    def is_exposure(self) -> bool:
        """Whether the list was shown to somebody."""
        return self <= Purpose.SIMILAR


class LoggedBalance(NamedTuple):
    """The balance of one list."""

    target: str
    weight: float
    divergence: Divergence | None
    """None for a list that shows nothing, and where there was no history to follow."""


class LogRecord(NamedTuple):
    """One answered list, and the revisions of the state that it was made with."""

    request_id: str
    """32 hexadecimal digits; never logged twice."""
    time_us: int
    purpose: Purpose
    model_id: int
    """`StoredModel.id`."""
    items: NDArray[np.int32]
    """(n,) rows of the model's catalogue, best first."""
    k: int
    user: str | None = None
    user_revision: int = 0
    """`UserState.revision` of the answer."""
    hidden_revision: int = 0
    """`HiddenItems.revision` of the answer."""
    key_id: int | None = None
    """`Key.id`; None without keys."""
    requested: int | None = None
    applied: int = 0
    sources: str = ""
    """These three come from a `LoggedProtection`."""
    fallback: str | None = None
    cached: bool = False
    balance: LoggedBalance | None = None


class LoggedProtection(NamedTuple):
    """The protection of one list in the columns of the log."""

    requested: int | None = None
    """Mask of the attributes that the request named (`pack_names`); None where it named none, which ``()`` is not."""
    applied: int = 0
    sources: str = ""
    """Both from `pack_sources`."""

    @classmethod
    def of(
        cls, requested: Sequence[str] | None, sources: Mapping[str, str], attributes: Sequence[str]
    ) -> LoggedProtection:
        """Pack the names in a request, and attribute → source as applied.

        Raises:
            ValueError: a name that the model does not know.
            KeyError: a source that is none of `service.requirement.Source`.
        """
        return cls(None if requested is None else pack_names(requested, attributes), *pack_sources(sources, attributes))


def pack_names(names: Sequence[str], attributes: Sequence[str]) -> int:
    """Attributes as a mask: bit i for the i-th in manifest order, as a signed 64-bit number.

    Raises:
        ValueError: a name that the model does not know.
    """
    mask = sum(1 << attributes.index(name) for name in set(names))
    return mask - (1 << 64) if mask >> 63 else mask


def pack_sources(sources: Mapping[str, str], attributes: Sequence[str]) -> tuple[int, str]:
    """Attribute → source, as the columns ``applied`` and ``sources``.

    Raises:
        ValueError: a name that the model does not know.
        KeyError: a source other than request, default, user, required and bundle.
    """
    return pack_names(tuple(sources), attributes), "".join(_LETTER[sources[n]] for n in attributes if n in sources)


def unpack_names(mask: int, attributes: Sequence[str]) -> tuple[str, ...]:
    """The attributes of a mask, in manifest order."""
    return tuple(name for place, name in enumerate(attributes) if mask >> place & 1)


def unpack_sources(applied: int, letters: str, attributes: Sequence[str]) -> dict[str, str]:
    """Attribute → source, in manifest order."""
    names = unpack_names(applied, attributes)
    return {name: _SOURCE[letter] for name, letter in zip(names, letters, strict=True)}


def as_row(record: LogRecord, pseudonyms: Pseudonyms) -> tuple[object, ...]:
    """The record in the order of `COLUMNS`."""
    return (
        bytes.fromhex(record.request_id),
        record.time_us,
        int(record.purpose),
        None if record.user is None else pseudonyms.key_of(record.user),
        record.key_id,
        record.model_id,
        record.requested,
        record.applied,
        record.sources,
        record.k,
        record.fallback,
        record.cached,
        record.items.astype("<i4", copy=False).tobytes(),
        *(NOT_BALANCED if record.balance is None else _balance(record.balance)),
    )


def _balance(balance: LoggedBalance) -> tuple[object, ...]:
    return balance.target, balance.weight, *(balance.divergence or (None, None))
