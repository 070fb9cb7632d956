"""The base stage of a run."""

from __future__ import annotations

import logging
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from bundle import FoldIn
from measure.accuracy import ndcg_at, sample_negatives, sampled_ranks
from training.base.foldin import fit_fold_in
from training.base.pmf import Pmf, PmfStage
from training.config import RunConfig
from training.data.dataset import Dataset
from training.data.split import SELECT, HeldOut
from training.loop import fit
from training.negatives import NegativeSampler

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Base:
    """A trained base model: frozen from here on."""

    users: NDArray[np.float32]
    """(U, d)."""
    items: NDArray[np.float32]
    """(I, d)."""
    fold_in: FoldIn


def train_base(
    config: RunConfig,
    dataset: Dataset,
    held_out: HeldOut,
    user_split: NDArray[np.uint8],
    work: Path,
    device: torch.device,
) -> Base:
    """Train the base on the training positives; the best epoch is chosen by sampled N@10 on validation positives."""
    items = len(dataset.items)
    indptr, indices = untouched_by(config, dataset, held_out)
    negatives = sample_negatives(*excluded_from_ranking(config, dataset), items, seed=config.seed)

    def validate(users: NDArray[np.float32], vectors: NDArray[np.float32]) -> float:
        ranks = sampled_ranks(users, vectors, held_out.validation, negatives)
        return float(ndcg_at(10, ranks[ranks >= 0]).mean())

    model = Pmf(len(dataset.users), items, config.base, config.seed).to(device)
    sampler = NegativeSampler(indptr, indices, items, device)
    stage = PmfStage(model, config.base, held_out.train_indptr, held_out.train_indices, sampler, validate)
    result = fit(stage, config.base.schedule, config.seed, work / "base.safetensors", device)
    log.info(
        "base: validation N@10 %.4f at epoch %d of %d, %s rows/s",
        result.progress.best_score,
        result.progress.best_epoch,
        result.progress.epoch,
        f"{result.rows_per_s:,.0f}",
    )
    users = model.users.detach().cpu().numpy()
    vectors = model.items.detach().cpu().numpy()
    select = np.flatnonzero(user_split == SELECT)
    fold_in = fit_fold_in(users, vectors, held_out.train_indptr, held_out.train_indices, select)
    return Base(users, vectors, fold_in)


def untouched_by(config: RunConfig, dataset: Dataset, held_out: HeldOut) -> tuple[NDArray[np.int64], NDArray[np.int32]]:
    """Items that are no negatives of a user in training, as CSR.

    The reference rejects the positives of every split, held-out ones too; `strict` does not look at those.
    """
    return positives_of(dataset) if config.mode == "reproduce" else (held_out.train_indptr, held_out.train_indices)


def excluded_from_ranking(config: RunConfig, dataset: Dataset) -> tuple[NDArray[np.int64], NDArray[np.int32]]:
    """Items that a held-out positive is not ranked against: seen ones; in `reproduce` positive ones (DESIGN 3)."""
    return positives_of(dataset) if config.mode == "reproduce" else (dataset.indptr, dataset.indices)


def positives_of(dataset: Dataset) -> tuple[NDArray[np.int64], NDArray[np.int32]]:
    """The positive interactions as CSR."""
    owners = np.repeat(np.arange(len(dataset.users)), np.diff(dataset.indptr))[dataset.positive]
    counts = np.bincount(owners, minlength=len(dataset.users))
    return np.concatenate([[0], np.cumsum(counts)]).astype(np.int64), dataset.indices[dataset.positive]
