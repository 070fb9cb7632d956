"""How much work one measurement of leakage is worth."""

from dataclasses import dataclass, replace

from measure.attackers import ATTACKERS
from measure.errors import OutOfRangeError, UnknownAttackerError


@dataclass(frozen=True)
class Profile:
    """A named amount of work. Read once, never changed."""

    name: str
    attackers: tuple[str, ...]
    """Which of `measure.attackers.ATTACKERS` run."""
    folds: int
    """Parts of one stratified cross-validation over audit users, at least 2."""
    repeats: int
    """Cross-validations with different folds, at least 1; a user's out-of-fold scores are averaged over them."""
    members: int
    """MLPs whose probabilities are averaged, at least 1."""
    bootstrap: int
    """Resamples of the audit users behind an interval."""
    permutations: int
    """Label permutations behind the null."""
    fit_rows: int
    """Users one attacker is fitted on at most; more are sampled down to this many (SVM and kNN grow with n²)."""
    verdict: bool
    """Whether the result may be judged; a quick look may not."""
    lists: tuple[int, ...] = (10,)
    """Lengths of the recommended lists that are attacked besides vectors."""
    once: tuple[str, ...] = ()
    """Attackers that are cross-validated once, in 3 folds, whatever else is said: dear ones, rarely the strongest."""
    both: tuple[str, ...] = ()
    """Attackers that are fitted on train and audit users together as well."""
    protected_only: bool = False
    """Attack each fair vector for the attributes that it protects, and nothing else."""

    def __post_init__(self) -> None:
        for name in (*self.attackers, *self.both):
            if name not in ATTACKERS:
                raise UnknownAttackerError(name, tuple(ATTACKERS))
        lows = {"folds": 2, "repeats": 1, "members": 1, "bootstrap": 1, "permutations": 1, "fit_rows": 60}
        for field, low in lows.items():
            if getattr(self, field) < low:
                raise OutOfRangeError(f"{field} of profile {self.name}", getattr(self, field), low, float("inf"))


QUICK = Profile("quick", ("logistic", "mlp", "knn"), 3, 1, 1, 200, 200, fit_rows=4_000, verdict=False)
"""Seconds for a row: a look, not a verdict."""

PROTECTED = replace(QUICK, name="protected", protected_only=True)
"""Quick measurements of protected attributes alone, for comparing many bundles."""

FULL = Profile(
    "full",
    tuple(ATTACKERS),
    5,
    2,
    3,
    1_000,
    1_000,
    fit_rows=10_000,
    verdict=True,
    lists=(10, 50),
    once=("boosting", "svm"),
    both=("logistic", "mlp", "knn"),
)
"""Seconds for a row: every attacker, fitted four or fourteen times."""

PROFILES = {profile.name: profile for profile in (QUICK, PROTECTED, FULL)}
