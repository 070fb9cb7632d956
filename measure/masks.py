"""Which masks a run validates and a card reports."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import combinations

FULL_UP_TO = 4
"""Attributes up to which all 2^M masks are looked at; beyond: none, each alone, each pair, all."""

Mask = tuple[str, ...]


def masks_to_measure(attributes: Sequence[str]) -> list[Mask]:
    """Masks as protected names in manifest order, from none to all; their number grows with M², not with 2^M."""
    m = len(attributes)
    sizes = range(m + 1) if m <= FULL_UP_TO else (0, 1, 2, m)
    return [mask for size in sizes for mask in combinations(attributes, size)]
