"""The encoder of a bundle whose users have finished vectors, one for each supported mask."""

from __future__ import annotations

from collections.abc import Sequence

import torch

from bundle import Network
from bundle.networks import TableEncoder


def finished_vectors(attributes: Sequence[str], masks: Sequence[Sequence[str]]) -> tuple[TableEncoder, Network]:
    """Make it, and how the manifest names it.

    Args:
        attributes: M, in manifest order.
        masks: K, each the attributes that it protects, in the order of the vectors.
    """
    sizes = {"masks": [len(masks), len(attributes)]}
    table = TableEncoder(attributes, [], 0, sizes)
    table.masks.copy_(torch.tensor([[name in mask for name in attributes] for mask in masks]))
    return table, Network(kind="table", sizes=sizes)
