"""AL, CAL, FairGo and FMMRec as the fair stage of a run."""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from bundle import Network, NoHistory, Part, SupportedMasks, build_encoder
from bundle.networks.filters import filter_parts
from bundle.networks.identity import IdentityEncoder, identity_parts
from measure.masks import Mask
from measure.scoring import to_unit
from training.base.cold import refuse_few_with
from training.base.contract import Base
from training.errors import ConfigError
from training.experiment import Experiment, allowed_labels
from training.fair.contract import Fair
from training.fair.filters.config import AlConfig, CalConfig, FairgoConfig, FiltersConfig, FmmrecConfig
from training.fair.filters.discriminators import Discriminators, initialise
from training.fair.filters.modal import ModalMeans, learn_means
from training.fair.filters.neighbourhoods import history_among, moved
from training.fair.filters.stage import FilterNets, FilterStage
from training.fair.filters.towers import BothTowers, SharedFilters, Towers, UserTower
from training.fair.finished import finished_vectors
from training.fair.named import named
from training.fair.select import selection
from training.loop import fit
from training.negatives import NegativeSampler

log = logging.getLogger(__name__)


def train_users(
    experiment: Experiment, base: Base, config: AlConfig | CalConfig, work: Path, device: torch.device
) -> Fair:
    """Filter users alone (AL, CAL): parts are functions of u, items stay."""
    names, d = experiment.attributes, base.users.shape[1]
    mask = named(names, config.protect) if isinstance(config, AlConfig) else None
    network, parts = user_filters(config, names, d)
    encoder = build_encoder(network, d, names, parts)
    initialise(encoder, torch.Generator().manual_seed(experiment.seed))
    towers = UserTower(encoder.to(device), base, device)
    score = selection(experiment, base, config.leakage_price, masks=None if mask is None else [mask])
    _fit(experiment, base, towers, config, work, device, lambda: score(encoder), mask)
    listed = SupportedMasks(kind="all") if mask is None else SupportedMasks(kind="list", masks=[[], list(mask)])
    return Fair(base, encoder.eval(), network, parts, "base", listed)


def train_both(experiment: Experiment, base: Base, config: FairgoConfig, work: Path, device: torch.device) -> Fair:
    """Filter users and items (FairGo, FMMRec), and export vectors for the one mask.

    FairGo's are finished. FMMRec's bundle also makes one from a history, so that it serves new users.

    Raises:
        ConfigError: as of `refuse_unfit_both`.
    """
    names = experiment.attributes
    mask = refuse_unfit_both(experiment, config)
    means: dict[str, ModalMeans] = {}
    given = base
    if isinstance(config, FmmrecConfig):
        means = learn_means(experiment, mask, config, device)
        base = moved(base, ~experiment.folded_in, means, config, device)
    d = base.users.shape[1]
    encoder = SharedFilters(names, len(mask), d, config.hidden, d if isinstance(config, FmmrecConfig) else 0)
    encoder.begin(torch.Generator().manual_seed(experiment.seed))
    towers = BothTowers(encoder.to(device), base, experiment.train, device)

    def validate() -> float:
        now = replace(base, items=_items(towers))
        return selection(experiment, now, config.leakage_price, given, masks=[mask])(encoder)

    _fit(experiment, base, towers, config, work, device, validate, mask)
    return _exported(experiment, base, given, towers, mask, config, means)


def _fit(
    experiment: Experiment,
    base: Base,
    towers: Towers,
    config: FiltersConfig,
    work: Path,
    device: torch.device,
    validate: Callable[[], float],
    mask: Mask | None,
) -> None:
    rng = torch.Generator().manual_seed(experiment.seed + 1)
    d, classes = base.users.shape[1], experiment.class_counts
    of_users, of_items = (Discriminators(d, classes, config.dropout, rng).to(device) for _ in range(2))
    flags = None if mask is None else torch.tensor([name in mask for name in experiment.attributes], device=device)
    stage = FilterStage(
        FilterNets(towers, of_users, of_items),
        config,
        experiment.mode,
        base.contexts,
        allowed_labels(experiment),
        NegativeSampler(*experiment.no_negatives, len(base.items), device),
        validate,
        device,
        flags,
    )
    result = fit(stage, config.schedule, experiment.seed, work / "fair.safetensors", device)
    log.info("fair: validation score %s", result)


