"""The targets that training solved are the ones that lists are balanced towards: on average, that of the whole."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from bundle import SupportedMasks, write_bundle
from measure.masks import masks_to_measure
from service.balance import Balance, BalancePolicy
from service.model.inference import NOTHING, BundleUser, Task, compute
from service.model.loaded import load_model
from training.targets import with_targets
from training.targets_config import BalanceConfig

USERS, ITEMS = 200, 60
NAMES = ("gender", "age")
EVERY_MASK = SupportedMasks(kind="list", masks=[list(mask) for mask in masks_to_measure(NAMES)])
KINDS = {
    "parts": {},
    "table": {"table": True, "supported_masks": EVERY_MASK},
    "rerank": {"candidates": 20},
    "cosine": {"scorer": "cosine"},
}


@pytest.fixture(params=KINDS)
def model(request, a_bundle, tmp_path):
    """A served bundle of each kind, whose items are in three groups of different sizes."""
    options = {**KINDS[request.param]}
    scorer = options.pop("scorer", None)
    draft = a_bundle(users=USERS, items=ITEMS, attributes=NAMES, dimensions=8, **options)
    groups = tuple((("war", "opera")[row % 5 == 0],) if row % 3 else ("war", "drama") for row in range(ITEMS))
    draft = replace(draft, items=replace(draft.items, groups=groups))
    if scorer:
        draft = replace(draft, description=draft.description.model_copy(update={"scorer": scorer}))
    bundle, _ = with_targets(draft, BalanceConfig(target={"drama": 0.2, "opera": 0.5, "war": 0.3}, depth=15))
    return load_model(write_bundle(bundle, tmp_path), "cpu")


@pytest.mark.parametrize("names", masks_to_measure(NAMES), ids=lambda names: "+".join(names) or "nothing")
def test_the_mean_of_what_is_served_is_the_target_of_the_whole(model, names):
    mask = model.bundle.description.mask(names)
    targets = model.targets(BalancePolicy().over(personal=True))
    towards = targets.towards(Balance("target", 0.5, "request"), (), 0, 5, mask)
    tasks = [Task(model, BundleUser(user, mask), NOTHING, 6, None, towards) for user in range(USERS)]

    own = compute([task.own(towards.personal.depth) for task in tasks])
    found = np.array([towards.made_from(ranking.rows).target for ranking in own])

    assert found.mean(axis=0) == pytest.approx([0.2, 0.5, 0.3], abs=2e-3)  # drama, opera, war
    assert len(np.unique(found.round(6), axis=0)) > 10
    told = np.array([ranking.divergence for ranking in compute(tasks)])
    assert told[:, 1].mean() < told[:, 0].mean()
