"""Numbers on the way, for TensorBoard: recorded where they arise, written where a run asks for it.

Outside `written_to` nothing is recorded, as with a logger that has no handler.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from training import parallel
from training.errors import TrainingError

if TYPE_CHECKING:
    from torch.utils.tensorboard import SummaryWriter


@dataclass
class Sink:
    """The destination of numbers, with their stage and epoch."""

    writer: SummaryWriter
    stage: str = ""
    epoch: int = 0


_sink: ContextVar[Sink | None] = ContextVar("sink", default=None)


@contextmanager
def written_to(folder: Path | None) -> Iterator[None]:
    """Write the numbers of the block to an event file in ``folder``; None for nowhere. Only the first process writes.

    Raises:
        TrainingError: TensorBoard is not installed.
    """
    if folder is None or not parallel.is_first():
        yield
        return
    try:
        from torch.utils.tensorboard import SummaryWriter
    except ImportError:
        raise TrainingError(
            "--tensorboard needs the package tensorboard: pip install 'evenhand[tensorboard]'"
        ) from None
    with SummaryWriter(str(folder)) as writer:
        token = _sink.set(Sink(writer))
        try:
            yield
        finally:
            _sink.reset(token)


def at(stage: str, epoch: int) -> None:
    """Numbers recorded from here on belong to this epoch of this stage."""
    if sink := _sink.get():
        sink.stage, sink.epoch = stage, epoch


def record(name: str, value: float) -> None:
    """Write one number."""
    if sink := _sink.get():
        sink.writer.add_scalar(f"{sink.stage}/{name}", value, sink.epoch)
