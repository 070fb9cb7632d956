"""ALS for implicit feedback by the library `implicit`, and the normal equations that give any user's vector.

Specified in docs/algorithms/als.md. Source: Hu, Koren and Volinsky, ICDM 2008; solved by conjugate gradients as in
Takács, Pilászy and Tikk, RecSys 2011.
"""

from __future__ import annotations

import logging
from itertools import product
from pathlib import Path
from typing import Annotated, Any, Literal, NamedTuple

import implicit.als
import implicit.gpu
import numpy as np
import scipy.sparse
import torch
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, Field, PositiveFloat, PositiveInt
from threadpoolctl import ThreadpoolController

from bundle import FoldIn
from bundle.manifest import Size
from training.base.contract import Base, Contexts
from training.base.validation import full_validation_ndcg, validation_ndcg
from training.checkpoint import State
from training.experiment import Experiment
from training.loop import Schedule, fit

log = logging.getLogger(__name__)

TABLES = ("users", "items")
Confidence = Annotated[float, Field(ge=1)]
"""In a positive, where every other item has 1; below 1 the normal equations could be left without a solution."""


class Setting(NamedTuple):
    """One point of the search."""

    regularization: float
    alpha: float


class AlsSearch(BaseModel):
    """Values to try, every pair of them; an empty list stands for the one value outside it."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    regularization: tuple[PositiveFloat, ...] = Field(default=(), max_length=8)
    alpha: tuple[Confidence, ...] = Field(default=(), max_length=8)


class AlsConfig(BaseModel):
    """Hyper-parameters of the base model. Read once, never changed."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    model: Literal["als"] = "als"
    dimensions: Size = 64
    """d."""
    iterations: PositiveInt = 15
    """Alternations: users, then items."""
    regularization: PositiveFloat = 10.0
    """λ."""
    alpha: Confidence = 3.0
    """α."""
    search: AlsSearch = Field(default_factory=AlsSearch)
    """λ and α to train with; the pair that ranks the validation positives best is kept."""
    checkpoint_s: float = Field(default=30.0, ge=0)
    """Seconds between two checkpoints."""

    @property
    def settings(self) -> list[Setting]:
        """What to train with, in turn."""
        search = self.search
        pairs = product(search.regularization or [self.regularization], search.alpha or [self.alpha])
        return [Setting(*pair) for pair in pairs]


class AlsStage:
    """Trains with each setting in turn; an epoch is one alternation, and the last one of a setting is validated."""

    name = "base"

    def __init__(self, config: AlsConfig, experiment: Experiment, device: torch.device) -> None:
        indptr, indices = experiment.train
        shape = (len(indptr) - 1, len(experiment.dataset.items))
        ones = np.ones(len(indices), np.float32)
        self._positives = scipy.sparse.csr_matrix((ones, indices, indptr), shape)
        self._config, self._experiment, self._settings = config, experiment, config.settings
        self._libraries = ThreadpoolController()  # looked for once: that takes longer than a small alternation
        self._on_gpu = device.type == "cuda" and implicit.gpu.HAS_CUDA
        self._epochs = 0
        self._model = self._start(self.setting)

    @property
    def setting(self) -> Setting:
        """What the vectors were trained with."""
        return self._settings[max(self._epochs - 1, 0) // self._config.iterations]

    def vectors(self) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        """(U, d) and (I, d); there are none before the first epoch."""
        tables = (self._model.user_factors, self._model.item_factors)
        if self._on_gpu:
            return tuple(table.to_numpy() for table in tables)
        return tables

    def epoch(self, rng: torch.Generator) -> int:
        """Solve for all users, then for all items; every setting begins at the same random vectors."""
        if self._epochs % self._config.iterations == 0:
            self._model = self._start(self._settings[self._epochs // self._config.iterations])
        # The library's own threads share the users; BLAS must not add to them.
        with self._libraries.limit(limits=1, user_api="blas"):
            self._model.fit(self._positives, show_progress=False)
        self._epochs += 1
        return int(self._positives.nnz)

    def validate(self) -> float:
        """√(sampled · full N@10) on the validation positives: neither ranking is bought with the other."""
        sampled = validation_ndcg(self._experiment, *self.vectors())
        full = full_validation_ndcg(self._experiment, *self.vectors())
        log.info("base: λ %g, α %g: validation N@10 sampled %.4f, full %.4f", *self.setting, sampled, full)
        return float((sampled * full) ** 0.5)

    def state(self) -> State:
        """Both tables, and how far the search is."""
        tables = dict(zip(TABLES, self.vectors(), strict=True)) if self._epochs else {}
        copies = {name: torch.from_numpy(table.copy()) for name, table in tables.items()}
        return {**copies, "epochs": torch.tensor(self._epochs)}

    def restore(self, state: State) -> None:
        """Go on from ``state``."""
        self._epochs = int(state["epochs"])
        self._model = self._start(self.setting)
        if self._epochs:
            users, items = (state[name].numpy().copy() for name in TABLES)
            as_stored = implicit.gpu.Matrix if self._on_gpu else np.asarray
            self._model.user_factors, self._model.item_factors = as_stored(users), as_stored(items)

    def _start(self, setting: Setting) -> Any:
        """The library's model, for one alternation a call; it draws its first vectors where it has none."""
        with self._libraries.limit(limits=1, user_api="blas"):  # it would warn of BLAS threads
            return implicit.als.AlternatingLeastSquares(
                self._config.dimensions,
                *setting,
                iterations=1,
                num_threads=torch.get_num_threads(),
                random_state=self._experiment.seed,
                use_gpu=self._on_gpu,
            )


def train_als(experiment: Experiment, config: AlsConfig, checkpoint: Path, device: torch.device) -> Base:
    """Train with every setting, keep the best, and solve for each user's vector once more.

    Users have the vector that the normal equations give for all their positives before the test positive: the same as
    a session with that history, folded-in users no exception.
    """
    stage = AlsStage(config, experiment, device)
    epochs = config.iterations * len(config.settings)
    schedule = Schedule(
        epochs=epochs, validate_every=config.iterations, patience=epochs, checkpoint_s=config.checkpoint_s
    )
    result = fit(stage, schedule, experiment.seed, checkpoint, device)
    log.info("base: λ %g, α %g, %.0f positives/s", *stage.setting, result.rows_per_s)

    users, items = stage.vectors()
    exact = items.astype(np.float64)
    history = FoldIn((exact.T @ exact).astype(np.float32), stage.setting.alpha - 1, stage.setting.regularization, 1.0)
    contexts = Contexts(users, np.arange(len(users)), *experiment.train)
    return Base("als", history.of_rows(*experiment.held_out.before_test(), items), users, items, contexts, history)
