"""What traces cost: the service without, and with one request in ten traced, in one run.

    .venv/bin/python benchmarks/traces.py [--seconds 5] [--rounds 7]

Both run side by side and are loaded in turn, each of them first in every other round. Spans go to `collector.py`, a
process of its own. The median of the rounds' ratios is the result, their smallest and largest the spread. Needs wrk
(Debian's package).
"""

from __future__ import annotations

import json
import statistics
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from command import Command
from generated import USERS, Size, generated_bundle
from loopback import app, check_wrk, free_ports, load, service, warm, write_script
from machine import circumstances, sentence
from serving import MASKS

from bundle import read_bundle, write_bundle

PACKAGES = ("uvicorn", "opentelemetry-sdk", "opentelemetry-exporter-otlp-proto-http")
RATE = 0.1
MOST = 0.1
"""Share of the throughput that traces at that rate may cost."""
COMPARED = {"requests_per_s": "throughput", "cpu_ms": "processor time of a request", "p99_ms": "p99"}


def main() -> None:
    """Load both in turn; print what traces change."""
    command = Command(__doc__)
    command.add_size("--users", type=int, default=USERS, help="of the generated bundle")
    command.add_size("--seconds", type=int, default=5)
    command.add_size("--rounds", type=int, default=7)
    options = command.options()
    check_wrk()
    with tempfile.TemporaryDirectory() as scratch:
        each = measure(Path(scratch), Size(users=options.users), options.seconds, options.rounds)
    ratios = {what: _spread([one["on"][what] / one["off"][what] for one in each]) for what in COMPARED}
    result = circumstances(PACKAGES) | {"rate": RATE, "seconds": options.seconds, "rounds": each, "ratios": ratios}
    (options.results / "traces.json").write_text(json.dumps(result, indent=1) + "\n", encoding="utf-8")
    print(f"one request in {1 / RATE:.0f} traced, beside none ({sentence(result)}):")
    for what, words in COMPARED.items():
        print(f"{words}: {ratios[what]['median']:.3f} x ({ratios[what]['least']:.3f} - {ratios[what]['most']:.3f})")
    print(f"allowed is {1 - MOST:g} x the throughput")


def measure(scratch: Path, size: Size, seconds: int, rounds: int) -> list[dict[str, Any]]:
    """Each round's two loads, by ``off`` and ``on``."""
    folder = write_bundle(generated_bundle(1, size), scratch / "bundles")
    script = write_script(scratch / "users.lua", read_bundle(folder).users.ids, MASKS)
    ports = dict(zip(("off", "on", "collector"), free_ports(3), strict=True))
    traced = {
        "OTEL_EXPORTER_OTLP_ENDPOINT": f"http://127.0.0.1:{ports['collector']}",
        "OTEL_TRACES_SAMPLER": "traceidratio",
        "OTEL_TRACES_SAMPLER_ARG": f"{RATE}",
    }
    with (
        app("collector:app", ports["collector"]),
        service(folder, ports["off"], scratch / "off.db") as off,
        service(folder, ports["on"], scratch / "on.db", **traced) as on,
    ):
        servers = {"off": off, "on": on}
        for name in servers:
            warm(ports[name], script, seconds)
        return [
            {
                name: load(ports[name], script, seconds, servers[name])
                for name in sorted(servers, reverse=bool(turn % 2))
            }
            for turn in range(rounds)
        ]


def _spread(values: Sequence[float]) -> dict[str, float]:
    return {"median": statistics.median(values), "least": min(values), "most": max(values)}


if __name__ == "__main__":
    main()
