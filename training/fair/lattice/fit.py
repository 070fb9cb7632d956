"""The fit of a lattice, step by step with docs/algorithms/lattice.md."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from itertools import combinations

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from bundle import Encoder, Part, build_encoder
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
from training.fair.lattice.config import LatticeConfig
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
) -> tuple[LatticeEncoder, Encoder, list[Part]]:
    """Fit the encoder; seconds for thousands of users.

    Args:
        users: (U, d) user vectors; all of them may be used, they carry no label.
        items: (I, d) item vectors.
        labels: (U, M), -1 for those not to be learned from.
        attributes: their names.
        classes: number of classes of each.
        config: the strength and the rest.
        seed: of every draw.

    Returns:
        The encoder, its sizes and its parts.

    Raises:
        ConfigError: so many coordinates that nothing of the vector is left.
    """
    rng = torch.Generator().manual_seed(seed)
    d = users.shape[1]
    counts = [min(max(config.strength, 1), count - 1) for count in classes]
    if sum(counts) >= d:
        allowed = f"below {d} coordinates for {len(counts)} attributes together"
        raise ConfigError("fair.strength", "withholds the whole vector", value=config.strength, allowed=allowed)
    u = torch.from_numpy(users)

    with torch.no_grad():
        whiten = Affine(d, d)
        fit_whitening(whiten, users.astype(np.float64))  # L1
        w = whiten(u)
    targets = []
    for index, (count, number) in enumerate(zip(counts, classes, strict=True)):
        log_p = cross_fitted(w, labels[:, index].astype(np.int64), number, config.folds, rng)  # L2
        targets.append(leading_coordinates(log_p, count))  # L3
    scores = Scores(d, config.hidden, sum(counts), QUANTILES)
    distil(scores, w, torch.cat(targets, 1), rng)  # L4

    with torch.no_grad():
        sigma = scores(w)
        parts = lattice_parts(attributes, _correlated_pairs(sigma, attributes, counts, config.pairs_above))
        sizes = Encoder(
            kind="lattice", sizes={"coordinates": counts, "layers": [config.hidden, config.bins, QUANTILES]}
        )
        encoder = build_encoder(sizes, d, attributes, parts)
        assert isinstance(encoder, LatticeEncoder)  # noqa: S101  the kind says so
        encoder.whiten, encoder.scores = whiten, scores
        _closed_form(encoder, w, sigma, parts, _owners(attributes, counts), config)
    fit_utility(encoder, u, torch.from_numpy(items), config, rng)  # L8
    log.info("fair: lattice of %d parts, %d score coordinates", len(parts), sum(counts))
    return encoder, sizes, parts


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
