"""What it costs to make a user vector from a history, by kind: what a session pays and a known user does not.

    python benchmarks/histories.py

Random weights at the sizes of the shipped configurations, the items of MovieLens-1M, one history a call as in the
service's worker thread, kinds in turn; the median of the calls counts. Writes histories.json.
"""

from __future__ import annotations

import json
import statistics
import time

import numpy as np
import torch
from command import Command
from machine import circumstances
from numpy.typing import NDArray

from bundle import FilteredModality, FoldIn, History, ModalNeighbours, Network
from bundle.history import history_kind
from measure.scoring import to_unit
from training.base.autoencoder.config import AutorecConfig, DiffrecConfig, MultvaeConfig
from training.base.sequence.config import Bert4recConfig, SasrecConfig
from training.base.sequence.prism_config import PrismConfig
from training.fair.diffairec.config import DiffairecConfig
from training.fair.filters.config import FmmrecConfig

LENGTHS = (10, 100, 500)
DIFFUSION = ("diffrec", "diffairec")
PACKAGES = ("torch", "numpy")
MOST_RATIO = 5.0
"""Of a diffusion base's time to SASRec's."""


def main() -> None:
    """Measure each kind at each length; say where the budget is missed."""
    command = Command(__doc__)
    command.add_size("--items", type=int, default=3_500)
    command.add_size("--calls", type=int, default=300)
    options = command.options()
    torch.set_num_threads(1)
    rng = np.random.default_rng(1)
    kinds = _kinds(options.items, rng)
    vectors = {d: rng.standard_normal((options.items, d)).astype(np.float32) for d in (64, 65)}
    took: dict[tuple[str, int], list[float]] = {}
    for _ in range(options.calls):
        for length in LENGTHS:
            history = rng.choice(options.items, min(length, options.items), replace=False).astype(np.int32)
            for name, kind in kinds.items():
                items = vectors[65 if name in ("autorec", "multvae", "diffrec") else 64]
                began = time.perf_counter()
                kind.user_vectors([history], items)
                took.setdefault((name, length), []).append(time.perf_counter() - began)
    rows = [
        {"kind": name, "items_read": length, "median_ms": 1e3 * statistics.median(seconds)}
        | {"beside_sasrec": statistics.median(seconds) / statistics.median(took["sasrec", length])}
        for (name, length), seconds in took.items()
    ]
    found = {"rows": rows, "most_ratio": MOST_RATIO, **circumstances(PACKAGES)}
    (options.results / "histories.json").write_text(json.dumps(found, indent=2) + "\n", encoding="utf-8")
    for row in rows:
        print(json.dumps(row))
    most = max(row["beside_sasrec"] for row in rows if row["kind"] in DIFFUSION)
    print(f"a diffusion base: at most {most:.1f} x SASRec's time, {MOST_RATIO:g} x are allowed")


def _kinds(items: int, rng: np.random.Generator) -> dict[str, History]:
    """An encoder of each kind with random weights."""
    gram = np.cov(rng.standard_normal((64, 500))).astype(np.float32)
    networks = [
        SasrecConfig().network(),
        Bert4recConfig().network(),
        SasrecConfig(prism=PrismConfig()).network(experts=4),
        *(config.network(items) for config in (AutorecConfig(), MultvaeConfig(), DiffrecConfig())),
        Network(kind="diffairec", sizes=_conditioned(items, DiffrecConfig(), DiffairecConfig(attribute="gender"))),
    ]
    others = {"fold_in": FoldIn(gram, 1.0, 1.0, 1.0), "modal_neighbours": _neighbours(items, rng, FmmrecConfig())}
    return others | {each.kind: _random(each, items, rng) for each in networks}


def _neighbours(items: int, rng: np.random.Generator, config: FmmrecConfig) -> ModalNeighbours:
    """A graph of as many users as a bundle holds at most, by two modalities of the size of MovieLens-1M's."""

    def normal(*shape: int) -> NDArray[np.float32]:
        return rng.standard_normal(shape).astype(np.float32)

    users, everywhere = config.graph_users, np.ones(items, np.bool_)
    modalities = [
        FilteredModality(to_unit(normal(users, width)), normal(items, width), everywhere, normal(width))
        for width in (128, 64)
    ]
    return ModalNeighbours(normal(users, 64), modalities, config.neighbours)


def _conditioned(items: int, base: DiffrecConfig, config: DiffairecConfig) -> dict[str, list[int]]:
    """Sizes of DifFaiRec behind DiffRec, for an attribute of two classes."""
    layers = [items, base.hidden, config.condition_hidden, config.width, base.dimensions]
    return {"layers": layers, "steps": [base.steps], "tokens": [config.tokens], "classes": [2]}


def _random(network: Network, items: int, rng: np.random.Generator) -> History:
    kind = history_kind(network)
    specs = kind.contract(network, 64, items)
    arrays = {name: rng.normal(0, 0.1, spec.shape).astype(np.float32) for name, spec in specs.items()}
    if "variances" in arrays:
        arrays["variances"] = np.linspace(0.005, 0.02, len(arrays["variances"])).astype(np.float32)
    if "fusion.temperature" in arrays:
        arrays["fusion.temperature"][:] = 0.7
    return kind.load(network, 64, arrays)


if __name__ == "__main__":
    main()
