"""Which items an answer must not show, whatever their score."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray


def dropped_rows(seen: NDArray[np.int32] | None, named: Sequence[int], *sets: NDArray[np.int32]) -> NDArray[np.int32]:
    """Rows to drop before counting to k.

    Args:
        seen: rows of the items this user had seen at export; None where they may be shown again.
        named: rows named one by one: posted interactions, exclusions.
        sets: rows prepared before: hidden items, items outside the wanted groups.

    Returns:
        Item rows, in any order, possibly repeated.
    """
    rows = [each for each in sets if len(each)]
    if seen is not None:
        rows.append(seen)
    if named:
        rows.append(np.array(named, np.int32))
    return rows[0] if len(rows) == 1 else np.concatenate(rows) if rows else np.zeros(0, np.int32)
