"""Personal targets: their mean is the target of the whole under every mask, and what cannot be is refused first."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from pydantic import ValidationError

from balance.pct import tilted
from balance.shares import ItemShares
from measure.ranking import top_items
from measure.scoring import Scorer
from training.card import fair_vectors
from training.data.load import load
from training.demands import experiment_of
from training.errors import ConfigError
from training.targets import with_targets
from training.targets_config import BalanceConfig


def own_shares(bundle, mask, rows, depth):
    shares = ItemShares(bundle.items.groups)
    lists = top_items(fair_vectors(bundle, mask, rows), Scorer(bundle.items.vectors), depth)
    return shares.exposure(lists, np.ones(depth))


@pytest.mark.parametrize("target", ["uniform", "catalogue", {"odd": 3.0, "even": 1.0}])
def test_under_every_mask_the_mean_of_the_users_targets_is_that_of_the_whole(a_bundle, target):
    draft = a_bundle(users=60, items=30, seed=3)

    bundle, told = with_targets(draft, BalanceConfig(target=target, depth=7))

    stored, described = bundle.balance, bundle.description.balance
    wanted = {"even": 0.25, "odd": 0.75} if isinstance(target, dict) else {"even": 0.5, "odd": 0.5}
    assert dict(zip(described.groups, stored.target, strict=True)) == pytest.approx(wanted)
    assert [tuple(mask) for mask in described.masks] == [(), ("gender",), ("age",), ("gender", "age")]
    for mask, tilt, row in zip(described.masks, stored.tilts[1:], told["by_mask"], strict=True):
        own = own_shares(bundle, tuple(mask), np.arange(60), 7)
        assert tilted(own, tilt, stored.target).mean(axis=0) == pytest.approx(stored.target, abs=1e-8)
        before = (own / own.sum(axis=1, keepdims=True)).mean(axis=0)
        assert row["sensitive"] == mask
        assert row["before"] == pytest.approx(np.abs(before - stored.target).sum() / 2)
        assert row["after"] < 1e-8
    assert (told["depth"], told["n"]) == (7, 60)


def test_groups_that_are_to_get_nothing_are_stored_as_numbers(a_bundle):
    bundle, _ = with_targets(a_bundle(users=10, items=30), BalanceConfig(target={"odd": 1.0}))

    assert bundle.balance.target.tolist() == [0.0, 1.0]
    assert (bundle.balance.tilts[:, 0] == 0).all()
    assert bundle.description.balance.depth == 30  # all items there are


def test_of_many_users_the_seed_draws_some(a_bundle):
    draft = a_bundle(users=60, items=30)

    some, told = with_targets(draft, BalanceConfig(target="uniform", users=20))
    again, _ = with_targets(draft, BalanceConfig(target="uniform", users=20))

    assert told["n"] == 20
    assert np.array_equal(some.balance.tilts, again.balance.tilts)


@pytest.mark.parametrize(
    ("balance", "said"),
    [
        ({"target": "history"}, "uniform"),
        ({"target": {"a": -1.0, "b": 2.0}}, "shares of 0 or more"),
        ({"target": {}}, "more than 0 together"),
        ({"target": "uniform", "depth": 0}, "greater than 0"),
        ({"target": "uniform", "shares": 1}, "not permitted"),
    ],
)
def test_an_option_that_makes_no_sense_is_refused(balance, said):
    with pytest.raises(ValidationError, match=said):
        BalanceConfig.model_validate(balance)


def test_what_the_data_cannot_have_is_refused_before_training(a_run):
    config = a_run(balance={"target": {"opera": 1.0}})
    dataset = load(config.data, None)

    with pytest.raises(ConfigError, match=r"balance\.target.*no item is in 'opera'"):
        experiment_of(config, dataset)
    without = replace(dataset, groups=tuple(() for _ in dataset.items))
    with pytest.raises(ConfigError, match="items with groups, and these have none"):
        experiment_of(a_run(balance={"target": "uniform"}), without)
