"""Reading a bundle: nothing is believed before it is checked, and nothing it brought is run.

The order matters: the manifest, then names and shapes, then sizes and hashes, then headers, then values. A stamp
beside the bundle lets later starts skip hashes and values as long as no file has changed: of arrays they
then read the headers alone.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import chain
from pathlib import Path
from typing import TypeVar

import pyarrow as pa
from torch import nn

from bundle.check import Pause, check_hashes, check_names, check_shapes, check_values, go_on
from bundle.contents import Audit, Bundle, Items, Seen, Tilts, Users
from bundle.errors import BundleNotFoundError, DamagedError
from bundle.files import read_arrays, read_card, read_items, read_manifest, read_users
from bundle.history import History, history_kind
from bundle.layout import AUDIT_FILES, BALANCE, BASE_ITEMS, ENCODER, HISTORY, MANIFEST, RERANKER, USER_TABLE, Arrays
from bundle.manifest import Manifest
from bundle.mapped import let_go, tensor_over
from bundle.networks import FairEncoder, MlpReranker, build_reranker, encoder_of
from bundle.stamp import is_stamped, stamp, state_of

NetworkType = TypeVar("NetworkType", bound=nn.Module)


def read_bundle(path: Path, *, trust_stamp: bool = True, pause: Pause = go_on) -> Bundle:
    """Read one version, refusing anything that is not whole and sound.

    Args:
        path: the folder of a version (``NAME/VERSION``), or of a bundle (``NAME``), whose newest version is read.
        trust_stamp: skip hashes and values where the stamp says that these very files passed before.
        pause: called between pieces of the work, of some milliseconds each.

    Raises:
        BundleNotFoundError: nothing there.
        UnsupportedError: a schema version or encoder kind this code does not know.
        DamagedError: a file differs from the manifest or the contract; names the file and both values.
    """
    try:
        folder = version_folder(path)
        manifest = read_manifest(folder)
        pause()
        names = check_names(folder, manifest)
        check_shapes(manifest)
        state = state_of(folder, manifest, names)
        pause()
        if trust_stamp and is_stamped(folder, state):
            bundle = _load(folder, manifest, names, pause)[0]
        else:
            bundle = read_in_full(folder, manifest, names, pause)
            stamp(folder, state)
        pa.default_memory_pool().release_unused()  # unpacking tables, and checking ids, took several times their size
        return bundle
    except OSError as error:
        raise DamagedError(Path(error.filename or path).name, "file", "readable", error.strerror) from error


def read_in_full(folder: Path, manifest: Manifest, names: Sequence[str], pause: Pause = go_on) -> Bundle:
    """Every hash and value checked, stamp or not."""
    check_hashes(folder, manifest, names, pause)
    bundle, arrays = _load(folder, manifest, names, pause)
    check_values(manifest, bundle, arrays, pause)
    for array in chain.from_iterable(contents.values() for contents in arrays.values()):
        let_go(array)
    return bundle


def version_folder(path: Path) -> Path:
    """The version that ``path`` names: itself, or the newest version inside it."""
    if (path / MANIFEST).is_file():
        return path
    versions = [p.parent for p in path.glob(f"*/{MANIFEST}") if not p.parent.name.startswith(".")]
    if not versions:
        raise BundleNotFoundError(path, f"{MANIFEST} in it, or versions in it that have one")
    return max(versions, key=lambda folder: (read_manifest(folder).created, folder.name))


def _load(folder: Path, manifest: Manifest, names: Sequence[str], pause: Pause) -> tuple[Bundle, dict[str, Arrays]]:
    arrays = {name: read_arrays(folder, name, manifest.files[name]) for name in names if manifest.files[name].arrays}
    pause()
    items = _items(folder, manifest, arrays["items.safetensors"])
    pause()
    users = Users(read_users(folder, manifest.files[USER_TABLE].rows), arrays["users.safetensors"]["parts"])
    pause()
    encoder = _encoder(manifest, arrays.get(ENCODER, {}))
    pause()
    seen = arrays["seen.safetensors"]
    bundle = Bundle(
        description=manifest,
        items=items,
        users=users,
        encoder=encoder,
        history=_history(manifest, arrays.get(HISTORY, {})),
        seen=Seen(seen["indptr"], seen["indices"]),
        card=read_card(folder),
        audit=_audit(arrays, manifest),
        reranker=_reranker(manifest, arrays),
        balance=Tilts(**arrays[BALANCE]) if manifest.balance else None,
    )
    pause()
    return bundle, arrays


def _items(folder: Path, manifest: Manifest, arrays: Arrays) -> Items:
    found = read_items(folder, manifest)
    return Items(found.ids, found.titles, found.groups, found.popularity, arrays["vectors"], found.cold)


def _encoder(manifest: Manifest, weights: Arrays) -> FairEncoder:
    return _filled(encoder_of(manifest), weights)


def _history(manifest: Manifest, arrays: Arrays) -> History:
    return history_kind(manifest.history).load(
        manifest.history, manifest.dimensions - manifest.constant_dimensions, arrays
    )


def _reranker(manifest: Manifest, arrays: dict[str, Arrays]) -> MlpReranker | None:
    if manifest.reranker is None:
        return None
    items = len(arrays["items.safetensors"]["vectors"])
    return _filled(build_reranker(manifest.reranker, manifest.dimensions, items), arrays[RERANKER])


def _filled(network: NetworkType, weights: Arrays) -> NetworkType:
    network.load_state_dict({name: tensor_over(value) for name, value in weights.items()})
    return network.requires_grad_(False).eval()


def _audit(arrays: dict[str, Arrays], manifest: Manifest) -> Audit | None:
    if not arrays.keys() >= AUDIT_FILES:
        return None
    users = arrays["audit/users.safetensors"]
    return Audit(
        base=arrays["audit/base.safetensors"]["vectors"],
        labels=users["labels"],
        validation=users["validation"],
        test=users["test"],
        split=users["split"],
        folded_in=users["folded_in"],
        positive=arrays["audit/interactions.safetensors"]["positive"],
        items=arrays[BASE_ITEMS]["vectors"] if manifest.base_items else None,
    )
