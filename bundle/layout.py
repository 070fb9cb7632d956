"""The files of a bundle, their content, and the relations of their shapes."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import pyarrow as pa
from numpy.typing import NDArray
from torch import nn

from bundle.contents import Bundle

MANIFEST = "manifest.json"
CARD = "card.json"
ITEM_TABLE = "items.parquet"
USER_TABLE = "users.parquet"
ENCODER = "encoder.safetensors"
HISTORY = "history.safetensors"
RERANKER = "reranker.safetensors"
BALANCE = "balance.safetensors"
AUDIT = "audit"
BASE_ITEMS = "audit/items.safetensors"

Arrays = dict[str, NDArray[Any]]

ARRAY_FILES: Mapping[str, Mapping[str, tuple[str, str]]] = {
    # file → array → (dtype, dimensions by letter: U users, I items, d, R parts or masks, M attributes, N interactions,
    # G item groups, T tilts)
    "items.safetensors": {"vectors": ("float32", "Id")},
    "users.safetensors": {"parts": ("float32", "URd")},
    "seen.safetensors": {"indptr": ("int64", "V"), "indices": ("int32", "N")},
    BALANCE: {"target": ("float64", "G"), "tilts": ("float64", "TG")},
    "audit/base.safetensors": {"vectors": ("float32", "Ud")},
    BASE_ITEMS: {"vectors": ("float32", "Id")},
    "audit/users.safetensors": {
        "labels": ("int16", "UM"),
        "validation": ("int32", "U"),
        "test": ("int32", "U"),
        "split": ("uint8", "U"),
        "folded_in": ("bool", "U"),
    },
    "audit/interactions.safetensors": {"positive": ("bool", "N")},
}
"""Arrays whose names and shapes are always the same. V is U + 1."""

HALVED = ("users.safetensors", "parts")
"""The one array that may be float16 instead, from schema 3 on: it grows with users times attributes."""

BY_KIND = (ENCODER, HISTORY, RERANKER)
"""Files whose arrays are fixed by the kind that the manifest names; the last only with the scorer ``rerank``."""

ITEM_COLUMNS = pa.schema(
    {
        "id": pa.string(),
        "title": pa.string(),
        "groups": pa.list_(pa.field("element", pa.string())),
        "popularity": pa.int64(),
        "cold": pa.bool_(),
    }
)
ITEM_COLUMNS_BEFORE_6 = ITEM_COLUMNS.remove(ITEM_COLUMNS.get_field_index("cold"))
"""Of bundles that have no cold items."""
USER_COLUMNS = pa.schema({"id": pa.string()})

SERVED = frozenset(name for name in ARRAY_FILES if name != BALANCE and not name.startswith(f"{AUDIT}/"))
REQUIRED = SERVED | {ITEM_TABLE, USER_TABLE, ENCODER, HISTORY, CARD}
AUDIT_FILES = ARRAY_FILES.keys() - SERVED - {BALANCE, BASE_ITEMS}
"""All of them, or none: audit/ may be absent as a whole. `BASE_ITEMS` is one more where the manifest says so."""


def arrays_of(bundle: Bundle) -> Iterator[tuple[str, Arrays]]:
    """The array files of a bundle in memory, in the order they are written."""
    yield "items.safetensors", {"vectors": bundle.items.vectors}
    yield "users.safetensors", {"parts": bundle.users.parts}
    yield ENCODER, weights_of(bundle.encoder)
    yield HISTORY, bundle.history.arrays()
    if bundle.reranker is not None:
        yield RERANKER, weights_of(bundle.reranker)
    if bundle.balance is not None:
        yield BALANCE, {"target": bundle.balance.target, "tilts": bundle.balance.tilts}
    yield "seen.safetensors", {"indptr": bundle.seen.indptr, "indices": bundle.seen.indices}
    if audit := bundle.audit:
        yield "audit/base.safetensors", {"vectors": audit.base}
        if audit.items is not None:
            yield BASE_ITEMS, {"vectors": audit.items}
        yield (
            "audit/users.safetensors",
            {
                "labels": audit.labels,
                "validation": audit.validation,
                "test": audit.test,
                "split": audit.split,
                "folded_in": audit.folded_in,
            },
        )
        yield "audit/interactions.safetensors", {"positive": audit.positive}


def weights_of(network: nn.Module) -> Arrays:
    """A network's weights and constants by name."""
    return {name: value.detach().cpu().numpy() for name, value in network.state_dict().items()}
