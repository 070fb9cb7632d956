"""From trained models to a bundle in memory: the parts for serving, and the data for audits."""

from __future__ import annotations

import subprocess
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, Literal

import numpy as np
import torch
from numpy.typing import NDArray

from bundle import (
    SCHEMA_VERSION,
    Attribute,
    Audit,
    Bundle,
    BundleExistsError,
    DataSource,
    Description,
    FairEncoder,
    Items,
    Parts,
    Seen,
    Users,
    write_bundle,
)
from training.base.cold import ColdVectors
from training.base.contract import Base
from training.config import RunConfig
from training.data.dataset import Dataset
from training.errors import ConfigError
from training.experiment import Experiment
from training.fair.contract import Fair

HALF = np.finfo(np.float16)
_BLOCK_USERS = 65_536


def export(
    config: RunConfig,
    experiment: Experiment,
    fair: Fair,
    cold: ColdVectors | None = None,
    cold_before: ColdVectors | None = None,
) -> Bundle:
    """Put a bundle together; its card is still empty.

    Args:
        config: the run.
        experiment: what was trained on.
        fair: fitted; its parts of every user are taken here, once.
        cold: vectors of the dataset's cold items, which stand behind the others.
        cold_before: the same for `Fair.before`, where the method changed item vectors.

    Raises:
        ConfigError: `export.parts` cannot hold them.
    """
    base = fair.base
    before = None if fair.before is None else _items_of(fair.before, cold_before)
    dataset, held_out = experiment.dataset, experiment.held_out
    encoder = fair.encoder.cpu().eval().requires_grad_(False)
    parts = fair.vectors if fair.vectors is not None else _parts(encoder, base.users)
    indptr, indices, positive = _sorted_by_item(dataset)
    train_counts = np.bincount(held_out.train_indices, minlength=len(dataset.items))
    return Bundle(
        description=_describe(config, dataset, fair),
        items=_items(dataset, train_counts.astype(np.int64), base.items, cold),
        users=Users(dataset.users, stored(parts, config.export.parts)),
        encoder=encoder,
        history=base.history,
        seen=Seen(indptr, indices),
        card={},
        audit=Audit(
            base=base.users,
            labels=dataset.labels,
            validation=held_out.validation,
            test=held_out.test,
            split=experiment.user_split,
            folded_in=experiment.folded_in,
            positive=positive,
            items=before,
        ),
        reranker=base.reranker,
    )


def published(bundle: Bundle, out: Path) -> Path:
    """Write a bundle; under the next free second where another run of its name has taken the version meanwhile.

    Returns:
        The version's folder.
    """
    while True:
        try:
            return write_bundle(bundle, out)
        except BundleExistsError:
            made = _made_at(bundle.description.created + timedelta(seconds=1))
            bundle = replace(bundle, description=bundle.description.model_copy(update=made))


def _made_at(created: datetime) -> dict[str, Any]:
    """Version and time."""
    return {"version": created.strftime("%Y%m%d-%H%M%S"), "created": created}


def _items_of(base: Base, cold: ColdVectors | None) -> NDArray[np.float32]:
    """(I + C, d)."""
    return base.items if cold is None else np.concatenate([base.items, cold.vectors])


def _items(
    dataset: Dataset, popularity: NDArray[np.int64], vectors: NDArray[np.float32], cold: ColdVectors | None
) -> Items:
    if cold is None:
        return Items(
            dataset.items, dataset.titles, dataset.groups, popularity, vectors, np.zeros(len(vectors), np.bool_)
        )
    new = dataset.cold
    return Items(
        (*dataset.items, *new.ids),
        (*dataset.titles, *new.titles),
        (*dataset.groups, *new.groups),
        np.concatenate([popularity, np.zeros(len(new.ids), np.int64)]),
        np.concatenate([vectors, cold.vectors]),
        np.arange(len(dataset.items) + len(new.ids)) >= len(dataset.items),
    )


def _parts(encoder: FairEncoder, users: NDArray[np.float32]) -> NDArray[np.float32]:
    """(U, P, d) parts of (U, d) user vectors; what is made on the way is held for some users at a time."""
    parts = np.empty((len(users), encoder.part_count, users.shape[1]), np.float32)
    with torch.no_grad():
        for start in range(0, len(users), _BLOCK_USERS):
            block = slice(start, start + _BLOCK_USERS)
            parts[block] = encoder.split(torch.from_numpy(users[block])).numpy()
    return parts


def stored(parts: NDArray[np.float32], dtype: Literal["float32", "float16"]) -> Parts:
    """(U, P, d) parts as they are stored: from here on nothing is computed from finer ones.

    Raises:
        ConfigError: a number is beyond float16.
    """
    if dtype == "float32":
        return parts
    with np.errstate(over="ignore"):
        halves = parts.astype(np.float16)
    if not np.isfinite(halves).all():
        largest = parts.flat[np.abs(parts).argmax()]
        allowed = f"parts from -{HALF.max:.0f} to {HALF.max:.0f}; export.parts = 'float32' stores any"
        raise ConfigError("export.parts", "float16 cannot hold a part", value=float(largest), allowed=allowed)
    return halves


def _describe(config: RunConfig, dataset: Dataset, fair: Fair) -> Description:
    now = datetime.now(UTC).replace(microsecond=0)
    return Description(
        schema_version=SCHEMA_VERSION,
        name=config.name,
        **_made_at(now),
        method=config.fair.method,
        mode=config.mode,
        base_model=fair.base.model,
        dimensions=fair.base.users.shape[1],
        constant_dimensions=fair.base.constants,
        attributes=[
            Attribute(
                name=each.name,
                classes=list(each.classes),
                ordered=each.ordered,
                merged={name: list(of) for name, of in each.merged.items()},
            )
            for each in dataset.attributes
        ],
        supported_masks=fair.supported_masks,
        always_protected=fair.always_protected,
        empty_mask=fair.empty_mask,
        scorer="rerank" if fair.base.reranker else "cosine" if fair.base.cosine else "inner",
        reranker=fair.base.reranker.spec if fair.base.reranker else None,
        encoder=fair.network,
        history=fair.base.history.network,
        base_items=fair.before is not None,
        user_layout="parts" if fair.parts else "fair",
        parts=fair.parts,
        seeds={"run": config.seed},
        user_split_salt=config.split_salt,
        data=DataSource(
            source=dataset.source,
            fingerprint=dataset.fingerprint,
            users=len(dataset.users),
            items=len(dataset.items) + len(dataset.cold.ids),
            interactions=len(dataset.indices),
        ),
        code_revision=_revision(),
    )


def _sorted_by_item(dataset: Dataset) -> tuple[NDArray[np.int64], NDArray[np.int32], NDArray[np.bool_]]:
    """The interactions, within a user no longer by time but by item row, as the contract wants seen items."""
    users = np.repeat(np.arange(len(dataset.users)), np.diff(dataset.indptr))
    order = np.lexsort((dataset.indices, users))
    return dataset.indptr, dataset.indices[order], dataset.positive[order]


def _revision() -> str:
    """The code's git revision, "unknown" outside a checkout."""
    try:
        described = subprocess.run(
            ["git", "describe", "--always", "--dirty"],  # noqa: S607  git from PATH, as everywhere
            cwd=Path(__file__).parent,
            capture_output=True,
            text=True,
            check=True,
        )
    except (OSError, subprocess.CalledProcessError):
        return "unknown"
    return described.stdout.strip()
