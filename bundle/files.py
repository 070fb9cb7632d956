"""One file of a bundle into memory, checked against its own entry in the manifest."""

from __future__ import annotations

import json
from collections.abc import Sequence
from os import fstat
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray
from pydantic import ValidationError
from safetensors import SafetensorError, safe_open

from bundle.columns import Groups, Texts, numbers
from bundle.errors import DamagedError, UnsupportedError, said
from bundle.layout import (
    CARD,
    ITEM_COLUMNS,
    ITEM_COLUMNS_BEFORE_6,
    ITEM_TABLE,
    MANIFEST,
    USER_COLUMNS,
    USER_TABLE,
    Arrays,
)
from bundle.manifest import SCHEMA_VERSIONS, FileSpec, Manifest, manifest_hash
from bundle.mapped import map_arrays

MAX_JSON_BYTES = 16 * 2**20
MAX_JSON_DEPTH = 64
MAX_HEADER_BYTES = 2**20
MAX_TABLE_BYTES = 2**30
"""Size limits of data that is parsed before its content is known: JSON, a safetensors header, unpacked Parquet."""

_ROWS_AT_A_TIME = 1024

_DTYPES = {
    "float16": "F16",
    "float32": "F32",
    "float64": "F64",
    "int64": "I64",
    "int32": "I32",
    "int16": "I16",
    "uint8": "U8",
    "bool": "BOOL",
}


def read_manifest(folder: Path) -> Manifest:
    """manifest.json, its schema version looked at before anything else."""
    raw = _read_json(folder / MANIFEST)
    if raw.get("schema_version") not in SCHEMA_VERSIONS:
        raise UnsupportedError("schema_version", raw.get("schema_version"), SCHEMA_VERSIONS)
    listed, found = raw.pop("manifest_hash", None), manifest_hash(raw)
    try:
        manifest = Manifest.model_validate_json(json.dumps(raw))
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(str(step) for step in first["loc"]) or "the manifest"
        raise DamagedError(MANIFEST, where, said(first), _short(first["input"])) from None
    _equal(MANIFEST, "manifest_hash", listed, found)
    return manifest


def read_card(folder: Path) -> dict[str, Any]:
    """card.json: the measurements of training on this bundle."""
    return _read_json(folder / CARD)


def read_arrays(folder: Path, name: str, spec: FileSpec) -> Arrays:
    """A safetensors file, mapped; only its header is read, and must agree with the manifest."""
    path = folder / name
    with path.open("rb") as file:
        size = fstat(file.fileno()).st_size
        length = int.from_bytes(file.read(8), "little")
        most = min(MAX_HEADER_BYTES, max(size - 8, 0))
        if length > most or size < 8:
            raise DamagedError(name, "header length in bytes", f"at most {most}", length)
        try:
            with safe_open(path, framework="numpy") as tensors:  # its own checks: no holes, no overlaps, all bytes used
                _equal(name, "arrays", sorted(spec.arrays), sorted(tensors.keys()))
                for key, array in spec.arrays.items():
                    view = tensors.get_slice(key)
                    _equal(name, f"shape of {key}", array.shape, list(view.get_shape()))
                    _equal(name, f"dtype of {key}", _DTYPES.get(array.dtype, array.dtype), view.get_dtype())
            header = json.loads(file.read(length), object_pairs_hook=_refuse_repeated_keys)
            places = {key: tuple(header[key]["data_offsets"]) for key in spec.arrays}
            return map_arrays(file, 8 + length, places, spec.arrays)
        except (SafetensorError, ValueError) as error:
            raise DamagedError(name, "contents", "a safetensors file", str(error)) from None


class ItemColumns(NamedTuple):
    """What items.parquet holds."""

    ids: Texts
    titles: Texts
    groups: Groups
    popularity: NDArray[np.int64]
    cold: NDArray[np.bool_]
    """None of them before schema 6."""


def read_items(folder: Path, manifest: Manifest) -> ItemColumns:
    """items.parquet."""
    columns = ITEM_COLUMNS if manifest.schema_version >= 6 else ITEM_COLUMNS_BEFORE_6
    table = _read_table(folder, ITEM_TABLE, columns, manifest.files[ITEM_TABLE].rows)
    found = {name: table[name].combine_chunks() for name in columns.names}
    _equal(ITEM_TABLE, "empty values in groups", 0, found["groups"].flatten().null_count)
    cold = np.zeros(table.num_rows, np.bool_)
    if "cold" in found:
        cold = numbers(found["cold"].cast(pa.uint8())).astype(np.bool_)
    groups = Groups.of_lists(found["groups"])
    return ItemColumns(Texts(found["id"]), Texts(found["title"]), groups, numbers(found["popularity"]), cold)


