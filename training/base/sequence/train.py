"""A sequential base: vectors of all users from their histories, and the contexts that fair models learn from."""

from __future__ import annotations

import logging
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from bundle import SequenceEncoder
from training.base.contract import Base, Contexts
from training.base.sequence.config import Bert4recConfig, SasrecConfig
from training.base.sequence.prism import experts_of
from training.base.sequence.stage import SequenceModel, SequenceStage
from training.base.sequence.windows import Histories
from training.base.validation import validation_ndcg
from training.data.split import NOTHING, Csr
from training.experiment import Experiment
from training.loop import fit
from training.negatives import NegativeSampler

log = logging.getLogger(__name__)


def train_sequence(
    experiment: Experiment, config: SasrecConfig | Bert4recConfig, checkpoint: Path, device: torch.device
) -> Base:
    """Train the encoder on the training positives; folded-in users take no part, their history is read as any other."""
    items = len(experiment.dataset.items)
    experts = None if config.prism is None else experts_of(experiment, config.prism, config.dimensions)
    model = SequenceModel(items, config, experiment.seed, experts).to(device)
    sampler = NegativeSampler(*experiment.no_negatives, items, device)
    users = range(len(experiment.dataset.users))
    known = [experiment.held_out.history(user) for user in users]
    validated = [known[user] if experiment.validation[user] != NOTHING else known[user][:0] for user in users]

    def validate() -> float:
        vectors = model.vectors()
        return validation_ndcg(experiment, model.encoder.user_vectors(validated, vectors), vectors)

    stage = SequenceStage(model, config, Histories(*experiment.train, device), sampler, validate)
    result = fit(stage, config.schedule, experiment.seed, checkpoint, device)
    log.info("base: validation N@10 %s", result)

    vectors = model.vectors().copy()
    history = type(model.encoder).load(model.encoder.network, config.dimensions, model.encoder.arrays())
    return Base(
        config.kind,
        users=history.user_vectors(
            [experiment.held_out.history(user, with_validation=True) for user in users], vectors
        ),
        selection=history.user_vectors(known, vectors),
        items=vectors,
        contexts=contexts_of(experiment.train, history, vectors, config.contexts_per_user),
        history=history,
    )


def contexts_of(train: Csr, history: SequenceEncoder, items: NDArray[np.float32], per_user: int) -> Contexts:
    """The user vector before each of some moments of a history, as serving would make it, and the item that came then.

    Args:
        train: training positives in time order.
        history: trained.
        items: (I, d) item vectors.
        per_user: how many moments at most, evenly spread up to the last one; 0 for all.
    """
    indptr, indices = train
    counts = np.maximum(np.diff(indptr) - 1, 0)  # nothing comes before the first
    chosen = np.minimum(counts, per_user) if per_user else counts
    users = np.repeat(np.arange(len(counts)), chosen)
    place = np.arange(len(users)) - np.repeat(np.cumsum(chosen) - chosen, chosen) + 1  # 1 to chosen
    moments = indptr[users] + place * counts[users] // chosen[users]
    before = [indices[max(start, end - history.items) : end] for start, end in zip(indptr[users], moments, strict=True)]
    vectors = history.user_vectors(before, items)
    return Contexts(vectors, users, np.arange(len(users) + 1), indices[moments])
