"""Writing a bundle: into a temporary folder, then one rename. A version is never changed afterwards."""

from __future__ import annotations

import errno
import hashlib
import json
import os
import shutil
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from safetensors.numpy import save_file

from bundle.check import check_names, check_shapes
from bundle.columns import Texts
from bundle.contents import Bundle, Items, Users
from bundle.errors import BundleExistsError
from bundle.files import read_manifest
from bundle.layout import CARD, ITEM_COLUMNS, ITEM_TABLE, MANIFEST, USER_COLUMNS, USER_TABLE, Arrays, arrays_of
from bundle.manifest import SCHEMA_VERSION, ArraySpec, Description, FileSpec, Manifest, content_hash, manifest_hash
from bundle.read import read_in_full


def write_bundle(bundle: Bundle, out: Path) -> Path:
    """Write ``bundle`` to ``out/NAME/VERSION``.

    The same contents give the same bytes and so the same content hash; only the manifest carries a date.

    Returns:
        The version's folder.

    Raises:
        BundleExistsError: that version is there already.
        DamagedError: the contents break the contract, so that no reader would take them; nothing is published.
    """
    target = out / bundle.description.name / bundle.description.version
    if target.exists():
        raise BundleExistsError(target)
    target.parent.mkdir(parents=True, exist_ok=True)
    draft = Path(tempfile.mkdtemp(prefix=f".{bundle.description.version}.", dir=target.parent))
    try:
        _write_files(bundle, draft)
        _check(draft)
        draft.chmod(0o755)
        _publish(draft, target)
    except BaseException:
        shutil.rmtree(draft, ignore_errors=True)
        raise
    _sync(target.parent)
    return target


def _check(draft: Path) -> None:
    """Read the written version: one that a reader would refuse is never published."""
    manifest = read_manifest(draft)
    names = check_names(draft, manifest)
    check_shapes(manifest)
    read_in_full(draft, manifest, names)


def _publish(draft: Path, target: Path) -> None:
    try:
        draft.rename(target)
    except OSError as error:
        if error.errno in (errno.EEXIST, errno.ENOTEMPTY, errno.ENOTDIR):
            raise BundleExistsError(target) from None
        raise


def _write_files(bundle: Bundle, folder: Path) -> None:
    files: dict[str, FileSpec] = {}
    for name, arrays in arrays_of(bundle):
        files[name] = _write_arrays(folder / name, arrays)
    files[ITEM_TABLE] = _write_table(folder / ITEM_TABLE, _item_table(bundle.items))
    files[USER_TABLE] = _write_table(folder / USER_TABLE, _user_table(bundle.users))
    files[CARD] = _write_json(folder / CARD, bundle.card)
    described = {name: getattr(bundle.description, name) for name in Description.model_fields}
    manifest = Manifest(
        **described | {"schema_version": SCHEMA_VERSION},  # whichever the bundle was read from
        files=dict(sorted(files.items())),
        content_hash=content_hash({name: spec.sha256 for name, spec in files.items()}),
    )
    document = manifest.model_dump(mode="json")
    _write_json(folder / MANIFEST, document | {"manifest_hash": manifest_hash(document)})
    for made in {(folder / name).parent for name in files}:
        _sync(made)


def _item_table(items: Items) -> pa.Table:
    columns = {
        "id": Texts.of(items.ids).array,
        "title": Texts.of(items.titles).array,
        "groups": [list(groups) for groups in items.groups],
        "popularity": items.popularity,
        "cold": items.cold,
    }
    return pa.table(columns, schema=ITEM_COLUMNS)


def _user_table(users: Users) -> pa.Table:
    return pa.table({"id": Texts.of(users.ids).array}, schema=USER_COLUMNS)


def _write_arrays(path: Path, arrays: Arrays) -> FileSpec:
    path.parent.mkdir(exist_ok=True)
    save_file({name: np.ascontiguousarray(value) for name, value in sorted(arrays.items())}, path)
    path.chmod(0o644)
    shapes = {name: ArraySpec(shape=list(value.shape), dtype=str(value.dtype)) for name, value in arrays.items()}
    return _spec(path, arrays=shapes)


def _write_table(path: Path, table: pa.Table) -> FileSpec:
    pq.write_table(table, path, compression="zstd")
    return _spec(path, rows=table.num_rows)


def _write_json(path: Path, value: Mapping[str, Any]) -> FileSpec:
    path.write_text(json.dumps(value, indent=1, sort_keys=True, allow_nan=False) + "\n", encoding="utf-8")
    return _spec(path)


def _spec(path: Path, arrays: dict[str, ArraySpec] | None = None, rows: int | None = None) -> FileSpec:
    _sync(path)
    with path.open("rb") as file:
        digest = hashlib.file_digest(file, "sha256").hexdigest()
    return FileSpec(sha256=digest, bytes=path.stat().st_size, arrays=arrays or {}, rows=rows)


def _sync(path: Path) -> None:
    """Bring a file, or a folder's list of names, to the disk: a loss of power leaves the bundle whole or absent."""
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
