"""The tables of docs/results/fmmrec.md, between its marks: ours, with the paper's figures beside them.

Source of those: Chen et al., arXiv 2310.17373, MovieLens-1M.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from machine import circumstances, sentence
from report import write_between

NAMES = {"base": "LATTICE", "al": "AL", "cal": "CAL", "fairgo": "FairGo", "fmmrec": "FMMRec", "lattice": "our lattice"}
ATTRIBUTES = ("gender", "age", "occupation")
PAPER: Mapping[str, tuple[float, ...]] = {
    "base": (0.2476, 0.2378, 0.7397, 0.5428, 0.5025, 0.3725, 0.2202, 0.1747),
    "fairgo": (0.2133, 0.2003, 0.5431, 0.5000, 0.3659, 0.3535, 0.1639, 0.1647),
    "fmmrec": (0.2214, 0.2079, 0.5224, 0.5000, 0.3576, 0.3526, 0.1573, 0.1507),
}
"""R@20, N@20, then E and I of gender (AUC), age and occupation (F1). Those of AL and CAL are not at hand."""


def write_tables(runs: Mapping[str, Mapping[str, Any]], results: Path) -> Path:
    """Write ``fmmrec.json``, and the tables into ``fmmrec.md``, which is begun where there is none.

    Args:
        runs: by method, each with its base and its fair vectors.
        results: the folder.
    """
    told = circumstances(("torch", "numpy", "scikit-learn"))
    (results / "fmmrec.json").write_text(json.dumps(told | {"runs": runs}, indent=1, allow_nan=False) + "\n", "utf-8")
    rows = {"base": next(iter(runs.values()))["base"]} | {name: run["fair"] for name, run in runs.items()}
    page = results / "fmmrec.md"
    tables = {"published": _as_published(rows), "ours": _ours(rows), "modalities": _modal(runs)}
    lines = {name: "\n".join(each) for name, each in tables.items()}
    write_between(page, "FMMRec on MovieLens-1M", lines | {"circumstances": f"{sentence(told)}."})
    return page


def write_bases(bases: Mapping[str, Mapping[str, Any]], results: Path) -> Path:
    """Write ``fmmrec-bases.json`` and the table of bases in ``fmmrec.md``, behind LATTICE's row of ``fmmrec.json``.

    Args:
        bases: by model, accuracy and what our attackers find.
        results: the folder.
    """
    told = circumstances(("torch", "numpy", "scikit-learn"))
    text = json.dumps(told | {"bases": bases}, indent=1, allow_nan=False) + "\n"
    (results / "fmmrec-bases.json").write_text(text, "utf-8")
    rows = dict(sorted(bases.items(), key=lambda pair: -pair[1]["ndcg"]))
    if "mm_lattice" not in rows and (known := results / "fmmrec.json").exists():
        run = next(iter(json.loads(known.read_text("utf-8"))["runs"].values()))["base"]
        rows = {"mm_lattice": run | {"ours": {each: run[each]["ours"]["E"] for each in ATTRIBUTES}}} | rows
    page = results / "fmmrec.md"
    table = "\n".join([*_bases(rows), "", f"{sentence(told)}."])
    write_between(page, "FMMRec on MovieLens-1M", {"bases": table})
    return page


def _bases(rows: Mapping[str, Mapping[str, Any]]) -> Iterator[str]:
    yield f"| | epochs at most | R@20 | N@20 | {' | '.join(ATTRIBUTES)} | seconds of a processor |"
    yield "|---|---|---|---|---|---|---|---|"
    for name, row in rows.items():
        found = " | ".join(f"{row['ours'][each]:.3f}" for each in ATTRIBUTES)
        took = f"{row['processor_s']:,.0f}" if "processor_s" in row else ""
        yield f"| `{name}` | {row.get('epochs', '')} | {row['recall']:.4f} | {row['ndcg']:.4f} | {found} | {took} |"


def _as_published(rows: Mapping[str, Mapping[str, Any]]) -> Iterator[str]:
    yield "| | R@20 | N@20 | gender AUC-E | AUC-I | age F1-E | F1-I | occupation F1-E | F1-I |"
    yield "|---|---|---|---|---|---|---|---|---|"
    for name, row in rows.items():
        ours = [row["recall"], row["ndcg"], *(row[each]["paper"][kind] for each in ATTRIBUTES for kind in "EI")]
        theirs = PAPER.get(name, (None,) * len(ours))
        yield f"| {_named(name)} | {' | '.join(_beside(*pair) for pair in zip(ours, theirs, strict=True))} |"
    floors = [next(iter(rows.values()))[each]["floor"] for each in ATTRIBUTES]
    cells = " | ".join(f"{floor:.4f}" for floor in floors for _ in "EI")
    yield f"| *always the largest class* | | | {cells} |"


def _named(name: str) -> str:
    """FMMRec, λ x10."""
    method, _, times = name.partition(" ")
    return NAMES[method] + (f", λ {times}" if times else "")


def _beside(ours: float, theirs: float | None) -> str:
    return f"{ours:.4f}" + ("" if theirs is None else f" / {theirs:.4f}")


def _ours(rows: Mapping[str, Mapping[str, Any]]) -> Iterator[str]:
    yield "| | N@20 kept | gender E | I | age E | I | occupation E | I |"
    yield "|---|---|---|---|---|---|---|---|"
    base = rows["base"]["ndcg"]
    for name, row in rows.items():
        found = " | ".join(f"{row[each]['ours'][kind]:.3f}" for each in ATTRIBUTES for kind in "EI")
        yield f"| {_named(name)} | {row['ndcg'] / base:.3f} | {found} |"


def _modal(runs: Mapping[str, Mapping[str, Any]]) -> Iterator[str]:
    found = runs.get("fmmrec", {}).get("modal", {})
    yield f"| | {' | '.join(ATTRIBUTES)} |"
    yield "|---|---|---|---|"
    for name in dict.fromkeys(key.rsplit(" ", 1)[0] for key in found):
        cells = " | ".join(f"{found[f'{name} {each}']:.3f}" for each in ATTRIBUTES)
        yield f"| {name.replace(':', ', ')} | {cells} |"