def user_filters(config: AlConfig | CalConfig, attributes: Sequence[str], d: int) -> tuple[Network, list[Part]]:
    """How the manifest names the encoder, and its parts."""
    parts = filter_parts(attributes)
    if isinstance(config, AlConfig):
        mask = list(named(attributes, config.protect))
        parts = [
            Part(name="user", attributes=mask, taken="none_protected"),
            Part(name="filtered", attributes=mask, taken="all_protected"),
        ]
    return Network(kind="mean_filters", sizes={"filter": [d, config.hidden, d]}), parts


def refuse_unfit_both(experiment: Experiment, config: FairgoConfig) -> Mask:
    """Refuse what these methods cannot do; gives the one mask that a bundle of theirs supports.

    Raises:
        ConfigError: no such attribute; new users with FairGo, whose fold-in would read filtered items;
            or FMMRec without item features, by which it finds neighbours.
        TooLittleDataError: FMMRec with a modality that too few items have.
    """
    if experiment.new_users and not isinstance(config, FmmrecConfig):
        problem = f"is for methods that serve new users; {config.method} changes the items that they are folded in by"
        raise ConfigError("new_users", problem, value=experiment.new_users, allowed="0")
    if isinstance(config, FmmrecConfig):
        if not experiment.dataset.modalities:
            raise ConfigError("fair.method", "needs item features", value=config.method, allowed="with data.modalities")
        refuse_few_with(experiment, experiment.dataset.modalities)
    return named(experiment.attributes, config.protect)


def _exported(
    experiment: Experiment,
    base: Base,
    given: Base,
    towers: BothTowers,
    mask: Mask,
    config: FairgoConfig,
    means: dict[str, ModalMeans],
) -> Fair:
    """Everybody's vector, and the filtered items, beside which the given ones are kept for audits."""
    filters = towers.encoder.eval().cpu()
    vectors = _filtered(filters, base.users, items=False)
    cold = None if given.cold is None else _filtered(filters, given.cold, items=True)
    changed = replace(given, items=_filtered(filters, base.items, items=True), cold=cold, history=NoHistory())
    if base.cosine:
        vectors, changed = to_unit(vectors), replace(changed, items=to_unit(changed.items))
        changed = changed if cold is None else replace(changed, cold=to_unit(cold))
    names, masks = experiment.attributes, SupportedMasks(kind="fixed", masks=[list(mask)])
    if not isinstance(config, FmmrecConfig):
        encoder, network = finished_vectors(names, [mask])
        return Fair(changed, encoder, network, [], "base", masks, vectors=vectors[:, None], before=given)
    history = history_among(vectors, ~experiment.folded_in, means, config)
    new = np.flatnonzero(experiment.folded_in)
    histories = [experiment.held_out.history(user) for user in new.tolist()]
    vectors[new] = history.user_vectors(histories, changed.items)
    return Fair(
        replace(changed, history=history),
        IdentityEncoder(names, identity_parts(), vectors.shape[1], {}),
        Network(kind="identity", sizes={}),
        identity_parts(),
        "base",
        masks,
        vectors=vectors[:, None],
        before=given,
        modal={f"{name}:filtered": each.filtered for name, each in means.items()},
    )


@torch.no_grad()
def _filtered(encoder: SharedFilters, x: NDArray[np.float32], *, items: bool) -> NDArray[np.float32]:
    return encoder.filtered(torch.from_numpy(x), items=items).numpy()


@torch.no_grad()
def _items(towers: BothTowers) -> NDArray[np.float32]:
    found: Tensor = towers.items()
    return found.cpu().numpy()
