"""The features of attackers: vectors, lists, or several views of one user side by side.

Features are a dense array (n, d) or a SciPy sparse matrix (n, w), one row per user. Dense columns are brought to mean 0
and variance 1 by the rows an attacker is fitted on. Sparse ones (items of a list) are scaled by one number to the
total variance of 64 such columns: dividing each item by its own spread lets the rarest items drown the rest, and
hides leakage. Logistic regression sees the sparse columns themselves; the others see their first 64 singular
directions, found over all rows without any label.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import sparse
from sklearn.utils.extmath import randomized_svd

from measure.errors import MeasureError, NotFiniteError, OutOfRangeError, ShapeError

Features = Any
"""A dense array (n, d) or a SciPy sparse matrix (n, w)."""

DIRECTIONS = 64
_ROUND_OFF = 1e-6
_FAINTEST = 1e-5


def list_features(lists: NDArray[np.integer[Any]], item_count: int, by_rank: bool = False) -> Features:
    """Turn recommended lists into item indicators.

    Args:
        lists: shape (n, k), item indices by rank (0 is the top), -1 for an empty place.
        item_count: how many items there are.
        by_rank: weigh an item by 1 / log2(rank + 2) rather than 1.

    Returns:
        SciPy CSR, shape (n, item_count), float32.
    """
    if lists.ndim != 2:
        raise ShapeError("lists", lists.shape, "(n, k)")
    if lists.size and not -1 <= lists.min() <= lists.max() < item_count:
        raise OutOfRangeError("lists", int(lists.max()), -1, item_count - 1)
    user, rank = np.nonzero(lists >= 0)
    value = 1.0 / np.log2(rank + 2.0) if by_rank else np.ones(len(rank))
    return sparse.csr_matrix((value.astype(np.float32), (user, lists[user, rank])), shape=(len(lists), item_count))


def side_by_side(views: Sequence[Features]) -> Features:
    """Concatenate views of the same users, such as their fair vectors under every mask.

    The first view stays; every other one is given as its difference from the first. That is the same information,
    but what tells two masks apart is often far smaller than what they share, and scaling would bury it.

    Args:
        views: at least one, all dense (n, d) or all sparse (n, w), of one shape.

    Returns:
        Shape (n, len(views) * d). A column that differs by round-off only is zero.
    """
    first = views[0]
    for view in views[1:]:
        if view.shape != first.shape:
            raise ShapeError("a view", view.shape, str(tuple(first.shape)))
    if sparse.issparse(first):
        size = _total_variance(first)
        blocks = [first]
        for view in views[1:]:
            change = (view - first).tocsr()
            spread = _total_variance(change)
            blocks.append(change * np.sqrt(size / spread) if spread > 0 else change)
        return sparse.hstack(blocks, format="csr")
    floor = _ROUND_OFF * np.abs(first).max(initial=0.0)
    changes = [view - first for view in views[1:]]
    return np.concatenate([first, *(np.where(np.ptp(c, axis=0) > floor, c, 0.0) for c in changes)], axis=1)


@dataclass(frozen=True)
class Forms:
    """The same information in several forms; attackers see each, and the worst one counts."""

    forms: tuple[Features, ...]

    @property
    def shape(self) -> tuple[int, int]:
        """Of the first."""
        rows, width = self.forms[0].shape
        return rows, width


def prepared(features: Features | Forms) -> Features | Forms:
    """Prepare features that several attributes are attacked through, once; what is refused stays as it is."""
    try:
        forms = tuple(prepare(each) for each in forms_of(features))
    except MeasureError:
        return features
    return Forms(forms) if isinstance(features, Forms) else forms[0]


def forms_of(features: Any) -> tuple[Features, ...]:
    """All forms of features: themselves where they have one."""
    return features.forms if isinstance(features, Forms) else (features,)


def whitened(features: NDArray[np.floating[Any]]) -> NDArray[np.float32]:
    """Turn dense features to their principal directions, over all rows without any label, each at variance 1.

    What several masks show can differ in directions that no single column has for itself, far smaller than the columns
    are: no attacker learns from what is a thousandth of its input.

    Args:
        features: shape (n, d).

    Returns:
        Shape (n, w), largest first; w at most d, and at least 1. Directions below 1e-5 of the largest are round-off.
        Features that are not finite come back as they are, for `prepare` to refuse.
    """
    if not np.isfinite(features).all():
        return np.asarray(features, dtype=np.float32)
    centred = np.asarray(features, dtype=np.float64)
    centred = centred - centred.mean(axis=0)
    variance, directions = np.linalg.eigh(centred.T @ centred / len(centred))
    spread = np.sqrt(np.maximum(variance, 0))[::-1]
    kept = max(1, int((spread > _FAINTEST * spread[0]).sum()))
    turned = centred @ directions[:, ::-1][:, :kept]
    turned /= np.where(spread[:kept] > 0, spread[:kept], 1)
    return np.asarray(turned, dtype=np.float32)


def noise_like(features: Features, seed: int) -> Features:
    """Negative control: the same rows, dealt to other users, so that they know nothing of any label."""
    return features[np.random.default_rng(seed).permutation(features.shape[0])]


@dataclass(frozen=True)
class Prepared:
    """Features as the attackers take them; ``wide`` and ``dense`` are one array unless the features are sparse."""

    wide: Features
    dense: NDArray[np.float32]
    is_sparse: bool

    @property
    def shape(self) -> tuple[int, int]:
        """Users and columns."""
        rows, width = self.wide.shape
        return rows, width

    def rows(self, rows: NDArray[np.intp]) -> "Prepared":
        """Take some users."""
        dense = self.dense[rows]
        return Prepared(self.wide[rows] if self.is_sparse else dense, dense, self.is_sparse)

    def scaled(self, fitting: "Prepared") -> "Prepared":
        """Scale by the statistics of the fitting rows; a column that is constant among them becomes zero."""
        mean = fitting.dense.mean(axis=0, dtype=np.float64)
        spread = fitting.dense.std(axis=0, dtype=np.float64)
        if not self.is_sparse:
            used = spread > _ROUND_OFF * spread.max(initial=0.0)
            scale = np.divide(1.0, spread, out=np.zeros_like(spread), where=used)
            dense = ((self.dense - mean) * scale).astype(np.float32)
            return Prepared(dense, dense, False)
        return Prepared(
            self.wide * _to_unit(_total_variance(fitting.wide)),
            ((self.dense - mean) * _to_unit(float((spread**2).sum()))).astype(np.float32),
            True,
        )


def prepare(features: Features) -> Prepared:
    """Check features, and prepare the form that each attacker needs; what is prepared already stays as it is.

    Raises:
        ShapeError: not two-dimensional, or without columns.
        NotFiniteError: NaN or infinity among the values.
    """
    if isinstance(features, Prepared):
        return features
    if features.ndim != 2 or not features.shape[1]:
        raise ShapeError("features", features.shape, "(n, d) with d at least 1")
    is_sparse = bool(sparse.issparse(features))
    values = features.data if is_sparse else features
    if not (fine := np.isfinite(values)).all():
        raise NotFiniteError("features", int((~fine).sum()))
    if not is_sparse:
        dense = np.asarray(features, dtype=np.float32)
        return Prepared(dense, dense, False)
    wide = sparse.csr_matrix(features, dtype=np.float64)
    count = min(DIRECTIONS, *wide.shape)
    left, strength, _ = randomized_svd(wide, count, random_state=0)
    return Prepared(wide, (left * strength).astype(np.float32), True)


def met(fitting: Features, scored: Features) -> tuple[Features, Features]:
    """Leave out sparse columns that no fitting user has: their weights would stay 0.

    Dense columns all stay, and all of those where no fitting user has any: a fit needs one at least.
    """
    if not sparse.issparse(fitting) or not fitting.nnz:
        return fitting, scored
    there = np.unique(fitting.indices)
    return fitting[:, there], scored[:, there]


def _total_variance(wide: Features) -> float:
    mean = np.asarray(wide.mean(axis=0)).ravel()
    return max(0.0, float(wide.multiply(wide).sum() / wide.shape[0] - (mean**2).sum()))


def _to_unit(variance: float) -> float:
    return float(np.sqrt(DIRECTIONS / variance)) if variance > _ROUND_OFF**2 else 0.0
