"""A user vector from a history as a set: the last hidden state of an autoencoder over the items.

    a = Σ_{i in history} table_i        (multvae: divided by √n, so that the row of the history has length 1)
    autorec    u = sigmoid(a + b)
    multvae    u = tanh(W_2 (W_1 tanh(a + b) + b_1) + b_2), W_1 … the mean of z

A score is the inner product of u with the decoder's row of an item, which are the bundle's item vectors; the decoder's
biases are their entries in a constant dimension, where u has a 1.

Source: Liang et al., WWW 2018; Sedhain et al., WWW 2015.

Letters: B batch, I items, h width of the first layer, z of the code, d varying dimensions of u.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, ClassVar, Self

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from bundle.errors import DamagedError
from bundle.manifest import ArraySpec, Network
from bundle.mapped import tensor_over

FILE = "history.safetensors"
LARGEST = 1e6
"""Weights up to this size cannot overflow: what goes into a layer is bounded."""
_ROWS = 1024


class HistorySet(nn.Module, ABC):
    """What these kinds share; weights in float32 to train, in float64 to serve, but for the table, which is large."""

    readable: ClassVar[bool] = True
    layer_count: ClassVar[int]
    """Sizes of layers that the kind has, I and d among them."""
    other_sizes: ClassVar[tuple[str, ...]] = ()
    """Names of its sizes beside those."""
    tables: ClassVar[tuple[str, ...]] = ("table",)
    """Arrays with a row for every item: they stay as the file has them."""

    def __init__(self, network: Network) -> None:
        super().__init__()
        self._network, self.widths = network, self._widths(network)
        """I, h, …, d."""
        self.table = nn.Parameter(torch.empty(self.widths[0], self.widths[1]))
        """(I, h): an item's row is what it adds to the first layer."""
        self.bias = nn.Parameter(torch.empty(self.widths[1]))

    def read(self, rows: Tensor) -> Tensor:
        """(n,) item rows, each once → (h,) the sum of theirs in float64."""
        return self.table.index_select(0, rows).sum(0, dtype=torch.float64)

    @abstractmethod
    def users(self, sums: Tensor, counts: Tensor) -> Tensor:
        """(B, h) sums of the rows of histories and (B, 1) numbers of items → (B, d) user vectors."""

    @torch.no_grad()
    def user_vectors(
        self, histories: Sequence[NDArray[np.int32]], item_vectors: NDArray[np.float32]
    ) -> NDArray[np.float32]:
        """Read each history as a set: neither order nor repetition plays a part.

        Args:
            histories: for each user the item rows; an empty one gives the zero vector.
            item_vectors: (I, d and constant dimensions).

        Returns:
            (len(histories), d and constant dimensions), ones in the latter. A vector does not depend on what else is in
            ``histories``, within float32 rounding.
        """
        vectors = np.zeros((len(histories), item_vectors.shape[1]), np.float32)
        varying = self.widths[-1]
        for places, sums, counts in self.read_all(histories):
            vectors[places, :varying] = self.users(sums, counts).cpu().numpy()
            vectors[places, varying:] = 1
        return vectors

    def read_all(self, histories: Sequence[NDArray[np.int32]]) -> Iterator[tuple[list[int], Tensor, Tensor]]:
        """Of histories that are not empty, some at a time: places, (B, h) sums, and (B, 1) numbers of items."""
        there = [place for place, history in enumerate(histories) if len(history)]
        for start in range(0, len(there), _ROWS):
            places = there[start : start + _ROWS]
            read = [torch.from_numpy(np.unique(histories[place]).astype(np.int64)) for place in places]
            sums = torch.stack([self.read(rows.to(self.table.device)) for rows in read])
            counts = torch.tensor([[len(rows)] for rows in read], dtype=torch.float64)
            yield places, sums.to(self.bias), counts.to(self.bias)

    @property
    def network(self) -> Network:
        """How a manifest names this kind."""
        return self._network

    def arrays(self) -> dict[str, NDArray[Any]]:
        """The tensors of history.safetensors."""
        return {name: value.float().cpu().numpy().copy() for name, value in self.state_dict().items()}

    @classmethod
    def contract(cls, network: Network, dimensions: int, items: int) -> dict[str, ArraySpec]:
        """The arrays that a bundle of this kind must bring."""
        with torch.device("meta"):
            built = cls(network)
        for which, wanted, found in (("first", items, built.widths[0]), ("last", dimensions, built.widths[-1])):
            if wanted != found:
                raise DamagedError("manifest.json", f"history.sizes.layers, the {which}", wanted, found)
        return {name: ArraySpec(shape=list(value.shape), dtype="float32") for name, value in built.state_dict().items()}

    @classmethod
    def load(cls, network: Network, dimensions: int, arrays: Mapping[str, NDArray[Any]]) -> Self:
        """From the arrays of a bundle whose shapes were checked; nothing to train."""
        with torch.device("meta"):
            built = cls(network)
        weights = {
            name: tensor_over(value) if name in cls.tables else torch.from_numpy(value.astype(np.float64))
            for name, value in arrays.items()
        }
        built.load_state_dict(weights, assign=True)
        return built.requires_grad_(False).eval()

    def check(self) -> None:
        """Refuse weights that could overflow.

        Raises:
            DamagedError: names the array and the value.
        """
        for name, value in self.state_dict().items():
            if float(value.abs().max()) > LARGEST:
                raise DamagedError(FILE, name, f"values within ±{LARGEST:g}", float(value.abs().max()))

    @classmethod
    def _widths(cls, network: Network) -> tuple[int, ...]:
        """The sizes of the layers.

        Raises:
            DamagedError: there are others, or not so many.
        """
        if network.sizes.keys() != {"layers", *cls.other_sizes}:
            wanted = sorted(("layers", *cls.other_sizes))
            raise DamagedError("manifest.json", "history.sizes", wanted, sorted(network.sizes))
        layers = network.sizes["layers"]
        if len(layers) != cls.layer_count:
            raise DamagedError("manifest.json", "history.sizes.layers", f"{cls.layer_count} sizes", layers)
        return tuple(layers)

    @staticmethod
    def _one_size(network: Network, name: str, most: int) -> int:
        """One of the other sizes.

        Raises:
            DamagedError: there are several, or it is too large.
        """
        found = network.sizes[name]
        if len(found) != 1 or found[0] > most:
            raise DamagedError("manifest.json", f"history.sizes.{name}", f"one size of at most {most}", found)
        return found[0]


class Autorec(HistorySet):
    """Kind ``autorec``: one hidden layer, sizes [I, d]."""

    layer_count = 2

    def users(self, sums: Tensor, counts: Tensor) -> Tensor:
        """(B, d) and (B, 1) → (B, d)."""
        return torch.sigmoid(sums + self.bias)


class Multvae(HistorySet):
    """Kind ``multvae``: from the mean of the code, sizes [I, h, z, d]."""

    layer_count = 4

    def __init__(self, network: Network) -> None:
        super().__init__(network)
        _, hidden, code, last = self.widths
        self.mean = nn.Linear(hidden, code)
        self.last = nn.Linear(code, last)

    def hidden(self, sums: Tensor, counts: Tensor) -> Tensor:
        """(B, h) and (B, 1) → (B, h) what mean and spread of the code are read from."""
        return torch.tanh(sums / counts.sqrt() + self.bias)

    def decoded(self, code: Tensor) -> Tensor:
        """(B, z) → (B, d)."""
        return torch.tanh(self.last(code))

    def users(self, sums: Tensor, counts: Tensor) -> Tensor:
        """(B, h) and (B, 1) → (B, d)."""
        return self.decoded(self.mean(self.hidden(sums, counts)))
