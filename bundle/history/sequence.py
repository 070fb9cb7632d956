"""A user vector from a history in its order: SASRec and BERT4Rec, one network of blocks over the items.

    x_t = √d · v_{item t} + p_t,   h = LayerNorm(blocks(x)),   u = h at the last position

A score is the inner product of u with an item vector, and the item vectors are the bundle's own. Positions count from
the end: a short history has the last ones, as if padded on the left, and padding takes no part.

SASRec reads from left to right; BERT4Rec reads both ways and asks with a mask token after the last item. Against its
paper, BERT4Rec has the blocks of SASRec (normalisation first) and scores with h itself: no projection of it, whose
GELU would leave u hardly any negative entries, and no bias per item, so that a score stays an inner product.

Source: Kang and McAuley, ICDM 2018; Sun et al., CIKM 2019.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, ClassVar, Self

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn.functional import gelu, relu

from bundle.errors import DamagedError
from bundle.history.block import Block, Map
from bundle.manifest import ArraySpec, Network

FILE = "history.safetensors"
SIZES = ("blocks", "heads", "hidden", "length")
MOST_BLOCKS, MOST_POSITIONS = 64, 4096
LARGEST = 1e6
"""Weights up to this size cannot overflow: every block starts from normalised states."""
_ROWS = 128


def _same(x: Tensor) -> Tensor:
    return x


class SequenceEncoder(nn.Module):
    """Kinds ``sasrec`` and ``bert4rec``; weights in float32 to train, in float64 to serve."""

    readable: ClassVar[bool] = True
    sizes: ClassVar[tuple[str, ...]] = SIZES
    """Names of the sizes that a manifest gives."""

    def __init__(self, network: Network, dimensions: int) -> None:
        super().__init__()
        self._network = network
        blocks, heads, hidden, self.length = _sizes(network, dimensions, self.sizes)
        self.causal = network.kind.endswith("sasrec")
        self.items = self.length if self.causal else self.length - 1
        """How many items it reads: the newest ones."""
        self.positions = nn.Parameter(torch.empty(self.length, dimensions))
        activation = relu if self.causal else gelu
        self.blocks = nn.ModuleList(Block(dimensions, heads, hidden, activation) for _ in range(blocks))
        self.norm = nn.LayerNorm(dimensions)
        if not self.causal:
            self.mask = nn.Parameter(torch.empty(dimensions))

    def forward(self, vectors: Tensor, present: Tensor, dropout: Map = _same, *, last: bool = False) -> Tensor:
        """Hidden states.

        Args:
            vectors: (B, L, d) item vectors or mask tokens, padded on the left; L at most ``length``.
            present: (B, L) bool, False for padding.
            dropout: of the input and of each sublayer; in training only.
            last: only the last position's state is wanted.

        Returns:
            (B, L, d), with ``last`` (B, 1, d). States of padding mean nothing.
        """
        length, dimensions = vectors.shape[1:]
        x = dropout(dimensions**0.5 * vectors + self.positions[-length:])
        allowed = present[:, None, None, :]
        if self.causal:
            allowed = allowed & torch.ones(length, length, dtype=torch.bool, device=x.device).tril()
        allowed = allowed | torch.eye(length, dtype=torch.bool, device=x.device)  # padding reads itself: no empty row
        for index, block in enumerate(self.blocks):
            x = block(x, allowed, dropout, last=last and index == len(self.blocks) - 1)
        return self.norm(x[:, -1:] if last else x)  # type: ignore[no-any-return]

    def users(self, vectors: Tensor, present: Tensor, dropout: Map = _same) -> Tensor:
        """(B, d) user vectors of (B, L, d) item vectors padded on the left, L at most ``items``."""
        if not self.causal:
            vectors = torch.cat([vectors, self.mask.expand(len(vectors), 1, -1)], dim=1)
            present = torch.cat([present, present.new_ones(len(present), 1)], dim=1)
        return self(vectors, present, dropout, last=True)[:, 0]  # type: ignore[no-any-return]

    @torch.no_grad()
    def user_vectors(
        self, histories: Sequence[NDArray[np.int32]], item_vectors: NDArray[np.float32]
    ) -> NDArray[np.float32]:
        """Read the newest items of each history.

        Args:
            histories: for each user the item rows, oldest first; an empty one gives the zero vector.
            item_vectors: (I, d), those the network was trained with.

        Returns:
            (len(histories), d) user vectors. In float64 they do not depend on what else is in ``histories``, within
            float32 rounding of the result; blocks of similar length keep the padding short.
        """
        vectors = np.zeros((len(histories), item_vectors.shape[1]), np.float32)
        lengths = np.array([min(len(history), self.items) for history in histories], np.int64)
        order = np.argsort(lengths, kind="stable")[(lengths == 0).sum() :]
        for start in range(0, len(order), _ROWS):
            rows = order[start : start + _ROWS]
            width = lengths[rows[-1]]
            present = np.arange(width) >= width - lengths[rows, None]
            items = np.zeros(present.shape, np.int64)
            items[present] = np.concatenate([histories[row][-self.items :] for row in rows])
            there = torch.from_numpy(present).to(self.positions.device)
            vectors[rows] = self.users(self.read(items, there, item_vectors), there).cpu().numpy()
        return vectors

    def read(self, items: NDArray[np.int64], present: Tensor, item_vectors: NDArray[np.float32]) -> Tensor:
        """(B, L, d) what stands for (B, L) item rows of the (I, d) item vectors; ``present`` as of a call."""
        return torch.from_numpy(item_vectors[items]).to(self.positions)

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
            weights = cls(network, dimensions).state_dict()
        return {name: ArraySpec(shape=list(value.shape), dtype="float32") for name, value in weights.items()}

    @classmethod
    def load(cls, network: Network, dimensions: int, arrays: Mapping[str, NDArray[Any]]) -> Self:
        """From the arrays of a bundle whose shapes were checked; in float64, nothing to train."""
        with torch.device("meta"):
            encoder = cls(network, dimensions)
        weights = {name: torch.from_numpy(value.astype(np.float64)) for name, value in arrays.items()}
        encoder.load_state_dict(weights, assign=True)
        return encoder.requires_grad_(False).eval()

    def check(self) -> None:
        """Refuse weights that could overflow.

        Raises:
            DamagedError: names the array and the value.
        """
        for name, value in self.state_dict().items():
            if float(value.abs().max()) > LARGEST:
                raise DamagedError(FILE, name, f"values within ±{LARGEST:g}", float(value.abs().max()))


def _sizes(network: Network, dimensions: int, names: tuple[str, ...]) -> list[int]:
    """Blocks, heads, hidden, length; the kind may have others besides.

    Raises:
        DamagedError: a size is missing, or they do not fit together.
    """
    if network.sizes.keys() != set(names):
        raise DamagedError("manifest.json", "history.sizes", sorted(names), sorted(network.sizes))
    for name in names:
        if len(network.sizes[name]) != 1:
            raise DamagedError("manifest.json", f"history.sizes.{name}", "one size", network.sizes[name])
    sizes = [network.sizes[name][0] for name in SIZES]
    blocks, heads, _, length = sizes
    if blocks > MOST_BLOCKS:
        raise DamagedError("manifest.json", "history.sizes.blocks", f"at most {MOST_BLOCKS}", blocks)
    if dimensions % heads:
        raise DamagedError("manifest.json", "history.sizes.heads", f"a divisor of {dimensions}", heads)
    if not 2 <= length <= MOST_POSITIONS:
        raise DamagedError("manifest.json", "history.sizes.length", f"2 to {MOST_POSITIONS}", length)
    return sizes
