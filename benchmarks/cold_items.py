"""Cold items on MovieLens-1M: a tenth of the items held out of training altogether, served by their features.

    python benchmarks/cold_items.py --data ML1M_FOLDER [--config CONFIG.toml] [--seeds 1 2 3]

For each seed a tenth of the items with a positive is drawn, and nobody has touched them: ALS trains on the rest (as
training/configs/ml1m-als-cold.toml has it, with plots and audio from the folder ml-1m-extra beside ML1M_FOLDER), and a
ridge map gives them vectors. Each user with a positive among them has the cold items ranked by u · v; all such
positives are relevant: N@10 among cold items, mean over users. Beside it in the same ranking: chance (the mean of 20
random orders), the mean popularity of the other items of a genre, averaged over the item's genres, and the user's own
taste in genres (what share of the user's positives is of the item's genres). Also said: how many places of lists of ten
among all items cold ones have. Writes cold-items.json and cold-items.md.
"""

from __future__ import annotations

import json
import logging
import sys
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import replace
from itertools import combinations
from pathlib import Path
from typing import Any

import numpy as np
import scipy.sparse
import torch
from command import ROOT, Command
from machine import circumstances, sentence
from numpy.typing import NDArray

from measure.ranking import top_items
from measure.scoring import Scorer
from measure.several import hits_of
from training.base.als import train_als
from training.base.cold import cold_vectors
from training.config import RunConfig, read_config
from training.data.dataset import ColdItems, Dataset
from training.data.load import load
from training.demands import experiment_of
from training.experiment import Experiment

RESULTS = ROOT / "docs" / "results"
SHARE = 0.1
RANDOM_ORDERS = 20
K = 10
CONFIG = ROOT / "training" / "configs" / "ml1m-als-cold.toml"


def main() -> int:
    """Measure, and write both files."""
    command = Command(__doc__, RESULTS)
    command.add_argument("--config", type=Path, default=CONFIG, help="of an ALS base, with item features")
    command.add_argument("--data", type=Path)
    command.add_size("--seeds", type=int, nargs="+", default=[1, 2, 3])
    options = command.options()
    logging.basicConfig(level=logging.INFO, format="%(message)s", stream=sys.stderr)
    config = read_config(options.config)
    dataset = load(config.data.model_copy(update={"cold": "drop"}), options.data)
    rows = [measure(config, dataset, seed) for seed in options.seeds]
    result = circumstances(("implicit", "scikit-learn", "numpy")) | {"share": SHARE, "rows": rows}
    (options.results / "cold-items.json").write_text(json.dumps(result, indent=1, allow_nan=False) + "\n")
    page = table(rows) + f"\n{sentence(result)}.\n"
    (options.results / "cold-items.md").write_text(page)
    print(page)
    return 0


def held_out(dataset: Dataset, seed: int) -> tuple[Dataset, tuple[NDArray[np.int64], NDArray[np.int64]]]:
    """Take a tenth of the items out of the data.

    Returns:
        The data as if nobody had touched them, the cold ones last; and who liked which of them: user rows and places
        among the cold items.
    """
    rng = np.random.default_rng(seed)
    count = len(dataset.items)
    cold = np.zeros(count, np.bool_)
    cold[rng.permutation(count)[: round(SHARE * count)]] = True
    described = np.any([each.present[:count] for each in dataset.modalities], axis=0)
    cold &= described
    order = np.concatenate([np.flatnonzero(~cold), np.flatnonzero(cold)])
    place = np.empty(count, np.int64)
    place[order] = np.arange(count)
    warm = int((~cold).sum())
    users = np.repeat(np.arange(len(dataset.users)), np.diff(dataset.indptr))
    kept = ~cold[dataset.indices]
    counts = np.bincount(users[kept], minlength=len(dataset.users))
    liked = ~kept & dataset.positive
    named = [tuple(column[row] for row in order) for column in (dataset.items, dataset.titles, dataset.groups)]
    known = replace(
        dataset,
        items=named[0][:warm],
        titles=named[1][:warm],
        groups=named[2][:warm],
        indptr=np.concatenate([[0], np.cumsum(counts)]).astype(np.int64),
        indices=place[dataset.indices[kept]].astype(np.int32),
        positive=dataset.positive[kept],
        modalities=tuple(
            replace(each, values=each.values[order], present=each.present[order]) for each in dataset.modalities
        ),
        cold=ColdItems(named[0][warm:], named[1][warm:], named[2][warm:]),
    )
    return known, (users[liked], place[dataset.indices[liked]] - warm)


