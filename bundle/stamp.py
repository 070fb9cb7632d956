"""The stamp beside a bundle: these very files passed every check before.

Where it cannot be written (a read-only volume, say), each start verifies again.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
from pathlib import Path

from bundle.layout import MANIFEST
from bundle.manifest import Manifest


def is_stamped(folder: Path, manifest: Manifest) -> bool:
    """Whether the stamp fits the files as they are now: manifest hash, sizes, modification times."""
    try:
        return bool(json.loads(_path(folder).read_text()) == _state(folder, manifest))
    except (OSError, ValueError):
        return False


def stamp(folder: Path, manifest: Manifest) -> None:
    """Note that the files passed; quietly does nothing where the place is read-only."""
    with contextlib.suppress(OSError):
        _path(folder).write_text(json.dumps(_state(folder, manifest)))


def _path(folder: Path) -> Path:
    return folder.resolve().parent / f".{folder.resolve().name}.verified.json"


def _state(folder: Path, manifest: Manifest) -> dict[str, object]:
    stats = {name: (folder / name).stat() for name in sorted(manifest.files)}
    return {
        "manifest": hashlib.sha256((folder / MANIFEST).read_bytes()).hexdigest(),
        "files": {name: [stat.st_size, stat.st_mtime_ns] for name, stat in stats.items()},
    }
