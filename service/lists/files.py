"""The file that lists go to: Parquet or NDJSON, by its ending. It appears whole or not at all.

A row has the user, the attributes that its list protects, the items, best first, and ``popular`` as its fallback where
it is not a personal list. No scores: 65 of them reconstruct a fair vector.
"""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple, Protocol

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray

from service.errors import StartError

SCHEMA = pa.schema(
    [
        pa.field("user", pa.string(), nullable=False),
        pa.field("applied", pa.list_(pa.string()), nullable=False),
        pa.field("items", pa.list_(pa.string()), nullable=False),
        pa.field("fallback", pa.string()),
    ]
)


class Rows(NamedTuple):
    """Some lists, in the order of the file."""

    users: Sequence[str]
    applied: Sequence[tuple[str, ...]]
    items: Sequence[NDArray[np.int32]]
    """For each the item rows, best first."""
    fallbacks: Sequence[str | None]


class ListsFile(Protocol):
    """Takes lists and writes them."""

    def write(self, rows: Rows) -> None:
        """Append lists."""
        ...

    def close(self) -> None:
        """Write what is left."""
        ...


class ParquetLists:
    """One row group for each call; the bundle is in the file's metadata."""

    def __init__(self, path: Path, item_ids: Any, bundle: Mapping[str, str]) -> None:
        self._ids = item_ids
        schema = SCHEMA.with_metadata({f"evenhand.{name}": value for name, value in bundle.items()})
        self._writer = pq.ParquetWriter(path, schema)

    def write(self, rows: Rows) -> None:
        """Append lists."""
        applied, users = pa.array(rows.applied, SCHEMA.field("applied").type), pa.array(rows.users, pa.string())
        columns = [users, applied, _item_lists(rows, self._ids), pa.array(rows.fallbacks, pa.string())]
        self._writer.write_table(pa.Table.from_arrays(columns, schema=self._writer.schema))

    def close(self) -> None:
        """Write the file's end."""
        self._writer.close()


class NdjsonLists:
    """One JSON object a line."""

    def __init__(self, path: Path, item_ids: Any, _: Mapping[str, str]) -> None:
        self._ids = item_ids
        self._file = path.open("w", encoding="utf-8")

    def write(self, rows: Rows) -> None:
        """Append lists."""
        columns = (rows.users, rows.applied, _item_lists(rows, self._ids).to_pylist(), rows.fallbacks)
        for user, applied, items, fallback in zip(*columns, strict=True):
            row = {"user": user, "applied": applied, "items": items, "fallback": fallback}
            self._file.write(json.dumps(row, ensure_ascii=False, separators=(",", ":")) + "\n")

    def close(self) -> None:
        """Write what is buffered."""
        self._file.close()


FORMATS: Mapping[str, Callable[[Path, Any, Mapping[str, str]], ListsFile]] = {
    ".parquet": ParquetLists,
    ".ndjson": NdjsonLists,
    ".jsonl": NdjsonLists,
}


def check_name(out: Path) -> None:
    """Pass only where a file of that name can be written in a known format.

    Raises:
        StartError: says what is wrong with it.
    """
    if out.suffix not in FORMATS:
        raise StartError(f"--out is {out}: its name must end in one of {', '.join(FORMATS)}")
    if out.is_dir():
        raise StartError(f"--out is {out}, which is a folder")
    if not out.absolute().parent.is_dir():
        raise StartError(f"--out is {out}: there is no folder {out.absolute().parent}")


@contextmanager
def whole_file(out: Path, item_ids: Any, bundle: Mapping[str, str]) -> Iterator[ListsFile]:
    """The file while it is written; it gets its name, over an older one, once all is on the disk.

    Args:
        out: its path.
        item_ids: Arrow array of the catalogue's ids.
        bundle: facts of the bundle, for formats that can hold them.
    """
    draft = out.with_name(f".{out.name}.draft")
    file = FORMATS[out.suffix](draft, item_ids, bundle)
    try:
        yield file
    except BaseException:
        file.close()
        draft.unlink(missing_ok=True)
        raise
    file.close()
    put_in_place(draft, out)


def put_in_place(draft: Path, path: Path) -> None:
    """Give a file its name once its bytes would survive a loss of power."""
    for step in (draft, path.absolute().parent):
        opened = os.open(step, os.O_RDONLY)
        try:
            os.fsync(opened)
        finally:
            os.close(opened)
        if step is draft:
            draft.replace(path)


def _item_lists(rows: Rows, item_ids: Any) -> Any:
    ends = np.cumsum([0, *map(len, rows.items)], dtype=np.int32)
    all_rows = np.concatenate([np.zeros(0, np.int32), *rows.items])
    return pa.ListArray.from_arrays(pa.array(ends), item_ids.take(pa.array(all_rows)))
