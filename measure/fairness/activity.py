"""Whether the most active users are served better than the others."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from measure.errors import OutOfRangeError, TooFewUsersError
from measure.fairness.groups import Groups
from measure.scoring import Ints

SHARE = 0.05
"""Of the users, the most active ones."""


class Activity(NamedTuple):
    """The most active users, and the others."""

    groups: Groups
    """Two: "active" and "others"."""
    threshold: int
    """Interactions that make a user one of the active."""


def by_activity(interactions: Ints, share: float = SHARE) -> Activity:
    """Part users by how much they interacted.

    The active ones are those with at least as many interactions as the user who closes the top ``share`` has; users
    with the same number are on the same side, so they can be more than the share. Where all have the same, all are
    active and the others nobody.

    The user-oriented gap is then the distance of a metric's means over the two groups, `Bootstrap.difference`:
    UGF = |mean over active users of F - mean over the others of F|, F = nDCG@k in [0, 1]; 0: served alike.

    Args:
        interactions: shape (n,), of each user, n at least 1.
        share: in (0, 1).

    Raises:
        TooFewUsersError: nobody.

    Source:
        Li et al., *User-oriented Fairness in Recommendation*, WWW 2021: groups by number of interactions, top 5 %.
    """
    if not 0 < share < 1:
        raise OutOfRangeError("share", share, 0, 1)
    if not len(interactions):
        raise TooFewUsersError("users by activity", 0, 1)
    count = int(np.ceil(share * len(interactions)))
    threshold = int(np.sort(interactions)[-count])
    return Activity(Groups(("active", "others"), np.where(interactions >= threshold, 0, 1)), threshold)
