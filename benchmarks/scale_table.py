"""The result of `scale.py` as Markdown."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from generated import D

Row = Mapping[str, Any]
BUDGET = "10⁶ items × 10⁶ users: p99 < 50 ms at 16 connections, recall@10 ≥ 0.98"
WHAT = ("catalogue", "items", "users")
STARTS = (
    *(*WHAT, "files MiB", "first start s", "later start s", "of it reading s", "choosing the index s"),
    *("resident MiB", "of it anonymous", "most ever"),
)
LOADS = (
    *(*WHAT, "index", "build s", "recall@10", "requests/s", "p50 ms", "p99 ms", "processor ms each"),
    *("waiting for the worker ms", "a batch in the worker ms", "requests in it", "a commit ms"),
)
MASKS = (
    *("method", "M", "masks", "× M = 1", "parts"),
    *("requests/s", "p99 ms", "processor ms each", "× M = 1", "of it in the worker"),
)


def as_text(result: Mapping[str, Any]) -> str:
    """The budget, then a table by size, then where a request's time goes, then a table by attributes."""
    parts = []
    if met := [row for row in result["sizes"] if min(row["items"], row["users"]) >= 1_000_000]:
        row = met[-1]
        measured = f"**{row['median']['p99_ms']:.1f} ms**, recall **{row['index']['recall']:.3f}**"
        started = f"ready in {row['starts'][-1]['ready_s']:.1f} s ({row['starts'][0]['ready_s']:.1f} s the first time)"
        parts.append(f"{BUDGET}: {measured}, {started}.")
    if sizes := result["sizes"]:
        parts += ["## By size", "![By size](scale-sizes.svg)"]
        parts += [_table(STARTS, map(_start, sizes)), _table(LOADS, map(_load, sizes))]
        most = sizes[-1]["making"]
        parts.append(
            "Each start chooses anew: the index that was loaded may be another one than before. Stages of a request "
            "are means over the loads. Generating and writing the last of these bundles took "
            f"{most['took_s']:.0f} s and at most {most['peak_mib'] / 1024:.1f} GiB."
        )
    if result["masks"]:
        parts += ["## By the number of attributes", "![By attributes](scale-masks.svg)", _table(MASKS, _masks(result))]
        parts.append(
            "AFRL's combine is a perceptron over all 1 + M parts side by side, twice as wide inside: its weights, and "
            f"with them the worker's time, grow with M², {_weights(1):,} numbers for M = 1 and {_weights(16):,} for "
            "16. The lattice's is one linear layer; its parts were 2 + M and one for each pair of attributes when "
            "this was measured, and are 2 + M since."
        )
    parts.append(f"{result['connections']} connections; medians of {len(_rounds(result))} × {result['seconds']} s.")
    return "\n\n".join(parts)


def worker_ms(row: Row) -> float:
    """Of a request's time, what the worker computes for it."""
    share: float = row["stages_ms"]["compute"] / row["stages_ms"]["batch"]
    return share


def _weights(attributes: int) -> int:
    wide = (1 + attributes) * D
    return wide * 2 * wide + 2 * wide * wide + wide * D


def _rounds(result: Mapping[str, Any]) -> Sequence[Row]:
    rows: Sequence[Row] = (*result["sizes"], *result["masks"])
    rounds: Sequence[Row] = rows[0]["rounds"] if rows else ()
    return rounds


def _start(row: Row) -> list[str]:
    (first, later), memory = row["starts"], row["memory_mib"]["loaded"]
    seconds = (first["ready_s"], later["ready_s"], later["read_ms"] / 1e3, later["index_ms"] / 1e3)
    mib = (memory["VmRSS"], memory["RssAnon"], memory["VmHWM"])
    size = f"{row['making']['size_mib']:,.0f}"
    return [*_what(row), size, *(f"{value:.1f}" for value in seconds), *(f"{value:,.0f}" for value in mib)]


def _load(row: Row) -> list[str]:
    index, median, stages = row["index"], row["median"], row["stages_ms"]
    return [
        *_what(row),
        f"{index['kind']} {index['parameters']}".strip(),
        f"{index['build_seconds']:.1f}",
        f"{index['recall']:.3f}",
        f"{median['requests_per_s']:,.0f}",
        f"{median['p50_ms']:.1f}",
        f"**{median['p99_ms']:.1f}**",
        f"{median['cpu_ms']:.2f}",
        *(f"{stages[name]:.1f}" for name in ("queue", "compute", "batch", "commit")),
    ]


def _what(row: Row) -> list[str]:
    return [row["taste"], f"{row['items']:,}", f"{row['users']:,}"]


def _masks(result: Mapping[str, Any]) -> Iterable[list[str]]:
    ones: dict[str, Row] = {}
    for row in sorted(result["masks"], key=lambda row: (row["method"], row["attributes"])):
        one = ones.setdefault(row["method"], row)
        count, median = row["attributes"], row["median"]
        yield [
            row["method"],
            f"{count}",
            f"{2**count:,}",
            f"{2 ** (count - one['attributes']):,}",
            f"{row['making']['parts']}",
            f"{median['requests_per_s']:,.0f}",
            f"{median['p99_ms']:.1f}",
            f"{median['cpu_ms']:.2f}",
            f"**{median['cpu_ms'] / one['median']['cpu_ms']:.1f}**",
            f"{worker_ms(row):.2f}",
        ]


def _table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join(f"| {' | '.join(cells)} |" for cells in lines)
