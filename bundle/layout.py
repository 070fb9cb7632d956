"""Which files a bundle has, what is in them, and how their shapes hang together."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from bundle.contents import Bundle
from bundle.foldin import FoldIn

MANIFEST = "manifest.json"
CARD = "card.json"
ITEM_TABLE = "items.parquet"
USER_TABLE = "users.parquet"
ENCODER = "encoder.safetensors"
AUDIT = "audit"

Arrays = dict[str, NDArray[Any]]

ARRAY_FILES: Mapping[str, Mapping[str, tuple[str, str]]] = {
    # file → array → (dtype, dimensions by letter: U users, I items, d, R parts or masks, M attributes, N interactions)
    "items.safetensors": {"vectors": ("float32", "Id")},
    "users.safetensors": {"parts": ("float32", "URd")},
    "history.safetensors": {"gram": ("float32", "dd"), "constants": ("float64", "3")},
    "seen.safetensors": {"indptr": ("int64", "V"), "indices": ("int32", "N")},
    "audit/base.safetensors": {"vectors": ("float32", "Ud")},
    "audit/users.safetensors": {
        "labels": ("int16", "UM"),
        "validation": ("int32", "U"),
        "test": ("int32", "U"),
        "split": ("uint8", "U"),
        "folded_in": ("bool", "U"),
    },
    "audit/interactions.safetensors": {"positive": ("bool", "N")},
}
"""Every array of the contract but the encoder's weights, which its kind fixes. V is U + 1."""

ITEM_COLUMNS = pa.schema(
    {
        "id": pa.string(),
        "title": pa.string(),
        "groups": pa.list_(pa.field("element", pa.string())),
        "popularity": pa.int64(),
    }
)
USER_COLUMNS = pa.schema({"id": pa.string()})

REQUIRED = frozenset(
    {ITEM_TABLE, USER_TABLE, ENCODER, CARD, *(name for name in ARRAY_FILES if not name.startswith(f"{AUDIT}/"))}
)
AUDIT_FILES = frozenset(name for name in ARRAY_FILES if name.startswith(f"{AUDIT}/"))
"""All of them, or none: audit/ may be absent as a whole."""


def arrays_of(bundle: Bundle) -> Iterator[tuple[str, Arrays]]:
    """The array files of a bundle in memory, in the order they are written."""
    yield "items.safetensors", {"vectors": bundle.items.vectors}
    yield "users.safetensors", {"parts": bundle.users.parts}
    yield ENCODER, {name: value.detach().cpu().numpy() for name, value in bundle.encoder.state_dict().items()}
    fold = bundle.history
    constants = np.array([fold.weight, fold.ridge, fold.scale], np.float64)
    yield "history.safetensors", {"gram": fold.gram, "constants": constants}
    yield "seen.safetensors", {"indptr": bundle.seen.indptr, "indices": bundle.seen.indices}
    if audit := bundle.audit:
        yield "audit/base.safetensors", {"vectors": audit.base}
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


def fold_in(arrays: Arrays) -> FoldIn:
    """history.safetensors → the fold-in."""
    weight, ridge, scale = (float(value) for value in arrays["constants"])
    return FoldIn(arrays["gram"], weight, ridge, scale)
