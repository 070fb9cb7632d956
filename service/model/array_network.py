"""The bundle's network over NumPy's arrays: its one definition, traced once and run call by call.

A small network over a dozen rows is some forty calls, of which torch takes 4 µs each, whatever is in them, and NumPy 1.
Nothing is defined twice: `torch.fx` notes what `combine` calls, and each call is replaced by NumPy's for the same. A
network whose calls depend on values, or that calls what is not listed here, is run by torch. Tracing takes as long as
some hundred requests, so a network that differs from an earlier one by its weights alone, as a version trained anew
mostly does, is not traced again.

Letters: B batch, d dimensions, P parts, M attributes.
"""

from __future__ import annotations

import operator
from collections.abc import Callable, Hashable, Mapping, Sequence
from functools import partial
from types import SimpleNamespace
from typing import Any, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import fx, nn

from bundle import FairEncoder
from service.model.gpu_encoder import combined

LARGE = 2**16
"""Entries of a matrix from which on torch multiplies by it: 150 µs in place of 210 for three of AFRL's and 12 rows."""

REMEMBERED = 16
"""Structures whose calls are kept."""

Array = NDArray[Any]
Combine = Callable[[Array, Array], Array]
"""(B, P, d) float64 and (B, M) → (B, d)."""


class UnlistedError(Exception):
    """The network calls something for which nothing is listed here."""


def array_network(network: FairEncoder, *, unit_length: bool) -> Combine:
    """What `combined` computes on the CPU, by NumPy where that is possible."""
    whole = _Whole(network, unit_length)
    try:
        return _over_arrays(whole)
    except (fx.proxy.TraceError, RuntimeError, UnlistedError):  # a RuntimeError: of a tensor's `len`, say
        return whole.by_torch


class _Whole(nn.Module):
    """`combined` as one module."""

    def __init__(self, network: FairEncoder, unit_length: bool) -> None:
        super().__init__()
        self.network, self._unit_length = network, unit_length
        self.structure = None if network.structure is None else (network.structure, unit_length)
        """As `FairEncoder.structure`."""

    @property
    def state_names(self) -> set[str]:
        """Where its weights and other tensors are."""
        return {name for name, _ in (*self.named_parameters(), *self.named_buffers())}

    def forward(self, parts: torch.Tensor, mask: torch.Tensor) -> torch.Tensor:
        return combined(self.network, self._unit_length, parts, mask)

    def by_torch(self, parts: Array, masks: Array) -> Array:
        with torch.inference_mode():
            return self(torch.from_numpy(parts), torch.from_numpy(masks)).numpy()  # type: ignore[no-any-return]


class _Tracer(fx.Tracer):
    """Looks into every module."""

    def is_leaf_module(self, m: nn.Module, module_qualified_name: str) -> bool:
        return False


class _Traced(NamedTuple):
    """The calls of a network, with arrays of any weights."""

    forward: Callable[[SimpleNamespace, Array, Array], Array]
    """What it calls; its first argument has the arrays."""
    arrays: Mapping[str, str]
    """Their names there → where a `_Whole` has them."""


_TRACED: dict[Hashable, _Traced] = {}
"""By structure, the last `REMEMBERED` of them."""


def _over_arrays(whole: _Whole) -> Combine:
    traced = _TRACED.get(whole.structure)
    if traced is None:
        traced = _trace(whole)
        if whole.structure is not None and whole.state_names.issuperset(traced.arrays.values()):
            _TRACED[whole.structure] = traced
            for oldest in list(_TRACED)[:-REMEMBERED]:
                _TRACED.pop(oldest, None)
    arrays = {name: operator.attrgetter(path)(whole).detach().numpy() for name, path in traced.arrays.items()}
    return partial(traced.forward, SimpleNamespace(**arrays))


