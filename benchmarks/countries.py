"""What protection costs where an attribute of 31 classes decides which fifth of the catalogue is liked.

    .venv/bin/python benchmarks/countries.py [--users 6000] [--items 2000]

Generated tables: countries as frequent as 1 / rank, each with one of five languages, each item in one; users like
items of their language, of their taste, and popular ones; gender and seven age groups shift the taste. `countries.toml`
trains the default base and the default method on them, and its card is what is shown: audit users, quick attackers. The
front is of select users. One thread. Results go to results/countries.json and countries.md.
"""

from __future__ import annotations

import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import torch
from command import Command
from machine import circumstances
from report import write_report

from bundle import read_bundle
from training.config import read_config
from training.run import run

CONFIG = Path(__file__).with_name("countries.toml")
COUNTRIES, LANGUAGES, TASTES = 31, 5, 12
AGES = ("under 18", "18-24", "25-34", "35-44", "45-49", "50-55", "56+")
PACKAGES = ("torch", "numpy", "polars")


def main() -> None:
    """Generate, train, show the card."""
    command = Command(__doc__)
    command.add_size("--users", type=int, default=6_000)
    command.add_size("--items", type=int, default=2_000)
    command.add_size("--config", type=Path, default=CONFIG)
    options = command.options()
    with tempfile.TemporaryDirectory() as folder:
        write_tables(Path(folder), options.users, options.items, np.random.default_rng(7))
        path = run(read_config(options.config), Path(folder), Path(folder) / "bundles", torch.device("cpu"))
        assert path is not None  # one process trains
        bundle = read_bundle(path)
    sizes = bundle.description.encoder.sizes
    rows = [row_of(each, bundle.card["leakage"]["by_mask"]) for each in bundle.card["accuracy"]["by_mask"]]
    result = circumstances(PACKAGES) | {"coordinates": list(sizes["coordinates"]), "leading": list(sizes["leading"])}
    result |= {"rows": rows, "front": bundle.card["front"], "check": bundle.card["leakage_check"]}
    write_report(options.results, "countries", "31 countries, five languages", result, as_text(result))


def write_tables(folder: Path, users: int, items: int, rng: np.random.Generator) -> None:
    """Three Parquet files with the usual names."""
    frequent = 1 / np.arange(1, COUNTRIES + 1)
    country = rng.choice(COUNTRIES, users, p=frequent / frequent.sum())
    language = np.concatenate([np.arange(LANGUAGES), rng.integers(LANGUAGES, size=COUNTRIES - LANGUAGES)])
    gender, age = (rng.random(users) < 0.4).astype(int), rng.integers(len(AGES), size=users)
    taste, item = rng.normal(size=(users, TASTES)), rng.normal(size=(items, TASTES))
    taste[:, 0] += np.where(gender, 0.9, -0.9)
    taste[:, 1] += 0.45 * (age - 3)
    popular, spoken = 0.8 * rng.gumbel(size=items), np.arange(items) % LANGUAGES
    counts = np.clip(rng.lognormal(3.4, 0.6, users), 12, 150).astype(int).clip(max=items // 2)
    chosen = []
    for user, count in enumerate(counts):
        liked = 0.5 * item @ taste[user] + popular + 2.6 * (spoken == language[country[user]]) + rng.gumbel(size=items)
        chosen.append(rng.permutation(np.argpartition(-liked, count)[:count]))
    who, when = np.repeat(np.arange(users), counts), np.concatenate([np.arange(count) for count in counts])
    interactions = pl.DataFrame({"user": who, "item": np.concatenate(chosen), "rating": 5, "timestamp": when})
    interactions.write_parquet(folder / "interactions.parquet")
    people = {"user": np.arange(users), "country": [f"c{each:02d}" for each in country]}
    people |= {"gender": np.array(["M", "F"])[gender], "age": np.array(AGES)[age]}
    pl.DataFrame(people).write_parquet(folder / "users.parquet")
    things = {"item": np.arange(items), "title": [f"item {row}" for row in range(items)]}
    pl.DataFrame(things | {"groups": [f"language {each}" for each in spoken]}).write_parquet(folder / "items.parquet")


def row_of(found: Mapping[str, Any], leakage: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """One mask: N@10 kept, and what the strongest attacker finds of each attribute that it protects."""
    mask = found["sensitive"]
    kept = {kind: found[kind]["ndcg@10"] / found["base"][kind]["ndcg@10"] for kind in ("sampled", "full")}
    here = [each for each in leakage if each["sensitive"] == mask and each["target"] == "fair"]
    leaks = {each["attribute"]: max(one["auc"] for one in each["attackers"].values()) for each in here}
    return {"protected": mask, **kept, "leakage": {name: leaks[name] for name in mask if name in leaks}}


def as_text(result: Mapping[str, Any]) -> str:
    """Two tables: the masks of the card, and the front."""
    counts = ", ".join(map(str, result["coordinates"]))
    lines = [f"Coordinates withheld of country, gender and age: {counts}. Audit users, quick attackers.", ""]
    lines += ["| protected | sampled N@10 kept | full | leakage |", "|---|---|---|---|"]
    for row in result["rows"]:
        if row["protected"]:
            told = ", ".join(f"{name} {auc:.3f}" for name, auc in row["leakage"].items())
            lines.append(f"| {', '.join(row['protected'])} | {row['sampled']:.3f} | {row['full']:.3f} | {told} |")
    lines += ["", "The front, on select users, who are fewer:", ""]
    lines += ["| strength | protected | sampled N@10 kept | full | leakage |", "|---|---|---|---|---|"]
    for row in result["front"]:
        told = ", ".join(f"{name} {auc:.3f}" for name, auc in row["leakage"].items())
        kept = f"{row['sampled_kept']:.3f} | {row['full_kept']:.3f}"
        lines.append(f"| {row['strength']} | {', '.join(row['sensitive'])} | {kept} | {told} |")
    return "\n".join(lines)


if __name__ == "__main__":
    main()
