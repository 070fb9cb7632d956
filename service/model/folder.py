"""The models folder: the versions in it, and the one that is served at a start."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

from structlog.typing import FilteringBoundLogger

from bundle import BundleError, Manifest
from bundle.files import read_manifest
from bundle.layout import MANIFEST
from service.errors import UnknownModelError
from service.settings import Settings
from service.store import (
    Database,
    StoredModel,
    StoreStartError,
    arms_of,
    check_schema,
    list_keys,
    list_models,
)

_VERSION = re.compile(r"[A-Za-z0-9][A-Za-z0-9._+-]{0,99}")


@dataclass(frozen=True, slots=True)
class Found:
    """One version in the folder, as its manifest describes it."""

    version: str
    manifest: Manifest | None
    refused: str | None
    """The fault of the manifest; an activation looks at the other files."""


class ModelsFolder:
    """Folders of versions, side by side. Nothing is remembered: each call looks at the files."""

    def __init__(self, root: Path) -> None:
        self.root = root

    @classmethod
    def of(cls, bundle: Path, models: Path | None) -> ModelsFolder:
        """EVENHAND_MODELS, else the folder around the version that EVENHAND_BUNDLE names."""
        if models is not None:
            return cls(models)
        return cls(bundle.absolute().parent if (bundle / MANIFEST).is_file() else bundle)

    def versions(self) -> list[Found]:
        """Every version, the newest first, damaged manifests last; reads files."""
        found = [self.look(path.parent) for path in self.root.glob(f"*/{MANIFEST}") if _is_version(path.parent.name)]
        whole = [one for one in found if one.manifest is not None]
        whole.sort(key=lambda one: (one.manifest is not None and one.manifest.created, one.version), reverse=True)
        return whole + sorted((one for one in found if one.manifest is None), key=lambda one: one.version)

    def find(self, version: str) -> Path:
        """The folder of a version.

        Raises:
            UnknownModelError: there is none.
        """
        folder = self.root / version
        if _is_version(version) and (folder / MANIFEST).is_file():
            return folder
        raise UnknownModelError(version, [one.version for one in self.versions()])

    def look(self, folder: Path) -> Found:
        """What a folder of a version holds by now."""
        try:
            manifest = read_manifest(folder)
        except (BundleError, OSError) as error:
            return Found(folder.name, None, str(error) if isinstance(error, BundleError) else "cannot be read")
        if manifest.version != folder.name:
            return Found(folder.name, None, f"{MANIFEST}: version is {manifest.version!r}")
        return Found(folder.name, manifest, None)


@dataclass(frozen=True, slots=True)
class Glance:
    """Facts that a start reads from the database before it opens it to serve."""

    has_keys: bool
    active: StoredModel | None


def glance(url: str) -> Glance | None:
    """Look into the database; None if it has the schema of another version.

    Raises:
        StoreStartError: this is not a URL of a database.
        StoreUnavailableError: the database cannot be reached: nothing is worth loading.
    """
    database = Database(url)
    try:
        if database.path is not None and not database.path.is_file():
            return Glance(False, None)
        check_schema(database)
        with database.reading() as connection:
            known, keys = list_models(connection), list_keys(connection)
        return Glance(bool(keys), arms_of(known).active)
    except StoreStartError:
        return None
    finally:
        database.close()


def folder_to_serve(settings: Settings, active: StoredModel | None, log: FilteringBoundLogger) -> Path:
    """The folder to serve: the version activated last if it is still there, else the one EVENHAND_BUNDLE names."""
    if active is None:
        return settings.bundle
    models = ModelsFolder.of(settings.bundle, settings.models)
    found = next((one for one in models.versions() if _is_same(one, active)), None)
    if found is not None:
        return models.root / found.version
    log.warning("the model activated last is not in the models folder", bundle=f"{active.name}/{active.version}")
    return settings.bundle


def _is_same(found: Found, active: StoredModel) -> bool:
    manifest = found.manifest
    return manifest is not None and (manifest.name, manifest.version, manifest.content_hash) == (
        active.name,
        active.version,
        active.content_hash,
    )


def _is_version(name: str) -> bool:
    return _VERSION.fullmatch(name) is not None
