"""The fit of a lattice, step by step with docs/algorithms/lattice.md."""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from bundle import Network, Part, build_encoder
from bundle.networks import JointLatticeEncoder
from bundle.networks.joint_lattice import sets_of
from bundle.networks.lattice_layers import Affine, Scores
from measure.masks import Mask
from training.errors import ConfigError
from training.fair.lattice.beside import fit_beside
from training.fair.lattice.closed_form import fit_independent, fit_metric, fit_whitening
from training.fair.lattice.config import LatticeConfig
from training.fair.lattice.given_back import give_back
from training.fair.lattice.scores import coordinates_of, cross_fitted, distil, leading, stacked
from training.fair.lattice.utility import fit_expected, fit_mix
from training.fair.select import Shown

log = logging.getLogger(__name__)

QUANTILES = 64
PATIENCE = 3
"""Times that more coordinates may show no less than fewer did, before the ones that showed least are taken."""
TEACHERS = 2
"""Rounds of teachers: the second sees what the first found of all attributes."""
Show = Callable[[JointLatticeEncoder, Mask], Mapping[str, Shown]]
"""(a fitted encoder, a mask) → of each protected attribute that can be checked, what users show whose labels were not
fitted on."""


class Lattice(NamedTuple):
    """What was fitted."""

    encoder: JointLatticeEncoder
    network: Network
    """How the manifest names it."""
    parts: list[Part]
    shown: Mapping[str, Shown]
    """Of each attribute that can be checked, the most that select users show: alone protected, or with all others."""

    def excess(self, most: float) -> dict[str, float]:
        """Of each attribute, how far the AUC shown is above ``most`` and above chance; below 0 where it is not."""
        return {name: each.auc - max(most, each.by_chance) for name, each in self.shown.items()}


