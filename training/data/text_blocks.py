"""Text files as blocks of UTF-8, whatever their encoding and compression."""

import codecs
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pyarrow as pa

from training.errors import DataError, shown

COMPRESSIONS = {".gz": "gzip", ".zst": "zstd"}
"""By the last part of a file's name."""


def unpacked_name(name: str) -> str:
    """A file's name in small letters, without .gz or .zst."""
    name = name.lower()
    for ending in COMPRESSIONS:
        name = name.removesuffix(ending)
    return name


def reads_as(path: Path, encoding: str, size: int) -> bool:
    """Tell whether all of a file is in an encoding; arguments as of `text_blocks`."""
    try:
        for _ in text_blocks(path, encoding, size):
            pass
    except DataError:
        return False
    return True


def text_blocks(path: Path, encoding: str, size: int) -> Iterator[bytes]:
    """Read a file from its first byte on.

    Args:
        path: the file; compressed where its name says so.
        encoding: how its characters are written.
        size: bytes read at a time.

    Returns:
        Blocks of UTF-8 without a byte order mark; a character may begin in one and end in the next.

    Raises:
        DataError: the file is missing, is not compressed as its name says, or is not in this encoding.
    """
    plain = codecs.lookup(encoding).name == "utf-8"
    decoder = codecs.getincrementaldecoder(encoding)()
    lines, begun = 0, False
    with _opened(path) as file:
        try:
            while block := file.read(size):
                text = decoder.decode(block)
                data = block if plain else text.encode()
                data = data if begun else data.removeprefix(codecs.BOM_UTF8)
                begun = begun or bool(text)
                lines += data.count(b"\n")
                yield data
            decoder.decode(b"", final=True)
        except UnicodeError as error:
            place, value = lines + 1, None
            if isinstance(error, UnicodeDecodeError):
                place += error.object.count(b"\n", 0, error.start)
                value = error.object[error.start : error.end]
            allowed = f"{encoding.upper()} text, or another `encoding` in the configuration"
            raise DataError(
                path.name, f"is not {encoding.upper()}", line=place, value=value, allowed=allowed
            ) from error


@contextmanager
def _opened(path: Path) -> Iterator[Any]:
    compression = COMPRESSIONS.get(path.suffix.lower())
    try:
        with path.open("rb") as file:
            if compression is None:
                yield file
            else:
                with pa.CompressedInputStream(file, compression) as stream:
                    yield stream
    except (OSError, pa.ArrowException) as error:
        if isinstance(error, OSError) and error.strerror:
            raise DataError(path.name, f"cannot be read: {error.strerror}") from error
        raise DataError(path.name, f"is not readable as {compression}: {shown(str(error))}") from error
