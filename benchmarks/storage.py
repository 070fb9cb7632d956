"""What float16 parts change: lists, accuracy and size, mask by mask, on bundles that were trained.

    .venv/bin/python benchmarks/storage.py [BUNDLE ...]

Takes bundles with parts in float32 and audit/; without any, trains `training/configs/demo.toml` on generated data (two
minutes). Each is written once more with its parts in float16, and the best 10 unseen items of every user are made from
both, as serving orders them. Accuracy is that of the card: held-out positives of audit users. Results go to
results/storage.json and storage.md.
"""

from __future__ import annotations

import subprocess
import sys
import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from command import Command
from machine import circumstances
from report import write_report

from bundle import Bundle, read_bundle, write_bundle
from measure.accuracy import ndcg_at, sample_negatives, sampled_ranks
from measure.masks import masks_to_measure
from training.card.views import Views
from training.export import stored

ROOT = Path(__file__).parent.parent

K = 10
MIB = 2**20
PACKAGES = ("numpy", "torch")
HEAD = (
    f"| bundle | protected | users whose best {K} differ | by an item | places shared | sampled N@{K} | change "
    f"| full N@{K} | change |\n|---|---|---|---|---|---|---|---|---|"
)


def main() -> None:
    """Measure each bundle, and write both files."""
    command = Command(__doc__)
    command.add_size("bundles", type=Path, nargs="*", metavar="BUNDLE")
    options = command.options()
    with tempfile.TemporaryDirectory() as folder:
        bundles = [measure(path, Path(folder) / "halves") for path in options.bundles or [trained(Path(folder))]]
    write_report(
        options.results, "storage", "Parts in float16", circumstances(PACKAGES) | {"bundles": bundles}, as_text(bundles)
    )


def trained(folder: Path) -> Path:
    """The demo's bundle."""
    config = ROOT / "training" / "configs" / "demo.toml"
    command = [sys.executable, "-m", "training", "run", str(config), "--out", str(folder), "--device", "cpu"]
    subprocess.run(command, check=True, cwd=ROOT, stdout=subprocess.DEVNULL)
    return folder / "demo"


def measure(path: Path, folder: Path) -> dict[str, Any]:
    """One bundle, stored in both ways."""
    whole = read_bundle(path)
    if whole.users.parts.dtype != np.float32 or whole.audit is None:
        raise SystemExit(f"{path}: parts in float32 and audit/ are needed")
    parts = stored(np.asarray(whole.users.parts, np.float32), "float16")
    half = read_bundle(write_bundle(replace(whole, users=replace(whole.users, parts=parts)), folder))
    sizes = [bundle.description.files["users.safetensors"].bytes for bundle in (whole, half)]  # type: ignore[attr-defined]
    found = {
        "bundle": whole.description.name,
        "method": whole.description.method,
        "shape": list(parts.shape),
        "items": len(whole.items.ids),
        "float32_bytes": sizes[0],
        "float16_bytes": sizes[1],
        "largest": float(np.abs(parts).max()),
        "smallest_above_0": float(np.abs(parts[parts != 0]).min(initial=np.inf)),
        "masks": list(by_mask(whole, half)),
    }
    print(*map(_line, _rows(found)), sep="\n", flush=True)
    return found


def by_mask(whole: Bundle, half: Bundle) -> Iterator[dict[str, Any]]:
    """What differs under each mask that a card measures."""
    views = [Views(bundle, bundle.audit) for bundle in (whole, half) if bundle.audit]
    population = views[0].population
    rated = population.rated & (population.held_out >= 0)
    negatives = sample_negatives(*population.not_ranked_against, len(whole.items.ids), seed=population.seed + 1)
    description = whole.description
    for mask in filter(description.supports, masks_to_measure(description.attribute_names)):
        lists = [view.lists(mask, K, drop_seen=True) for view in views]
        shared = _shared(*lists)
        sampled = [sampled_ranks(view.fair(mask), view.scorer, population.held_out, negatives) for view in views]
        full = [view.full_ranks(mask) for view in views]
        scores = {
            kind: [float(ndcg_at(K, ranks[rated]).mean()) for ranks in both]
            for kind, both in (("sampled", sampled), ("full", full))
        }
        yield {
            "sensitive": list(mask),
            "users": len(shared),
            "differ": float((lists[0] != lists[1]).any(axis=1).mean()),
            "differ_by_item": float((shared < 1).mean()),
            "shared": float(shared.mean()),
            "audit_users": int(rated.sum()),
            "ndcg@10": scores,
        }


def _shared(one: np.ndarray, other: np.ndarray) -> np.ndarray:
    """(U,) share of the items of one list that the other has."""
    held = ((one[:, :, None] == other[:, None, :]) & (one[:, :, None] >= 0)).any(axis=2).sum(axis=1)
    return held / np.maximum(1, (one >= 0).sum(axis=1))


def as_text(bundles: Sequence[dict[str, Any]]) -> str:
    """A table by bundle and mask, then what the bundles are."""
    sizes = [
        f"`{one['bundle']}` ({one['method']}): parts of {one['shape'][0]:,} users, {one['shape'][1]} of "
        f"{one['shape'][2]} dimensions each, {one['items']:,} items; users.safetensors "
        f"{one['float32_bytes'] / MIB:.2f} MiB in float32, {one['float16_bytes'] / MIB:.2f} MiB in float16; "
        f"the largest number is {one['largest']:.3g}."
        for one in bundles
    ]
    words = (
        "*differ*: in any place, order included; *by an item*: in which items they are; *places shared*: the mean "
        "share of items in both lists."
    )
    table = "\n".join([HEAD, *(_line(row) for one in bundles for row in _rows(one))])
    return "\n\n".join([table, words, *sizes])


def _rows(one: dict[str, Any]) -> Iterator[dict[str, Any]]:
    for mask in one["masks"]:
        yield mask | {"bundle": one["bundle"]}


def _line(row: dict[str, Any]) -> str:
    (sampled, sampled16), (full, full16) = row["ndcg@10"]["sampled"], row["ndcg@10"]["full"]
    return (
        f"| {row['bundle']} | {', '.join(row['sensitive']) or 'nothing'} | {row['differ']:.2%} "
        f"| {row['differ_by_item']:.2%} | {row['shared']:.3%} "
        f"| {sampled:.4f} | {sampled16 - sampled:+.5f} | {full:.4f} | {full16 - full:+.5f} |"
    )


if __name__ == "__main__":
    main()
