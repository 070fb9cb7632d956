"""How well attackers recover one attribute from one kind of features: one row of the card.

Every attacker is fitted in two ways, both tested on audit users: (a) by repeated stratified cross-validation inside
the audit set, (b) on the train users; some in a third, (c) on train users and the audit users of other folds together.
Its AUC is the worst of them, folded at .5; the row's leakage is that of the strongest attacker, to be read beside what
permuted labels give (``permutation95``).

A number from here bounds leakage from below: another attacker may find more.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from measure.auc import fold, macro_auc
from measure.errors import OutOfRangeError, OverlapError, ShapeError
from measure.features import Features, Forms, forms_of, prepare
from measure.labels import RARE_BELOW, Labels, Merge, merge_rare
from measure.profiles import Profile
from measure.resampling import bootstrap_interval, permutation_null, strays
from measure.tuning import DEFAULTS, Tuned
from measure.ways import FEW_FOLDS, WAYS, ByAttacker, Way, cross_validated, fitted_on_both, fitted_on_train

FORMS = ("plain", "whitened")
"""What the card calls the forms of joined features."""


@dataclass(frozen=True)
class Users:
    """Row numbers of the audit users, and of the train users where way (b) is wanted."""

    audit: NDArray[np.intp]
    train: NDArray[np.intp] | None = None


@dataclass(frozen=True)
class Attacked:
    """An attacker's result. ``auc`` and ``ci95`` are folded at .5 and of the worst ``way``; the ways are not folded.

    Where the features have several forms, each of these is of the worst one.
    """

    auc: float
    ci95: tuple[float, float]
    way: Way
    cross_validated: float | None = None
    fitted_on_train: float | None = None
    fitted_on_both: float | None = None
    form: int = 0
    """Which form of the features gave ``auc``."""

    def as_row(self) -> dict[str, Any]:
        """Shape it for the card; attackers that were not run are absent."""
        row: dict[str, Any] = {"auc": self.auc, "ci95": list(self.ci95), "way": self.way}
        found = {each: getattr(self, each) for each in WAYS}
        row |= {each: auc for each, auc in found.items() if auc is not None}
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

    ways: dict[Way, list[ByAttacker]] = {way: [] for way in WAYS}
    for prepared in map(prepare, forms_of(features)):
        shared = prepared, merged, audit, train, profile, tuned, seed
        ways["cross_validated"].append(cross_validated(prepared.rows(audit), truth, profile, tuned, seed))
        ways["fitted_on_train"].append(fitted_on_train(*shared))
        ways["fitted_on_both"].append(fitted_on_both(*shared))
    inside = dict(zip(WAYS, (1.0, 0.0, _inside(len(audit), len(train))), strict=True))
    sets = [(scores, strays(inside[way])) for way, forms in ways.items() for form in forms for scores in form.values()]
    null = permutation_null(sets, truth, profile.permutations, seed)

    found = {name: _worst(name, ways, truth, profile.bootstrap, seed) for name in profile.attackers}
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


def _worst(
    name: str, ways: Mapping[Way, Sequence[ByAttacker]], truth: NDArray[np.int64], resamples: int, seed: int
) -> Attacked:
    """Of an attacker's ways and forms, those that give away most; ways that it was not fitted in have no scores."""
    scores = {
        (way, place): form[name] for way, forms in ways.items() for place, form in enumerate(forms) if name in form
    }
    aucs = {key: macro_auc(each, truth) for key, each in scores.items()}
    worst = max(aucs, key=lambda key: fold(aucs[key]))
    way, form = worst
    return Attacked(
        auc=float(fold(aucs[worst])),
        ci95=bootstrap_interval(scores[worst], truth, resamples, seed),
        way=way,
        form=form,
        **{each: max((auc for (of, _), auc in aucs.items() if of == each), key=fold, default=None) for each in ways},
    )


def _inside(audit: int, train: int) -> float:
    """Share of audit users among those that way (c) learns from."""
    learned = audit * (1 - 1 / FEW_FOLDS)
    return learned / (learned + train)


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
