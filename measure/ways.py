"""The ways in which attackers are fitted; each gives scores of the audit users, by attacker.

Scores made fold by fold are ranks within their fold, since folds are scaled alike.
"""

from __future__ import annotations

from typing import Literal, get_args

import numpy as np
from numpy.typing import NDArray
from sklearn.model_selection import StratifiedKFold

from measure.attackers import Attempt, attack
from measure.auc import columns, midranks
from measure.features import Prepared
from measure.profiles import Profile
from measure.tuning import Tuned

Way = Literal["cross_validated", "fitted_on_train", "fitted_on_both"]
WAYS: tuple[Way, ...] = get_args(Way)
ByAttacker = dict[str, NDArray[np.float64]]
"""Attacker → (n, K) scores of the audit users, columns as in `measure.auc`; what was not run is absent."""

FEW_FOLDS = 3
"""Of attackers that are dear and rarely the strongest, and of those that learn from train users besides."""


def cross_validated(users: Prepared, truth: NDArray[np.int64], profile: Profile, tuned: Tuned, seed: int) -> ByAttacker:
    """Way (a): out-of-fold scores inside the audit set, summed over repeats.

    Args:
        users: the audit users.
        truth: (n,) their classes.
        profile: how often and by whom.
        tuned: the attackers' settings.
        seed: of folds and attackers.
    """
    class_count = int(truth.max()) + 1
    scores = {name: np.zeros((len(truth), columns(class_count))) for name in profile.attackers}
    often = [name for name in profile.attackers if name not in profile.once]
    once = [name for name in profile.attackers if name in profile.once]
    rounds = [*((often, profile.folds) for _ in range(profile.repeats)), (once, min(FEW_FOLDS, profile.folds))]
    for repeat, (names, count) in enumerate(rounds):
        folds = StratifiedKFold(count, shuffle=True, random_state=_seed(seed, repeat))
        for number, (fitting, held) in enumerate(folds.split(truth, truth) if names else ()):
            attempt = _attempt(users, truth, fitting, held, class_count, profile, _seed(seed, repeat, number))
            for name in names:
                scores[name][held] += _ranked(name, attempt, tuned)
    return scores


def fitted_on_train(
    users: Prepared,
    merged: NDArray[np.int64],
    audit: NDArray[np.intp],
    train: NDArray[np.intp],
    profile: Profile,
    tuned: Tuned,
    seed: int,
) -> ByAttacker:
    """Way (b): of attackers that learned from train users; empty where there are none to learn from.

    Args:
        users: everybody.
        merged: (users,) their classes.
        audit: rows (n,) that are scored.
        train: rows that are learned from.
        profile: by whom.
        tuned: the attackers' settings.
        seed: of the attackers.
    """
    if not len(train):
        return {}
    class_count = int(merged.max()) + 1
    attempt = _attempt(users, merged, train, audit, class_count, profile, _seed(seed, profile.repeats))
    return {name: attack(name, attempt, tuned.settings[name]) for name in profile.attackers}


def fitted_on_both(
    users: Prepared,
    merged: NDArray[np.int64],
    audit: NDArray[np.intp],
    train: NDArray[np.intp],
    profile: Profile,
    tuned: Tuned,
    seed: int,
) -> ByAttacker:
    """Way (c): of attackers that learned from train users and the audit users of other folds together.

    Takes what `fitted_on_train` takes; empty where there are no train users.
    """
    if not len(train) or not profile.both:
        return {}
    truth, class_count = merged[audit], int(merged.max()) + 1
    scores = {name: np.zeros((len(audit), columns(class_count))) for name in profile.both}
    folds = StratifiedKFold(FEW_FOLDS, shuffle=True, random_state=_seed(seed, profile.repeats + 1))
    for number, (fitting, held) in enumerate(folds.split(truth, truth)):
        known = np.concatenate([train, audit[fitting]])
        drawn = _seed(seed, profile.repeats + 1, number)
        attempt = _attempt(users, merged, known, audit[held], class_count, profile, drawn)
        for name in profile.both:
            scores[name][held] = _ranked(name, attempt, tuned)
    return scores


def _ranked(name: str, attempt: Attempt, tuned: Tuned) -> NDArray[np.float64]:
    ranks = midranks(attack(name, attempt, tuned.settings[name]))
    return np.asarray((ranks - 0.5) / len(ranks))


def _attempt(
    users: Prepared,
    labels: NDArray[np.int64],
    fitting: NDArray[np.intp],
    held: NDArray[np.intp],
    class_count: int,
    profile: Profile,
    seed: int,
) -> Attempt:
    if len(fitting) > profile.fit_rows:
        fitting = np.sort(np.random.default_rng(seed).choice(fitting, profile.fit_rows, replace=False))
    base = users.rows(fitting)
    scored = users.rows(held).scaled(base)
    return Attempt(base.scaled(base), labels[fitting], scored, class_count, seed, profile.members)


def _seed(*keys: int) -> int:
    return int(np.random.default_rng(list(keys)).integers(2**31 - 100))
