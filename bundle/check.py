"""Checks a bundle before it is trusted: its names, shapes, hashes and values."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np
import pyarrow.compute as pc
import torch
from numpy.typing import NDArray
from torch import nn

from bundle.columns import Texts, numbers
from bundle.contents import AUDIT_USER, Bundle
from bundle.errors import DamagedError
from bundle.history import history_kind
from bundle.layout import (
    ARRAY_FILES,
    AUDIT,
    AUDIT_FILES,
    BALANCE,
    BASE_ITEMS,
    BY_KIND,
    ENCODER,
    HALVED,
    HISTORY,
    ITEM_TABLE,
    MANIFEST,
    REQUIRED,
    RERANKER,
    USER_TABLE,
    Arrays,
)
from bundle.limits import ID_ALLOWED, first_unfit
from bundle.manifest import ArraySpec, Manifest, content_hash
from bundle.networks import FairEncoder, TableEncoder, build_reranker, encoder_of

_BLOCK = 2**20

Pause: TypeAlias = Callable[[], object]
"""Called between pieces of long work; whoever reads a bundle beside something more urgent rests there."""


def go_on() -> None:
    """The pause of those who are in a hurry."""


def check_names(folder: Path, manifest: Manifest) -> list[str]:
    """The files listed are the contract's, all of them, and the folder holds nothing else and no links.

    Returns:
        The files to read: all that are listed, without those under audit/ where that folder was left out.
    """
    listed = set(manifest.files)
    required = REQUIRED | ({RERANKER} if manifest.reranker else set()) | ({BALANCE} if manifest.balance else set())
    audit = AUDIT_FILES | ({BASE_ITEMS} if manifest.base_items else set())
    if unknown := sorted(listed - required - audit):
        raise DamagedError(MANIFEST, "files", f"only {sorted(required | audit)}", unknown)
    if missing := sorted(required - listed):
        raise DamagedError(MANIFEST, "files", f"all of {sorted(required)}", f"none for {missing}")
    if listed & audit and (missing := sorted(audit - listed)):
        raise DamagedError(MANIFEST, "files under audit/", "all or none", f"none for {missing}")

    present = _present(folder)
    if not present & audit:
        listed -= audit
    if missing := sorted(listed - present):
        raise DamagedError(missing[0], "file", "a plain file", "nothing")
    if extra := sorted(present - listed - {MANIFEST}):
        raise DamagedError(extra[0], "file", "listed in the manifest", "not listed")
    return sorted(listed)


def _present(folder: Path) -> set[str]:
    paths = list(folder.iterdir())
    audit = folder / AUDIT
    if audit in paths and audit.is_dir() and not audit.is_symlink():
        paths.remove(audit)
        paths += audit.iterdir()
    names = {path.relative_to(folder).as_posix(): path for path in paths}
    for name, path in sorted(names.items()):
        if path.is_symlink() or not path.is_file():
            raise DamagedError(name, "file", "a plain file", "a link" if path.is_symlink() else "something else")
    return set(names)


def check_shapes(manifest: Manifest) -> None:
    """Every array that the manifest lists has the contract's dtype and fits the others; no file is opened."""
    for file in sorted(manifest.files.keys() - ARRAY_FILES.keys() - set(BY_KIND)):
        _check_file(manifest, file, {})
    size = {
        "d": manifest.dimensions,
        "M": len(manifest.attributes),
        "R": len(manifest.parts) or len(manifest.supported_masks.masks),
        "U": _rows(manifest, USER_TABLE),
        "V": _rows(manifest, USER_TABLE) + 1,
        "I": _rows(manifest, ITEM_TABLE),
    }
    if manifest.balance is not None:
        size |= {"G": len(manifest.balance.groups), "T": 1 + len(manifest.balance.masks)}
    size["N"] = next(iter(_spec(manifest, "seen.safetensors", "indices").shape), -1)
    for file in sorted(ARRAY_FILES.keys() & manifest.files.keys()):
        contract = {
            name: ArraySpec.model_construct(
                shape=[size[letter] for letter in letters], dtype=_stored_as(manifest, file, name, dtype)
            )
            for name, (dtype, letters) in ARRAY_FILES[file].items()
        }
        _check_file(manifest, file, contract)
    with torch.device("meta"):
        encoder = encoder_of(manifest)
        _check_file(manifest, ENCODER, _contract(encoder))
        if manifest.reranker:
            _check_file(
                manifest, RERANKER, _contract(build_reranker(manifest.reranker, manifest.dimensions, size["I"]))
            )
    varying = manifest.dimensions - manifest.constant_dimensions
    _check_file(manifest, HISTORY, history_kind(manifest.history).contract(manifest.history, varying, size["I"]))


