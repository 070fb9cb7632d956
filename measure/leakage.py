"""How well attackers recover one attribute from one kind of features: one row of the card.

Every attacker is fitted in two ways, both tested on audit users: (a) by repeated stratified cross-validation inside
the audit set, (b) on the train users. Its AUC is the worse of the two, folded at .5; the row's leakage is that of the
strongest attacker, to be read beside what permuted labels give (``permutation95``).

A number from here bounds leakage from below: another attacker may find more.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray
from sklearn.model_selection import StratifiedKFold

from measure.attackers import Attempt, attack
from measure.auc import columns, fold, macro_auc, midranks
from measure.errors import OutOfRangeError, OverlapError, ShapeError
from measure.features import Features, Forms, Prepared, forms_of, prepare
from measure.labels import RARE_BELOW, Labels, Merge, merge_rare
from measure.profiles import Profile
from measure.resampling import bootstrap_interval, permutation_null
from measure.tuning import DEFAULTS, Tuned

FORMS = ("plain", "whitened")
"""What the card calls the forms of joined features."""
Way = Literal["cross_validated", "fitted_on_train"]


@dataclass(frozen=True)
class Users:
    """Row numbers of the audit users, and of the train users where way (b) is wanted."""

    audit: NDArray[np.intp]
    train: NDArray[np.intp] | None = None


@dataclass(frozen=True)
class Attacked:
    """An attacker's result. ``auc`` and ``ci95`` are folded at .5 and of the worse ``way``; the two ways are not.

    Where the features have several forms, each of these is of the worst one.
    """

    auc: float
    ci95: tuple[float, float]
    way: Way
    cross_validated: float
    fitted_on_train: float | None
    form: int = 0
    """Which form of the features gave ``auc``."""

    def as_row(self) -> dict[str, Any]:
        """Shape it for the card; attackers that were not run are absent."""
        row: dict[str, Any] = {"auc": self.auc, "ci95": list(self.ci95), "way": self.way}
        row["cross_validated"] = self.cross_validated
        if self.fitted_on_train is not None:
            row["fitted_on_train"] = self.fitted_on_train
        if self.form:
            row["form"] = FORMS[self.form]
        return row


@dataclass(frozen=True)
class Leakage:
    """One (attribute, target) measured; the caller knows the mask."""

    attribute: str
    target: str
    profile: str
    n: int
    """Audit users with a known label."""
    n_train: int
    """Train users with a known label; 0 when way (b) was not run."""
    merge: Merge
    """The groups attacked, each with the original labels merged into it."""
    attackers: Mapping[str, Attacked]
    permutation95: float
    """95 % point of the strongest attacker's leakage where there is nothing to find."""
    permutation_p: float
    """Share of permutations at least as strong as the found result, (1 + these) / (1 + all)."""
    base_auc: float | None = None

    @property
    def strongest(self) -> str:
        """Name of the attacker with the largest AUC, the first of equals."""
        return max(self.attackers, key=lambda name: self.attackers[name].auc)

    @property
    def auc(self) -> float:
        """Leakage: the strongest attacker's AUC, in [.5, 1]."""
        return self.attackers[self.strongest].auc

    def as_row(self) -> dict[str, Any]:
        """Shape it for the card's ``leakage.by_mask``, without ``sensitive``; unmeasured numbers are absent."""
        best = self.attackers[self.strongest]
        row: dict[str, Any] = {"attribute": self.attribute, "target": self.target, "n": self.n}
        if self.base_auc is not None:
            row["base_auc"] = self.base_auc
        row["attackers"] = {name: found.as_row() for name, found in self.attackers.items()}
        row["strongest"] = {"attacker": self.strongest, "auc": best.auc, "ci95": list(best.ci95)}
        row["permutation95"] = self.permutation95
        row["permutation_p"] = self.permutation_p
        row["profile"] = self.profile
        row["n_train"] = self.n_train
        row["classes"] = [list(members) for members in self.merge.classes]
        return row


def leakage(
    features: Features | Forms,
    labels: Labels,
    users: Users,
    profile: Profile,
    *,
    attribute: str,
    target: str,
    tuned: Tuned = DEFAULTS,
    ordered: bool = False,
    base_auc: float | None = None,
    seed: int = 0,
) -> Leakage:
    """Attack one attribute through one kind of features.

    Args:
        features: dense (n, d) or SciPy sparse (n, w), one row per user of the bundle; or the same in several forms.
        labels: shape (n,), -1 for unknown (left out).
        users: disjoint audit and train rows.
        profile: how much work to spend.
        attribute: its name, for the row.
        target: what the features are (fair, base, list@10, …), for the row.
        tuned: the attackers' settings, from `measure.tuning.tune` on select users.
        ordered: whether the classes stand in an order: rare ones then join their neighbours.
        base_auc: leakage of the base user vectors, where it has been measured.
        seed: of folds, attackers, bootstrap and permutations. The same seed and labels give the same folds whatever
            the features, so rows of one card can be compared.

    Raises:
        MeasureError: shapes disagree, features are not finite, the sets overlap, or there are too few users or classes.
    """
    _check(features, labels, users)
    merge = merge_rare(labels, users.audit, RARE_BELOW, ordered=ordered)
    merged = merge.apply(labels)
    audit = users.audit[merged[users.audit] >= 0]
    train = _train_rows(users, merged)
    truth = merged[audit]

    inside, outside = [], []
    for prepared in map(prepare, forms_of(features)):
        inside.append(_cross_validated(prepared.rows(audit), truth, profile, tuned, seed))
        outside.append(_fitted_on_train(prepared, merged, audit, train, profile, tuned, seed))
    learned_inside, learned_outside = ([each for form in way for each in form.values()] for way in (inside, outside))
    null = permutation_null(learned_inside, learned_outside, truth, profile.permutations, seed)

    found = {
        name: _worst(
            [form[name] for form in inside], [form[name] for form in outside if form], truth, profile.bootstrap, seed
        )
        for name in profile.attackers
    }
    top = max(result.auc for result in found.values())
    return Leakage(
        attribute=attribute,
        target=target,
        profile=profile.name,
        n=len(audit),
        n_train=len(train),
        merge=merge,
        attackers=found,
        permutation95=float(np.percentile(null, 95)),
        permutation_p=float((1 + (null >= top).sum()) / (1 + len(null))),
        base_auc=base_auc,
    )


