"""The files that the pages load: a closed table, read once. No other file is served."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from hashlib import sha256
from importlib.resources import files

MEDIA_TYPES = {
    ".css": "text/css; charset=utf-8",
    ".js": "text/javascript; charset=utf-8",
    ".svg": "image/svg+xml",
}
CHARTS = "chart.js"
"""Chart.js, from the installed package chartkick; the drawings are ours, the library is not."""
_IMPORT = re.compile(r'from "\./([a-z]+\.js)"')
_ADDRESS = re.compile(rb'"\./([a-z]+\.js)"')


@dataclass(frozen=True, slots=True)
class Asset:
    """One file."""

    content: bytes
    media_type: str
    etag: str


@cache
def assets() -> Mapping[str, Asset]:
    """Every file by its name. A module imports another under its versioned address, so that all of them may be kept."""
    mark = version().encode()
    found = {}
    for name, content in _contents().items():
        if name.endswith(".js") and name != CHARTS:
            content = _ADDRESS.sub(rb'"./\1?v=' + mark + rb'"', content)
        etag = f'"{sha256(content).hexdigest()[:20]}"'
        found[name] = Asset(content, MEDIA_TYPES[name[name.rindex(".") :]], etag)
    return found


@cache
def version() -> str:
    """A hash of all contents, part of every address: another content is another address."""
    total = sha256()
    for name, content in sorted(_contents().items()):
        total.update(f"{name}\0{len(content)}\0".encode() + content)
    return total.hexdigest()[:12]


def imports_of(module: str) -> list[str]:
    """A module and all that it imports, so that a browser can fetch them at once and not one after the other."""
    found = [module]
    for name in found:  # grows as it is walked
        imported = _IMPORT.findall(_contents()[name].decode())
        found += [other for other in dict.fromkeys(imported) if other not in found]
    return found


@cache
def _contents() -> Mapping[str, bytes]:
    """Name → bytes as they are installed."""
    static = files("service.ui").joinpath("static")
    ours = {file.name: file.read_bytes() for file in static.iterdir() if file.name.endswith(tuple(MEDIA_TYPES))}
    bundled = files("chartkick").joinpath("django", "static", "chartkick", "Chart.bundle.js")
    return {**ours, CHARTS: bundled.read_bytes()}
