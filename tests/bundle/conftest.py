"""Ways to damage a bundle behind its hashes: change a file, then seal the manifest again as a forger would."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from safetensors.numpy import load_file, save_file

from bundle.layout import ITEM_COLUMNS, ITEM_COLUMNS_BEFORE_6, USER_COLUMNS
from bundle.manifest import content_hash, manifest_hash


class Forger:
    """Changes a written bundle and makes every hash fit again, so that the checks behind the hashes must refuse."""

    def manifest(self, folder: Path) -> dict[str, Any]:
        return json.loads((folder / "manifest.json").read_text())  # type: ignore[no-any-return]

    def edit(self, folder: Path, change: Callable[[dict[str, Any]], object]) -> None:
        """Change the manifest; its hashes fit."""
        manifest = self.manifest(folder)
        change(manifest)
        self.seal(folder, manifest)

    def seal(self, folder: Path, manifest: dict[str, Any]) -> None:
        """Sizes and hashes of the files as they are now, then the manifest's own."""
        for name, spec in manifest["files"].items():
            if (folder / name).is_file():
                raw = (folder / name).read_bytes()
                spec |= {"sha256": hashlib.sha256(raw).hexdigest(), "bytes": len(raw)}
        manifest["content_hash"] = content_hash({name: spec["sha256"] for name, spec in manifest["files"].items()})
        manifest["manifest_hash"] = manifest_hash(manifest)
        (folder / "manifest.json").write_text(json.dumps(manifest))

    def reseal(self, folder: Path) -> None:
        self.edit(folder, lambda manifest: None)

    def array(self, folder: Path, file: str, name: str, change: Callable[[np.ndarray], np.ndarray]) -> None:
        """Replace one array, and tell the manifest its new shape and dtype."""
        arrays = load_file(folder / file)
        arrays[name] = np.ascontiguousarray(change(arrays[name].copy()))
        save_file(arrays, folder / file)
        spec = {"shape": list(arrays[name].shape), "dtype": str(arrays[name].dtype)}
        self.edit(folder, lambda manifest: manifest["files"][file]["arrays"].update({name: spec}))

    def items(self, folder: Path, **columns: Any) -> None:
        """Replace columns of items.parquet."""
        table = pq.read_table(folder / "items.parquet")
        self.table(folder, "items.parquet", pa.table(table.to_pydict() | columns, schema=ITEM_COLUMNS))

    def as_of(self, folder: Path, schema: int) -> None:
        """Turn a bundle into one of an older schema, as far as its files go."""
        if schema < 6:
            table = pq.read_table(folder / "items.parquet")
            self.table(folder, "items.parquet", table.select(ITEM_COLUMNS_BEFORE_6.names))
        self.edit(folder, lambda manifest: manifest.update(schema_version=schema))

    def users(self, folder: Path, ids: list[str | None]) -> None:
        """Replace the ids of users.parquet."""
        self.table(folder, "users.parquet", pa.table({"id": ids}, schema=USER_COLUMNS))

    def table(self, folder: Path, file: str, table: pa.Table) -> None:
        pq.write_table(table, folder / file)
        self.edit(folder, lambda manifest: manifest["files"][file].update(rows=table.num_rows))


@pytest.fixture(scope="session")
def forger() -> Forger:
    return Forger()