def refitted_null(
    features: Features, labels: Labels, users: Users, profile: Profile, *, tuned: Tuned, refits: int, seed: int
) -> list[float]:
    """Check the permutation null by fitting the suite again on shuffled labels; one leakage per refit.

    Costs a whole `leakage` each: a few, for one row of a card, show whether ``permutation95`` is where it should be.
    """
    strongest = []
    for refit in range(refits):
        rng = np.random.default_rng([seed, refit])
        shuffled = labels.copy()
        for rows in (users.audit, users.train):
            if rows is not None:
                shuffled[rows] = rng.permutation(labels[rows])
        row = leakage(features, shuffled, users, profile, attribute="", target="", tuned=tuned, seed=seed + refit)
        strongest.append(row.auc)
    return strongest


def _cross_validated(
    users: Prepared, truth: NDArray[np.int64], profile: Profile, tuned: Tuned, seed: int
) -> dict[str, NDArray[np.float64]]:
    """Way (a): out-of-fold scores, as ranks within their fold (folds are scaled alike), summed over repeats."""
    class_count = int(truth.max()) + 1
    scores = {name: np.zeros((len(truth), columns(class_count))) for name in profile.attackers}
    for repeat in range(profile.repeats):
        folds = StratifiedKFold(profile.folds, shuffle=True, random_state=_seed(seed, repeat))
        for number, (fitting, held) in enumerate(folds.split(truth, truth)):
            attempt = _attempt(users, truth, fitting, held, class_count, profile, _seed(seed, repeat, number))
            for name in profile.attackers:
                if not repeat or name not in profile.once:
                    ranks = midranks(attack(name, attempt, tuned.settings[name]))
                    scores[name][held] += (ranks - 0.5) / len(held)
    return scores


def _fitted_on_train(
    users: Prepared,
    merged: NDArray[np.int64],
    audit: NDArray[np.intp],
    train: NDArray[np.intp],
    profile: Profile,
    tuned: Tuned,
    seed: int,
) -> dict[str, NDArray[np.float64]]:
    """Way (b): scores of attackers that learned from train users; empty where there are none to learn from."""
    if not len(train):
        return {}
    class_count = int(merged.max()) + 1
    attempt = _attempt(users, merged, train, audit, class_count, profile, _seed(seed, profile.repeats))
    return {name: attack(name, attempt, tuned.settings[name]) for name in profile.attackers}


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


def _worst(
    inside: Sequence[NDArray[np.float64]],
    outside: Sequence[NDArray[np.float64]],
    truth: NDArray[np.int64],
    resamples: int,
    seed: int,
) -> Attacked:
    """Of the ways and the forms, the ones that give away most; scores of each form, by way (b) there may be none."""
    by_fold, by_train = ([macro_auc(scores, truth) for scores in way] for way in (inside, outside))
    tried: list[tuple[Way, int, NDArray[np.float64], float]] = [
        *(("cross_validated", *each) for each in zip(range(len(inside)), inside, by_fold, strict=True)),
        *(("fitted_on_train", *each) for each in zip(range(len(outside)), outside, by_train, strict=True)),
    ]
    way, form, scores, auc = max(tried, key=lambda each: fold(each[3]))
    interval = bootstrap_interval(scores, truth, resamples, seed)
    return Attacked(
        float(fold(auc)), interval, way, max(by_fold, key=fold), max(by_train, key=fold, default=None), form
    )


def _train_rows(users: Users, merged: NDArray[np.int64]) -> NDArray[np.intp]:
    """Give the train users with a known label; none where they are too few to learn two classes from."""
    if users.train is None:
        return np.empty(0, dtype=np.intp)
    known = users.train[merged[users.train] >= 0]
    enough = len(known) >= 2 * RARE_BELOW and len(np.unique(merged[known])) >= 2
    return known if enough else np.empty(0, dtype=np.intp)


def _check(features: Features | Forms, labels: Labels, users: Users) -> None:
    n = features.shape[0]
    if labels.shape != (n,):
        raise ShapeError("labels", labels.shape, f"({n},)")
    for what, rows in (("audit rows", users.audit), ("train rows", users.train)):
        if rows is not None and len(rows) and not 0 <= rows.min() <= rows.max() < n:
            raise OutOfRangeError(what, int(rows.max()), 0, n - 1)
    if users.train is not None and (shared := len(np.intersect1d(users.audit, users.train))):
        raise OverlapError("audit", "train", shared)


def _seed(*keys: int) -> int:
    return int(np.random.default_rng(list(keys)).integers(2**31 - 100))
