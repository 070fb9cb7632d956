"""The result of `serving.py` as Markdown: what the budgets are, and what was measured."""

from __future__ import annotations

import statistics
from collections.abc import Mapping
from typing import Any

from loopback import Row
from machine import sentence


def as_table(result: Mapping[str, Any]) -> str:
    """What the budgets are, and what was measured."""
    ratios, memory = result["ratios"], result["memory_mib"]
    swaps = sum(one["swaps"] for one in result["swap"])
    rows = [
        ("throughput, × bare route", "≥ 0.5", _text(ratios["throughput"])),
        ("throughput, × a naive handler's (`naive.py`), in FastAPI's threads", "≥ 4", _text(ratios["naive"], 1)),
        ("throughput, × the same handler's, blocking the event loop", "", _text(ratios["blocking"], 1)),
        ("processor time, × bare route (less moved by other work)", "", _text(ratios["cpu"], 1)),
        ("p99, × bare route", "≤ 3", _text(ratios["p99"], 1)),
        (
            f"p99 while activations follow each other ({swaps} of them, 0 failed requests), × before",
            "≤ 2",
            _text(ratios["p99_swap"], 1),
        ),
        (
            f"p99 while a full audit run measures the same bundle ({_p99(result, 'before'):.1f} ms without it, "
            f"{_p99(result, 'during'):.1f} ms with it), × before",
            "≤ 2",
            _text(ratios["p99_audit"], 1),
        ),
        (
            "ready after the imports (first start, which verifies all files)",
            "≤ 2 s",
            f"{result['start_s']['later']:.2f} s ({result['start_s']['first']:.2f} s)",
        ),
        (
            f"memory above that of torch and FAISS alone ({memory['interpreter']:.0f} MiB) and the bundle's arrays "
            f"({memory['arrays']:.0f} MiB)",
            "≤ 300 MiB",
            f"{memory['above']:.0f} MiB",
        ),
    ]
    each = [
        f"| {name} | {_median(result, name, 'requests_per_s'):,.0f} | {_median(result, name, 'p50_ms'):.1f} "
        f"| {_median(result, name, 'p99_ms'):.1f} | {_median(result, name, 'cpu_ms'):.3f} |"
        for name in ("bare", "naive", "blocking", "ours")
    ]
    lines = [
        "| what | budget | measured |",
        "|---|---|---|",
        *(f"| {what} | {budget} | {measured} |" for what, budget, measured in rows),
        "",
        f"| median of {len(result['rounds'])} rounds | requests/s | p50 ms | p99 ms | processor ms each |",
        "|---|---|---|---|---|",
        *each,
        "",
        f"{sentence(result)}; bundle: {result['bundle']}; {result['connections']} connections, {result['seconds']} s "
        f"each round.",
    ]
    return "\n".join(lines) + "\n"


def _text(spread: Row, digits: int = 2) -> str:
    return f"**{spread['median']:.{digits}f}** ({spread['least']:.{digits}f} - {spread['most']:.{digits}f})"


def _p99(result: Mapping[str, Any], when: str) -> float:
    return statistics.median(one[when]["p99_ms"] for one in result["audit"])


def _median(result: Mapping[str, Any], name: str, what: str) -> float:
    return statistics.median(one[name][what] for one in result["rounds"])
