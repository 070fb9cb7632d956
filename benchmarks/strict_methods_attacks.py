"""What one exported fair model keeps of accuracy, and what attackers find in its vectors."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np

from measure.audit.accuracy import accuracy_of
from measure.audit.attacks import Attack, NotMeasured, Tuning, attacked, tuned_on
from measure.audit.progress import Steps
from measure.audit.workers import Workers
from measure.features import Forms, prepared, side_by_side, whitened
from measure.leakage import Users
from measure.masks import Mask, masks_to_measure
from measure.profiles import Profile
from measure.split import SELECT, TRAIN
from measure.tuning import Tuned
from training.card.views import Views

Row = dict[str, Any]


@dataclass(frozen=True)
class Attackers:
    """Who attacks what."""

    whole: Profile
    """Where one attribute or all are protected."""
    some: Profile
    """Where two are."""
    joined: Profile
    """Where the vectors of all masks that protect an attribute are attacked together."""


def kept_of(views: Views, seed: int) -> list[Row]:
    """Of each mask, the share of sampled and of full N@10 that audit users keep."""
    masks = _protecting(views)
    found = accuracy_of(views, masks, seed, Steps(1 + len(masks), None))
    return [
        {"sensitive": each["sensitive"]}
        | {kind: each[kind]["ndcg@10"] / each["base"][kind]["ndcg@10"] for kind in ("sampled", "full")}
        for each in found["by_mask"]
    ]


def attacked_rows(views: Views, attackers: Attackers, seed: int, workers: int) -> list[Row]:
    """Of each mask and attribute that it protects, and of what all masks show together, what attackers find."""
    population = views.population
    select = population.split == SELECT
    tunings = (
        Tuning(
            population.base[select],
            population.label(name)[select],
            population.in_order(name),
            attackers.whole,
            seed,
        )
        for name in population.names
    )
    with Workers(workers) as pool:
        tuned = dict(zip(population.names, pool.run(tuned_on, tunings), strict=True))
        planned = list(_attacks(views, attackers, tuned, seed))
        results = pool.run(attacked, (attack for _, attack in planned))
    rows: list[Row] = []
    for (mask, attack), found in zip(planned, results, strict=True):
        row: Row = {"sensitive": list(mask), "attribute": attack.attribute, "target": attack.target}
        if isinstance(found, NotMeasured):
            rows.append(row | {"not_measured": found.reason})
        else:
            aucs = {name: each.as_row() for name, each in found.attackers.items()}
            rows.append(row | {"auc": found.auc, "strongest": found.strongest, "n": found.n, "attackers": aucs})
    return rows


def _attacks(views: Views, attackers: Attackers, tuned: dict[str, Tuned], seed: int) -> Iterator[tuple[Mask, Attack]]:
    population, masks = views.population, _protecting(views)
    users = Users(np.flatnonzero(population.audited), np.flatnonzero(population.split == TRAIN))

    def attack(features: Any, name: str, target: str, profile: Profile) -> Attack:
        labels, ordered = population.label(name), population.in_order(name)
        return Attack(features, labels, ordered, users, profile, name, target, tuned[name], seed)

    for mask in masks:
        profile = attackers.whole if len(mask) in (1, len(population.names)) else attackers.some
        features = prepared(views.fair(mask))
        for name in mask:
            yield mask, attack(features, name, "fair", profile)
    for name in population.names:
        together = side_by_side([views.fair(mask) for mask in masks if name in mask])
        forms = prepared(Forms((together, whitened(together))))
        yield (name,), attack(forms, name, "protecting_masks", attackers.joined)


def _protecting(views: Views) -> list[Mask]:
    return [mask for mask in masks_to_measure(views.population.names) if mask]
