"""Checkpoints: a stage of training goes on after Ctrl-C or a crash. One safetensors file, no pickles."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path

from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor, nn, optim

from training.errors import CheckpointError

State = dict[str, Tensor]


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


def pack(modules: Mapping[str, nn.Module], optimisers: Mapping[str, optim.Optimizer]) -> State:
    """Weights and optimiser state by dotted name; copies, so that training may go on."""
    state = {f"{name}/{key}": value for name, module in modules.items() for key, value in module.state_dict().items()}
    for name, optimiser in optimisers.items():
        for index, slots in optimiser.state_dict()["state"].items():
            state |= {f"{name}/{index}/{slot}": value for slot, value in slots.items()}
    return {key: value.detach().cpu().clone() for key, value in state.items()}


def unpack(
    state: Mapping[str, Tensor], modules: Mapping[str, nn.Module], optimisers: Mapping[str, optim.Optimizer]
) -> None:
    """The reverse of `pack`, into networks and optimisers of the same shape."""
    for name, module in modules.items():
        module.load_state_dict(_under(state, name))
    for name, optimiser in optimisers.items():
        slots: dict[int, State] = {}
        for key, value in _under(state, name).items():
            index, slot = key.split("/")
            slots.setdefault(int(index), {})[slot] = value
        optimiser.load_state_dict({"state": slots, "param_groups": optimiser.state_dict()["param_groups"]})


def save(path: Path, now: State, best: State, progress: Progress) -> None:
    """Write a checkpoint; a crash while writing leaves the one before."""
    path.parent.mkdir(parents=True, exist_ok=True)
    tensors = {f"now/{key}": value for key, value in now.items()} | {
        f"best/{key}": value for key, value in best.items()
    }
    draft = path.with_suffix(".draft")
    save_file(
        {key: value.contiguous() for key, value in tensors.items()}, draft, {"progress": json.dumps(asdict(progress))}
    )
    draft.replace(path)


def load(path: Path) -> tuple[State, State, Progress] | None:
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
    fields["scores"] = {int(epoch): score for epoch, score in fields["scores"].items()}
    return _under(tensors, "now"), _under(tensors, "best"), Progress(**fields)


def _under(state: Mapping[str, Tensor], name: str) -> State:
    return {key.removeprefix(f"{name}/"): value for key, value in state.items() if key.startswith(f"{name}/")}
