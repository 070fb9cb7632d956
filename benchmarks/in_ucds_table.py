"""The tables of docs/results/in-ucds.md, between its marks: means over seeds, intervals over users."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from machine import sentence
from numpy.typing import NDArray
from report import write_between

from measure.fairness.estimate import Bootstrap
from measure.fairness.groups import Groups

BACKBONE, SEED = "backbone", 1
GAINS = ("one", "all", "full")
Row = Mapping[str, Any]
Values = Mapping[str, NDArray[Any]]


def summary(runs: Sequence[Row], values: Mapping[str, Values]) -> list[dict[str, Any]]:
    """A row for each data set, base, variant and weight.

    Args:
        runs: one for each seed of it.
        values: by the run's name, gains (U,) by how they were measured, and ``group`` (U,): 0 active, 1 others.

    Returns:
        Means over users of the mean over seeds; ``gap`` with its interval over users, and ``change``, how far it is
        from the backbone's with the same users resampled for both: below 0 it closes, in the backbone's direction.
    """
    found = []
    keys = dict.fromkeys(map(_key, runs))
    means = {key: _mean([values[run["name"]] for run in _of(runs, key)]) for key in keys}
    for key in sorted(keys, key=lambda key: (key[0], key[1] != "d = 64", key[2] != BACKBONE, key[2], key[3])):
        data, base, variant, weight = key
        own, seeds = means[key], _of(runs, key)
        backbone = means.get((data, base, BACKBONE, 0.0), own)
        row: dict[str, Any] = {"data": data, "base": base, "variant": variant, "weight": weight, "seeds": len(seeds)}
        row["best_epochs"] = [run["best_epoch"] for run in seeds]
        row |= {gain: _figures(own[gain], backbone[gain], own["group"]) for gain in GAINS}
        found.append(row)
    return found


def write_tables(found: Row, results: Path) -> Path:
    """Write ``in-ucds.json``, and the tables into ``in-ucds.md``, which is begun where there is none.

    Args:
        found: facts of the machine, ``rows`` by `summary`, ``runs`` and ``cards``.
        results: folder.

    Returns:
        The Markdown file.
    """
    (results / "in-ucds.json").write_text(json.dumps(found, indent=1) + "\n", "utf-8")
    path = results / "in-ucds.md"
    tables = {
        "one": f"{_gains(found['rows'], 'one')}\n\n{sentence(found)}.",
        "all": _gains(found["rows"], "all"),
        "cards": _cards(found["cards"]),
    }
    write_between(path, "In-UCDS", tables)
    return path


def _of(runs: Sequence[Row], key: tuple[Any, ...]) -> list[Row]:
    return [run for run in runs if _key(run) == key]


def _key(run: Row) -> tuple[str, str, str, float]:
    return run["data"], run["base"], run["variant"], run["weight"]


def _mean(seeds: Sequence[Values]) -> dict[str, NDArray[Any]]:
    return {gain: np.mean([each[gain] for each in seeds], axis=0) for gain in GAINS} | {"group": seeds[0]["group"]}


def _figures(own: NDArray[Any], backbone: NDArray[Any], group: NDArray[Any]) -> dict[str, Any]:
    groups = Groups(("active", "others"), group)
    bootstrap = Bootstrap(len(own), SEED)
    active, others = _sides(own, group)
    before = _sides(backbone, group)
    was = before[0] - before[1]
    towards = 1 if was >= 0 else -1
    gap, change = bootstrap.difference(own, groups), bootstrap.difference(own - backbone, groups)
    sign = towards if active - others >= was else -towards
    whole = float(np.nanmean(own))
    return {
        "ndcg": whole,
        "kept": whole / float(np.nanmean(backbone)),
        "active": active,
        "others": others,
        "gap": gap.as_row(),
        "of_backbone": gap.value / abs(was) if was else None,
        "change": sorted(sign * end for end in change.ci95 or (change.value, change.value)),
    }


def _sides(gains: NDArray[Any], group: NDArray[Any]) -> tuple[float, float]:
    """Means of the active and of the others."""
    return float(np.nanmean(gains[group == 0])), float(np.nanmean(gains[group == 1]))


def _gains(rows: Sequence[Row], gain: str) -> str:
    head = "data | base | kind | weight | seeds | N@10 | kept | active | others | UGF (95 %) | of the backbone's"
    lines = [f"| {head} | its change (95 %) | full N@10 kept |", "|---" * 13 + "|"]
    for row in rows:
        found = row[gain]
        low, high = found["gap"]["ci95"]
        cells = [row["data"], row["base"], row["variant"], _price(row["weight"]), str(row["seeds"])]
        cells += [f"{found['ndcg']:.4f}", f"{found['kept']:.3f}"]
        cells += [f"{found['active']:.4f}", f"{found['others']:.4f}"]
        cells += [f"{found['gap']['value']:.4f} ({low:.4f} - {high:.4f})", *_change(row, found)]
        kept = f"{row['full']['kept']:.3f}"
        lines.append(f"| {' | '.join([*cells, kept])} |")
    return "\n".join(lines)


def _price(weight: float) -> str:
    return f"{weight:.0e}".replace("e-0", "e-") if weight else ""


def _change(row: Row, figures: Row) -> list[str]:
    if row["variant"] == BACKBONE:
        return ["", ""]
    low, high = figures["change"]
    share = "" if figures["of_backbone"] is None else f"{figures['of_backbone']:.2f}"
    return [share, f"{low:+.4f} to {high:+.4f}"]


def _cards(cards: Sequence[Row]) -> str:
    if not cards:
        return "*not run*"
    lines = ["| data | kind | weight | protected | active: n, N@10 | others: n, N@10 | gap (95 %) |", "|---" * 7 + "|"]
    for card in sorted(cards, key=lambda card: (card["data"], card["variant"])):
        named = [card["data"], card["variant"], _price(card["weight"])]
        for row in card["activity"]:
            sides = [f"{row[side]['n']}, {row[side]['ndcg@10']:.4f}" for side in ("active", "others")]
            low, high = row["gap"]["ci95"]
            gap = f"{row['gap']['value']:.4f} ({low:.4f} - {high:.4f})"
            lines.append(f"| {' | '.join([*named, ', '.join(row['sensitive']) or 'nothing', *sides, gap])} |")
        if not card["activity"]:
            lines.append(f"| {' | '.join(named)} | *not measured: fewer than 30 active audit users* | | | |")
    return "\n".join(lines)
