"""The serving budgets as ratios in one run, against a bare FastAPI route and naive handlers.

    .venv/bin/python benchmarks/serving.py [--bundle DIR] [--seconds 8] [--rounds 5]

Needs wrk (Debian's package). Without --bundle: a generated bundle of MovieLens-1M's size (`generated.py`). With it, the
folder of a version; its neighbour for the swap is itself, activated again.

The servers run side by side and are loaded in turn: what else the machine does meets them all. The median of the
rounds' ratios is the result, their smallest and largest the spread. Everything is written to results/serving.json and,
measured at full size, into README.md.
"""

from __future__ import annotations

import json
import statistics
import subprocess
import sys
import tempfile
import threading
import time
import urllib.request
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from command import RESULTS, Command
from generated import USERS, Size, array_bytes, generated_bundle
from loopback import (
    CONNECTIONS,
    app,
    check_wrk,
    free_ports,
    load,
    resident_mib,
    seconds_to_ready,
    service,
    warm,
    write_script,
)
from machine import circumstances
from report import write_between
from serving_table import as_table

from bundle import Bundle, read_bundle, write_bundle

README = Path(__file__).parent / "README.md"
PORTS = dict(zip(("bare", "naive", "blocking", "ours"), free_ports(4), strict=True))
OURS = PORTS["ours"]
MASKS = ("", "gender", "age", "gender,age", "gender,age,occupation")
INTERPRETER = "import torch, faiss, re; print(re.search(r'VmRSS:\\s+(\\d+)', open('/proc/self/status').read())[1])"
PACKAGES = ("fastapi", "starlette", "uvicorn", "uvloop", "httptools", "pydantic", "sqlalchemy", "torch", "faiss-cpu")


def main() -> None:
    """Throughput and p99, then the swap, then an audit run, then start and memory."""
    command = Command(__doc__)
    command.add_size("--bundle", type=Path)
    command.add_size("--users", type=int, default=USERS, help="of the generated bundle")
    command.add_size("--seconds", type=int, default=8)
    command.add_size("--rounds", type=int, default=5)
    command.add_size("--audit-priority", choices=("idle", "normal"), default="idle", help="of the audit run")
    options = command.options()
    check_wrk()
    with tempfile.TemporaryDirectory() as scratch:
        folder = options.bundle or _generated(Path(scratch), Size(users=options.users))
        result = measure(folder, Path(scratch), options.seconds, options.rounds, options.audit_priority)
    result["bundle"] = "generated" if options.bundle is None else read_bundle(folder).description.name
    (options.results / "serving.json").write_text(json.dumps(result, indent=1) + "\n", encoding="utf-8")
    table = as_table(result)
    if options.results.resolve() == RESULTS:
        write_between(README, "Benchmarks", {"serving": table})
    print(table, end="")


