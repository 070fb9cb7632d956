"""One training run: data → split → base → fair → export → card → bundle."""

from __future__ import annotations

import logging
from dataclasses import replace
from pathlib import Path

import torch

from bundle import write_bundle
from training.base.train import train_base
from training.card import make_card
from training.config import RunConfig
from training.data.load import load
from training.data.split import hold_out, split_users
from training.export import export
from training.fair.train import train_fair
from training.work import work_folder

log = logging.getLogger(__name__)


def run(config: RunConfig, data: Path | None, out: Path, device: torch.device) -> Path:
    """Train, measure and write one bundle.

    A run that was interrupted is picked up where its last checkpoint left it: same configuration, same data, same
    ``out``.

    Args:
        config: the run.
        data: folder of the data; None where the configuration generates it.
        out: where bundles go.
        device: where the networks train.

    Returns:
        The folder of the new version.

    Raises:
        TrainingError: the configuration or the data is refused.
    """
    dataset = load(config.data, data)
    log.info("data: %s, %s users, %s items", dataset.source, f"{len(dataset.users):,}", f"{len(dataset.items):,}")
    held_out = hold_out(dataset)
    user_split = split_users(dataset.users, config.split_salt)

    with work_folder(out, config, dataset.fingerprint) as work:
        base = train_base(config, dataset, held_out, user_split, work, device)
        encoder = train_fair(config, dataset, held_out, user_split, base, work, device)

        draft = export(config, dataset, held_out, user_split, base, encoder)
        bundle = replace(draft, card=make_card(draft))
        path = write_bundle(bundle, out)
    log.info("bundle: %s", path)
    return path
