"""Several processes train as one: `torchrun` starts them, each takes its share of every batch, gradients are averaged.

Alone, every function here does nothing. Processes make the same random draws, so their weights stay the same; the
first one writes.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from datetime import timedelta

import torch
from torch import Tensor, distributed, optim

PATIENCE = timedelta(days=7)
"""How long a process waits for another: one that trains alone while the others wait may take hours."""

_alone: ContextVar[bool] = ContextVar("alone", default=False)


@contextmanager
def together(device: torch.device) -> Iterator[torch.device]:
    """Join the processes that `torchrun` started, if it did; gives this process's own device."""
    if not distributed.is_torchelastic_launched():
        yield device
        return
    if device.type == "cuda":
        device = torch.device("cuda", int(os.environ["LOCAL_RANK"]))
        torch.cuda.set_device(device)
    distributed.init_process_group("nccl" if device.type == "cuda" else "gloo", timeout=PATIENCE)
    try:
        yield device
    finally:
        distributed.destroy_process_group()


def is_first() -> bool:
    """Whether this process is the one that writes."""
    return not distributed.is_initialized() or distributed.get_rank() == 0


def wait() -> None:
    """Until every process is here."""
    if _count() > 1:
        distributed.barrier()


@contextmanager
def first_alone() -> Iterator[None]:
    """The first process runs the block while the others wait; then they run it, and find its results.

    Inside, a process is alone: it trains on whole batches and waits for nobody.
    """
    if not is_first():
        wait()
    token = _alone.set(True)
    try:
        yield
    finally:
        _alone.reset(token)
    if is_first():
        wait()


def share(rows: Tensor) -> Tensor:
    """This process's part of a batch: every n-th row; where there are fewer rows than processes, all of them."""
    count = _count()
    return rows[distributed.get_rank() :: count] if 1 < count <= len(rows) else rows


def average_gradients(optimiser: optim.Optimizer) -> None:
    """Replace the gradients of the optimiser's weights by their mean over processes."""
    count = _count()
    if count == 1:
        return
    weights = [weight for group in optimiser.param_groups for weight in group["params"]]
    gradients = [weight.grad for weight in weights if weight.grad is not None]
    mean = torch.cat([gradient.flatten() for gradient in gradients]) / count
    distributed.all_reduce(mean)
    for gradient, part in zip(gradients, torch.split(mean, [gradient.numel() for gradient in gradients]), strict=True):
        gradient.copy_(part.view_as(gradient))


def agreed(flag: bool, device: torch.device) -> bool:
    """The first process's flag."""
    if _count() == 1:
        return flag
    value = torch.tensor(int(flag), device=device)
    distributed.broadcast(value, 0)
    return bool(value)


def _count() -> int:
    """Processes that act together here."""
    return 1 if _alone.get() or not distributed.is_initialized() else distributed.get_world_size()
