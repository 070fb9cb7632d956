"""Checkpoints: a stage of training goes on after Ctrl-C or a crash. Safetensors files, no pickles.

A checkpoint and the best weights are two files, because weights may be too many to hold them twice in memory.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Protocol

from safetensors import SafetensorError, safe_open
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

from training.errors import CheckpointError

State = dict[str, Tensor]
OPTIMISERS = "optimisers/"
"""Names of their tensors begin so."""


class Remembers(Protocol):
    """What has a state beside weights: optimisers, and objectives."""

    def state_dict(self) -> dict[str, Any]:
        """Tensors by number and name under `state`, and `param_groups`."""

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """The reverse; without tensors, begin anew."""


class Optimiser(Remembers, Protocol):
    """Optimisers of torch, and `LazyAdam`."""

    def step(self) -> object:
        """Down the gradients."""


@dataclass(frozen=True)
class Progress:
    """How far a stage is."""

    epoch: int = 0
    best_epoch: int = 0
    best_score: float = float("-inf")
    scores: Mapping[int, float] = field(default_factory=dict)
    """Validation score by epoch."""
    rows: int = 0
    seconds: float = 0.0
    finished: bool = False


def pack(modules: Mapping[str, nn.Module], optimisers: Mapping[str, Remembers]) -> State:
    """Weights and optimiser state by dotted name.

    On a CPU they are the trained tensors themselves, no copies: write them before training goes on.
    """
    state = {f"{name}/{key}": value for name, module in modules.items() for key, value in module.state_dict().items()}
    for name, optimiser in optimisers.items():
        for index, slots in optimiser.state_dict()["state"].items():
            state |= {f"{OPTIMISERS}{name}/{index}/{slot}": value for slot, value in slots.items()}
    return {key: value.detach().cpu() for key, value in state.items()}


def unpack(state: Mapping[str, Tensor], modules: Mapping[str, nn.Module], optimisers: Mapping[str, Remembers]) -> None:
    """The reverse of `pack`, into networks and optimisers of the same shapes; one without tensors begins anew."""
    for name, optimiser in optimisers.items():  # first: old moments go before weights come
        slots: dict[int, State] = {}
        for key, value in _under(state, f"{OPTIMISERS}{name}").items():
            index, slot = key.split("/")
            slots.setdefault(int(index), {})[slot] = value
        optimiser.load_state_dict({"state": slots, "param_groups": optimiser.state_dict()["param_groups"]})
    for name, module in modules.items():
        module.load_state_dict(_under(state, name))


def save(path: Path, now: State, progress: Progress) -> None:
    """Write a checkpoint; a crash while writing leaves the one before. Weights that are no longer best are removed."""
    _write(path, {f"now/{key}": value for key, value in now.items()}, progress)
    for older in path.parent.glob(_best_file(path, "*").name):
        if older != _best_file(path, progress.best_epoch):
            older.unlink()


def save_best(path: Path, now: State, progress: Progress) -> None:
    """Write the weights of the epoch that is the best so far, beside the checkpoint that will name it."""
    weights = {key: value for key, value in now.items() if not key.startswith(OPTIMISERS)}
    _write(_best_file(path, progress.best_epoch), weights, progress)


def load(path: Path) -> tuple[State, Progress] | None:
    """The checkpoint at ``path``, or None where there is none.

    Raises:
        CheckpointError: the file is there but cannot be read.
    """
    if not path.exists():
        return None
    try:
        with safe_open(path, framework="pt") as file:
            tensors = {key: file.get_tensor(key) for key in file.keys()}  # noqa: SIM118  not a dict
            fields = json.loads(file.metadata()["progress"])
    except (SafetensorError, OSError, KeyError, ValueError) as error:
        raise CheckpointError(path, str(error)) from None
    now = _under(tensors, "now")
    if len(now) < len(tensors):
        raise CheckpointError(path, "an older version wrote it")
    fields["scores"] = {int(epoch): score for epoch, score in fields["scores"].items()}
    return now, Progress(**fields)


def load_best(path: Path, progress: Progress) -> State:
    """The weights of the best epoch.

    Raises:
        CheckpointError: the file beside ``path`` that holds them is missing or cannot be read.
    """
    best = _best_file(path, progress.best_epoch)
    try:
        return load_file(best)
    except (SafetensorError, OSError) as error:
        raise CheckpointError(path, f"its best weights, {best.name}: {error}") from None


def _best_file(path: Path, epoch: int | str) -> Path:
    return path.with_name(f"{path.stem}-best-{epoch}{path.suffix}")


def _write(path: Path, tensors: State, progress: Progress) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    draft = path.with_suffix(".draft")
    save_file(
        {key: value.contiguous() for key, value in tensors.items()}, draft, {"progress": json.dumps(asdict(progress))}
    )
    draft.replace(path)


def _under(state: Mapping[str, Tensor], name: str) -> State:
    return {key.removeprefix(f"{name}/"): value for key, value in state.items() if key.startswith(f"{name}/")}
