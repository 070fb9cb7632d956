"""Who has a vector, and who has none: ids of brought vectors beside those of the tables."""

from dataclasses import dataclass, replace

import numpy as np
import polars as pl
from numpy.typing import NDArray

from training.data.codes import Rows
from training.data.gather import Gathered
from training.data.raw import Table
from training.errors import DataError, first_few


@dataclass(frozen=True, eq=False)
class VectorIds:
    """The ids of two tables of vectors.

    Attributes:
        users: String (n,), each once.
        items: String (m,), each once.
        user_file: name of the file, as messages show it.
        item_file: the same of the items.
    """

    users: pl.Series
    items: pl.Series
    user_file: str
    item_file: str

    def kept(self, users: Table) -> NDArray[np.int64]:
        """Rows of the users table that have a vector.

        Raises:
            DataError: there is none.
        """
        found = Rows(self.users).of(users.frame["user"]) >= 0
        if not found.any():
            raise DataError(self.user_file, f"has no id of {users.file}", allowed="the same ids in both")
        return np.flatnonzero(found)

    def met(self, met: Gathered) -> Gathered:
        """The interactions with items that have a vector, by place in ``items``."""
        places = Rows(self.items).of(met.ids)[met.items] if len(met.ids) else met.items
        known = replace(met, items=places, ids=self.items)
        return known.taken(places >= 0)

    def alone(self, users: Table, met: pl.Series) -> dict[str, int]:
        """What stands in one of two tables only: in words, the first of it by name, and how many."""
        pairs = (
            (self.user_file, self.users, users.file, users.frame["user"]),
            (users.file, users.frame["user"], self.user_file, self.users),
            ("the interactions", met, self.item_file, self.items),
        )
        found = {}
        for where, ids, missing, others in pairs:
            if len(ids) and len(one := ids.filter(Rows(others).of(ids) < 0)):
                found[f"ids of {where} that are not in {missing} ({first_few(one.to_list())})"] = len(one)
        return found
