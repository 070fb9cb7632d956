"""What `--rerank` asks for, and the lists that come of it: all users' candidates in, places out.

The relevance of a candidate is its score brought to [0, 1] over the user's candidates, as where one list is balanced
(docs/decisions/0055): each user then weighs the same. The quality of lists, which groups of users are compared by, is
the score itself. docs/algorithms/reranking.md says what that can do, and what not.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from balance.candidates import Candidates, Places, scaled
from balance.cpfair import Consumers, Producers, two_sided
from balance.errors import RerankError
from balance.tfrom import tfrom_offline
from balance.user_fairness import user_fair
from bundle import Description
from measure.fairness.activity import by_activity
from service.balance import SharedTarget
from service.errors import RerankRevealsError, StartError
from service.model.active import ServedModel

Kind = Literal["uof", "cpfair", "tfrom"]
ACTIVITY = "activity"
ACTIVE = 0.05
"""Share of the users that are the active ones."""
MOST_CANDIDATES = 1000


@dataclass(frozen=True, slots=True, kw_only=True)
class RerankAsked:
    """The options of a re-ranker."""

    kind: Kind
    candidates: int = 100
    """Items of each user that lists are chosen from."""
    users: str | None = None
    """The two groups of users: `ACTIVITY`, or an attribute of two classes."""
    gap: float | None = None
    """uof: the largest gap, as a share of that of the lists as ranked."""
    consumers: float | None = None
    """cpfair: λ1, what a gap of the whole mean quality costs, in relevance of a list."""
    producers: float | None = None
    """cpfair: λ2, what Σ |share − target| costs."""
    target: SharedTarget | None = None
    """cpfair, tfrom: what item groups should have."""

    @property
    def facts(self) -> Mapping[str, object]:
        """What lists depend on."""
        return {f"rerank_{name}": getattr(self, name) for name in self.__slots__}


TAKES: Mapping[Kind, tuple[str, ...]] = {
    "uof": ("users", "gap"),
    "cpfair": ("users", "consumers", "producers", "target"),
    "tfrom": ("target",),
}


def check_options(asked: RerankAsked, k: int) -> None:
    """Refuse options that do not go together.

    Raises:
        StartError: names the option.
    """
    for name in ("users", "gap", "consumers", "producers", "target"):
        if getattr(asked, name) is not None and name not in TAKES[asked.kind]:
            takes = ", ".join(f"--rerank-{each}" for each in TAKES[asked.kind])
            raise StartError(f"--rerank-{name} is nothing to --rerank {asked.kind}, which takes {takes}")
    if not k <= asked.candidates <= MOST_CANDIDATES:
        raise StartError(f"--rerank-candidates is {asked.candidates}; it can be --k, {k}, to {MOST_CANDIDATES}")
    if asked.kind == "uof" and (asked.users is None or asked.gap is None):
        raise StartError("--rerank uof needs --rerank-users and --rerank-gap")
    if asked.consumers is not None and asked.users is None:
        raise StartError("--rerank-consumers needs --rerank-users")


def check_withheld(asked: RerankAsked | None, protected: Mapping[str, str]) -> None:
    """Refuse to make lists from the groups that users are in, while anything is withheld from any of them.

    A list that depends on the user's own group shows it. The class of a protected attribute is what is withheld; other
    classes, and how active somebody is, are no functions of the fair vector and go along with it.

    Args:
        asked: the re-ranker.
        protected: attribute → source, of one requirement.

    Raises:
        RerankRevealsError: it would.
    """
    if asked is not None and asked.users is not None and protected:
        raise RerankRevealsError(asked.kind, asked.users, protected)


def check_users(asked: RerankAsked | None, bundle: Description) -> None:
    """Refuse groups of users that a bundle does not have.

    Raises:
        StartError: names those that it has.
    """
    two = [each.name for each in bundle.attributes if len(each.classes) == 2]
    if asked is not None and asked.users is not None and asked.users not in (ACTIVITY, *two):
        raise StartError(f"--rerank-users is {asked.users!r:.80}; it can be {', '.join([ACTIVITY, *two])}")


class Reranker:
    """One re-ranker, ready for all users."""

    def __init__(self, asked: RerankAsked, served: ServedModel, k: int) -> None:
        """Look up what it needs.

        Raises:
            StartError: the bundle lacks it.
        """
        self._asked = asked
        self._bundle = served.model.bundle
        self.k, self.candidates = k, asked.candidates
        self._shares = served.model.item_shares
        self._target = served.targets.shared(asked.target or "catalogue") if "target" in TAKES[asked.kind] else None
        self._labels = None if asked.users in (None, ACTIVITY) else self._labels_of(str(asked.users))

    def places(
        self, users: Sequence[str], met: NDArray[np.int64], items: NDArray[np.int32], scores: NDArray[np.float64]
    ) -> Places:
        """Choose and order.

        Args:
            users: n ids.
            met: shape (n,), how many items each has interacted with.
            items: shape (n, C) item rows, best first, -1 for none.
            scores: shape (n, C).

        Returns:
            (n, k) places, -1 behind the last.

        Raises:
            StartError: these users are no two groups.
        """
        filled = items >= 0
        candidates = Candidates(items, scaled(np.where(filled, scores, 0.0), filled))
        try:
            return self._places(candidates, scores, users, met)
        except RerankError as error:
            raise StartError(f"--rerank {self._asked.kind}: {error}") from error

    def _places(
        self, candidates: Candidates, scores: NDArray[np.float64], users: Sequence[str], met: NDArray[np.int64]
    ) -> Places:
        asked, k = self._asked, self.k
        if asked.kind == "tfrom":
            assert self._target is not None  # noqa: S101  it takes one
            return tfrom_offline(candidates, self._shares, self._target, k)
        groups = None if asked.users is None else self._groups(users, met)
        quality = self._quality(scores, candidates.filled)
        if asked.kind == "uof":
            assert groups is not None and asked.gap is not None  # noqa: S101, PT018  `check_options`
            means = [quality[groups == group, :k].sum(axis=1).mean() for group in (0, 1) if (groups == group).any()]
            gap = abs(float(np.ptp(means))) if means else 0.0
            return user_fair(candidates, quality, groups, k, asked.gap * gap).places
        by_user = None if groups is None else Consumers(groups, quality, _weight(asked.consumers))
        assert self._target is not None  # noqa: S101  it takes one
        by_item = Producers(self._shares, self._target, _weight(asked.producers))
        return two_sided(candidates, k, by_user, by_item).places

    def _quality(self, scores: NDArray[np.float64], filled: NDArray[np.bool_]) -> NDArray[np.float64]:
        """Scores as shares of what the mean list as ranked has of them."""
        known = np.where(filled, scores, 0.0)
        mean = abs(float(known[:, : self.k].sum(axis=1).mean()))
        return known / (mean or 1.0)

    def _groups(self, users: Sequence[str], met: NDArray[np.int64]) -> NDArray[np.int64]:
        """(n,) 0 or 1; -1 for whose class is not known."""
        if self._labels is None:
            return by_activity(met, ACTIVE).groups.of
        row = self._bundle.users.row
        rows = np.array([row.get(user, -1) for user in users], np.int64)
        return np.where(rows >= 0, self._labels[np.maximum(rows, 0)], -1).astype(np.int64)

    def _labels_of(self, name: str) -> NDArray[np.int16]:
        description = self._bundle.description
        check_users(self._asked, description)
        if self._bundle.audit is None:
            raise StartError(f"--rerank-users {name}: this bundle came without audit/, so nobody's class is known")
        labels: NDArray[Any] = self._bundle.audit.labels
        return labels[:, description.attribute_names.index(name)]


def _weight(asked: float | None) -> float:
    return 1.0 if asked is None else asked
