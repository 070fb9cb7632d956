"""PRISM's experts: what the modalities of an item say alone, together, and all of them alike.

Specified in docs/algorithms/prism.md. Source: PRISM, WWW 2026, arXiv 2601.10944.

Letters: N items with the cold ones, n some of them, M modalities, d dimensions, E experts, h their width.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn.functional import cosine_similarity, gelu, relu

from bundle.history.fusion import Said
from bundle.history.prism import EXPERTS, MODAL
from training.base.cold import in_usual_units, items_with, refuse_few_with
from training.base.sequence.prism_config import MOST_MODALITIES, PrismConfig
from training.data.modality import Modality
from training.errors import ConfigError
from training.experiment import Experiment

_ROWS = 8192


class Experts(nn.Module):
    """One expert for each modality, one for all together, one for what any of them says; of one modality, one."""

    present: Tensor
    """(N, M) bool."""

    def __init__(self, features: Sequence[Tensor], present: Tensor, dimensions: int, config: PrismConfig) -> None:
        """Make the maps, empty.

        Args:
            features: M of (N, n_m), in units of what is usual; anything finite where an item lacks the modality.
            present: (N, M) bool.
            dimensions: d.
            config: sizes and prices.
        """
        super().__init__()
        self._config, many = config, len(features)
        self.count = many + 2 if many > 1 else 1
        """E."""
        self._features = [f"features{place}" for place in range(many)]
        for name, values in zip(self._features, features, strict=True):
            self.register_buffer(name, values, persistent=False)
        self.register_buffer("present", present, persistent=False)
        self.maps = nn.ParameterList(torch.empty(each.shape[1], dimensions) for each in features)
        self.map_bias = nn.Parameter(torch.zeros(many, dimensions))
        self.lacking = nn.Parameter(torch.empty(many, dimensions))
        """What stands for a modality that an item lacks."""
        self.inner = nn.Parameter(torch.empty(self.count, many * dimensions, config.hidden))
        self.inner_bias = nn.Parameter(torch.zeros(self.count, 1, config.hidden))
        self.outer = nn.Parameter(torch.empty(self.count, config.hidden, dimensions))
        self.outer_bias = nn.Parameter(torch.zeros(self.count, 1, dimensions))

    @torch.no_grad()
    def begin(self, rng: torch.Generator) -> None:
        """Draw the first weights."""
        self.lacking.normal_(generator=rng)
        for table in (*self.maps, self.inner, self.outer):
            bound = (6 / (table.shape[-2] + table.shape[-1])) ** 0.5  # Glorot and Bengio, 2010, of each expert
            table.uniform_(-bound, bound, generator=rng)

    def projected(self, rows: Tensor) -> Tensor:
        """(n,) item rows → (n, M, d); a learned vector where an item lacks the modality (R1)."""
        known = [
            self.get_buffer(name).index_select(0, rows) @ map_
            for name, map_ in zip(self._features, self.maps, strict=True)
        ]
        there = self.present.index_select(0, rows)[..., None]
        return torch.where(there, torch.stack(known, dim=1) + self.map_bias, self.lacking)

    def heard(self, e: Tensor) -> Tensor:
        """(n, M, d) projected modalities → (n, E, d) what each expert makes of them (R2)."""
        inner = gelu(e.flatten(1) @ self.inner + self.inner_bias)  # (E, n, h)
        return (inner @ self.outer + self.outer_bias).transpose(0, 1)

    def forward(self, rows: Tensor) -> Said:
        """What is told of (n,) item rows."""
        e = self.projected(rows)
        return Said(e.sum(1), self.heard(e))

    def price(self, rows: Tensor, rng: torch.Generator) -> Tensor:
        """What experts pay for hearing of what is not theirs, over some of the (n,) item rows (R5 to R8)."""
        if self.count == 1:
            return self.lacking.new_zeros(())  # with one modality there is nothing to tell apart
        config, shuffled = self._config, torch.randperm(len(rows), generator=rng, device=rows.device)
        rows = rows[shuffled[: config.perturbed]]
        e, present = self.projected(rows), self.present.index_select(0, rows)
        whole = self.heard(e)
        noise = torch.randn(e.shape, generator=rng, device=e.device)
        places = torch.arange(e.shape[1], device=e.device)[:, None]
        replaced = torch.stack([self.heard(torch.where(places == m, noise, e)) for m in range(e.shape[1])])
        prices = prices_of(whole, replaced, present, config.margin)
        return (
            config.uniqueness * prices.uniqueness
            + config.synergy * prices.synergy
            + (config.redundancy * prices.redundancy)
        )

    @torch.no_grad()
    def tables(self) -> dict[str, NDArray[np.float32]]:
        """What is told of every item, for the bundle: `modal` (N, d) and `experts` (N, E, d)."""
        every = torch.arange(len(self.present), device=self.lacking.device)
        said = [self(rows) for rows in torch.split(every, _ROWS)]
        modal, experts = (torch.cat(each).cpu().numpy() for each in zip(*said, strict=True))
        return {MODAL: modal, EXPERTS: experts}


class Prices(NamedTuple):
    """The three losses of a step."""

    uniqueness: Tensor
    synergy: Tensor
    redundancy: Tensor


def prices_of(whole: Tensor, replaced: Tensor, present: Tensor, margin: float) -> Prices:
    """What replacing one modality by noise does to experts, against what it should do.

    Args:
        whole: (n, E, d), E = M + 2: experts of each modality, of synergy, of redundancy.
        replaced: (M, n, E, d), modality m replaced in row m.
        present: (n, M) bool; only what an item has can be replaced, and items with one modality teach nothing.
        margin: of the triplets.

    Returns:
        Means over items and what was replaced in them, in uniqueness summed over modalities; 0 where there is nothing
        to take a mean of.
    """
    count = present.shape[1]
    several = present & (present.sum(1, keepdim=True) > 1)
    away = torch.linalg.vector_norm(whole - replaced + 1e-6, dim=-1)  # (M, n, E); 1e-6 as PyTorch's own triplet has
    unique = whole.new_zeros(())
    for m in range(count):
        for other in range(count):
            if other != m:
                triplets = relu(away[other, :, m] - away[m, :, m] + margin)
                unique = unique + _mean(triplets, several[:, m] & several[:, other]) / (count - 1)
    alike = cosine_similarity(whole[None, :, count:], replaced[:, :, count:], dim=-1)  # (M, n, 2)
    return Prices(unique, _mean(alike[..., 0], several.T), _mean(1 - alike[..., 1], several.T))


def _mean(values: Tensor, chosen: Tensor) -> Tensor:
    return (values * chosen).sum() / chosen.sum().clamp(min=1)


def refuse_unfit_prism(experiment: Experiment, config: PrismConfig) -> None:
    """Refuse modalities that are not there, or that too few items have.

    Raises:
        ConfigError: it names the key.
        TooLittleDataError: says how many items there are.
    """
    known = [each.name for each in experiment.dataset.modalities]
    if not known:
        raise ConfigError("base.prism", "needs item features", allowed="with data.modalities")
    for name in config.modalities:
        if name not in known:
            raise ConfigError("base.prism.modalities", "is no modality", value=name, allowed=", ".join(known))
    chosen = _chosen(experiment, config)
    if len(chosen) > MOST_MODALITIES:
        raise ConfigError("base.prism.modalities", "are too many", value=len(chosen), allowed=f"{MOST_MODALITIES}")
    refuse_few_with(experiment, chosen)


def experts_of(experiment: Experiment, config: PrismConfig, dimensions: int) -> Experts:
    """Experts over the configured modalities, their weights not drawn yet."""
    chosen = _chosen(experiment, config)
    features = []
    for each in chosen:
        values = in_usual_units(each, items_with(experiment, each))
        values[~each.present] = 0  # never used: a learned vector stands there
        features.append(torch.from_numpy(values.astype(np.float32)))
    present = torch.from_numpy(np.column_stack([each.present for each in chosen]))
    return Experts(features, present, dimensions, config)


def _chosen(experiment: Experiment, config: PrismConfig) -> list[Modality]:
    return [each for each in experiment.dataset.modalities if not config.modalities or each.name in config.modalities]
