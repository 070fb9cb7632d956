"""Personal targets over item groups (PCT), solved at export: what `balance=target` of a bundle stands for.

A user's target is made from what the fair vector of a mask alone would show, and from one tilt that is the same for
everybody (docs/algorithms/reranking.md, P1 - P3). No label and no history takes part.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from balance.pct import solve_tilt, tilted
from balance.shares import ItemShares
from bundle import Bundle, PersonalTargets, Tilts
from measure.masks import Mask, supported_masks
from measure.ranking import top_items
from measure.scoring import to_unit
from training.card import fair_vectors
from training.scoring import scorer_of
from training.targets_config import BalanceConfig, system_target

BLOCK = 4096
"""Users whose lists are made together."""


def with_targets(draft: Bundle, config: BalanceConfig) -> tuple[Bundle, dict[str, Any]]:
    """Give a bundle targets for its users.

    Args:
        draft: as it will be written, but for these and its card.
        config: what they are to be.

    Returns:
        The bundle, and for its card: how far the mean of the users is from the target (total variation) before and
        after, over the users that the tilts were solved with.

    Raises:
        ConfigError: as `system_target`.
    """
    description = draft.description
    shares = ItemShares(draft.items.groups)
    target = system_target(config, shares)
    depth = min(config.depth, len(draft.items.ids))
    masks = supported_masks(description.attribute_names, description.supports, description.supported_masks.masks)
    rows = _drawn(len(draft.users.ids), config.users, description.seeds["run"])
    own = [_own_shares(draft, mask, rows, depth, shares) for mask in masks]
    together = solve_tilt(np.concatenate(own), target)
    tilts = [together, *(solve_tilt(each, target) for each in own)]
    measured = {
        "target": dict(zip(shares.names, target.tolist(), strict=True)),
        "depth": depth,
        "n": len(rows),
        "by_mask": [
            {"sensitive": list(mask), **dict(_off(each, target, tilt))}
            for mask, each, tilt in zip(masks, own, tilts[1:], strict=True)
        ],
    }
    manifest = PersonalTargets(groups=list(shares.names), depth=depth, masks=[list(mask) for mask in masks])
    stored = Tilts(target, np.where(target > 0, np.stack(tilts), 0.0))
    return replace(draft, description=description.model_copy(update={"balance": manifest}), balance=stored), measured


def _own_shares(
    bundle: Bundle, mask: Mask, rows: NDArray[np.int64], depth: int, shares: ItemShares
) -> NDArray[np.float64]:
    """(n, G) item groups of what each user's fair vector ranks first, every item weighing the same."""
    cosine = bundle.description.scorer == "cosine"
    scorer = scorer_of(to_unit(bundle.items.vectors) if cosine else bundle.items.vectors, bundle.reranker)
    found = []
    for start in range(0, len(rows), BLOCK):
        vectors = fair_vectors(bundle, mask, rows[start : start + BLOCK])
        lists = top_items(to_unit(vectors) if cosine else vectors, scorer, depth)
        found.append(shares.exposure(lists, np.ones(depth)))
    return np.concatenate(found)


def _drawn(users: int, most: int, seed: int) -> NDArray[np.int64]:
    if users <= most:
        return np.arange(users)
    return np.sort(np.random.default_rng(seed).choice(users, most, replace=False)).astype(np.int64)


def _off(
    own: NDArray[np.float64], target: NDArray[np.float64], tilt: NDArray[np.float64]
) -> Iterator[tuple[str, float]]:
    before = (own / own.sum(axis=1, keepdims=True)).mean(axis=0)
    for name, mean in (("before", before), ("after", tilted(own, tilt, target).mean(axis=0))):
        yield name, float(np.abs(mean - target).sum() / 2)
