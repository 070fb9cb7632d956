"""Which items an answer must not show, whatever their score."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

import numpy as np
from numpy.typing import NDArray


def dropped_rows(
    seen: NDArray[np.int32] | None, excluded: Iterable[str], item_row: Mapping[str, int]
) -> NDArray[np.int32]:
    """Rows to drop before counting to k.

    Args:
        seen: rows of the items this user has seen; None where they may be shown again.
        excluded: item ids that the request does not want; unknown ones change nothing.
        item_row: item id → row.

    Returns:
        Item rows, in any order, possibly repeated.
    """
    rows = [item_row[item] for item in excluded if item in item_row]
    if seen is None:
        return np.array(rows, np.int32)
    return np.append(seen, np.array(rows, np.int32)) if rows else seen
