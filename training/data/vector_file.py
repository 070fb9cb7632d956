"""Vectors that another library trained: Parquet, .npy or safetensors beside a file of ids, or word2vec text."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict
from safetensors import SafetensorError
from safetensors.numpy import load_file

from training.data.columns import id_column
from training.data.csv_form import CsvForm
from training.data.files import open_table
from training.data.raw import Table, Vectors, require_column
from training.errors import DataError


class VectorTable(BaseModel):
    """Where one table of vectors is; its suffix says what it is."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    file: str
    """.parquet; .npy or .safetensors, with `ids`; any other suffix is word2vec text."""

    ids: str | None = None
    """Text file beside .npy and .safetensors: one id a line, in the order of the rows."""

    id: str = "id"
    """Parquet: the column of ids; all others are vectors, but for `biases`."""

    tensor: str | None = None
    """safetensors: which tensor. Absent: the only one."""

    biases: str | None = None
    """Parquet: a column; else a .npy file. One number for each id, added to its scores."""


FINITE = "finite numbers, within float32"


def read_vectors(folder: Path, config: VectorTable) -> Vectors:
    """Read one table.

    Raises:
        DataError: a file is missing or not what its name says, ids repeat or are not as many as vectors, or a number
            is missing or not finite; names the file and the row.
    """
    path = folder / config.file
    if not path.is_file():
        raise DataError(config.file, "is not there", allowed=f"a file in {folder.resolve().name}")
    if path.suffix == ".parquet":
        ids, values, biases = _parquet(path, config)
    elif path.suffix in (".npy", ".safetensors"):
        ids, values, biases = _arrays(path, config)
    else:
        ids, values, biases = _word2vec(path)
    if not values.shape[1]:
        raise DataError(path.name, "dimensions", value=0, allowed="1 or more")
    if config.biases is not None and path.suffix != ".parquet":
        biases = matrix(folder / config.biases, None, 1)
    file = Table(path.name, pl.DataFrame({"id": ids}))
    file.refuse(~ids.is_first_distinct(), "id", "stands in an earlier row too", allowed="one row for each id")
    if biases is not None and len(biases) != len(ids):
        raise DataError(config.biases or path.name, "biases", value=len(biases), allowed=f"{len(ids)}, one for each id")
    return Vectors(path.name, ids, finite(path.name, values), None if biases is None else finite(path.name, biases))


def _parquet(path: Path, config: VectorTable) -> tuple[pl.Series, NDArray[Any], NDArray[Any] | None]:
    """An id column and one column of lists, or one column of numbers for each dimension."""
    file = open_table(path, CsvForm())
    table = file.whole(file.columns)
    ids = id_column(table, config.id)
    biases = None
    if config.biases is not None:
        require_column(path.name, config.biases, table.frame.columns)
        biases = _numbers(table, [config.biases])[:, 0]
    names = [name for name in table.frame.columns if name not in (config.id, config.biases)]
    if not names:
        raise DataError(path.name, "has no vectors", allowed="a column of lists, or a column for each dimension")
    first = table.frame[names[0]]
    if not isinstance(first.dtype, pl.List | pl.Array):
        return ids, _numbers(table, names), biases
    if len(names) > 1:
        raise DataError(path.name, "has columns beside the lists", value=names[1], allowed="one column of lists")
    lists = first.cast(pl.List(first.dtype.inner))
    lengths = lists.list.len()
    width = int(lengths[0] or 0)
    problem = "is no vector of the same length as the first"
    table.refuse(lengths.fill_null(0) != width, names[0], problem, allowed=f"{width} numbers", values=lengths)
    inner = Table(path.name, lists.explode().to_frame(names[0]))
    flat = _numbers(inner, [names[0]])
    return ids, flat.reshape(len(ids), width), biases


def _numbers(table: Table, names: list[str]) -> NDArray[np.float64]:
    for name in names:
        if not table.frame[name].dtype.is_numeric():
            raise DataError(table.file, f"is {table.frame[name].dtype}", column=name, allowed="numbers")
    columns = [table.frame[name].cast(pl.Float64).fill_null(float("nan")).to_numpy() for name in names]
    return np.stack(columns, axis=1)


