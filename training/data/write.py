"""Write three tables that the tables reader reads back to the same dataset."""

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Literal

import polars as pl
from pyarrow import parquet
from tqdm import tqdm

from training.data.dataset import Dataset
from training.data.raw import RawTables
from training.errors import ConfigError

TableFormat = Literal["csv", "parquet"]


def write_tables(raw: RawTables, folder: Path, table_format: TableFormat = "csv") -> tuple[Path, ...]:
    """Write interactions, users and items under the names `auto` looks for; return their paths.

    Interactions are written as they come, a batch at a time. A file has its name only when it is whole.

    Raises:
        ConfigError: one of the files exists.
    """
    groups = pl.col("groups")
    tables = {
        "interactions": (batch.frame for batch in raw.interactions.batches()),
        "users": iter([raw.users.frame]),
        "items": iter([raw.items.frame.with_columns(groups.list.join("|") if table_format == "csv" else groups)]),
    }
    paths = {stem: folder / f"{stem}.{table_format}" for stem in tables}
    for path in paths.values():
        if path.exists():
            raise ConfigError("out", "exists already; nothing was written", value=path.name)
    folder.mkdir(parents=True, exist_ok=True)
    for stem, frames in tables.items():
        with _unfinished(paths[stem]) as draft, tqdm(desc=stem, unit="row", unit_scale=True, disable=None) as bar:
            (_write_csv if table_format == "csv" else _write_parquet)(_counted(frames, bar), draft)
    return tuple(paths.values())


def write_features(dataset: Dataset, folder: Path) -> dict[str, dict[str, str]]:
    """Write the features of all items, cold ones too, as vectors; return what a configuration says to read them.

    Raises:
        ConfigError: one of the files exists.
    """
    ids = pl.Series("item", [*dataset.items, *dataset.cold.ids], dtype=pl.String)
    files = {each.name: f"features.{each.name}.parquet" for each in dataset.modalities}
    for name in files.values():
        if (folder / name).exists():
            raise ConfigError("out", "exists already; nothing was written", value=name)
    folder.mkdir(parents=True, exist_ok=True)
    for each in dataset.modalities:
        vectors = pl.Series("vector", each.values[each.present], dtype=pl.Array(pl.Float32, each.values.shape[1]))
        with _unfinished(folder / files[each.name]) as draft:
            pl.DataFrame([ids.filter(pl.Series(each.present)), vectors]).write_parquet(draft)
    return {name: {"file": file} for name, file in files.items()}


def _write_csv(frames: Iterable[pl.DataFrame], path: Path) -> None:
    with path.open("wb") as file:
        for number, frame in enumerate(frames):
            frame.write_csv(file, include_header=not number)


def _write_parquet(frames: Iterator[pl.DataFrame], path: Path) -> None:
    first = next(frames).to_arrow()
    with parquet.ParquetWriter(path, first.schema, compression="zstd") as writer:
        writer.write_table(first)
        for frame in frames:
            writer.write_table(frame.to_arrow())


def _counted(frames: Iterable[pl.DataFrame], bar: "tqdm[None]") -> Iterator[pl.DataFrame]:
    for frame in frames:
        yield frame
        bar.update(frame.height)


@contextmanager
def _unfinished(path: Path) -> Iterator[Path]:
    """Give another name to write under; rename it when all is well, else delete it."""
    draft = path.with_name(f".{path.name}.unfinished")
    try:
        yield draft
        draft.rename(path)
    finally:
        draft.unlink(missing_ok=True)
