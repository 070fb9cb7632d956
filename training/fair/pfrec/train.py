"""PFRec as the fair stage of a run."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch

from bundle import SequenceEncoder, SupportedMasks
from measure.masks import Mask, masks_to_measure
from measure.split import SELECT
from training.base.contract import Base, RankingLoss
from training.errors import ConfigError
from training.experiment import Experiment, Mode, allowed_labels
from training.fair.contract import Fair
from training.fair.finished import finished_vectors
from training.fair.heads import Heads
from training.fair.pfrec.config import PfrecConfig
from training.fair.pfrec.histories import Moments
from training.fair.pfrec.nets import MaskNets, PfrecNets, Readers, ReadUsers
from training.fair.pfrec.prompted import PromptedEncoder
from training.fair.pfrec.stage import PfrecStage
from training.fair.select import selection
from training.loop import fit
from training.negatives import NegativeSampler

log = logging.getLogger(__name__)


def train_pfrec(experiment: Experiment, base: Base, config: PfrecConfig, work: Path, device: torch.device) -> Fair:
    """Train prompts on a frozen SASRec and export finished vectors, one for each supported mask.

    Raises:
        ConfigError: as of `refuse_unfit_pfrec`.
    """
    names, dataset = experiment.attributes, experiment.dataset
    refuse_unfit_pfrec(names, base.model, experiment.mode, config)
    encoder, masks = base.history, masks_of(names, config)
    assert isinstance(encoder, SequenceEncoder)  # noqa: S101  SASRec's is one
    nets = fresh_nets(experiment, base, encoder, masks, config).to(device)
    labels = allowed_labels(experiment)

    rows = np.flatnonzero(experiment.user_split == SELECT) if experiment.mode == "strict" else range(len(dataset.users))
    known = [experiment.held_out.history(int(row)) for row in rows]
    validated = ReadUsers(names, nets, Readers(known, labels[np.asarray(rows)], base.items))
    score = selection(experiment, base, config.leakage_price, masks=masks)
    stage = PfrecStage(
        nets,
        config,
        experiment.mode,
        Moments(experiment.train, encoder.items, device),
        base.items,
        labels,
        experiment.class_counts,
        RankingLoss(base, device),
        NegativeSampler(*experiment.no_negatives, len(base.items), device),
        lambda: score(validated),
        device,
    )
    result = fit(stage, config.schedule, experiment.seed, work / "fair.safetensors", device)
    log.info("fair: validation score %s", result)
    return finished(experiment, base, nets, masks, config)


def refuse_unfit_pfrec(attributes: Sequence[str], base: str, mode: Mode, config: PfrecConfig) -> None:
    """Refuse a configuration that cannot be trained.

    Raises:
        ConfigError: the base is no SASRec, user prompts are wanted where labels may not be used, or as of `masks_of`.
    """
    if base != "sasrec":
        raise ConfigError(
            "fair.method", "reads histories of items alone", value="pfrec", allowed="base.model 'sasrec' without prism"
        )
    if config.user_prompts and mode == "strict":
        problem = "needs every user's labels, and mode 'strict' has those of train users only"
        raise ConfigError("fair.user_prompts", problem, value=True, allowed="false, or mode 'reproduce'")
    masks_of(attributes, config)


def masks_of(attributes: Sequence[str], config: PfrecConfig) -> list[Mask]:
    """Masks to train, in manifest order; with user prompts the one that protects everything.

    Raises:
        ConfigError: a mask names an attribute that is not there, or masks are listed although there can be but one.
    """
    if config.user_prompts:
        if config.masks:
            raise ConfigError("fair.masks", "is settled by user_prompts: all attributes", value=config.masks)
        return [tuple(attributes)]
    for name in (name for mask in config.masks for name in mask):
        if name not in attributes:
            raise ConfigError("fair.masks", "is no attribute", value=name, allowed=", ".join(attributes))
    listed = [tuple(name for name in attributes if name in mask) for mask in config.masks]
    return list(dict.fromkeys(listed)) or masks_to_measure(attributes)


def fresh_nets(
    experiment: Experiment, base: Base, encoder: SequenceEncoder, masks: list[Mask], config: PfrecConfig
) -> PfrecNets:
    """Networks for every mask that protects something; the same seed gives the same weights."""
    names, classes, d = experiment.attributes, experiment.class_counts, base.items.shape[1]
    rng = torch.Generator().manual_seed(experiment.seed)
    deviation = float(base.items.std()) * d**0.5
    own = classes if config.user_prompts else ()

    def nets() -> MaskNets:
        prompted = PromptedEncoder(encoder, config.prompts, config.bottleneck, own, deviation, rng)
        return MaskNets(prompted, Heads(d, classes, rng))

    return PfrecNets({tuple(name in mask for name in names): nets() for mask in masks if mask})


def finished(experiment: Experiment, base: Base, nets: PfrecNets, masks: list[Mask], config: PfrecConfig) -> Fair:
    """Every user's vector under every mask; u itself where nothing is protected."""
    names = experiment.attributes
    users = range(len(experiment.dataset.users))
    histories = [experiment.held_out.history(user, with_validation=True) for user in users]
    readers = Readers(histories, allowed_labels(experiment), base.items)
    flags = [tuple(name in mask for name in names) for mask in masks]
    views = [readers.vectors(nets.of(each).prompted) if any(each) else base.users for each in flags]
    table, network = finished_vectors(names, masks)
    listed = [list(mask) for mask in masks]
    return Fair(
        base,
        table,
        network,
        [],
        "base",
        SupportedMasks(kind="fixed" if config.user_prompts else "list", masks=listed),
        list(names) if config.user_prompts else [],
        vectors=np.stack(views, axis=1),
    )
