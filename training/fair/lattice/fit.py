"""The fit of a lattice, step by step with docs/algorithms/lattice.md."""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping, Sequence
from typing import NamedTuple

import torch

from bundle import Network, Part, build_encoder
from bundle.networks import DitheredLatticeEncoder, JointLatticeEncoder
from bundle.networks.joint_lattice import sets_of
from bundle.networks.lattice_layers import Scores
from measure.masks import Mask
from training.errors import ConfigError
from training.fair.lattice.beginning import Beginning
from training.fair.lattice.beside import fit_beside
from training.fair.lattice.choices import Choices, learn_choices
from training.fair.lattice.closed_form import fit_independent
from training.fair.lattice.config import LatticeConfig
from training.fair.lattice.dithered import fit_dither
from training.fair.lattice.scores import coordinates_of, distil, leading
from training.fair.lattice.utility import fit_expected, fit_mix
from training.fair.select import Shown

log = logging.getLogger(__name__)

QUANTILES = 64
PATIENCE = 3
"""Times that more coordinates may show no less than fewer did, before the ones that showed least are taken."""
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
    begun: Beginning,
    attributes: Sequence[str],
    config: LatticeConfig,
    show: Show = lambda encoder, mask: {},
    choices: Choices | None = None,
) -> Lattice:
    """Fit the encoder; seconds for thousands of users.

    Args:
        begun: the users, measured in their frame, and what teachers find of them.
        attributes: their names.
        config: the strength and the rest.
        show: what users show where an attribute alone is protected, and where all are; what shows too much is withheld
            further.
        choices: what the map back to user vectors learns from besides; None for least squares alone.

    Raises:
        ConfigError: so many coordinates that nothing of the vector is left.
    """
    users, dimensions = begun.w.shape
    counts = coordinates(config.strength, begun.classes, dimensions, users)
    if config.strength and sum(enough := list(map(max, counts, map(leading, begun.log_p)))) < dimensions:
        counts = enough
    rng = begun.generator()
    most, best, fruitless = config.select_users_show_at_most, None, 0
    while True:
        encoder, network, parts = _fit(begun, attributes, counts, config, choices, rng)
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
        more = [min(count, number - 1, users - 1) for count, number in zip(more, begun.classes, strict=True)]
        if more == counts or sum(more) >= dimensions or fruitless == PATIENCE:
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


def _fit(
    begun: Beginning,
    attributes: Sequence[str],
    counts: Sequence[int],
    config: LatticeConfig,
    choices: Choices | None,
    rng: torch.Generator,
) -> tuple[JointLatticeEncoder, Network, list[Part]]:
    """Everything behind the teachers, for these many coordinates of each attribute."""
    frame, w, log_p = begun.frame, begun.w, begun.log_p
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
        dithered = config.dither > 0 and len(attributes) > 1
        sizes = Network(kind="dithered_lattice" if dithered else "joint_lattice", sizes=numbers)
        encoder = build_encoder(sizes, w.shape[1], attributes, parts)
        assert isinstance(encoder, JointLatticeEncoder)  # noqa: S101  the kind says so
        encoder.length.fill_(frame.length)
        encoder.whiten, encoder.scores, encoder.metric = frame.whiten, scores, frame.metric
        y = frame.at_length @ frame.metric.weight.double() + frame.metric.bias.double()
        fit_independent(encoder.shared, y.numpy(), sigma, config)  # J4 - J6
        if len(attributes) > 1:
            fit_beside(encoder.beside, sigma, config)  # J7
            fit_expected(encoder, frame.at_length.float(), config.mix_ridge, rng)
        fit_mix(encoder, frame.at_length.float(), config.mix_ridge, rng)  # J8
        if choices is not None:
            learn_choices(encoder, choices, config.choice_ridge, rng)  # J9
        if isinstance(encoder, DitheredLatticeEncoder):
            fit_dither(encoder, frame.at_length.float(), config.dither, rng)  # J10
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
