"""The AFRL paper's table and figures on our data: trains what is missing, then writes docs/results/paper-*.

    python benchmarks/paper.py --data ML1M_FOLDER [--out bundles/paper] [--only pmf-afrl sasrec …] [--write-only]

Every run is one configuration of training/configs, or one with a few fields changed; a bundle that is there already is
not trained again, and bases are trained once. Order as in RUNS, which is the order of what matters.
"""

from __future__ import annotations

import argparse
import json
import logging
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from command import ROOT, Command
from figures import write_figures

from bundle import BundleError, read_bundle
from training.config import RunConfig, read_config
from training.errors import TrainingError
from training.run import run
from training.table import write_table

CONFIGS = ROOT / "training" / "configs"
RESULTS = ROOT / "docs" / "results"
TABLE = ("pmf", "sasrec", "bert4rec", "deep")
METHODS = ("afrl", "sm", "ffvae", "pfrec")
WEIGHTS = (0.01, 0.1, 1.0, 10.0)
SWEPT = ("pmf", "sasrec")

Run = tuple[str, Mapping[str, Any]]
"""The configuration, and fields of its ``fair`` section that differ."""


def runs(configs: Path, weights: Sequence[float]) -> Iterator[tuple[str, Run]]:
    """Bundle name → run, in the order of what matters."""
    for method in METHODS:
        for base in TABLE:
            name = f"ml1m-{base}-{method}-reproduce"
            if (configs / f"{name}.toml").exists():
                yield name, (name, {})
    for base in SWEPT:
        name = f"ml1m-{base}-afrl-reproduce"
        if not (configs / f"{name}.toml").exists():
            continue
        usual = read_config(configs / f"{name}.toml").fair.model_dump()
        for part in ("shared", "attributes"):
            yield f"{name}-without-{part}", (name, {"without": part})
        for field in ("adversary_weight", "alignment_weight"):
            for value in sorted({*weights} - {usual[field]}):
                yield f"{name}-{field.split('_')[0]}-{value:g}", (name, {field: value})


def main() -> int:
    """Train what is asked for and missing, then write."""
    options = _options()
    logging.basicConfig(level=logging.INFO, format="%(message)s", stream=sys.stderr)
    torch.set_num_threads(1)
    done: dict[str, Path] = {}
    for name, (config, fields) in runs(options.configs, options.weights):
        if not (options.out / name).exists() and not options.write_only and _wanted(name, options.only):
            started = time.monotonic()
            changed = _changed(options.configs / f"{config}.toml", name, fields)
            try:
                run(changed, options.data, options.out, torch.device("cpu"), options.bases)
            except (TrainingError, BundleError) as error:
                print(f"{name}: {error}", file=sys.stderr)
                continue
            print(f"{name}: {time.monotonic() - started:.0f} s", flush=True)
        if (options.out / name).exists():
            done[name] = options.out / name
    table = [path for name, path in done.items() if name.endswith("-reproduce")]
    if table:
        print(write_table(table, options.results))
    if points := [_point(path) for name, path in done.items() if "-afrl-reproduce" in name]:
        (options.results / "paper-figures.json").write_text(json.dumps(points, indent=1) + "\n", encoding="utf-8")
        print(*write_figures(points, options.results), sep="\n")
    return 0


def _changed(config: Path, name: str, fields: Mapping[str, Any]) -> RunConfig:
    """The configuration under another name; the card measures what is protected alone."""
    whole = read_config(config).model_dump()
    whole |= {"name": name, "profile": "protected", "threads": 1, "fair": whole["fair"] | dict(fields)}
    return RunConfig.model_validate(whole)


def _wanted(name: str, only: list[str] | None) -> bool:
    return not only or any(part in name for part in only)


def _point(path: Path) -> dict[str, Any]:
    """What one AFRL run keeps and leaks with everything protected, and alone."""
    bundle = read_bundle(path)
    card, names = bundle.card, list(bundle.description.attribute_names)
    fair = {
        (tuple(row["sensitive"]), row["attribute"]): row["strongest"]["auc"]
        for row in card["leakage"]["by_mask"]
        if row["target"] == "fair"
    }
    hard = {tuple(row["sensitive"]): row["mean"] for row in card["reference"]["by_mask"]}
    masks = []
    for row in card["accuracy"]["by_mask"]:
        mask = tuple(row["sensitive"])
        leaked = [fair[mask, name] for name in mask]
        masks.append(
            {
                "sensitive": list(mask),
                "ndcg@10": row["sampled"]["ndcg@10"],
                "base_ndcg@10": row["base"]["sampled"]["ndcg@10"],
                "hard_label_auc": hard.get(mask),
                "leakage": sum(leaked) / len(leaked) if leaked else None,
            }
        )
    fields = ("alignment_weight", "adversary_weight", "without")
    chosen = {field: card["run"]["fair"].get(field) for field in fields}
    return {"base_model": bundle.description.base_model, "attributes": names, **chosen, "by_mask": masks}


def _options() -> argparse.Namespace:
    command = Command(__doc__, RESULTS)
    command.add_argument("--data", type=Path, help="folder of MovieLens-1M")
    command.add_argument("--out", type=Path, default=Path("bundles/paper"))
    command.add_argument("--bases", type=Path, default=Path("bundles/paper/bases"))
    command.add_argument("--only", nargs="+", help="train only runs whose name holds one of these")
    command.add_size("--weights", type=float, nargs="+", default=WEIGHTS, help="of λ and β, one changed at a time")
    command.add_size("--configs", type=Path, default=CONFIGS, help="folder of the configurations")
    command.add_argument("--write-only", action="store_true", help="train nothing")
    return command.options()


if __name__ == "__main__":
    sys.exit(main())
