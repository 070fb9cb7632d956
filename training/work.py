"""Where an unfinished run keeps its checkpoints."""

from __future__ import annotations

import hashlib
import logging
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from training import parallel
from training.config import RunConfig

log = logging.getLogger(__name__)


@contextmanager
def work_folder(out: Path, config: RunConfig, data_fingerprint: str) -> Iterator[Path]:
    """A folder under ``out`` for this configuration and data: kept when the run breaks off, gone when it is done."""
    trained = config.model_dump_json(exclude={"export"})  # how it is written afterwards changes no checkpoint
    key = hashlib.sha256(f"{trained}\n{data_fingerprint}".encode()).hexdigest()[:16]
    work = out / ".unfinished" / f"{config.name}-{key}"
    if work.exists():
        log.info("going on from the checkpoints in %s", work)
    work.mkdir(parents=True, exist_ok=True)
    yield work
    parallel.wait()
    if parallel.is_first():
        shutil.rmtree(work)


def base_file(config: RunConfig, data_fingerprint: str) -> str:
    """Name of the base's checkpoint: the same for all runs in which everything that the base depends on is the same."""
    fields = dict.fromkeys(("base", "mode", "seed", "split_salt", "new_users", "threads"), True)
    known = config.model_dump_json(include={**fields, "data": {"held_out"}})
    key = hashlib.sha256(f"{known}\n{data_fingerprint}".encode()).hexdigest()[:16]
    return f"base-{config.base.model}-{key}.safetensors"
