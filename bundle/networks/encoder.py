"""The interface of fair encoders: a split, a gate, a combine."""

from __future__ import annotations

from collections.abc import Hashable, Mapping, Sequence
from typing import ClassVar

import torch
from torch import Tensor, nn

from bundle.errors import DamagedError, UnsupportedError
from bundle.manifest import Part


class FairEncoder(nn.Module):
    """Splits a user vector into parts and combines the parts that a mask leaves into the fair vector."""

    waits: ClassVar[bool] = False
    """Whether `combine` looks at values of its arguments, for which a GPU has to be waited for."""
    structure: Hashable = None
    """All that it was built from but its weights; two with the same make the same calls. None: not known."""

    _wanted: Tensor
    _others: Tensor

    def __init__(self, attributes: Sequence[str], parts: Sequence[Part]) -> None:
        super().__init__()
        self.attribute_count = len(attributes)
        self.part_count = len(parts)
        # (P, M): whether a part's attributes are to be protected for it to be taken, and which are not its own.
        wanted = [[part.taken == "all_protected"] * len(attributes) for part in parts]
        others = [[name not in part.attributes for name in attributes] for part in parts]
        for name, flags in (("_wanted", wanted), ("_others", others)):
            self._constant(name, torch.tensor(flags, dtype=torch.bool).reshape(len(parts), len(attributes)))

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
        return ((mask[:, None, :] == self._wanted) | self._others).all(-1)

    def split(self, u: Tensor) -> Tensor:
        """(B, d) user vectors → (B, P, d) parts, functions of u alone."""
        raise UnsupportedError("encoder", type(self).__name__, "a split only for encoders that read user vectors")

    def combine(self, parts: Tensor, mask: Tensor) -> Tensor:
        """(B, P, d) parts and (B, M) masks (True = protect) → (B, d) fair vectors."""
        raise UnsupportedError("encoder", type(self).__name__, "encoders that combine")


def sizes_of(sizes: Mapping[str, Sequence[int]], *, of: str = "encoder", **counts: int) -> list[Sequence[int]]:
    """The named layer sizes, each with at least that many entries, and no others."""
    expect(f"{of}.sizes", sorted(counts), sorted(sizes))
    for name, count in counts.items():
        if len(sizes[name]) < count:
            raise DamagedError("manifest.json", f"{of}.sizes.{name}", f"at least {count} sizes", list(sizes[name]))
    return [sizes[name] for name in counts]


def expect(what: str, expected: object, found: object) -> None:
    """Refuse a manifest whose networks do not fit together."""
    if expected != found:
        raise DamagedError("manifest.json", what, expected, found)
