"""What so many audit users can show: which leakage passes or fails, told before anything is attacked.

An AUC near .5 of n users in K groups has the standard error s = √(Σ_k 1 / (12 n p_k (1 - p_k))) / K, one term where K
is 2, and an interval of ± 1.96 s. Where there is nothing to find, the strongest of a full profile's attackers still
strays from .5: by 2.1 s in half of the cases (five attackers fitted in two ways, of which those fitted inside stray √2
times as far, correlated by a half). Intervals of real audits lie within a fifth of these.

Source:
    Mann-Whitney under the null hypothesis, variance (n + 1) / (12 n_1 n_0).
"""

from dataclasses import dataclass

import numpy as np

from measure.labels import RARE_BELOW, Labels, merge_rare

_QUANTILE = 1.96
_CHANCE = 2.1


@dataclass(frozen=True)
class Power:
    """For one attribute."""

    users: int
    """Audit users with a known label."""
    groups: int
    """Groups that are attacked."""
    half_width: float
    """Of a 95 % interval."""
    chance: float
    """Leakage that half of the audits find where there is nothing to find."""

    @property
    def least_threshold(self) -> float:
        """The lowest threshold that half of the audits pass where there is nothing to find, at most 1."""
        return min(1.0, self.chance + self.half_width)

    def passes(self, threshold: float) -> float:
        """The largest leakage that passes a threshold."""
        return threshold - self.half_width

    def fails(self, threshold: float) -> float:
        """The smallest leakage that fails it."""
        return threshold + self.half_width

    def sentence(self, attribute: str, threshold: float) -> str:
        """What can be told at a threshold, in words."""
        said = f"{attribute}: {self.users:,} audit users in {self.groups} groups, an interval of about ± "
        said += f"{self.half_width:.3f}. "
        if self.least_threshold > threshold:
            said += f"Too few for {threshold:g}: where there is nothing to find, attackers reach {self.chance:.3f} by "
            return f"{said}chance, which passes at {self.least_threshold:.3f} and above."
        fails = f"one from {self.fails(threshold):.3f} fails" if self.fails(threshold) <= 1 else "none fails"
        said += f"At {threshold:g} a leakage up to {self.passes(threshold):.3f} passes, {fails}; "
        return f"{said}by chance alone attackers reach {self.chance:.3f}."


def power(labels: Labels, *, ordered: bool = False) -> Power:
    """Tell what the audit users with these labels can show.

    Args:
        labels: shape (n,), of the audit users, -1 for unknown (left out).
        ordered: whether the classes stand in an order.

    Raises:
        TooFewUsersError: too few are labelled.
        SingleClassError: no two groups can be made of them.
    """
    merge = merge_rare(labels, np.arange(len(labels)), RARE_BELOW, ordered=ordered)
    merged = merge.apply(labels)
    counts = np.bincount(merged[merged >= 0])
    users, groups = int(counts.sum()), len(counts)
    variances = (users + 1) / (12.0 * counts * (users - counts))
    error = float(np.sqrt(variances[0] if groups == 2 else variances.sum() / groups**2))
    return Power(users, groups, _QUANTILE * error, 0.5 + _CHANCE * error)
