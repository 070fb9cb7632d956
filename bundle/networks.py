"""The fair encoders: the one definition that training exports and serving runs.

A closed registry: a manifest names a kind, and a kind this code does not have is refused. Nothing a bundle brings
is ever executed.

Letters: B batch, d dimensions, P parts, M attributes, K supported masks.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import pairwise

import torch
from torch import Tensor, nn

from bundle.errors import DamagedError, UnsupportedError
from bundle.manifest import Encoder, Part


class StackedMLP(nn.Module):
    """P equal multi-layer perceptrons side by side, run as one batched matrix product per layer.

    Each: LayerNorm → Linear, ReLU, …, Linear (none at the end), as AFRL's generator (docs/algorithms/afrl.md).
    """

    def __init__(self, count: int, sizes: Sequence[int]) -> None:
        super().__init__()
        self.norm_weight = nn.Parameter(torch.ones(count, 1, sizes[0]))
        self.norm_bias = nn.Parameter(torch.zeros(count, 1, sizes[0]))
        self.weights = nn.ParameterList(nn.Parameter(torch.empty(count, n, m)) for n, m in pairwise(sizes))
        self.biases = nn.ParameterList(nn.Parameter(torch.empty(count, 1, m)) for m in sizes[1:])

    def initialise(self, deviation: float, rng: torch.Generator) -> None:
        """Draw every weight and bias from N(0, deviation²)."""
        with torch.no_grad():
            for parameter in (*self.weights, *self.biases):
                parameter.normal_(0, deviation, generator=rng)

    def forward(self, u: Tensor) -> Tensor:
        """(B, d) → (B, P, last size): every network reads the same input."""
        normal = nn.functional.layer_norm(u, u.shape[-1:])
        x = normal * self.norm_weight + self.norm_bias
        last = len(self.weights) - 1
        for index, (weight, bias) in enumerate(zip(self.weights, self.biases, strict=True)):
            x = torch.baddbmm(bias, x, weight)
            if index < last:
                x = torch.relu(x)
        return x.transpose(0, 1)


class FairEncoder(nn.Module):
    """Splits a user vector into parts and combines the parts that a mask leaves into the fair vector."""

    _member: Tensor
    _always: Tensor
    _none_protected: Tensor
    _all_protected: Tensor

    def __init__(self, attributes: Sequence[str], parts: Sequence[Part]) -> None:
        super().__init__()
        member = [[name in part.attributes for name in attributes] for part in parts]
        self._constant("_member", torch.tensor(member, dtype=torch.bool).reshape(len(parts), len(attributes)))
        for rule in ("always", "none_protected", "all_protected"):
            self._constant(f"_{rule}", torch.tensor([part.taken == rule for part in parts], dtype=torch.bool))

    def _constant(self, name: str, value: Tensor) -> None:
        """A tensor that moves with the module but comes from the manifest, not from the weights."""
        self.register_buffer(name, value, persistent=False)

    def gate(self, mask: Tensor) -> Tensor:
        """Which parts each mask leaves.

        Args:
            mask: (B, M) bool, True = protect.

        Returns:
            (B, P) bool, True = the part is taken.
        """
        protected = mask[:, None, :]
        none_protected = ~(protected & self._member).any(-1)
        all_protected = (protected | ~self._member).all(-1)
        return self._always | (self._none_protected & none_protected) | (self._all_protected & all_protected)

    def split(self, u: Tensor) -> Tensor:
        """(B, d) user vectors → (B, P, d) parts, functions of u alone."""
        raise UnsupportedError("encoder", type(self).__name__, "a split only for encoders that read user vectors")

    def combine(self, parts: Tensor, mask: Tensor) -> Tensor:
        """(B, P, d) parts and (B, M) masks (True = protect) → (B, d) fair vectors."""
        raise UnsupportedError("encoder", type(self).__name__, sorted(KINDS))


class AfrlEncoder(FairEncoder):
    """AFRL: u* = G(z_0 ⊕ [z_1 ⊕ … ⊕ z_M gated by the mask]).

    Source: Zhu et al., SIGIR 2024, eq. 17; F and E_i are `StackedMLP`, G is Linear and ReLU in turn.
    """

    def __init__(
        self, attributes: Sequence[str], parts: Sequence[Part], dimensions: int, sizes: Mapping[str, Sequence[int]]
    ) -> None:
        super().__init__(attributes, parts)
        split, combine = _sizes(sizes, "split", "combine")
        _expect("encoder.sizes.split, first and last", [dimensions, dimensions], [split[0], split[-1]])
        _expect(
            "encoder.sizes.combine, first and last", [len(parts) * dimensions, dimensions], [combine[0], combine[-1]]
        )
        self.parts = StackedMLP(len(parts), split)
        layers: list[nn.Module] = []
        for n, m in pairwise(combine):
            layers += [nn.Linear(n, m), nn.ReLU()]
        self.aggregate = nn.Sequential(*layers[:-1])

    def initialise(self, rng: torch.Generator) -> None:
        """Initial weights as the reference: N(0, .1²) for F and E_i, N(0, .01²) for G."""
        self.parts.initialise(0.1, rng)
        with torch.no_grad():
            for parameter in self.aggregate.parameters():
                parameter.normal_(0, 0.01, generator=rng)

    def split(self, u: Tensor) -> Tensor:
        """(B, d) → (B, 1 + M, d): the shared part z_0, then one part for each attribute."""
        return self.parts(u)  # type: ignore[no-any-return]

    def combine(self, parts: Tensor, mask: Tensor) -> Tensor:
        """G over the parts side by side, withheld ones zeroed."""
        return self.aggregate((parts * self.gate(mask)[..., None]).flatten(1))  # type: ignore[no-any-return]


class TableEncoder(FairEncoder):
    """One finished fair vector per supported mask; for methods whose fair vector is no function of u and the mask."""

    masks: Tensor

    def __init__(
        self, attributes: Sequence[str], parts: Sequence[Part], dimensions: int, sizes: Mapping[str, Sequence[int]]
    ) -> None:
        super().__init__(attributes, parts)
        _expect("parts of a table encoder", [], [part.name for part in parts])
        (masks,) = _sizes(sizes, "masks")
        _expect("encoder.sizes.masks, columns", [len(attributes)], masks[1:])
        self.register_buffer("masks", torch.zeros(masks[0], masks[1], dtype=torch.bool))

    def combine(self, parts: Tensor, mask: Tensor) -> Tensor:
        """Pick the row of each user's mask.

        Raises:
            UnsupportedError: a mask is not among the supported ones.
        """
        match = (mask[:, None, :] == self.masks).all(-1)
        if not bool(match.any(1).all()):
            raise UnsupportedError("mask", mask[~match.any(1)][0].tolist(), self.masks.tolist())
        return parts[torch.arange(len(parts)), match.int().argmax(1)]


KINDS: Mapping[str, type[AfrlEncoder | TableEncoder]] = {"afrl": AfrlEncoder, "table": TableEncoder}


def build_encoder(encoder: Encoder, dimensions: int, attributes: Sequence[str], parts: Sequence[Part]) -> FairEncoder:
    """The network that a manifest names, with memory for its weights but no values yet.

    Raises:
        UnsupportedError: the kind is not in the registry.
        DamagedError: the layer sizes do not fit the dimensions, attributes and parts.
    """
    if encoder.kind not in KINDS:
        raise UnsupportedError("encoder.kind", encoder.kind, sorted(KINDS))
    return KINDS[encoder.kind](attributes, parts, dimensions, encoder.sizes)


def _sizes(sizes: Mapping[str, Sequence[int]], *names: str) -> list[Sequence[int]]:
    _expect("encoder.sizes", sorted(names), sorted(sizes))
    for name in names:
        if len(sizes[name]) < 2:
            raise DamagedError("manifest.json", f"encoder.sizes.{name}", "at least 2 sizes", list(sizes[name]))
    return [sizes[name] for name in names]


def _expect(what: str, expected: object, found: object) -> None:
    if expected != found:
        raise DamagedError("manifest.json", what, expected, found)
