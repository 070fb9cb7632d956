"""Which masks a run validates, a card reports and a verdict covers."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from itertools import combinations

FULL_UP_TO = 4
"""Attributes up to which all 2^M masks are looked at; beyond: none, each alone, each pair, all."""

Mask = tuple[str, ...]


def masks_to_measure(attributes: Sequence[str]) -> list[Mask]:
    """Masks as protected names in manifest order, from none to all; their number grows with M², not with 2^M."""
    m = len(attributes)
    sizes = range(m + 1) if m <= FULL_UP_TO else (0, 1, 2, m)
    return [mask for size in sizes for mask in combinations(attributes, size)]


def supported_masks(
    attributes: Sequence[str], supports: Callable[[Mask], bool], listed: Sequence[Sequence[str]]
) -> list[Mask]:
    """Of those, the masks that a bundle answers to.

    Args:
        attributes: in manifest order.
        supports: whether the bundle has answers to a mask.
        listed: the masks that it lists; empty where it supports all. As many as four attributes have are all taken;
            of more, those of `masks_to_measure`, and the narrowest one of each attribute that none of these protects.
    """
    masks = [tuple(name for name in attributes if name in mask) for mask in listed]
    if 0 < len(masks) <= 2**FULL_UP_TO:
        found = masks
    else:
        found = [mask for mask in masks_to_measure(attributes) if supports(mask)]
        for name in attributes:
            protecting = [mask for mask in masks if name in mask]
            if protecting and not any(name in mask for mask in found):
                found.append(min(protecting, key=len))
    return sorted(set(found), key=lambda mask: (len(mask), [attributes.index(name) for name in mask]))


def telling_masks(masks: Sequence[Mask]) -> list[Mask]:
    """Masks whose lists are attacked: the narrowest and the widest, and for each attribute the narrowest with it."""
    names = dict.fromkeys(name for mask in masks for name in mask)
    chosen = {min((mask for mask in masks if name in mask), key=len) for name in names}
    if masks:
        chosen |= {min(masks, key=len), max(masks, key=len)}
    return [mask for mask in masks if mask in chosen]


def attacked_under(mask: Mask, attributes: tuple[str, ...]) -> tuple[str, ...]:
    """Of whom a list under a mask is attacked for: the attribute that is protected alone, else all."""
    return mask if len(mask) == 1 else attributes
