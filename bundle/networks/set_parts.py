"""Parts that belong to sets of attributes: the form that both lattices share.

    r   the rest, without the attributes    in every mask
    z_S what the scores of the attributes in S say besides    taken where no attribute of S is protected
    u                                       taken where nothing is protected

All masks that protect `a` see functions of r and of the z_S without `a`, and of nothing else.

Letters: B batch, d dimensions, P parts, M attributes, n score coordinates, m numbers of r.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from bundle.manifest import Part
from bundle.networks.encoder import FairEncoder, expect


class SetParts(FairEncoder):
    """Parts: first the rest r, last u itself, between them one z_S for each set S of attributes."""

    _own: Tensor
    _size: Tensor

    def __init__(
        self,
        attributes: Sequence[str],
        parts: Sequence[Part],
        coordinates: Sequence[int],
        rest: int,
        multiplied: Sequence[int],
    ) -> None:
        """Check the parts.

        Args:
            attributes: in manifest order.
            parts: in row order.
            coordinates: of the scores, how many each attribute has.
            rest: m, how many numbers r has.
            multiplied: places of the coordinates that r is multiplied by.
        """
        super().__init__(attributes, parts)
        owners = [name for name, count in zip(attributes, coordinates, strict=True) for _ in range(count)]
        self.n, self.rest, self._multiplied = len(owners), rest, list(multiplied)
        expect("first part's rule", "always", parts[0].taken if parts else None)
        expect("last part's attributes", list(attributes), parts[-1].attributes)
        expect("the other parts' rules", {"none_protected"}, {part.taken for part in parts[1:]})
        sets = parts[1:-1]
        own = [[owner in part.attributes for owner in owners] for part in sets]
        self._constant("_own", torch.tensor(own, dtype=torch.bool).reshape(len(sets), self.n))
        self._constant("_size", torch.tensor([len(part.attributes) for part in sets], dtype=torch.int64))

    @property
    def width(self) -> int:
        """How many `features` there are."""
        return self.rest + len(self._own) * self.n + self.attribute_count + len(self._multiplied) * self.rest

    def parts_of(self, u: Tensor, rest: Tensor, z: Tensor) -> Tensor:
        """(B, d), (B, m) and (B, P - 2, n) → (B, P, d); r fills the first m places of its row, each z_S the first n."""
        parts = u.new_zeros(len(u), self.part_count, u.shape[1])
        parts[:, 0, : self.rest] = rest
        parts[:, 1:-1, : self.n] = z
        parts[:, -1] = u
        return parts

    def features(self, parts: Tensor, mask: Tensor) -> Tensor:
        """What a mask leaves: r, the z_S taken, the mask, and r times coordinates left; (B, `width`)."""
        taken = self.gate(mask)[:, 1:-1, None]
        rest = parts[:, 0, : self.rest]
        scores = parts[:, 1:-1, : self.n] * taken
        products = self._left(scores, taken)[:, self._multiplied, None] * rest[:, None, :]
        return torch.cat([rest, scores.flatten(1), mask.to(rest.dtype), products.flatten(1)], dim=1)

    def _left(self, scores: Tensor, taken: Tensor) -> Tensor:
        """(B, n) each coordinate as the largest sets taken give it, their mean; 0 where none is taken."""
        if not len(self._size):
            return scores.new_zeros(len(scores), self.n)
        size = self._size[:, None] * (self._own & taken)
        largest = (size == size.amax(1, keepdim=True)) & (size > 0)
        return (scores * largest).sum(1) / largest.sum(1).clamp_min(1)
