"""The AFRL paper's Table 2, filled from the cards of `reproduce` bundles, with the paper's figures beside ours.

Source of the paper's figures: Zhu et al., SIGIR 2024, Table 2 (requirement gender + age + occupation on ML-1M).
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from bundle import Bundle, read_bundle
from measure.masks import Mask, masks_to_measure
from training.errors import EvaluationError

BASES = {"pmf": "PMF", "deep": "DeepModel", "sasrec": "SASRec", "bert4rec": "BERT4Rec"}
METHODS = {"base": "base", "sm": "SM", "pfrec": "PFRec", "ffvae": "FFVAE", "afrl": "AFRL"}
ALL = ("gender", "age", "occupation")
PAPER: Mapping[str, Mapping[str, tuple[float, float, float]]] = {
    "pmf": {
        "base": (0.7438, 0.4157, 0.6918),
        "sm": (0.5915, 0.3699, 0.6464),
        "ffvae": (0.6394, 0.2664, 0.4844),
        "afrl": (0.5220, 0.3846, 0.6555),
    },
    "deep": {
        "base": (0.7202, 0.3683, 0.6397),
        "sm": (0.6158, 0.3205, 0.5802),
        "ffvae": (0.5798, 0.2902, 0.5029),
        "afrl": (0.5203, 0.3377, 0.5921),
    },
    "sasrec": {
        "base": (0.6883, 0.5709, 0.8103),
        "sm": (0.6229, 0.4746, 0.7382),
        "pfrec": (0.5173, 0.4187, 0.6830),
        "ffvae": (0.5962, 0.3614, 0.5829),
        "afrl": (0.5463, 0.5493, 0.7903),
    },
    "bert4rec": {
        "base": (0.6922, 0.5657, 0.8103),
        "sm": (0.6063, 0.4606, 0.7265),
        "pfrec": (0.5278, 0.4247, 0.6735),
        "ffvae": (0.5765, 0.3434, 0.5691),
        "afrl": (0.5258, 0.5207, 0.7770),
    },
}
"""Hard-label AUC, sampled N@10, sampled H@10 by base and method, all three attributes protected."""

Row = dict[str, Any]


def write_table(bundles: Iterable[Path], out: Path) -> Path:
    """Write ``paper-table.json`` and ``paper-table.md`` into ``out``.

    Args:
        bundles: versions, or bundles whose newest version is taken; `reproduce` only, one for each base and method.
        out: made where it does not exist.

    Returns:
        The Markdown file.

    Raises:
        EvaluationError: a bundle of another mode or other attributes, or two for the same place in the table.
    """
    rows = [row for bundle in map(read_bundle, bundles) for row in _rows(bundle)]
    places = [(row["base_model"], row["method"], tuple(row["sensitive"])) for row in rows]
    if twice := {place for place in places if place[1] != "base" and places.count(place) > 1}:
        raise EvaluationError(f"more than one bundle for {', '.join(sorted({f'{b} {m}' for b, m, _ in twice}))}")
    rows = list(dict(zip(places, rows, strict=True)).values())
    out.mkdir(parents=True, exist_ok=True)
    (out / "paper-table.json").write_text(json.dumps(rows, indent=1) + "\n", encoding="utf-8")
    page = out / "paper-table.md"
    page.write_text(render(rows), encoding="utf-8")
    return page


def _rows(bundle: Bundle) -> list[Row]:
    """One row for each mask of a method, and of the base that it stands on."""
    about, card = bundle.description, bundle.card
    if about.mode != "reproduce" or about.attribute_names != ALL:
        raise EvaluationError(
            f"{about.name}: the table takes bundles of mode reproduce with {', '.join(ALL)}; "
            f"this one is {about.mode} with {', '.join(about.attribute_names)}"
        )
    fair, base = _leaked(card, "fair"), _leaked(card, "base")
    reference = {tuple(row["sensitive"]): row for row in card["reference"]["by_mask"]}
    rows = []
    for accuracy in card["accuracy"]["by_mask"]:
        mask = tuple(accuracy["sensitive"])
        if not mask:
            continue
        place = {"base_model": about.base_model, "sensitive": list(mask), "version": about.version}
        for method, near, auc, leaked in (
            (about.method, accuracy["sampled"], reference[mask]["mean"], {name: fair[mask, name] for name in mask}),
            ("base", accuracy["base"]["sampled"], reference[mask]["base"], {name: base[(), name] for name in mask}),
        ):
            if method == "base" and about.method == "sm":
                continue  # SM may have trained its own base along
            figures = {"ndcg@10": near["ndcg@10"], "hit@10": near["hit@10"], "hard_label_auc": auc, "leakage": leaked}
            rows.append({**place, "method": method, **figures})
    return rows


def _leaked(card: Mapping[str, Any], target: str) -> dict[tuple[Mask, str], float]:
    return {
        (tuple(row["sensitive"]), row["attribute"]): row["strongest"]["auc"]
        for row in card["leakage"]["by_mask"]
        if row["target"] == target
    }


def render(rows: Sequence[Row]) -> str:
    """The tables as Markdown: one for each base model."""
    lines = [
        "# The AFRL paper's Table 2, on our data",
        "",
        "The reference's leakage figure / sampled N@10 / sampled H@10; **score AUC of our strongest attacker**.",
        "Leakage is the mean over what is protected. How to read it, and what differs: [paper.md](paper.md).",
        "",
    ]
    for base, title in BASES.items():
        found = {(row["method"], tuple(row["sensitive"])): row for row in rows if row["base_model"] == base}
        methods = [name for name in METHODS if name != "pfrec" or base in ("sasrec", "bert4rec")]
        lines += [f"## {title}", "", "| protected | " + " | ".join(METHODS[name] for name in methods) + " |"]
        lines += ["|---|" + "---|" * len(methods)]
        for mask in sorted(filter(None, masks_to_measure(ALL)), key=len):
            cells = [_cell(found.get((name, mask))) for name in methods]
            lines.append(f"| {' + '.join(mask)} | " + " | ".join(cells) + " |")
        paper = [" / ".join(f"{value:.4f}" for value in PAPER[base][name]) for name in methods]
        lines += [f"| *the paper, {' + '.join(ALL)}* | " + " | ".join(paper) + " |", ""]
    return "\n".join(lines)


def _cell(row: Row | None) -> str:
    """Hard-label AUC / N@10 / H@10, and the score AUC of the strongest attacker, mean over protected attributes."""
    if row is None:
        return "*not run*"
    mean = sum(row["leakage"].values()) / len(row["leakage"])
    return f"{row['hard_label_auc']:.4f} / {row['ndcg@10']:.4f} / {row['hit@10']:.4f}; **{mean:.3f}**"
