"""Items of the bundle versions that the request log speaks of: of those that answer, else from the models folder.

A version is found by its content hash and nothing else: another bundle under the same name has other items in the same
rows. What cannot be read is said to be so; nobody guesses which items were shown.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from threading import Lock
from time import monotonic

import numpy as np
from numpy.typing import NDArray

from bundle import BundleError, Manifest
from bundle.check import check_hashes
from bundle.files import read_items
from bundle.layout import ITEM_TABLE
from service.model.active import Serving
from service.model.folder import ModelsFolder
from service.store import StoredModel

KEPT = 4
"""Versions besides those that answer whose items are kept in memory."""
AGAIN_S = 30.0
"""How long a version that could not be read is not looked for again."""


@dataclass(frozen=True)
class VersionItems:
    """The items behind the rows of one version's lists."""

    ids: Sequence[str]
    groups: Sequence[Sequence[str]]
    cold: NDArray[np.bool_]
    """(I,) which of them nobody had touched."""


class Catalogues:
    """Reads catalogues; may be asked by several threads at once."""

    def __init__(self, serving: Serving, models: ModelsFolder) -> None:
        """Nothing is read yet."""
        self._serving = serving
        self._models = models
        self._lock = Lock()
        self._kept: OrderedDict[str, VersionItems] = OrderedDict()
        self._missed: dict[str, float] = {}
        """Content hash → when it is looked for again."""

    def of(self, model: StoredModel) -> VersionItems | None:
        """The items of a version, by row; None where its files are gone or have changed. May read files."""
        for served in self._serving.arms.models:
            if model.content_hash == served.model.content_hash:
                items = served.model.bundle.items
                return VersionItems(items.ids, items.groups, items.cold)
        with self._lock:
            if model.content_hash in self._kept:
                self._kept.move_to_end(model.content_hash)
                return self._kept[model.content_hash]
            if self._missed.get(model.content_hash, 0.0) > monotonic():
                return None
            found = self._read(model.content_hash)
            if found is None:
                self._missed[model.content_hash] = monotonic() + AGAIN_S
                return None
            self._missed.pop(model.content_hash, None)
            self._kept[model.content_hash] = found
            if len(self._kept) > KEPT:
                self._kept.popitem(last=False)
            return found

    def _read(self, wanted: str) -> VersionItems | None:
        for one in self._models.versions():
            if one.manifest is not None and one.manifest.content_hash == wanted:
                folder = self._models.root / one.version
                try:
                    return _items(folder, one.manifest)
                except (BundleError, OSError):
                    continue
        return None


def _items(folder: Path, manifest: Manifest) -> VersionItems:
    """What is needed of them, where the file is the very one that the content hash was made of."""
    check_hashes(folder, manifest, [ITEM_TABLE])
    items = read_items(folder, manifest)
    return VersionItems(items.ids, items.groups, items.cold)
