"""What traces cost: the service without, and with one request in ten and every request traced, in one run.

    .venv/bin/python benchmarks/traces.py [--seconds 2] [--rounds 21]

All run side by side and are loaded in turn, many times for a short while, each of them first in every fourth round.
A second one without traces shows what the measuring itself varies by. Spans go to `collector.py`, a process of its own
on the same processors, whose time is said apart. The median of the rounds' ratios is the result, beside its 95 %
interval by resampling rounds. Needs wrk (Debian's package).
"""

from __future__ import annotations

import json
import tempfile
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import numpy as np
from command import Command
from generated import USERS, Size, generated_bundle
from loopback import app, check_wrk, free_ports, load, processor_s, service, warm, write_script
from machine import circumstances, sentence
from serving import MASKS

from bundle import read_bundle, write_bundle

PACKAGES = ("uvicorn", "opentelemetry-sdk", "opentelemetry-exporter-otlp-proto-http")
RATE = 0.1
MOST = 0.1
"""Share of the throughput that traces at that rate may cost."""
SERVERS = {"off": None, "again": None, "on": RATE, "all": 1.0}
"""The share that each traces; the first is what the others are compared with."""
SAID = {"again": "none, a second one", "on": f"one request in {1 / RATE:.0f}", "all": "every request"}
COMPARED = {"requests_per_s": "throughput", "cpu_ms": "processor time of a request", "p99_ms": "p99"}
DRAWS = 2000


def main() -> None:
    """Load all in turn; print what traces change."""
    command = Command(__doc__)
    command.add_size("--users", type=int, default=USERS, help="of the generated bundle")
    command.add_size("--seconds", type=int, default=2)
    command.add_size("--rounds", type=int, default=21)
    options = command.options()
    check_wrk()
    with tempfile.TemporaryDirectory() as scratch:
        each = measure(Path(scratch), Size(users=options.users), options.seconds, options.rounds)
    ratios = {
        name: {what: _middle([one[name][what] / one["off"][what] for one in each]) for what in COMPARED}
        for name in SAID
    }
    result = circumstances(PACKAGES) | {"rate": RATE, "seconds": options.seconds, "rounds": each, "ratios": ratios}
    (options.results / "traces.json").write_text(json.dumps(result, indent=1) + "\n", encoding="utf-8")
    print(f"traced, beside none ({sentence(result)}):")
    for name, words in SAID.items():
        told = (
            f"{COMPARED[what]} {one['median']:.3f} x ({one['low']:.3f} - {one['high']:.3f})"
            for what, one in ratios[name].items()
        )
        collector = np.median([1e3 * one[name]["collector_ms"] for one in each])
        print(f"{words}: {', '.join(told)}; the collector takes {collector:.0f} µs of a request")
    print(f"allowed is {1 - MOST:g} x the throughput with {SAID['on']}")


def measure(scratch: Path, size: Size, seconds: int, rounds: int) -> list[dict[str, Any]]:
    """Each round's loads, by the server's name, with ``collector_ms`` for each request."""
    folder = write_bundle(generated_bundle(1, size), scratch / "bundles")
    script = write_script(scratch / "users.lua", read_bundle(folder).users.ids, MASKS)
    *ports, to = free_ports(len(SERVERS) + 1)
    with ExitStack() as running:
        collector = running.enter_context(app("collector:app", to))
        servers = {}
        for port, (name, rate) in zip(ports, SERVERS.items(), strict=True):
            settings = {} if rate is None else _traced(to, rate)
            pid = running.enter_context(service(folder, port, scratch / f"{name}.db", **settings))
            servers[name] = (port, pid)
            warm(port, script, seconds)
        return [_round(servers, collector, script, seconds, turn) for turn in range(rounds)]


def _traced(port: int, rate: float) -> dict[str, str]:
    return {
        "OTEL_EXPORTER_OTLP_ENDPOINT": f"http://127.0.0.1:{port}",
        "OTEL_TRACES_SAMPLER": "traceidratio",
        "OTEL_TRACES_SAMPLER_ARG": f"{rate}",
    }


def _round(
    servers: Mapping[str, tuple[int, int]], collector: int, script: Path, seconds: int, turn: int
) -> dict[str, dict[str, float]]:
    names = list(servers)
    first = turn % len(names)
    loads = {}
    for name in names[first:] + names[:first]:
        port, pid = servers[name]
        before_s = processor_s(collector)
        one = load(port, script, seconds, pid)
        used_ms = 1e3 * (processor_s(collector) - before_s)
        loads[name] = {**one, "collector_ms": used_ms / (one["requests_per_s"] * seconds)}
    return loads


def _middle(values: Sequence[float]) -> dict[str, float]:
    drawn = np.random.default_rng(1).choice(values, (DRAWS, len(values)))
    low, high = np.quantile(np.median(drawn, axis=1), (0.025, 0.975))
    return {"median": float(np.median(values)), "low": float(low), "high": float(high)}


if __name__ == "__main__":
    main()