def read_users(folder: Path, rows: int | None) -> Texts:
    """users.parquet: ids."""
    return Texts(_read_table(folder, USER_TABLE, USER_COLUMNS, rows)["id"].combine_chunks())


def _read_table(folder: Path, name: str, schema: pa.Schema, rows: int | None) -> pa.Table:
    try:
        with pq.ParquetFile(folder / name) as file:
            found = file.schema_arrow
            if not found.equals(schema):
                raise DamagedError(name, "columns", _columns(schema), _columns(found))
            _equal(name, "rows", rows, file.metadata.num_rows)
            groups = [file.metadata.row_group(index) for index in range(file.metadata.num_row_groups)]
            unpacked = sum(group.total_byte_size for group in groups)
            if not 0 <= unpacked <= MAX_TABLE_BYTES:
                raise DamagedError(name, "unpacked size in bytes", f"at most {MAX_TABLE_BYTES}", unpacked)
            table = _unpack(name, file, schema)
        table.validate(full=True)
    except (pa.ArrowException, OSError, ValueError, OverflowError) as error:
        raise DamagedError(name, "contents", "a Parquet file", str(error)) from None
    _equal(name, "rows read", rows, table.num_rows)
    nulls = {column: table[column].null_count for column in table.column_names if table[column].null_count}
    _equal(name, "empty values by column", {}, nulls)
    return table


def _unpack(name: str, file: pq.ParquetFile, schema: pa.Schema) -> pa.Table:
    """Batch by batch and counting: a few bytes of dictionary codes can stand for any number of long strings.

    The metadata of single columns would say more but is not touched: where it is damaged, Arrow ends the process.
    """
    batches: list[pa.RecordBatch] = []
    unpacked = 0
    for batch in file.iter_batches(_ROWS_AT_A_TIME, use_threads=False):
        unpacked += batch.nbytes
        if unpacked > MAX_TABLE_BYTES:
            raise DamagedError(name, "unpacked size in bytes", f"at most {MAX_TABLE_BYTES}", f"{unpacked} and more")
        batches.append(batch.replace_schema_metadata())
    return pa.Table.from_batches(batches, schema)


def _read_json(path: Path) -> dict[str, Any]:
    try:
        if path.stat().st_size > MAX_JSON_BYTES:
            raise DamagedError(path.name, "size in bytes", f"at most {MAX_JSON_BYTES}", path.stat().st_size)
        value = json.loads(
            path.read_text("utf-8"), parse_constant=_refuse_constant, object_pairs_hook=_refuse_repeated_keys
        )
        _refuse_depth(value)
        json.dumps(value, ensure_ascii=False, allow_nan=False).encode()  # neither 1e999 nor half a surrogate pair
    except OSError as error:
        raise DamagedError(path.name, "file", "a readable file", error.strerror) from None
    except (ValueError, RecursionError) as error:
        raise DamagedError(path.name, "contents", "plain JSON in UTF-8 without NaN or Infinity", str(error)) from None
    if not isinstance(value, dict):
        raise DamagedError(path.name, "contents", "a JSON object", type(value).__name__)
    return value


def _refuse_constant(name: str) -> None:
    raise ValueError(f"{name} is not a JSON number")


def _refuse_repeated_keys(pairs: Sequence[tuple[str, Any]]) -> dict[str, Any]:
    """Readers differ in which of two equal keys they believe."""
    value = dict(pairs)
    if len(value) != len(pairs):
        raise ValueError(f"a key appears twice among {_short([key for key, _ in pairs])}")
    return value


def _refuse_depth(value: object) -> None:
    level: list[Any] = [value]
    for _ in range(MAX_JSON_DEPTH + 1):
        nodes = [node for node in level if isinstance(node, dict | list)]
        if not nodes:
            return
        level = [child for node in nodes for child in (node.values() if isinstance(node, dict) else node)]
    raise ValueError(f"nested deeper than {MAX_JSON_DEPTH}")


def _columns(schema: pa.Schema) -> str:
    return ", ".join(str(column) for column in schema)


def _equal(file: str, what: str, expected: object, found: object) -> None:
    if expected != found:
        raise DamagedError(file, what, _short(expected), _short(found))


def _short(value: object) -> str:
    text = repr(value)
    return text if len(text) <= 200 else text[:200] + "…"
