"""Which bundle an audit is of, and where it lies: the active one, or another version that could be activated.

Everything here reads files, so it blocks.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any, Literal, cast

from bundle import BundleError, Manifest
from bundle.check import check_hashes, check_names
from bundle.files import read_card, read_manifest
from bundle.layout import AUDIT_FILES, CARD, MANIFEST
from service.errors import ModelRefusedError, NoAuditDataError, UnknownModelError
from service.model.active import Serving
from service.model.folder import ModelsFolder
from service.store import StoredModel


class Versions:
    """Bundles by version, then by content hash: a folder may hold another bundle by the time it is read."""

    def __init__(self, models: ModelsFolder, bundle: Path, serving: Serving) -> None:
        """Take the models folder, the folder of EVENHAND_BUNDLE (which may lie elsewhere), and the models that answer.

        What is measured where no version is named is the active one; another one is found by its name, also while it
        answers a share of the users.
        """
        self._models = models
        self._bundle = bundle
        self._serving = serving

    @property
    def index(self) -> Literal["torch", "ivf", "hnsw"]:
        """The kind of index that an audit searches with: the one that serves, or an exact one in its place.

        Exact ones all give the same lists. Milvus is somewhere else, and its address a secret.
        """
        kind = self._serving.arms.active.model.index.kind
        return kind if kind == "ivf" or kind == "hnsw" else "torch"

    def manifest(self, version: str | None) -> Manifest:
        """Of a version; None for the active one.

        Raises:
            UnknownModelError: there is none.
            ModelRefusedError: its manifest is damaged.
        """
        active = cast(Manifest, self._serving.arms.active.model.bundle.description)  # it was read from a folder
        if version is None or version == active.version:
            return active
        return self._look(version)[1]

    def card(self, version: str | None) -> tuple[Manifest, dict[str, Any]]:
        """The card of a version; None for the active one.

        Raises:
            UnknownModelError: there is none.
            ModelRefusedError: its manifest or its card is damaged.
        """
        bundle = self._serving.arms.active.model.bundle
        active = cast(Manifest, bundle.description)
        if version is None or version == active.version:
            return active, dict(bundle.card)
        folder, manifest = self._look(version)
        try:
            check_names(folder, manifest)
            check_hashes(folder, manifest, [CARD])
            return manifest, read_card(folder)
        except BundleError as error:
            raise ModelRefusedError(version, str(error)) from error
        except OSError as error:
            raise ModelRefusedError(version, f"{CARD}: {error.strerror}") from error

    def folder(self, wanted: StoredModel) -> Path:
        """Where that very bundle lies.

        Raises:
            UnknownModelError: no such version is there any more.
            ModelRefusedError: its manifest is damaged, or it is another bundle by now.
        """
        refused: ModelRefusedError | None = None
        for place in (self._models.root / wanted.version, self._bundle, self._bundle / wanted.version):
            if not (place / MANIFEST).is_file():
                continue
            try:
                manifest = _read(place)
            except ModelRefusedError as error:
                refused = refused or error
                continue
            found, sought = (manifest.name, manifest.version), (wanted.name, wanted.version)
            if found == sought and manifest.content_hash == wanted.content_hash:
                return place.absolute()
            if found == sought or place.name == wanted.version:
                what = f"{'/'.join(found)} with content hash {manifest.content_hash}, not {wanted.content_hash}"
                refused = refused or ModelRefusedError(wanted.version, f"its folder holds {what}")
        raise refused or UnknownModelError(wanted.version, [one.version for one in self._models.versions()])

    def _look(self, version: str) -> tuple[Path, Manifest]:
        folder = self._models.find(version)
        manifest = _read(folder)
        if manifest.version != version:
            raise ModelRefusedError(version, f"{MANIFEST}: version is {manifest.version!r}")
        return folder, manifest


def check_auditable(manifest: Manifest) -> None:
    """Pass only if a bundle has the data that audits need.

    Raises:
        NoAuditDataError: it came without audit/.
    """
    if not manifest.files.keys() >= AUDIT_FILES:
        raise NoAuditDataError(manifest.version)


def _read(folder: Path) -> Manifest:
    try:
        return read_manifest(folder)
    except BundleError as error:
        raise ModelRefusedError(folder.name, str(error)) from error
