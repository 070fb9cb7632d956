"""The count behind one answer on exposure: which lists are in it, whose they are, and which are in no number."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from threadpoolctl import threadpool_limits

from bundle import Items
from measure.fairness.items import ItemGroups, item_groups
from service.audit.catalogues import Catalogues, VersionItems
from service.audit.shares import Classes, Shares, by_version, compared, overall
from service.audit.tally import Tally, side_by_side
from service.model.loaded import Model
from service.store import BalanceCount, LogColumns, Pseudonyms, StoredModel

NOBODYS = "lists of nobody known: of sessions, of similar or popular items, or of erased users"
STRANGERS = "lists of users that the active bundle does not have"
UNNAMED = "the items of this version cannot be read from the models folder"
UNLABELLED = "lists of users whose class is not known"


class _Catalogue(NamedTuple):
    """The items of one version, dealt into groups, and which of them nobody had touched."""

    groups: ItemGroups
    cold: NDArray[np.bool_] | None

    @classmethod
    def of(cls, items: VersionItems | Items) -> _Catalogue:
        return cls(item_groups(items.groups), items.cold if items.cold.any() else None)


@dataclass(frozen=True)
class NotCounted:
    """Served lists that are in no number."""

    model: StoredModel | None
    """Whose lists they are; None for lists of several."""
    lists: int
    reason: str


@dataclass(frozen=True)
class Exposure:
    """The served exposure by groups of users."""

    lists: int
    users: int
    shares: Shares
    not_counted: tuple[NotCounted, ...]
    balances: tuple[BalanceCount, ...]
    """Of all lists that were shown, those of nobody known included."""


class Count:
    """The tally behind one answer, and the lists that are not in it; for one thread at a time."""

    def __init__(
        self, model: Model, catalogues: Catalogues, pseudonyms: Pseudonyms, *, versions_apart: bool = False
    ) -> None:
        """Nothing is counted yet.

        Args:
            model: whose users are known.
            catalogues: of the versions in the log.
            pseudonyms: how users are written there.
            versions_apart: whether the lists of each version are counted by themselves.
        """
        users = model.bundle.users
        self._catalogues = catalogues
        self._row = users.row
        self._row_by_key: Mapping[str | None, int] = {
            pseudonyms.key_of(user): row for row, user in enumerate(users.ids)
        }
        own = _Catalogue.of(model.bundle.items)
        self._dealt: dict[str, _Catalogue | None] = {model.content_hash: own}
        """By content hash; None where the catalogue cannot be read."""
        self._models: dict[int, StoredModel] = {}
        """By id: a row of the same model may have changed by the next part of the log."""
        self._left_out: Counter[tuple[int, str]] = Counter()
        self._new_tally = partial(Tally, len(users.ids), own.groups.names)
        self._versions_apart = versions_apart
        self._tallies: dict[int, Tally] = {}
        """By the id of the model; all in one under 0 where versions are not apart."""

    def add(self, part: LogColumns) -> None:
        """Count a part of the log."""
        users = self._rows(part.user_keys)
        for model_id in np.unique(part.model_ids).tolist():
            model, mine = part.models[model_id], part.model_ids == model_id
            self._models[model_id] = model
            dealt = self._dealt_of(model)
            if dealt is None:
                self._left_out[model_id, UNNAMED] += int(mine.sum())
                continue
            counted = mine & (users >= 0)
            self._leave_out(model_id, [part.user_keys[place] for place in np.flatnonzero(mine & (users < 0))])
            shown = part.items[np.repeat(counted, part.lengths)]
            self._tally_of(model_id).add(users[counted], part.key_ids[counted], part.lengths[counted], shown, *dealt)

    def exposure(
        self,
        groups: Sequence[str],
        classes: Classes | None,
        keys: Mapping[int, str],
        balances: Sequence[BalanceCount] = (),
    ) -> Exposure:
        """The counts: of everybody, of classes of users, or of versions where these were counted apart."""
        count = len(self._row)
        tallies = list(self._tallies.values()) or [self._new_tally()]
        sums = side_by_side(tallies, count)
        with threadpool_limits(1, "blas"):  # the other processors are for requests
            if self._versions_apart:
                shares = by_version(sums, groups, self._names(self._tallies), count, keys)
            else:
                shares = overall(sums, groups) if classes is None else compared(sums, groups, classes, keys)
        left_out = [NotCounted(self._models[of], lists, reason) for (of, reason), lists in self._left_out.items()]
        if classes is not None and (unlabelled := int(sums.lists[classes.labels[sums.users] < 0].sum())):
            left_out.append(NotCounted(None, unlabelled, UNLABELLED))
        lists, users = int(sums.lists.sum()), len(np.unique(sums.users % count)) if count else 0
        return Exposure(lists, users, shares, tuple(left_out), tuple(balances))

    def _tally_of(self, model_id: int) -> Tally:
        of = model_id if self._versions_apart else 0
        if of not in self._tallies:
            self._tallies[of] = self._new_tally()
        return self._tallies[of]

    def _names(self, models: Iterable[int]) -> list[str]:
        """name/version of each; with some of its content hash where another bundle has the same."""
        found = [self._models[of] for of in models]
        plain = Counter((one.name, one.version) for one in found)
        return [
            f"{one.name}/{one.version}" + (f" {one.content_hash[:12]}" if plain[one.name, one.version] > 1 else "")
            for one in found
        ]

    def _rows(self, keys: Sequence[str | None]) -> NDArray[np.int64]:
        """(n,) rows of the users in the bundle, -1 for nobody and for users that it does not have."""
        row = self._row_by_key
        rows = np.fromiter((row.get(key, -1) for key in keys), np.int64, len(keys))
        for place in np.flatnonzero(rows < 0).tolist():  # written as they are, from before there was a secret
            rows[place] = self._row.get(keys[place] or "", -1)  # no id is empty
        return rows

    def _dealt_of(self, model: StoredModel) -> _Catalogue | None:
        if model.content_hash not in self._dealt:
            items = self._catalogues.of(model)
            self._dealt[model.content_hash] = None if items is None else _Catalogue.of(items)
        return self._dealt[model.content_hash]

    def _leave_out(self, model_id: int, keys: Sequence[str | None]) -> None:
        nobodys = sum(key is None for key in keys)
        for reason, lists in ((NOBODYS, nobodys), (STRANGERS, len(keys) - nobodys)):
            if lists:
                self._left_out[model_id, reason] += lists
