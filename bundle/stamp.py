"""The stamp beside a bundle: these very files passed every check before.

Where it cannot be written (a read-only volume, say), each start verifies again.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
from collections.abc import Iterable, Mapping
from pathlib import Path

from bundle.manifest import Manifest

State = Mapping[str, object]


def state_of(folder: Path, manifest: Manifest, names: Iterable[str]) -> State:
    """The content of a stamp. It is taken before the files are read, so a file changed meanwhile does not match."""
    stats = {name: (folder / name).stat() for name in names}
    return {
        "manifest": hashlib.sha256(manifest.model_dump_json().encode()).hexdigest(),
        "files": {name: [stat.st_size, stat.st_mtime_ns] for name, stat in stats.items()},
    }


def is_stamped(folder: Path, state: State) -> bool:
    """Whether the stamp notes just this: manifest, sizes, modification times."""
    try:
        return bool(json.loads(_path(folder).read_text()) == state)
    except (OSError, ValueError, RecursionError):
        return False


def stamp(folder: Path, state: State) -> None:
    """Note that the files passed; quietly does nothing where the place is read-only."""
    with contextlib.suppress(OSError):
        _path(folder).write_text(json.dumps(state))


def _path(folder: Path) -> Path:
    return folder.resolve().parent / f".{folder.resolve().name}.verified.json"
