"""One layer of a sequence encoder: self-attention, then the same small network at every position."""

from __future__ import annotations

from collections.abc import Callable

from torch import Tensor, nn
from torch.nn.functional import scaled_dot_product_attention

Map = Callable[[Tensor], Tensor]


class Block(nn.Module):
    """Two sublayers, each x + Dropout(f(LayerNorm(x))): attention with H heads, then linear → activation → linear.

    Source: Kang and McAuley, ICDM 2018, sections 3.2 and 3.3, whose order of normalisation it keeps for both kinds.
    """

    def __init__(self, dimensions: int, heads: int, hidden: int, activation: Map) -> None:
        super().__init__()
        self._heads, self._activation = heads, activation
        self.attention_norm = nn.LayerNorm(dimensions)
        self.query = nn.Linear(dimensions, dimensions)
        self.key_value = nn.Linear(dimensions, 2 * dimensions)
        self.join = nn.Linear(dimensions, dimensions)
        self.hidden_norm = nn.LayerNorm(dimensions)
        self.widen = nn.Linear(dimensions, hidden)
        self.narrow = nn.Linear(hidden, dimensions)

    def forward(self, x: Tensor, allowed: Tensor, dropout: Map, *, last: bool) -> Tensor:
        """Next states of the positions.

        Args:
            x: (B, L, d) states.
            allowed: (B, 1, L, L) or what broadcasts to it; True where row i may read column j.
            dropout: of the output of each sublayer.
            last: only the last position's state is wanted.

        Returns:
            (B, L, d), with ``last`` (B, 1, d).
        """
        wanted = slice(-1, None) if last else slice(None)
        normal = self.attention_norm(x)
        query = self._by_head(self.query(normal[:, wanted]))
        key, value = (self._by_head(half) for half in self.key_value(normal).chunk(2, dim=-1))
        read = scaled_dot_product_attention(query, key, value, attn_mask=allowed[:, :, wanted])
        x = x[:, wanted] + dropout(self.join(read.transpose(1, 2).flatten(2)))
        wide = self._activation(self.widen(self.hidden_norm(x)))
        return x + dropout(self.narrow(wide))

    def _by_head(self, x: Tensor) -> Tensor:
        """(B, L, d) → (B, H, L, d / H)."""
        return x.view(*x.shape[:2], self._heads, -1).transpose(1, 2)