def measure(folder: Path, scratch: Path, seconds: int, rounds: int, audit_priority: str) -> dict[str, Any]:
    """All of it, with what is needed to judge it."""
    bundle = read_bundle(folder)
    script = write_script(scratch / "users.lua", bundle.users.ids, MASKS)
    facts = circumstances(PACKAGES)
    starts_s = [seconds_to_ready(folder, OURS, scratch / "start.db") for _ in range(1 + min(3, rounds))]
    with (
        app("bare:app", PORTS["bare"]) as bare,
        app("naive:app", PORTS["naive"], NAIVE_BUNDLE=str(folder)) as naive,
        app("naive:blocking", PORTS["blocking"], NAIVE_BUNDLE=str(folder)) as blocking,
        service(folder, OURS, scratch / "log.db", EVENHAND_AUDIT_PRIORITY=audit_priority) as ours,
    ):
        servers = {"bare": bare, "naive": naive, "blocking": blocking, "ours": ours}
        for port in PORTS.values():
            warm(port, script, seconds)
        each = [{name: load(PORTS[name], script, seconds, pid) for name, pid in servers.items()} for _ in range(rounds)]
        swaps = [_swapped(folder, script, seconds) for _ in range(max(1, rounds // 2))]
        audits = [_audited(folder, script, seconds) for _ in range(max(1, rounds // 2))]
        memory_mib = resident_mib(ours)
    return facts | {
        "connections": CONNECTIONS,
        "seconds": seconds,
        "rounds": each,
        "swap": swaps,
        "audit": audits,
        "start_s": {"first": starts_s[0], "later": statistics.median(starts_s[1:])},
        "memory_mib": _memory(memory_mib, bundle),
        "ratios": {
            "throughput": _faster(each, "bare"),
            "naive": _faster(each, "naive"),
            "blocking": _faster(each, "blocking"),
            "cpu": _spread([one["ours"]["cpu_ms"] / one["bare"]["cpu_ms"] for one in each]),
            "p99": _spread([one["ours"]["p99_ms"] / one["bare"]["p99_ms"] for one in each]),
            "p99_swap": _spread([one["during"]["p99_ms"] / one["before"]["p99_ms"] for one in swaps]),
            "p99_audit": _spread([one["during"]["p99_ms"] / one["before"]["p99_ms"] for one in audits]),
        },
    }


def _faster(rounds: Sequence[Any], other: str) -> dict[str, float]:
    return _spread([one["ours"]["requests_per_s"] / one[other]["requests_per_s"] for one in rounds])


def _generated(scratch: Path, size: Size) -> Path:
    write_bundle(generated_bundle(2, size), scratch / "bundles")
    return write_bundle(generated_bundle(1, size), scratch / "bundles")


def _swapped(folder: Path, script: Path, seconds: int) -> dict[str, Any]:
    """The load without and with one activation after another."""
    before = load(OURS, script, seconds)
    versions = sorted(path.name for path in folder.parent.iterdir() if path.is_dir())
    ending, swaps = threading.Event(), 0

    def activate() -> None:
        nonlocal swaps
        while not ending.is_set():
            name = versions[(swaps + 1) % len(versions)]
            request = urllib.request.Request(f"http://127.0.0.1:{OURS}/models/{name}/activate", method="POST")
            urllib.request.urlopen(request, timeout=60).close()
            swaps += 1

    activations = threading.Thread(target=activate)
    activations.start()
    try:
        during = load(OURS, script, seconds)
    finally:
        ending.set()
        activations.join()
    return {"before": before, "during": during, "swaps": swaps}


def _audited(folder: Path, script: Path, seconds: int) -> dict[str, Any]:
    """The load without and with a full audit run of the bundle that is served, which is at its attacks by then."""
    runs = f"http://127.0.0.1:{OURS}/audit/runs"
    before = load(OURS, script, seconds)
    body = json.dumps({"profile": "full", "version": folder.name}).encode()
    run = _asked("POST", runs, body)["id"]
    try:
        while not ((state := _asked("GET", f"{runs}/{run}"))["doing"] or "").startswith("attacking"):
            if state["status"] not in ("queued", "running"):
                break
            time.sleep(0.2)
        during = load(OURS, script, seconds)
        state = _asked("GET", f"{runs}/{run}")
    finally:
        _asked("DELETE", f"{runs}/{run}")
    if state["status"] != "running":
        sys.exit(f"the audit run should have gone on all the time, but is {state['status']}: {state['error']}")
    return {"before": before, "during": during, "doing": state["doing"], "progress": state["progress"]}


def _asked(method: str, url: str, body: bytes | None = None) -> dict[str, Any]:
    request = urllib.request.Request(url, body, {"content-type": "application/json"}, method=method)
    with urllib.request.urlopen(request, timeout=60) as answer:
        found: dict[str, Any] = json.load(answer)
        return found


def _memory(service_mib: float, bundle: Bundle) -> dict[str, float]:
    printed = subprocess.run([sys.executable, "-c", INTERPRETER], capture_output=True, text=True, check=True).stdout
    interpreter, arrays = int(printed) / 1024, array_bytes(bundle) / 2**20
    return {
        "service": round(service_mib, 1),
        "interpreter": round(interpreter, 1),
        "arrays": round(arrays, 1),
        "above": round(service_mib - interpreter - arrays, 1),
    }


def _spread(values: Sequence[float]) -> dict[str, float]:
    return {"median": statistics.median(values), "least": min(values), "most": max(values)}


if __name__ == "__main__":
    main()
