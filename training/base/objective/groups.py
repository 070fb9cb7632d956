"""Intersections: classes of users times groups of items. A row of a batch is in one of them, or in none."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import product

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from training.errors import ConfigError, first_few
from training.experiment import Experiment, allowed_labels

NONE = -1
CROSS = " × "
"""Joins the names of an intersection."""


@dataclass(frozen=True)
class Intersections:
    """P classes of users times Q groups of items: G = P · Q, numbered user class by user class."""

    user_names: tuple[str, ...]
    item_names: tuple[str, ...]
    of_users: Tensor
    """(U,) class of each user, -1 for none."""
    of_items: Tensor
    """(I,) group of each item, -1 for none."""

    def __len__(self) -> int:
        return len(self.user_names) * len(self.item_names)

    @property
    def names(self) -> list[str]:
        """Of all G."""
        return [CROSS.join(filter(None, pair)) for pair in product(self.user_names, self.item_names)]

    def of(self, users: Tensor, items: Tensor) -> Tensor:
        """(n,) intersection of each user row and item row, G where it is none."""
        of_users, of_items = self.of_users.gather(0, users), self.of_items.gather(0, items)
        inside = (of_users >= 0) & (of_items >= 0)
        return torch.where(inside, of_users * len(self.item_names) + of_items, len(self))


def intersections(
    experiment: Experiment, users: Sequence[str], items: Sequence[str], device: torch.device
) -> Intersections:
    """The groups that a configuration declares; no attributes are one class, no item groups one group.

    Raises:
        ConfigError: an attribute or an item group that is not in the data, fewer than two intersections, or one
            without a training positive, which nothing could be learned of.
    """
    classes, of_users = _user_classes(experiment, users)
    of_items = item_groups(experiment, items)
    found = Intersections(
        classes, tuple(items) or ("",), torch.from_numpy(of_users).to(device), torch.from_numpy(of_items).to(device)
    )
    if len(found) < 2:
        allowed = "attributes of two or more classes, or two or more item groups"
        raise ConfigError("base.objective", "has a single group", value=found.names, allowed=allowed)
    indptr, indices = experiment.train
    owners = np.repeat(np.arange(len(of_users)), np.diff(indptr))
    rows = found.of(*(torch.from_numpy(each.astype(np.int64)).to(device) for each in (owners, indices)))
    sizes = torch.bincount(rows, minlength=len(found) + 1)[:-1].tolist()
    if empty := [name for name, size in zip(found.names, sizes, strict=True) if not size]:
        whose = "users" if experiment.mode == "reproduce" else "train users"
        problem = f"declares groups in which no positive of {whose} is: {first_few(empty)}"
        raise ConfigError("base.objective", problem, allowed="classes and item groups that meet in the training data")
    return found


def item_groups(experiment: Experiment, names: Sequence[str]) -> NDArray[np.int64]:
    """(I,) place in ``names`` of the one of them that an item is in, -1 where it is in none or several.

    Raises:
        ConfigError: there is no item group of such a name.
    """
    groups = experiment.dataset.groups
    known = sorted({name for each in groups for name in each})
    for name in names:
        if name not in known:
            allowed = first_few(known) if known else "none, since no item has a group"
            raise ConfigError("base.objective.items", "is no item group of the data", value=name, allowed=allowed)
    if not names:
        return np.zeros(len(groups), np.int64)
    place = {name: number for number, name in enumerate(names)}
    own = [[place[name] for name in each if name in place] for each in groups]
    return np.array([each[0] if len(each) == 1 else NONE for each in own], np.int64)


def _user_classes(experiment: Experiment, attributes: Sequence[str]) -> tuple[tuple[str, ...], NDArray[np.int64]]:
    """Names of the classes, crossed, and (U,) the class of each user: -1 where one label is not known or not allowed.

    Raises:
        ConfigError: there is no such attribute.
    """
    for name in attributes:
        if name not in experiment.attributes:
            known = ", ".join(experiment.attributes)
            raise ConfigError("base.objective.users", "is no attribute of the data", value=name, allowed=known)
    labels = allowed_labels(experiment).astype(np.int64)
    of = np.zeros(len(labels), np.int64)
    named: list[tuple[str, ...]] = []  # crossed, no attributes give one class without a name
    for name in attributes:
        column = experiment.attributes.index(name)
        named.append(experiment.dataset.attributes[column].classes)
        of = np.where((of >= 0) & (labels[:, column] >= 0), of * len(named[-1]) + labels[:, column], NONE)
    return tuple(CROSS.join(each) for each in product(*named)), of