def _trace(whole: _Whole) -> _Traced:
    graph, arrays, holder = _Tracer().trace(whole), {}, nn.Module()
    for number, node in enumerate(graph.nodes):
        if node.op == "get_attr":
            name = f"array_{number}"
            arrays[name], node.target = node.target, name
            setattr(holder, name, None)
        elif node.op in ("call_function", "call_method"):
            node.op, node.target = "call_function", _of_numpy(node.target)
    return _Traced(type(fx.GraphModule(holder, graph)).forward, arrays)


def _of_numpy(called: Any) -> Callable[..., Any]:
    if called in CALLS:
        return CALLS[called]
    if callable(called) and called.__module__ in ("_operator", "builtins"):
        return called  # type: ignore[no-any-return]
    raise UnlistedError(called)


# As torch's functions and methods of these names.


def _matmul(x: Array, weight: Array) -> Array:
    if weight.size >= LARGE:
        return torch.mm(torch.from_numpy(x), torch.from_numpy(weight)).numpy()
    product: Array = x @ weight
    return product


def _addmm(bias: Array, x: Array, weight: Array) -> Array:
    product = _matmul(x, weight)
    product += bias
    return product


def _linear(x: Array, weight: Array, bias: Array | None = None) -> Array:
    return _matmul(x, weight.T) if bias is None else _addmm(bias, x, weight.T)


def _relu(x: Array, inplace: bool = False) -> Array:
    return np.maximum(x, 0)


def _cat(arrays: Sequence[Array], dim: int = 0) -> Array:
    return np.concatenate(arrays, dim)


def _pad(x: Array, widths: tuple[int, int], mode: str = "constant", value: float | None = None) -> Array:
    before, after = widths
    padded = np.full((*x.shape[:-1], before + x.shape[-1] + after), value or 0, x.dtype)
    padded[..., before : before + x.shape[-1]] = x
    return padded


def _vector_norm(x: Array, dim: int, keepdim: bool = False) -> Array:
    squares: Array = np.square(x).sum(dim, keepdims=keepdim)
    return np.sqrt(squares)


def _normalize(x: Array, p: float = 2.0, dim: int = 1, eps: float = 1e-12, out: None = None) -> Array:
    return x / np.maximum(_vector_norm(x, dim, keepdim=True), eps)


def _flatten(x: Array, start: int) -> Array:
    return x.reshape(*x.shape[:start], int(np.prod(x.shape[start:])))


def _sum(x: Array, dim: int, keepdim: bool = False) -> Any:
    return x.sum(dim, keepdims=keepdim)


def _amax(x: Array, dim: int, keepdim: bool = False) -> Any:
    return x.max(dim, keepdims=keepdim)


def _any(x: Array, dim: int, keepdim: bool = False) -> Any:
    return x.any(dim, keepdims=keepdim)


def _all(x: Array, dim: int, keepdim: bool = False) -> Any:
    return x.all(dim, keepdims=keepdim)


CALLS: Mapping[Any, Callable[..., Any]] = {
    torch.addmm: _addmm,
    torch.cat: _cat,
    torch.relu: _relu,
    torch.sin: np.sin,
    torch.where: np.where,
    torch.linalg.vector_norm: _vector_norm,
    nn.functional.linear: _linear,
    nn.functional.normalize: _normalize,
    nn.functional.pad: _pad,
    nn.functional.relu: _relu,
    "__and__": operator.and_,
    "add": np.add,
    "all": _all,
    "amax": _amax,
    "any": _any,
    "clamp_min": np.maximum,
    "div": np.divide,
    "flatten": _flatten,
    "matmul": _matmul,
    operator.matmul: _matmul,
    "mul": np.multiply,
    "reshape": lambda x, *shape: x.reshape(shape),
    "sub": np.subtract,
    "sum": _sum,
    "to": lambda x, dtype: x.astype(dtype),
    "view": lambda x, *shape: x.reshape(shape),
}
"""What torch is asked for → what NumPy is. A function, or the name of a method."""
