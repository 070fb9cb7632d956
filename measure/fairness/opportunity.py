"""Whether items that users would like are found as often in every group. fairlearn's one door."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from fairlearn.metrics import MetricFrame, count, true_positive_rate
from numpy.typing import NDArray

from measure.fairness.estimate import Bootstrap, Estimate, Gap
from measure.fairness.groups import Groups
from measure.fairness.shuffles import Shuffles
from measure.fairness.totals import divided, ends, spread, totals
from measure.scoring import Floats


class Opportunity(NamedTuple):
    """Hits by group, and how far apart they are."""

    users: dict[str, int]
    """Group → users with a held-out positive; a group without any is absent."""
    hits: dict[str, float]
    """Group → share of them whose positive is in the list, in [0, 1]."""
    gap: Gap | None
    """None where fewer than two groups have such users."""


def opportunity(hits: Floats, groups: Groups, bootstrap: Bootstrap, shuffles: Shuffles | None = None) -> Opportunity:
    """Equal opportunity: max over g, h of |P(positive in the list | g) - P(positive in the list | h)|.

    With one held-out positive per user the true positive rate of "recommend" over positives is the hit rate.

    Args:
        hits: shape (n,), 1 where the user's positive is among the first k, 0 where not, NaN for a user without one.
        groups: of the n users.
        bootstrap: over them.
        shuffles: of the same groups, for what chance alone gives; None to leave that out.

    Returns:
        A gap in [0, 1], between the group with the most hits and the one with the fewest; 0: as many in every group.

    Source:
        Hardt, Price and Srebro, NeurIPS 2016, section 2; computed by fairlearn's ``MetricFrame`` and its
        ``true_positive_rate``, the interval by our own bootstrap.
    """
    there = ~np.isnan(hits) & (groups.of >= 0)
    if not there.any():
        return Opportunity({}, {}, None)
    found = hits[there].astype(np.int64)
    frame = MetricFrame(
        metrics={"users": count, "hits": true_positive_rate},
        y_true=np.ones_like(found),
        y_pred=found,
        sensitive_features=groups.of[there],
    )
    users = {groups.names[group]: int(each) for group, each in frame.by_group["users"].items()}
    rates = {groups.names[group]: float(each) for group, each in frame.by_group["hits"].items()}
    if len(users) < 2:
        return Opportunity(users, rates, None)

    columns = np.stack([np.where(there, hits, 0.0), there.astype(np.float64)], axis=1)

    def by_group(sums: NDArray[Any]) -> NDArray[Any]:
        return divided(sums[..., 0], sums[..., 1])

    most, least = ends(by_group(totals(columns, groups)))
    interval = bootstrap.estimate(lambda sums: by_group(sums)[..., most] - by_group(sums)[..., least], columns, groups)
    value = Estimate(float(frame.difference(method="between_groups")["hits"]), interval.ci95)
    chance = (
        shuffles.percentile95(lambda sums: spread(by_group(sums)[..., None])[..., 0], columns) if shuffles else None
    )
    return Opportunity(users, rates, Gap(value, (groups.names[most], groups.names[least]), permutation95=chance))
