"""What a configuration may say about item features."""

from __future__ import annotations

import re
from typing import Annotated, Literal, Self

from pydantic import AfterValidator, Field, model_validator

from bundle import limits
from training.data.frozen import Frozen

_NAME = re.compile(limits.ATTRIBUTE_NAME)


class ModalityConfig(Frozen):
    """One modality: vectors in a file, or a column of text of the items that is encoded."""

    file: str | None = None
    """Vectors, .parquet, .npy or .safetensors. Absent: features.NAME.parquet, or features.NAME.npy with the ids of
    its rows in features.NAME.txt."""

    ids: str | None = None
    """Text file beside .npy and .safetensors: one id a line, in the order of the rows. Absent: the file's name
    with .txt at its end."""

    item: str = "item"
    """Parquet: the column of ids; all others are numbers, or one is lists of them."""

    text: str | None = None
    """In place of a file: a column of the items table. MovieLens has `title` and `groups`, and by `extras` `plot`."""

    encoder: Literal["tfidf", "minilm"] = "tfidf"
    """How text becomes a vector: term weights (TF-IDF), or the sentence encoder all-MiniLM-L6-v2 (extra `sentences`);
    cut to `dimensions` by a truncated SVD, at unit length."""

    dimensions: int = Field(default=64, ge=1, le=4096)
    """Of encoded text; fewer where there are fewer terms or items, and at most 384 by the sentence encoder."""

    @model_validator(mode="after")
    def _file_or_text(self) -> Self:
        said = self.model_dump(exclude_defaults=True).keys()
        if self.text is not None and (of_files := sorted(said & {"file", "ids", "item"})):
            raise ValueError(f"text and {', '.join(of_files)} do not go together; allowed: a column, or a file")
        if self.text is None and (of_text := sorted(said & {"encoder", "dimensions"})):
            raise ValueError(f"{', '.join(of_text)} without text; allowed: with `text` alone")
        return self


def _modality_name(name: str) -> str:
    if _NAME.fullmatch(name) is None:
        raise ValueError(f"{name!r} cannot name a modality; allowed: {limits.NAME_ALLOWED}")
    return name


ModalityName = Annotated[str, AfterValidator(_modality_name)]
Modalities = dict[ModalityName, ModalityConfig]
