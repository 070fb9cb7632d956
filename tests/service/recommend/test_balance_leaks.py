"""Why `balance=history` is refused under a mask: such lists tell the attribute, although the fair vector does not.

Classes are planted in histories alone. No route makes the refused lists: the test asks the worker's function for them.
"""

from __future__ import annotations

import numpy as np
import pytest
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import roc_auc_score
from sklearn.model_selection import cross_val_predict

from bundle import write_bundle
from service.balance import Balance, BalancePolicy
from service.errors import BalanceRevealsError
from service.model.active import ServedModel
from service.model.balanced import Targets
from service.model.inference import BundleUser, Task, compute
from service.model.loaded import load_model
from service.recommend.cursor import Cursors
from service.recommend.plan import plan_list
from service.recommend.queries import UserQuery
from service.requirement import Policy
from service.store import StateCache

USERS, ITEMS = 400, 60
NOTHING = np.zeros(0, np.int32)


@pytest.fixture(scope="module")
def planted(a_bundle, tmp_path_factory):
    """A model of users who met mostly odd items (F) or mostly even ones (M), whose vectors know nothing of that."""
    options = {"users": USERS, "items": ITEMS, "dimensions": 8}
    labels = a_bundle(**options).audit.labels[:, 0]
    rng = np.random.default_rng(0)
    seen = {}
    for user, label in enumerate(labels):
        odd = rng.random(12) < (0.8 if label == 0 else 0.2)
        seen[f"u{user}"] = [f"i{2 * row + which}" for row, which in zip(rng.permutation(30)[:12], odd, strict=True)]
    folder = write_bundle(a_bundle(**options, seen=seen), tmp_path_factory.mktemp("planted"))
    return load_model(folder, "cpu"), labels


def recovered(model, labels, target, weight=0.5):
    """AUC of an attacker who sees the ten items of everybody's list under the mask that protects gender."""
    targets = Targets(model.item_shares, BalancePolicy())
    tasks = []
    for user in range(USERS):
        balance = Balance(target, weight, "request") if target else None
        towards = balance and targets.towards(balance, [model.bundle.seen.of(user)], 0, 10)
        tasks.append(Task(model, BundleUser(user, (True, False)), NOTHING, 10, None, towards))
    lists = np.zeros((USERS, ITEMS))
    for row, ranking in enumerate(compute(tasks)):
        lists[row, ranking.rows[:10]] = 1
    attacker = LogisticRegression(C=0.1, max_iter=1000)
    return roc_auc_score(labels, cross_val_predict(attacker, lists, labels, cv=10, method="predict_proba")[:, 1])


def test_lists_that_follow_a_history_give_away_what_the_mask_withholds(planted):
    assert recovered(*planted, "history") > 0.9


@pytest.mark.parametrize("target", [None, "uniform", "catalogue"])
def test_lists_towards_a_target_of_everybody_give_away_no_more_than_without(planted, target):
    assert abs(recovered(*planted, target) - 0.5) < 0.1


def test_and_so_no_plan_is_made_for_them(planted):
    served = ServedModel(planted[0], 1, Policy())

    with pytest.raises(BalanceRevealsError):
        plan_list(
            UserQuery("u0", sensitive=("gender",), balance="history"), served, StateCache(), Cursors(None, ttl_s=1)
        )
