"""Whether a request has become much dearer: fails on the ratio to the bare route, not on a time.

    .venv/bin/python benchmarks/guard.py

Both servers are loaded in turn for a few seconds, as `serving.py` does. What is compared is processor time, which other
work on the machine moves least, and the best round, which it moves least of all. What is usual is in the last whole
measurement, results/serving.json. Needs wrk (Debian's package).
"""

from __future__ import annotations

import json
import sys
import tempfile
from pathlib import Path

from generated import generated_bundle
from loopback import app, check_wrk, load, service, write_script
from serving import HERE, MASKS, PORTS

from bundle import read_bundle, write_bundle

ROUNDS, SECONDS = 4, 2
WORSE = 1.5
"""So many times the usual ratio is a regression; machines and their other work account for less."""


def main() -> None:
    """Measure, compare, say so."""
    check_wrk()
    usual = json.loads((HERE / "results" / "serving.json").read_text(encoding="utf-8"))["ratios"]["cpu"]["median"]
    with tempfile.TemporaryDirectory() as scratch:
        measured = ratio(Path(scratch))
    print(f"processor time of a request: {measured:.2f} x the bare route's; usual are {usual:.2f}")
    if is_worse(measured, usual):
        sys.exit(f"that is over {WORSE:g} x the usual ratio: see where the time goes (benchmarks/README.md)")


def ratio(scratch: Path) -> float:
    """Processor time of our request over that of the bare route's, at its best."""
    folder = write_bundle(generated_bundle(), scratch / "bundles")
    script = write_script(scratch / "users.lua", read_bundle(folder).users.ids[::10], MASKS)
    with app("bare:app", PORTS["bare"]) as bare, service(folder, PORTS["ours"], scratch / "log.db") as ours:
        servers = {"bare": bare, "ours": ours}
        rounds = [
            {name: load(PORTS[name], script, SECONDS, pid)["cpu_ms"] for name, pid in servers.items()}
            for _ in range(1 + ROUNDS)
        ]
    return min(one["ours"] / one["bare"] for one in rounds[1:])  # the first one warms


def is_worse(measured: float, usual: float) -> bool:
    """Whether somebody should look."""
    return measured > WORSE * usual


if __name__ == "__main__":
    main()
