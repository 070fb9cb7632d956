"""The fit of a lattice, step by step with docs/algorithms/lattice.md."""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping, Sequence
from itertools import combinations

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from bundle import Network, Part, build_encoder
from bundle.networks import LatticeEncoder
from bundle.networks.lattice import Affine, Scores
from training.errors import ConfigError
from training.fair.lattice.closed_form import (
    fit_erasure,
    fit_transports,
    fit_whitening,
    residual,
    skip_transports,
)
from training.fair.lattice.config import CHECKED_AT, LatticeConfig
from training.fair.lattice.scores import cross_fitted, distil, leading_coordinates
from training.fair.lattice.utility import fit_utility

log = logging.getLogger(__name__)

QUANTILES = 64


def fit_lattice(
    users: NDArray[np.float32],
    items: NDArray[np.float32],
    labels: NDArray[np.int16],
    attributes: Sequence[str],
    classes: Sequence[int],
    config: LatticeConfig,
    seed: int,
    leaked: Callable[[LatticeEncoder, str], float | None] = lambda encoder, attribute: None,
    biases: NDArray[np.float32] | None = None,
) -> tuple[LatticeEncoder, Network, list[Part]]:
    """Fit the encoder; seconds for thousands of users.

    Args:
        users: (U, d) user vectors; all of them may be used, they carry no label.
        items: (I, d) item vectors.
        labels: (U, M), -1 for those not to be learned from.
        attributes: their names.
        classes: number of classes of each.
        config: the strength and the rest.
        seed: of every draw.
        leaked: how much of an attribute a fitted encoder leaks where it alone is protected, as folded AUC on users
            whose labels are not in ``labels``, None where it cannot be measured; what leaks more than
            ``config.leakage_at_most`` is withheld further.
        biases: (I,) what a score has besides the inner product; None for nothing.

    Returns:
        The encoder, its sizes and its parts.

    Raises:
        ConfigError: so many coordinates that nothing of the vector is left.
    """
    rng = torch.Generator().manual_seed(seed)
    d = users.shape[1]
    counts = coordinates(config.strength, classes, d, len(users))
    u, v = torch.from_numpy(users), torch.from_numpy(items)
    b = torch.zeros(len(v)) if biases is None else torch.from_numpy(biases)
    with torch.no_grad():
        whiten = Affine(d, d)
        fit_whitening(whiten, users.astype(np.float64))  # L1
        w = whiten(u)
    log_p = [
        cross_fitted(w, labels[:, index].astype(np.int64), number, config.folds, rng)  # L2
        for index, number in enumerate(classes)
    ]
    most = CHECKED_AT if config.leakage_at_most is None else config.leakage_at_most
    while True:
        encoder, sizes, parts = _fit(whiten, w, log_p, attributes, counts, config, rng)
        fit_utility(encoder, u, v, b, config, rng)  # L8
        leaks = {name: leaked(encoder, name) for name in attributes}
        log.info("fair: lattice of %d parts, coordinates %s, select users leak %s", len(parts), counts, _shown(leaks))
        more = [
            count + max(1, count // 2) if (leak := leaks[name]) is not None and leak > most else count
            for name, count in zip(attributes, counts, strict=True)
        ]
        more = [min(count, number - 1, len(users) - 1) for count, number in zip(more, classes, strict=True)]
        if more == counts or sum(more) >= d:  # enough, or nothing left to withhold
            return encoder, sizes, parts
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
    whiten: Affine,
    w: Tensor,
    log_p: Sequence[Tensor],
    attributes: Sequence[str],
    counts: Sequence[int],
    config: LatticeConfig,
    rng: torch.Generator,
) -> tuple[LatticeEncoder, Network, list[Part]]:
    """Everything but `mix`, for these many coordinates of each attribute."""
    targets = [leading_coordinates(each, count) for each, count in zip(log_p, counts, strict=True)]  # L3
    scores = Scores(w.shape[1], config.hidden, sum(counts), QUANTILES)
    distil(scores, w, torch.cat(targets, 1), rng)  # L4
    with torch.no_grad():
        sigma = scores(w)
        parts = lattice_parts(attributes, _correlated_pairs(sigma, attributes, counts, config.pairs_above))
        layers = [config.hidden, config.bins, QUANTILES]
        sizes = Network(kind="lattice", sizes={"coordinates": list(counts), "layers": layers})
        encoder = build_encoder(sizes, w.shape[1], attributes, parts)
        assert isinstance(encoder, LatticeEncoder)  # noqa: S101  the kind says so
        encoder.whiten, encoder.scores = whiten, scores
        _closed_form(encoder, w, sigma, parts, _owners(attributes, counts), config)
    return encoder, sizes, parts


def _shown(leaks: Mapping[str, float | None]) -> str:
    return ", ".join(f"{name} {'not measured' if auc is None else f'{auc:.3f}'}" for name, auc in leaks.items())


def lattice_parts(attributes: Sequence[str], pairs: Sequence[tuple[str, ...]]) -> list[Part]:
    """The rest; a part for each attribute and for each pair given; u itself. One attribute needs no part of its own."""
    sets = [*((name,) for name in attributes), *pairs] if len(attributes) > 1 else []
    return [
        Part(name="shared", attributes=[], taken="always"),
        *(Part(name="+".join(names), attributes=list(names), taken="none_protected") for names in sets),
        Part(name="base", attributes=list(attributes), taken="none_protected"),
    ]


def _closed_form(
    encoder: LatticeEncoder,
    w: Tensor,
    sigma: Tensor,
    parts: Sequence[Part],
    owners: Sequence[str],
    config: LatticeConfig,
) -> None:
    if config.strength:
        fit_transports(encoder.transports, w, sigma, config.shrink * w.shape[1])  # L5
    else:
        skip_transports(encoder.transports)
    moved, exact = encoder.transports(w, sigma).double().numpy(), sigma.double().numpy()
    fit_erasure(encoder.erase, moved, exact)  # L6
    for row, part in enumerate(parts[1:-1]):
        weight, bias = residual(exact, np.isin(owners, part.attributes))  # L7
        encoder.residual_weight[row] = torch.from_numpy(weight)
        encoder.residual_bias[row] = torch.from_numpy(bias)


def _owners(attributes: Sequence[str], counts: Sequence[int]) -> list[str]:
    return [name for name, count in zip(attributes, counts, strict=True) for _ in range(count)]


def _correlated_pairs(
    sigma: Tensor, attributes: Sequence[str], counts: Sequence[int], above: float
) -> list[tuple[str, ...]]:
    """Pairs worth a part of their own: of fewer than all attributes, with scores that go together."""
    if len(attributes) < 3:
        return []
    correlation = np.abs(np.corrcoef(sigma.numpy().T))
    owners = np.array(_owners(attributes, counts))
    return [
        pair
        for pair in combinations(attributes, 2)
        if correlation[np.ix_(owners == pair[0], owners == pair[1])].max() > above
    ]
