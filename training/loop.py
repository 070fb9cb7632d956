"""The loop that base and fair training share: epochs, validation, the best state, early stopping, checkpoints.

Every epoch draws from a generator seeded by (seed, stage, epoch) alone, so a resumed run goes the same way as one
that was never interrupted.
"""

from __future__ import annotations

import logging
import time
import zlib
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Protocol

import torch
from pydantic import BaseModel, ConfigDict, Field, NonNegativeInt, PositiveFloat, PositiveInt
from tqdm import tqdm

from measure.errors import NotFiniteError
from training import checkpoint, parallel, scalars
from training.checkpoint import Progress, State
from training.errors import DivergedError

log = logging.getLogger(__name__)


class Schedule(BaseModel):
    """How long a stage trains. Read once, never changed."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    epochs: NonNegativeInt = 500
    """Upper bound."""
    minutes: PositiveFloat | None = None
    """Stop at the first validation after this many minutes, None for no limit. A run stopped so is not repeatable."""
    validate_every: PositiveInt = 1
    """Epochs between two validations."""
    patience: PositiveInt = 10
    """Stop when the best validation is this many validations old."""
    checkpoint_s: float = Field(default=30.0, ge=0)
    """Seconds between two checkpoints."""


class Stage(Protocol):
    """Something that trains by epochs."""

    name: str

    def epoch(self, rng: torch.Generator) -> int:
        """Train for one epoch; gives the rows trained on."""

    def validate(self) -> float:
        """Score to be made large."""

    def state(self) -> State:
        """Everything needed to go on; written before training does, so no copies are needed."""

    def restore(self, state: State) -> None:
        """The reverse of ``state``; weights without optimisers, where only they are wanted."""


@dataclass(frozen=True)
class Result:
    """How a stage went."""

    progress: Progress
    resumed_at: int

    @property
    def rows_per_s(self) -> float:
        """Training rows per second of training, validation left out."""
        return self.progress.rows / self.progress.seconds if self.progress.seconds else 0.0

    def __str__(self) -> str:
        """For the log: best score, where, out of how many, how fast."""
        done = self.progress
        return f"{done.best_score:.4f} at epoch {done.best_epoch} of {done.epoch}, {self.rows_per_s:,.0f} rows/s"


def fit(stage: Stage, schedule: Schedule, seed: int, path: Path, device: torch.device) -> Result:
    """Train ``stage`` and leave it with its best weights, or the last where no validation gave a number.

    Args:
        stage: what to train; changed in place.
        schedule: when to validate and when to stop.
        seed: of every random draw.
        path: the checkpoint, read where it exists; the best weights are in a file beside it and not in memory.
        device: where the random generator lives.

    Training that leaves the range of numbers ends, with the best weights so far.

    Raises:
        DivergedError: it did so before any validation gave a number.

    Where several processes train as one, the first one's clock decides when to stop, and it alone writes.
    """
    progress = Progress()
    if saved := checkpoint.load(path):
        now, progress = saved
        stage.restore(now)
    parallel.wait()
    resumed_at, saved_at = progress.epoch, time.monotonic()
    with tqdm(total=schedule.epochs, initial=progress.epoch, desc=stage.name, unit="epoch", disable=None) as bar:
        while not progress.finished and progress.epoch < schedule.epochs:
            rng = torch.Generator(device).manual_seed(_seed(seed, stage.name, progress.epoch))
            scalars.at(stage.name, progress.epoch + 1)
            started = time.perf_counter()
            rows = stage.epoch(rng)
            took = time.perf_counter() - started
            scalars.record("rows_per_s", rows / took)
            seconds = progress.seconds + took
            progress = replace(progress, epoch=progress.epoch + 1, rows=progress.rows + rows, seconds=seconds)
            bar.update()
            if progress.epoch % schedule.validate_every and progress.epoch != schedule.epochs:
                continue
            try:
                score = stage.validate()
            except NotFiniteError as error:
                if not progress.best_epoch:
                    raise DivergedError(stage.name, progress.epoch, str(error)) from None
                log.warning("%s: diverged by epoch %s (%s); the best before is kept", stage.name, progress.epoch, error)
                progress = replace(progress, finished=True)
                break
            scalars.record("score", score)
            progress = replace(progress, scores={**progress.scores, progress.epoch: score})
            if score > progress.best_score:
                progress = replace(progress, best_epoch=progress.epoch, best_score=score)
                if parallel.is_first():
                    checkpoint.save_best(path, stage.state(), progress)
            late = progress.epoch - progress.best_epoch >= schedule.patience * schedule.validate_every
            out_of_time = schedule.minutes is not None and progress.seconds >= 60 * schedule.minutes
            finished = parallel.agreed(late or out_of_time or progress.epoch == schedule.epochs, device)
            progress = replace(progress, finished=finished)
            bar.set_postfix(score=f"{score:.4f}", best=f"{progress.best_score:.4f}", at=progress.best_epoch)
            due = progress.finished or time.monotonic() - saved_at >= schedule.checkpoint_s
            if due and parallel.is_first():
                checkpoint.save(path, stage.state(), progress)
                saved_at = time.monotonic()
    parallel.wait()
    if progress.best_epoch:
        stage.restore(checkpoint.load_best(path, progress))
    return Result(progress, resumed_at)


def _seed(seed: int, stage: str, epoch: int) -> int:
    return zlib.crc32(f"{seed}/{stage}/{epoch}".encode())