def check_hashes(folder: Path, manifest: Manifest, names: Sequence[str], pause: Pause = go_on) -> None:
    """Sizes and SHA-256 of the named files, and the content hash over all that the manifest lists."""
    for name in names:
        spec = manifest.files[name]
        size = (folder / name).stat().st_size
        if size != spec.bytes:
            raise DamagedError(name, "size in bytes", spec.bytes, size)
        digest = _digest(folder / name, pause)
        if digest != spec.sha256:
            raise DamagedError(name, "sha256", spec.sha256, digest)
    found = content_hash({name: spec.sha256 for name, spec in manifest.files.items()})
    if found != manifest.content_hash:
        raise DamagedError(MANIFEST, "content_hash", manifest.content_hash, found)


def _digest(path: Path, pause: Pause) -> str:
    """SHA-256 of a file."""
    digest = hashlib.sha256()
    block = memoryview(bytearray(_BLOCK))
    with path.open("rb", buffering=0) as file:
        while length := file.readinto(block):
            digest.update(block[:length])
            pause()
    return digest.hexdigest()


def check_values(manifest: Manifest, bundle: Bundle, arrays: dict[str, Arrays], pause: Pause = go_on) -> None:
    """Ids are unique, numbers finite, the seen lists sorted and in range, labels known, the fold-in solvable."""
    for file, ids in ((ITEM_TABLE, bundle.items.ids), (USER_TABLE, bundle.users.ids)):
        _check_ids(file, ids)
        pause()
    for file, contents in arrays.items():
        for name, array in contents.items():
            if array.dtype.kind == "f" and (odd := sum(int((~np.isfinite(block)).sum()) for block in _blocks(array))):
                raise DamagedError(file, name, "finite numbers", f"{odd} that are not")
            if array.dtype.kind == "b" and (most := int(array.view(np.uint8).max(initial=0))) > 1:
                raise DamagedError(file, name, "bytes 0 and 1", most)
            pause()
    items = len(bundle.items.ids)
    _check_range("popularity", bundle.items.popularity, 0, np.iinfo(np.int64).max, ITEM_TABLE)
    _check_csr(bundle.seen.indptr, bundle.seen.indices, items)
    _check_cold(bundle)
    pause()
    bundle.history.check()
    _check_masks(manifest, bundle.encoder)
    if bundle.balance is not None:
        _check_target(bundle.balance.target)
    if audit := bundle.audit:
        classes = np.array([len(attribute.classes) for attribute in manifest.attributes])
        _check_range("labels", audit.labels, -1, classes - 1)
        _check_range("validation", audit.validation, -1, items - 1)
        _check_range("test", audit.test, -1, items - 1)
        _check_range("split", audit.split, 0, 2)
        if count := int((audit.folded_in & (audit.split != AUDIT_USER)).sum()):
            raise DamagedError("audit/users.safetensors", "folded_in", "audit users only", f"{count} that are not")


def _contract(network: nn.Module) -> dict[str, ArraySpec]:
    return {
        name: ArraySpec(shape=list(value.shape), dtype=str(value.dtype).removeprefix("torch."))
        for name, value in network.state_dict().items()
    }


def _rows(manifest: Manifest, table: str) -> int:
    rows = manifest.files[table].rows
    if rows is None:
        raise DamagedError(MANIFEST, f"files.{table}.rows", "a number", None)
    return rows


def _spec(manifest: Manifest, file: str, name: str) -> ArraySpec:
    try:
        return manifest.files[file].arrays[name]
    except KeyError:
        raise DamagedError(file, "arrays", sorted(ARRAY_FILES[file]), sorted(manifest.files[file].arrays)) from None


