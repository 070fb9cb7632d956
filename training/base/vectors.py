"""Vectors that another library trained, as a base: its users and items, its scores, our maps and audits.

With biases a score is u·v + b_u + b_i. The items' b_i stand in a dimension where every user has 1, which fair maps
leave alone. b_u stands in a dimension where every item has 1: it is a number of the user like the others of u, and
moves no list (docs/decisions/0038).
"""

from __future__ import annotations

import hashlib
import logging
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Literal

import numpy as np
import polars as pl
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict

from bundle import History, NoHistory
from measure.split import SELECT
from training.base.contract import Base, Contexts
from training.base.foldin import fit_fold_in
from training.data.codes import Rows
from training.data.raw import Vectors
from training.data.vector_file import VectorTable, read_vectors
from training.data.vector_ids import VectorIds
from training.errors import ConfigError, DataError
from training.experiment import Experiment

log = logging.getLogger(__name__)


class VectorsConfig(BaseModel):
    """Where the vectors are, in the folder of the data. Read once, never changed."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    model: Literal["vectors"] = "vectors"
    users: VectorTable
    items: VectorTable


@dataclass(frozen=True, eq=False)
class BroughtVectors:
    """User and item vectors whose inner products are the source's scores."""

    ids: VectorIds
    users: NDArray[np.float32]
    """(n, d) in the order of ``ids``."""
    items: NDArray[np.float32]
    """(m, d) in the order of ``ids``."""
    constants: int
    """How many of the last user dimensions are 1 for everybody."""

    @property
    def varying(self) -> int:
        """The other dimensions: what a fair map acts on."""
        return int(self.users.shape[1]) - self.constants

    @cached_property
    def fingerprint(self) -> str:
        """SHA-256 (hex) over ids and numbers."""
        digest = hashlib.sha256()
        for ids, vectors in ((self.ids.users, self.users), (self.ids.items, self.items)):
            digest.update("\n".join([*ids, ""]).encode())
            digest.update(vectors.astype("<f4").tobytes())
        return digest.hexdigest()


def read_brought_vectors(config: VectorsConfig, folder: Path | None) -> BroughtVectors:
    """Read both tables and write biases as dimensions.

    Raises:
        ConfigError: there is no folder.
        DataError: a file is not what it should be, or the tables do not fit together.
    """
    if folder is None:
        raise ConfigError("base.model", "needs a folder", value=config.model, allowed="--data DIR")
    users, items = read_vectors(folder, config.users), read_vectors(folder, config.items)
    if users.values.shape[1] != items.values.shape[1]:
        found, allowed = users.values.shape[1], f"{items.values.shape[1]}, as in {items.file}"
        raise DataError(users.file, "dimensions", value=found, allowed=allowed)
    u, v = _with_biases(users, items)
    trailing = np.cumprod((u == 1).all(0)[::-1]) if len(u) else np.zeros(0, np.int64)
    constants = int(trailing.sum())
    if constants == u.shape[1]:
        raise DataError(users.file, "is 1 for every user in every dimension", allowed="vectors that differ")
    if constants:
        log.info(
            "base: the last of %d dimensions is 1 for every user: an item bias, which maps leave alone", u.shape[1]
        )
    return BroughtVectors(VectorIds(users.ids, items.ids, users.file, items.file), u, v, constants)


def take_vectors(experiment: Experiment, vectors: BroughtVectors) -> Base:
    """Put the vectors into the order of the data, and fit a fold-in to them where there are positives to fit it on.

    Raises:
        ConfigError: new users were asked for; the source has met everybody.
    """
    if experiment.folded_in.any():
        problem = "needs users that the base never saw, and who was met by the source of vectors is not known"
        raise ConfigError("new_users", problem, value=experiment.new_users, allowed="0")
    dataset = experiment.dataset
    users = vectors.users[Rows(vectors.ids.users).of(pl.Series(dataset.users, dtype=pl.String))]
    items = vectors.items[Rows(vectors.ids.items).of(pl.Series(dataset.items, dtype=pl.String))]
    varying = vectors.varying
    history: History = NoHistory()
    if len(experiment.train[1]):
        select = np.flatnonzero(experiment.user_split == SELECT)
        history = fit_fold_in(users[:, :varying], items[:, :varying], *experiment.train, select)
    contexts = Contexts(users, np.arange(len(users)), *experiment.train)
    return Base("vectors", users, users, items, contexts, history, vectors.constants)


def _with_biases(users: Vectors, items: Vectors) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """[u, b_u, 1] and [v, 1, b_i], each bias where there is one."""
    u, v = [users.values], [items.values]
    ones_u, ones_v = (np.ones((len(table.ids), 1), np.float32) for table in (users, items))
    if users.biases is not None:
        u, v = [users.biases.reshape(-1, 1), *u], [ones_v, *v]
    if items.biases is not None:
        u, v = [*u, ones_u], [*v, items.biases.reshape(-1, 1)]
    return np.hstack(u), np.hstack(v)