def _arrays(path: Path, config: VectorTable) -> tuple[pl.Series, NDArray[Any], NDArray[Any] | None]:
    """A matrix, and its ids in a text file: one a line, in the order of the rows."""
    if config.ids is None:
        raise DataError(path.name, "says nothing of ids", allowed="base.…ids = a text file, one id a line")
    values = matrix(path, config.tensor, 2)
    lines = _lines(path.parent / config.ids)
    if len(lines) != len(values):
        raise DataError(config.ids, "ids", value=len(lines), allowed=f"{len(values)}, one for each row of {path.name}")
    return id_column(Table(config.ids, pl.DataFrame({"id": lines}), "line"), "id"), values, None


def matrix(path: Path, tensor: str | None, dimensions: int) -> NDArray[Any]:
    """Read an array of so many dimensions from .npy or .safetensors.

    Raises:
        DataError: the file is missing, or holds something else.
    """
    try:
        array = _only(path, load_file(path), tensor) if path.suffix == ".safetensors" else np.load(path)
    except (OSError, ValueError, EOFError, SafetensorError) as error:  # ValueError: a pickle, which is never run
        raise DataError(path.name, "is not readable", value=str(error)) from None
    if not isinstance(array, np.ndarray) or array.dtype.kind not in "fiu" or array.ndim != dimensions:
        found = f"{array.dtype} {array.shape}" if isinstance(array, np.ndarray) else "several arrays"
        allowed = "a matrix of numbers" if dimensions == 2 else "one number for each id"
        raise DataError(path.name, "is what it holds", value=found, allowed=allowed)
    return array


def _only(path: Path, arrays: Mapping[str, NDArray[Any]], tensor: str | None) -> NDArray[Any]:
    if tensor is None and len(arrays) == 1:
        return next(iter(arrays.values()))
    if tensor is None or tensor not in arrays:
        raise DataError(
            path.name, "names none of its tensors", value=tensor or "base.…tensor", allowed=", ".join(sorted(arrays))
        )
    return arrays[tensor]


def _word2vec(path: Path) -> tuple[pl.Series, NDArray[Any], None]:
    """A first line with the count and d, then on each line an id and d numbers, separated by single spaces."""
    lines = _lines(path)
    header = lines[0].split()
    if len(header) != 2 or not all(word.isdecimal() for word in header):
        raise DataError(path.name, "is no word2vec header", line=1, value=lines[0], allowed="COUNT DIMENSIONS")
    count, width = map(int, header)
    if not count:
        raise DataError(path.name, "has no vectors", line=1, value=lines[0], allowed="a count of 1 or more")
    if len(lines) - 1 != count:
        raise DataError(path.name, "vectors", value=len(lines) - 1, allowed=f"{count}, as line 1 says")
    table = Table(path.name, pl.DataFrame({"line": lines[1:]}), "line", before=1)
    fields = table.frame["line"].str.strip_chars_end(" ").str.split(" ")
    lengths = fields.list.len()
    table.refuse(lengths != width + 1, "line", "does not have an id and its numbers", allowed=f"1 + {width} fields")
    numbers = fields.list.slice(1).list.eval(pl.element().cast(pl.Float64, strict=False))
    wrong = numbers.list.eval(pl.element().is_null() | ~pl.element().is_finite()).list.any()
    table.refuse(wrong, "line", "has a field that is no finite number", allowed=FINITE)
    ids = id_column(Table(path.name, fields.list.first().to_frame("id"), "line", before=1), "id")
    return ids, numbers.explode().to_numpy().reshape(count, width), None


def _lines(path: Path) -> list[str]:
    try:
        lines = path.read_text(encoding="utf-8").removesuffix("\n").split("\n")
    except OSError as error:
        raise DataError(path.name, "cannot be read", value=error.strerror) from None
    except UnicodeDecodeError as error:
        raise DataError(path.name, "cannot be read as UTF-8 text", value=str(error)) from None
    return [line.removesuffix("\r") for line in lines]


def finite(file: str, values: NDArray[Any]) -> NDArray[np.float32]:
    """Turn numbers (n, …) into float32.

    Raises:
        DataError: one is not finite, or beyond float32; names the row.
    """
    with np.errstate(over="ignore"):
        single = values.astype(np.float32)
    wrong = ~np.isfinite(single)
    if wrong.any():
        row = int(np.flatnonzero(wrong.reshape(len(wrong), -1).any(1))[0])
        value = float(np.asarray(values[row]).reshape(-1)[np.atleast_1d(wrong[row])][0])
        problem = "is beyond float32" if np.isfinite(value) else "is not a finite number"
        raise DataError(file, problem, row=row + 1, value=value, allowed=FINITE)
    return np.ascontiguousarray(single)