def _stored_as(manifest: Manifest, file: str, name: str, dtype: str) -> str:
    """The dtype of an array by the contract; which one of two it is, where there are two, the manifest says."""
    listed = manifest.files[file].arrays.get(name)
    halved = (file, name) == HALVED and manifest.schema_version >= 3 and listed and listed.dtype == "float16"
    return "float16" if halved else dtype


def _check_file(manifest: Manifest, file: str, contract: dict[str, ArraySpec]) -> None:
    listed = manifest.files[file].arrays
    if listed.keys() != contract.keys():
        raise DamagedError(file, "arrays", sorted(contract), sorted(listed))
    for name, spec in contract.items():
        if listed[name].shape != spec.shape:
            raise DamagedError(file, f"shape of {name}", spec.shape, listed[name].shape)
        if listed[name].dtype != spec.dtype:
            raise DamagedError(file, f"dtype of {name}", spec.dtype, listed[name].dtype)


def _blocks(array: NDArray[Any]) -> Iterator[NDArray[Any]]:
    """All entries, a bounded number at a time, so that work on them takes little memory for an array of any size."""
    flat = array.reshape(-1)
    for start in range(0, len(flat), _BLOCK):
        yield flat[start : start + _BLOCK]


def _check_ids(file: str, ids: Sequence[str]) -> None:
    column = Texts.of(ids).array  # compared as NumPy's numbers: a Python number in Arrow's hands imports pandas
    counted = pc.value_counts(column)
    for place in (numbers(counted.field("counts")) > 1).nonzero()[0][:1].tolist():
        raise DamagedError(file, "ids", "unique", f"{counted.field('values')[place].as_py()!r} more than once")
    if unfit := first_unfit(column):
        raise DamagedError(file, "ids", ID_ALLOWED, f"{unfit.id[:50]!a}, which {unfit.problem}")


def _check_csr(indptr: NDArray[np.int64], indices: NDArray[np.int32], items: int) -> None:
    file = "seen.safetensors"
    if indptr[0] != 0 or indptr[-1] != len(indices) or (indptr[1:] < indptr[:-1]).any():  # a difference could wrap
        raise DamagedError(file, "indptr", f"rising from 0 to {len(indices)}", [int(indptr[0]), int(indptr[-1])])
    _check_range("indices", indices, 0, items - 1, file)
    rising = indices[1:] > indices[:-1]
    starts = np.unique(indptr[1:-1])
    rising[starts[(starts > 0) & (starts < len(indices))] - 1] = True
    if not rising.all():
        raise DamagedError(file, "indices", "sorted and unique within a user", f"not at {int(np.argmin(rising))}")


def _check_cold(bundle: Bundle) -> None:
    """Nobody has touched a cold item."""
    cold = bundle.items.cold
    if count := int(np.count_nonzero(bundle.items.popularity[cold])):
        raise DamagedError(ITEM_TABLE, "popularity of cold items", 0, f"{count} of them above 0")
    if cold.any() and (count := int(cold[bundle.seen.indices].sum())):
        raise DamagedError("seen.safetensors", "indices", "no cold items", f"{count} of them")


def _check_masks(manifest: Manifest, encoder: FairEncoder) -> None:
    """The rows that a table encoder picks by are the manifest's supported masks, in its order."""
    if isinstance(encoder, TableEncoder):
        expected = [list(manifest.mask(mask)) for mask in manifest.supported_masks.masks]
        if encoder.masks.tolist() != expected:
            raise DamagedError(ENCODER, "masks", expected, encoder.masks.tolist())


def _check_target(target: NDArray[np.float64]) -> None:
    if target.min() < 0 or not np.isclose(target.sum(), 1):
        found = f"{target.min():g} the smallest, {target.sum():g} together"
        raise DamagedError(BALANCE, "target", "shares of 0 or more, 1 together", found)


def _check_range(name: str, values: NDArray[Any], low: int, high: Any, file: str = "audit/users.safetensors") -> None:
    if values.size and ((values.min(axis=0) < low).any() or (values.max(axis=0) > high).any()):
        raise DamagedError(file, name, f"{low} to {np.max(high)}", [int(values.min()), int(values.max())])
