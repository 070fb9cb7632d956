"""Download a zip of data and unpack it, believing nothing that it says about itself."""

import hashlib
import stat
import tempfile
import urllib.error
import urllib.request
import zipfile
import zlib
from http.client import HTTPException, HTTPMessage
from pathlib import Path, PurePosixPath
from typing import IO, BinaryIO
from urllib.parse import urlsplit

from training.errors import FetchError

MIB = 2**20
MAX_FILES = 10_000
CHUNK_BYTES = MIB
TIMEOUT_S = 60.0
SCHEMES = ("http", "https")


def fetch(
    url: str,
    folder: Path,
    sha256: str | None = None,
    *,
    max_bytes: int = 2048 * MIB,
    max_unpacked_bytes: int = 16 * 1024 * MIB,
) -> Path:
    """Download a zip over http(s) and unpack it into a new folder.

    What the zip keeps under one common folder goes directly into `folder`.
    Nothing is left behind when this fails.

    Args:
        url: where the zip is.
        folder: the folder to make; must not exist.
        sha256: hex digest the zip must have; not checked where absent.
        max_bytes: most that is downloaded.
        max_unpacked_bytes: most that is unpacked.

    Returns:
        `folder`.

    Raises:
        FetchError: any of this did not go as it should.
    """
    scheme = url.partition(":")[0].lower()
    if scheme not in SCHEMES:
        raise FetchError(url, "cannot be fetched", value=scheme, allowed="http, https")
    if folder.exists():
        raise FetchError(url, "would be unpacked into a folder that exists", value=folder.name)
    try:
        folder.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(prefix=".fetch-", dir=folder.parent, ignore_cleanup_errors=True) as work:
            archive, unpacked = Path(work) / "archive.zip", Path(work) / "unpacked"
            _download(url, archive, sha256, max_bytes)
            unpacked.mkdir()
            _unpack(url, archive, unpacked, max_unpacked_bytes)
            _inner(unpacked).rename(folder)
    except OSError as error:
        raise FetchError(url, f"cannot be stored: {error.strerror}") from error
    return folder


class NoDowngrade(urllib.request.HTTPRedirectHandler):
    """Follow redirects, but not from https to something weaker."""

    def redirect_request(
        self, req: urllib.request.Request, fp: IO[bytes], code: int, msg: str, headers: HTTPMessage, newurl: str
    ) -> urllib.request.Request | None:
        """Return the next request; the base class has already refused all but http, https and ftp."""
        if req.type == "https" and urlsplit(newurl).scheme != "https":
            raise FetchError(req.full_url, "is where a redirect leads", value=newurl, allowed="no weaker protocol")
        return super().redirect_request(req, fp, code, msg, headers, newurl)


def _opener() -> urllib.request.OpenerDirector:
    """Open http and https only: the usual opener also knows ftp, file and data."""
    opener = urllib.request.OpenerDirector()
    for handler in (
        urllib.request.ProxyHandler(),
        urllib.request.HTTPHandler(),
        urllib.request.HTTPSHandler(),
        urllib.request.HTTPDefaultErrorHandler(),
        urllib.request.HTTPErrorProcessor(),
        NoDowngrade(),
    ):
        opener.add_handler(handler)
    return opener


def _download(url: str, archive: Path, sha256: str | None, max_bytes: int) -> None:
    digest, total = hashlib.sha256(), 0
    try:
        with _opener().open(url, timeout=TIMEOUT_S) as answer, archive.open("wb") as out:
            announced = answer.headers.get("Content-Length")
            while chunk := answer.read(CHUNK_BYTES):
                total += len(chunk)
                if total > max_bytes:
                    raise FetchError(url, "is too large", allowed=f"{max_bytes:,} bytes")
                digest.update(chunk)
                out.write(chunk)
    except urllib.error.HTTPError as error:
        error.close()
        raise FetchError(url, f"answered with status {error.code}") from error
    except urllib.error.URLError as error:
        raise FetchError(url, f"cannot be reached: {error.reason}") from error
    except (HTTPException, TimeoutError, ConnectionError, ValueError) as error:
        raise FetchError(url, f"broke off: {error or type(error).__name__}") from error
    if announced is not None and announced.isdigit() and int(announced) != total:
        raise FetchError(url, f"broke off after {total:,} bytes", allowed=f"{int(announced):,} bytes")
    if sha256 is not None and digest.hexdigest() != sha256.lower():
        raise FetchError(url, "is not the SHA-256 expected", value=digest.hexdigest(), allowed=sha256.lower())


def _unpack(url: str, archive: Path, folder: Path, max_unpacked_bytes: int) -> None:
    left = max_unpacked_bytes
    try:
        with zipfile.ZipFile(archive) as members:
            entries = members.infolist()
            if len(entries) > MAX_FILES:
                raise FetchError(url, f"holds {len(entries):,} files", allowed=f"{MAX_FILES:,}")
            for entry in entries:
                path = folder / _safe(url, entry)
                if entry.is_dir():
                    path.mkdir(parents=True, exist_ok=True)
                    continue
                path.parent.mkdir(parents=True, exist_ok=True)
                with members.open(entry) as packed, path.open("xb") as out:
                    left -= _copy(url, packed, out, left, max_unpacked_bytes)
    except (zipfile.BadZipFile, zlib.error, RuntimeError, EOFError, ValueError) as error:
        raise FetchError(url, f"is not a readable zip: {error}") from error
    except (FileExistsError, NotADirectoryError, IsADirectoryError) as error:
        raise FetchError(url, "names two entries the same", value=Path(str(error.filename)).name) from error


def _safe(url: str, entry: zipfile.ZipInfo) -> PurePosixPath:
    """Return the path of an entry, if it is a plain file or folder inside."""
    name = entry.filename
    path = PurePosixPath(name)
    strange = "\\" in name or ":" in name or not name.isprintable()
    if strange or path.is_absolute() or ".." in path.parts or not path.parts:
        raise FetchError(url, "names a path that leaves the folder", value=name, allowed="relative paths")
    kind = stat.S_IFMT(entry.external_attr >> 16)
    if kind not in (0, stat.S_IFREG, stat.S_IFDIR):
        raise FetchError(url, "is a link or a device", value=name, allowed="files and folders")
    if entry.flag_bits & 1 or entry.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
        raise FetchError(
            url, "is packed in a way not known here", value=name, allowed="stored or deflated, no password"
        )
    return path


def _copy(url: str, packed: IO[bytes], out: BinaryIO, left: int, limit: int) -> int:
    """Copy at most `left` bytes, whatever size the entry claims; return how many."""
    copied = 0
    while chunk := packed.read(CHUNK_BYTES):
        copied += len(chunk)
        if copied > left:
            raise FetchError(url, "unpacks to too much", allowed=f"{limit:,} bytes")
        out.write(chunk)
    return copied


def _inner(folder: Path) -> Path:
    """Descend into a folder that is alone."""
    entries = list(folder.iterdir())
    return entries[0] if len(entries) == 1 and entries[0].is_dir() else folder
