"""Light users: those with the fewest interactions. Their vectors are the furthest from what maps are fitted on.

They are a third of the audit users, and at least as many as an attack on two groups can learn from.
"""

import numpy as np

from measure.labels import RARE_BELOW
from measure.scoring import Ints

LIGHTEST = 1 / 3
"""Share of the audit users that are light."""
AT_LEAST = 4 * RARE_BELOW
"""Light users there must be for rows of their own."""
AT_MOST = 2 / 3
"""Share that they may be where many have the same number; beyond, they are nearly everybody."""
NOBODY = -1


def light_up_to(interactions: Ints) -> int:
    """The most interactions that a light user has.

    Args:
        interactions: (n,) of the audit users, all that are known at export.

    Returns:
        A number that a third of these users, at least 120, do not exceed; the next smaller one where too many share it;
        `NOBODY` where neither parts some users from the others: too few users, or all have the same number.
    """
    n = len(interactions)
    wanted = max(int(np.ceil(n * LIGHTEST)), AT_LEAST)
    if wanted > AT_MOST * n:
        return NOBODY
    bound = int(np.sort(interactions)[wanted - 1])
    for each in (bound, bound - 1):
        if AT_LEAST <= int((interactions <= each).sum()) <= AT_MOST * n:
            return int(interactions[interactions <= each].max())
    return NOBODY
