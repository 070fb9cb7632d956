"""One training run: data → split → base → fair → export → card → bundle."""

from __future__ import annotations

import logging
from dataclasses import replace
from pathlib import Path

import torch

from measure.profiles import PROFILES
from training import parallel
from training.base.cold import cold_vectors, features_card
from training.base.train import belongs_in_card, train_base
from training.base.vectors import VectorsConfig, read_brought_vectors
from training.card import make_card
from training.config import RunConfig
from training.data.generated_config import GeneratedConfig
from training.data.load import choose_reader, load
from training.data.modal_means import seen_means
from training.data.small_classes import merged_classes
from training.demands import experiment_of
from training.export import export, published
from training.fair.select import unmeasured_on_select
from training.fair.train import train_fair
from training.stages import stage
from training.targets import with_targets
from training.threads import held_to
from training.work import base_file, work_folder

log = logging.getLogger(__name__)


def run(
    config: RunConfig, data: Path | None, out: Path, device: torch.device, bases: Path | None = None
) -> Path | None:
    """Train, measure and write one bundle.

    A run that was interrupted is picked up where its last checkpoint left it: same configuration, same data, same
    ``out``.

    Args:
        config: the run.
        data: folder of the data; None where the configuration generates it.
        out: where bundles go.
        device: where the networks train.
        bases: folder of trained bases: this run's is kept there, and taken by later runs with the same base, data,
            seed and mode; None to train the base for this run alone.

    Returns:
        The folder of the new version; None in all processes but the first, where several train (`training.parallel`).

    Raises:
        TrainingError: the configuration or the data is refused; where possible, before anything is trained.
    """
    with stage("data"):
        vectors = read_brought_vectors(config.base, data) if isinstance(config.base, VectorsConfig) else None
        chosen = choose_reader(config.data, data, interactions_wanted=vectors is None)
        reader = config.data if isinstance(chosen, GeneratedConfig) else chosen
        dataset = load(reader, data, vectors.ids if vectors else None)
        log.info("data: %s, %s users, %s items", dataset.source, f"{len(dataset.users):,}", f"{len(dataset.items):,}")
        for what, count in dataset.left_out.items():
            log.info("data: left out %s: %s", what, f"{count:,}")
        experiment = experiment_of(config, dataset, vectors)
        dataset = experiment.dataset
        merged = merged_classes(dataset)
        for name, classes in merged.items():
            for each, of in classes.items():
                log.info("data: %s %r (%s users) stands for %s", name, each, f"{of['users']:,}", ", ".join(of["of"]))

    fingerprint = f"{dataset.fingerprint}-{vectors.fingerprint}" if vectors else dataset.fingerprint
    with held_to(config.threads), work_folder(out, config, fingerprint) as work:
        with stage("base"), parallel.first_alone():
            checkpoint = (bases or work) / base_file(config, fingerprint)
            base = train_base(experiment, config.base, checkpoint, device, vectors)
        with stage("fair"):
            fair = train_fair(experiment, base, config.fair, work, device)
        if not parallel.is_first():
            return None
        with stage("export"):
            cold = cold_vectors(experiment, fair.base)
            cold_before = cold_vectors(experiment, fair.before) if fair.before else None
            draft, targets = export(config, experiment, fair, cold, cold_before), None
            if config.balance is not None:
                draft, targets = with_targets(draft, config.balance)
        with stage("card"):
            profile, modal = PROFILES[config.profile], {**seen_means(dataset), **fair.modal}
            card = make_card(
                draft, profile, config.threads or None, config.audit_users, belongs_in_card(config.base), modal
            )
        card |= {"left_out": dict(dataset.left_out), "run": config.model_dump(mode="json")}
        card |= {"data": chosen.model_dump(mode="json")} | ({"front": fair.front} if fair.front else {})
        card |= {"leakage_check": fair.checked} if fair.checked else {}
        card |= {"personal_targets": targets} if targets else {}
        card |= {"merged_classes": merged} if merged else {}
        card |= features_card(dataset, cold)
        if unmeasured := unmeasured_on_select(experiment):
            card |= {"unmeasured_on_select": unmeasured}
        with stage("bundle"):
            path = published(replace(draft, card=card), out)
    log.info("bundle: %s", path)
    return path
