"""Arrays as views of a file's pages: read when they are touched, shared by all processes that serve the file.

A version is never changed, so what was checked stays what is served. Its folder may be deleted meanwhile: the pages
live until the last view is gone.
"""

from __future__ import annotations

import mmap
from collections.abc import Mapping
from typing import Any, BinaryIO

import numpy as np
import torch
from numpy.typing import NDArray

from bundle.manifest import ArraySpec


def map_arrays(
    file: BinaryIO, data: int, places: Mapping[str, tuple[int, int]], specs: Mapping[str, ArraySpec]
) -> dict[str, NDArray[Any]]:
    """Read-only views of the arrays of an open safetensors file; little-endian, row-major.

    Args:
        file: it; may be closed afterwards.
        data: byte of the file at which the data begin.
        places: array → its first byte and the one behind its last, counted from there.
        specs: array → shape and dtype.

    Returns:
        A view for each; a copy where the writer did not align an array to its items, which numbers must be.

    Raises:
        ValueError: an array is not where its place says.
    """
    pages = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)
    arrays = {}
    for name, spec in specs.items():
        start, end = places[name]
        dtype = np.dtype(spec.dtype).newbyteorder("<")
        if end - start != dtype.itemsize * int(np.prod(spec.shape, dtype=object)) or not 0 <= data + end <= len(pages):
            raise ValueError(f"{name} is not at bytes {start} to {end}")
        view: NDArray[Any] = np.ndarray(tuple(spec.shape), dtype, buffer=pages, offset=data + start)
        arrays[name] = view if view.flags.aligned else view.copy()
        arrays[name].setflags(write=False)
    return arrays


def let_go(array: NDArray[Any]) -> None:
    """Drop the pages of a mapped array from memory; they are read from the file again when they are used."""
    if isinstance(array.base, mmap.mmap) and hasattr(mmap, "MADV_DONTNEED"):
        array.base.madvise(mmap.MADV_DONTNEED)


def tensor_over(array: NDArray[Any]) -> torch.Tensor:
    """A tensor over an array's own memory, read-only or not. Nobody may write to it: mapped pages end the process."""
    return torch.from_numpy(np.asarray(_Claimed(array)))


class _Claimed:
    """An array that claims to be writable: torch knows no tensors that are not, and warns of each."""

    def __init__(self, array: NDArray[Any]) -> None:
        self._array = array
        interface = array.__array_interface__
        self.__array_interface__ = {**interface, "data": (interface["data"][0], False)}
