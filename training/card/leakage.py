"""The card's leakage: who is attacked, and the rows that the attacks become."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from measure.errors import MeasureError
from measure.labels import merge_rare
from measure.leakage import Leakage, Users
from measure.profiles import Profile
from measure.tuning import Tuned
from training.card.attacks import Attack, NotMeasured, Tuning, attacked, tuned_on
from training.card.targets import UNLISTED, Target, targets_of
from training.card.views import Views
from training.card.workers import Workers
from training.data.split import AUDIT, SELECT, TRAIN
from training.masks import Mask

Row = dict[str, Any]
Labels = Mapping[str, NDArray[np.int64]]
Found = Mapping[tuple[Target, str], Leakage | NotMeasured]
"""By target and attribute, in the card's order."""


def leakage_of(views: Views, masks: Sequence[Mask], profile: Profile, workers: int) -> Row:
    """The card's ``leakage``: one row per (sensitive, attribute, target)."""
    description = views.bundle.description
    seed = description.seeds["run"]
    labels, skipped = _measurable(views)
    targets = [target.only(labels) for target in targets_of(views, masks, profile)]
    with Workers(workers) as pool:
        tunings = (Tuning(*_select(views, known), profile, seed) for known in labels.values())
        settings = dict(zip(labels, pool.run(tuned_on, tunings, len(labels), "tuning"), strict=True))
        keys = [(target, name) for target in targets for name in target.attributes]
        attacks = _attacks(views, targets, labels, settings, profile)
        found = dict(zip(keys, pool.run(attacked, attacks, len(keys), "leakage"), strict=True))
    return {
        "protocol": {
            "profile": profile.name,
            "verdict": profile.verdict,
            "users": "audit",
            "labels": "train users only" if description.mode == "strict" else "all users: transductive",
            "score": "macro one-vs-rest AUC of scores, .5 + |AUC - .5|, the worse of cross-validated and fitted on "
            "train",
            "lists": "items as served: float64 scores rounded to 1e-6, ties by item row",
            "settings": {name: dict(sorted(tuned.settings.items())) for name, tuned in settings.items()},
            "not_tuned": [name for name, tuned in settings.items() if not tuned.aucs],
            "not_measured": [*skipped, *_reasons(found)],
            "seed": seed,
        },
        "by_mask": list(_rows(found)),
    }


def _measurable(views: Views) -> tuple[Labels, list[Row]]:
    """Labels of the attributes that audit users are enough to measure, and why the others are not."""
    labels: dict[str, NDArray[np.int64]] = {}
    skipped = []
    for index, name in enumerate(views.bundle.description.attribute_names):
        known = views.audit.labels[:, index].astype(np.int64)
        try:
            merge_rare(known, _users(views)["audit"].audit)
            labels[name] = known
        except MeasureError as error:
            skipped.append({"attribute": name, "reason": str(error)})
    return labels, skipped


def _users(views: Views) -> dict[str, Users]:
    """Whom the attackers are tested on, and the train users that they may learn from."""
    audit = views.audit
    train = np.flatnonzero(audit.split == TRAIN)
    return {
        "audit": Users(np.flatnonzero((audit.split == AUDIT) & ~audit.folded_in), train),
        "folded_in": Users(np.flatnonzero(audit.folded_in), train),
    }


def _select(views: Views, known: NDArray[np.int64]) -> tuple[NDArray[np.float32], NDArray[np.int64]]:
    select = views.audit.split == SELECT
    return views.audit.base[select], known[select]


def _attacks(
    views: Views, targets: Sequence[Target], labels: Labels, settings: Mapping[str, Tuned], profile: Profile
) -> Iterator[Attack]:
    """One attack a row; features are made when it is their turn."""
    users, seed = _users(views), views.bundle.description.seeds["run"]
    for target in targets:
        if target.attributes:
            features = target.features()
            for name in target.attributes:
                yield Attack(
                    features, labels[name], users[target.users], profile, name, target.name, settings[name], seed
                )


def _rows(found: Found) -> Iterator[Row]:
    aucs = {(target.name, name): each.auc for (target, name), each in found.items() if isinstance(each, Leakage)}
    for (target, name), each in found.items():
        if isinstance(each, Leakage) and target.name != UNLISTED:
            base = aucs.get((target.reference, name)) if target.reference else None
            yield {"sensitive": list(target.sensitive), **replace(each, base_auc=base).as_row()}


def _reasons(found: Found) -> list[Row]:
    """Say each reason once for a target and attribute, whatever the mask."""
    reasons = {
        (name, target.name): each.reason
        for (target, name), each in found.items()
        if isinstance(each, NotMeasured) and target.name != UNLISTED
    }
    return [
        {"attribute": name, "target": target, "reason": f"{target}: {reason}"}
        for (name, target), reason in reasons.items()
    ]