def measure(config: RunConfig, dataset: Dataset, seed: int) -> dict[str, Any]:
    """One draw of cold items."""
    known, (users, items) = held_out(dataset, seed)
    experiment = experiment_of(config, known)
    with tempfile.TemporaryDirectory() as work:
        base = train_als(experiment, config.base, Path(work) / "base.safetensors", torch.device("cpu"))
    judges = np.unique(users)
    cold = len(known.cold.ids)
    order = np.lexsort((items, users))
    relevant = (
        np.concatenate([[0], np.cumsum(np.bincount(users, minlength=len(dataset.users))[judges])]).astype(np.int64),
        items[order].astype(np.int32),
    )
    found: dict[str, Any] = {"seed": seed, "cold": cold, "warm": len(known.items), "users": len(judges)}
    ndcg: dict[str, float] = {}
    for modalities in variants(known):
        name = ", ".join(modalities)
        chosen = tuple(each for each in known.modalities if each.name in modalities)
        vectors = cold_vectors(replace(experiment, dataset=replace(known, modalities=chosen)), base)
        assert vectors is not None
        ndcg[name] = ndcg_of(base.selection[judges], vectors.vectors, relevant)
        if len(chosen) == len(known.modalities):
            assert vectors.ridge is not None
            found |= {"explained": vectors.ridge.explained, "fitted_on": vectors.ridge.fitted_on}
            found["in_top_10"] = shown(experiment, base.selection, np.concatenate([base.items, vectors.vectors]))
    popularity = np.bincount(experiment.train[1], minlength=len(known.items))
    by_genre, own = genre_scores(experiment, popularity, judges)
    ndcg["popularity of its genres"] = ndcg_of(np.ones((len(judges), 1), np.float32), by_genre[:, None], relevant)
    ndcg["the user's share of its genres"] = ndcg_of(*own, relevant)
    rng = np.random.default_rng(seed)
    draws = [rng.random((cold, 1)).astype(np.float32) for _ in range(RANDOM_ORDERS)]
    ndcg["chance"] = float(np.mean([ndcg_of(np.ones((len(judges), 1), np.float32), each, relevant) for each in draws]))
    return found | {"ndcg@10": ndcg}


def variants(dataset: Dataset) -> list[tuple[str, ...]]:
    """Names of modalities: all of them, all but one, each alone."""
    names = tuple(each.name for each in dataset.modalities)
    found = [names, *combinations(names, len(names) - 1), *((name,) for name in names)]
    return [some for some in dict.fromkeys(found) if some]


def ndcg_of(users: NDArray[np.float32], items: NDArray[np.float32], relevant: Any) -> float:
    """Mean N@10 over users (n, d) of items (C, d), of which some are relevant."""
    nothing = np.zeros(len(users) + 1, np.int64), np.zeros(0, np.int32)
    lists = top_items(users, Scorer(np.ascontiguousarray(items)), K, nothing)
    return float(np.nanmean(hits_of(lists, *relevant).ndcg()))


def genre_scores(
    experiment: Experiment, popularity: NDArray[np.int64], judges: NDArray[np.int64]
) -> tuple[NDArray[np.float32], tuple[NDArray[np.float32], NDArray[np.float32]]]:
    """What is known of cold items by their genres.

    Returns:
        (C,) mean popularity of the warm items of a genre, averaged over the item's genres; and, as vectors of users and
        of cold items, the share of a user's positives that is of a genre, averaged likewise.
    """
    dataset = experiment.dataset
    names = sorted({name for groups in (*dataset.groups, *dataset.cold.groups) for name in groups})
    flags = np.array([[name in groups for name in names] for groups in (*dataset.groups, *dataset.cold.groups)], float)
    warm, cold = flags[: len(dataset.items)], flags[len(dataset.items) :]
    averaged = cold / np.maximum(cold.sum(1, keepdims=True), 1)
    usual = warm.T @ popularity / np.maximum(warm.sum(0), 1)
    indptr, indices = experiment.train
    liked = scipy.sparse.csr_matrix((np.ones(len(indices)), indices, indptr), (len(indptr) - 1, len(warm)))
    taste = (liked @ warm) / np.maximum(np.diff(indptr), 1)[:, None]
    return (averaged @ usual).astype(np.float32), (taste[judges].astype(np.float32), averaged.astype(np.float32))


def shown(experiment: Experiment, users: NDArray[np.float32], items: NDArray[np.float32]) -> float:
    """Share of places in the top 10 of all users, seen items left out, that cold items have."""
    seen = (experiment.dataset.indptr, experiment.dataset.indices)
    lists = top_items(users, Scorer(items), K, seen)
    return float((lists >= len(experiment.dataset.items)).mean())


def table(rows: Sequence[Mapping[str, Any]]) -> str:
    """What to read of it."""
    names = list(rows[0]["ndcg@10"])
    chance = np.mean([row["ndcg@10"]["chance"] for row in rows])
    lines = [
        "# Cold items on MovieLens-1M",
        "",
        "`.venv/bin/python benchmarks/cold_items.py --data ML1M_FOLDER`, which says at its top what is what.",
        "",
        f"{SHARE:.0%} of the items are held out of training altogether; ALS (d 64, λ 30, α 3), mean and spread of "
        f"{len(rows)} draws of items. Each draw has {rows[0]['cold']:,} cold items or so, and {rows[0]['users']:,} "
        "users who liked one. Pictures are not to be had.",
        "",
        "| cold items ranked by | N@10 | ± | × chance |",
        "|---|---|---|---|",
    ]
    for name in names:
        values = np.array([row["ndcg@10"][name] for row in rows])
        lines.append(f"| {name} | {values.mean():.4f} | {values.std():.4f} | {values.mean() / chance:.1f} |")
    explained = np.mean([row["explained"] for row in rows])
    share = np.mean([row["in_top_10"] for row in rows])
    part = np.mean([row["cold"] / (row["cold"] + row["warm"]) for row in rows])
    lines += [
        "",
        f"With all of them the map explains {explained:.1%} of the variance of vectors that it was not fitted on "
        f"(leave one out). Cold items have {share:.2%} of the places in lists of ten among all items, and are "
        f"{part:.1%} of the catalogue.",
    ]
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    raise SystemExit(main())
