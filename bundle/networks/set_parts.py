"""Parts that belong to sets of attributes: the form that both lattices share.

    r   the rest, without the attributes    in every mask
    z_S what the scores of the attributes in S say besides    taken where no attribute of S is protected
    u                                       taken where nothing is protected

All masks that protect `a` see functions of r and of the z_S without `a`, and of nothing else.

Letters: B batch, d dimensions, P parts, n score coordinates, m numbers of r.
"""

from __future__ import annotations

from collections.abc import Sequence

from torch import Tensor

from bundle.manifest import Part
from bundle.networks.encoder import FairEncoder, expect


class SetParts(FairEncoder):
    """Parts: first the rest r, last u itself, between them one z_S for each set S of attributes."""

    def __init__(self, attributes: Sequence[str], parts: Sequence[Part]) -> None:
        super().__init__(attributes, parts)
        expect("first part's rule", "always", parts[0].taken if parts else None)
        expect("last part's attributes", list(attributes), parts[-1].attributes)
        expect("the other parts' rules", {"none_protected"}, {part.taken for part in parts[1:]})

    def parts_of(self, u: Tensor, rest: Tensor, z: Tensor) -> Tensor:
        """(B, d), (B, m) and (B, P - 2, n) → (B, P, d); r fills the first m places of its row, each z_S the first n."""
        parts = u.new_zeros(len(u), self.part_count, u.shape[1])
        parts[:, 0, : rest.shape[1]] = rest
        parts[:, 1:-1, : z.shape[2]] = z
        parts[:, -1] = u
        return parts