def fit_lattice(
    users: NDArray[np.float32],
    items: NDArray[np.float32],
    labels: NDArray[np.int16],
    attributes: Sequence[str],
    classes: Sequence[int],
    config: LatticeConfig,
    seed: int,
    show: Show = lambda encoder, mask: {},
) -> Lattice:
    """Fit the encoder; seconds for thousands of users.

    Args:
        users: (U, d) user vectors; all of them may be used, they carry no label.
        items: (I, d) item vectors.
        labels: (U, M), -1 for those not to be learned from.
        attributes: their names.
        classes: number of classes of each.
        config: the strength and the rest.
        seed: of every draw.
        show: what users show where an attribute alone is protected, and where all are; what shows too much is withheld
            further.

    Raises:
        ConfigError: so many coordinates that nothing of the vector is left.
    """
    rng = torch.Generator().manual_seed(seed)
    counts = coordinates(config.strength, classes, users.shape[1], len(users))
    with torch.no_grad():
        frame = _Frame.of(users, items)  # J1
        w = frame.whiten(frame.at_length.float())
    log_p: list[Tensor] = []
    for _ in range(TEACHERS):  # J2: the first from w alone
        seen = stacked(w, log_p) if log_p else w
        log_p = [
            cross_fitted(seen, labels[:, index].astype(np.int64), number, config.folds, rng)
            for index, number in enumerate(classes)
        ]
    if config.strength and sum(enough := list(map(max, counts, map(leading, log_p)))) < users.shape[1]:
        counts = enough
    most, best, fruitless = config.select_users_show_at_most, None, 0
    while True:
        encoder, network, parts = _fit(frame, w, log_p, labels, attributes, counts, config, rng)
        found = Lattice(encoder, network, parts, _most_shown(show, encoder, attributes))
        log.info("fair: lattice of %d parts, coordinates %s, select users show %s", len(parts), counts, _told(found))
        excess = found.excess(most)
        fruitless += 1
        if best is None or max(excess.values(), default=0) < max(best.excess(most).values()):
            best, fruitless = found, 0
        more = [
            count + max(1, count // 4) if excess.get(name, 0) > 0 else count
            for name, count in zip(attributes, counts, strict=True)
        ]
        more = [min(count, number - 1, len(users) - 1) for count, number in zip(more, classes, strict=True)]
        if more == counts or sum(more) >= users.shape[1] or fruitless == PATIENCE:
            return best
        counts = more


def coordinates(strength: int, classes: Sequence[int], dimensions: int, users: int) -> list[int]:
    """How many coordinates of each attribute a strength withholds; no more than classes or users can tell apart.

    Raises:
        ConfigError: so many that nothing of the vector is left.
    """
    counts = [min(max(strength, 1), count - 1, users - 1) for count in classes]
    if sum(counts) >= dimensions:
        problem = f"withholds the whole vector: {sum(counts)} coordinates for {len(counts)} attributes together"
        allowed = f"below {dimensions}, which is base.dimensions"
        raise ConfigError("fair.strength", problem, value=strength, allowed=allowed)
    return counts


@dataclass(frozen=True)
class _Frame:
    """J1: what users are measured in, before any label is looked at."""

    length: float
    at_length: Tensor
    """(U, d) float64, user vectors at the mean length."""
    whiten: Affine
    metric: Affine

    @classmethod
    def of(cls, users: NDArray[np.float32], items: NDArray[np.float32]) -> _Frame:
        """Of all users that may be fitted on, and all items."""
        d = users.shape[1]
        lengths = np.linalg.norm(users.astype(np.float64), axis=1)
        length = float(lengths.mean())
        at_length = users * (length / np.maximum(lengths, 1e-12))[:, None]
        whiten, metric = Affine(d, d), Affine(d, d)
        fit_whitening(whiten, at_length)
        fit_metric(metric, at_length, items.astype(np.float64))
        return cls(length, torch.from_numpy(at_length), whiten, metric)


def _fit(
    frame: _Frame,
    w: Tensor,
    log_p: Sequence[Tensor],
    labels: NDArray[np.int16],
    attributes: Sequence[str],
    counts: Sequence[int],
    config: LatticeConfig,
    rng: torch.Generator,
) -> tuple[JointLatticeEncoder, Network, list[Part]]:
    """Everything behind the teachers, for these many coordinates of each attribute."""
    targets = [coordinates_of(each, count) for each, count in zip(log_p, counts, strict=True)]
    scores = Scores(w.shape[1], config.hidden, sum(counts), QUANTILES)
    distil(scores, w, torch.cat(targets, 1), rng)  # J3
    with torch.no_grad():
        sigma = scores(w).double().numpy()
        parts = lattice_parts(attributes)
        layers = [config.hidden, config.bins, QUANTILES, config.sweeps]
        numbers = {
            "coordinates": list(counts),
            "leading": list(map(min, counts, map(leading, log_p))),
            "layers": layers,
        }
        sizes = Network(kind="joint_lattice", sizes=numbers)
        encoder = build_encoder(sizes, w.shape[1], attributes, parts)
        assert isinstance(encoder, JointLatticeEncoder)  # noqa: S101  the kind says so
        encoder.length.fill_(frame.length)
        encoder.whiten, encoder.scores, encoder.metric = frame.whiten, scores, frame.metric
        y = frame.at_length @ frame.metric.weight.double() + frame.metric.bias.double()
        left = fit_independent(encoder.shared, y.numpy(), sigma, config)  # J4 - J6
        owner = np.repeat(np.arange(len(counts)), counts)
        give_back(encoder.shared, sigma, left, labels, owner, config.differ_at_most)
        if len(attributes) > 1:
            fit_beside(encoder.beside, sigma, config)  # J7
            fit_expected(encoder, frame.at_length.float(), config.mix_ridge, rng)
        fit_mix(encoder, frame.at_length.float(), config.mix_ridge, rng)  # J8
    return encoder, sizes, parts


def _most_shown(show: Show, encoder: JointLatticeEncoder, attributes: Sequence[str]) -> dict[str, Shown]:
    """Of each attribute, the most that users show where it alone is protected and where all are."""
    found: dict[str, Shown] = {}
    for mask in dict.fromkeys([*((name,) for name in attributes), tuple(attributes)]):
        for name, each in show(encoder, mask).items():
            found[name] = max(each, found.get(name, each))
    return found


def _told(found: Lattice) -> str:
    told = (f"{name} {each.auc:.3f} (chance {each.by_chance:.3f})" for name, each in found.shown.items())
    return ", ".join(told) or "nothing that can be checked"


def lattice_parts(attributes: Sequence[str]) -> list[Part]:
    """The rest; a part of each attribute, and one of all others; u itself. One attribute needs none of its own."""
    return [
        Part(name="shared", attributes=[], taken="always"),
        *(Part(name="+".join(names), attributes=names, taken="none_protected") for names in sets_of(attributes)),
        Part(name="base", attributes=list(attributes), taken="none_protected"),
    ]
