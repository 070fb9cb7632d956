"""Plots and audio of MovieLens-1M's films, as two other projects published them beside the set.

Plots: `movies_extrainfos.dat` of MeLU (Lee et al., KDD 2019). Audio: `neo-mmlgcn/audio_items.npy`, with
`item_map.tsv`, which says whose row it is. Pictures are not to be had.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import replace
from pathlib import Path

import polars as pl

from training.data.columns import id_column, prose_column
from training.data.lines import read_lines
from training.data.raw import RawTables, Table, Vectors
from training.data.vector_file import finite, matrix
from training.errors import DataError

PLOT, AUDIO = "plot", "audio"
PLOTS = "movies_extrainfos.dat"
FIELDS = (
    "item", "title", "year", "rated", "released", "genres", "director", "writer", "actors", "plot", "poster",
)  # fmt: skip
SOUNDS, ROWS = Path("neo-mmlgcn", "audio_items.npy"), Path("neo-mmlgcn", "item_map.tsv")


def with_extras(raw: RawTables, folder: Path, missing: Collection[str]) -> RawTables:
    """Add the text `plot` and the modality `audio`.

    Args:
        raw: MovieLens-1M.
        folder: of the extras.
        missing: words that say that a film has no plot.

    Raises:
        DataError: the folder or a file is missing or malformed.
    """
    if not folder.is_dir():
        raise DataError(folder.name, "is not a folder (data.extras)")
    return replace(raw, texts={**raw.texts, PLOT: _plots(folder, missing)}, vectors={AUDIO: _audio(folder)})


def _plots(folder: Path, missing: Collection[str]) -> Table:
    films = read_lines(folder / PLOTS, "::", FIELDS)
    columns = [id_column(films, "item"), prose_column(films, "plot", missing).alias("text")]
    return Table(films.file, pl.DataFrame(columns), films.unit)


def _audio(folder: Path) -> Vectors:
    values = matrix(folder / SOUNDS, None, 2)
    named = read_lines(folder / ROWS, "\t", ("row", "item"))
    head, rows = named.frame.row(0), Table(named.file, named.frame[1:], "line", before=1)
    if head != ("row", "movie_id"):
        raise DataError(named.file, "is no header", line=1, value="\t".join(head), allowed="row, movie_id")
    if len(values) != rows.frame.height:
        raise DataError(named.file, "rows", value=rows.frame.height, allowed=f"{len(values)}, as in {SOUNDS.name}")
    expected = pl.Series([str(row) for row in range(len(values))], dtype=pl.String)
    rows.refuse(rows.frame["row"] != expected, "row", "is out of order", allowed="0, 1, 2 …")
    ids = id_column(rows, "item")
    rows.refuse(~ids.is_first_distinct(), "item", "stands in an earlier row too", allowed="one row for each film")
    return Vectors(SOUNDS.name, ids, finite(SOUNDS.name, values))
