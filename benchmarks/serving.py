"""The serving budgets of DESIGN.md 7 as ratios in one run, against a bare FastAPI route, on loopback.

    .venv/bin/python benchmarks/serving.py [--bundle DIR] [--seconds 8] [--rounds 5]

Needs wrk (Debian's package). Without --bundle: a generated bundle of MovieLens-1M's size (`generated.py`). With it, the
folder of a version; its neighbour for the swap is itself, activated again.

Both servers run side by side and are loaded in turn, so that what else the machine does meets both. The median of the
rounds' ratios is the result, their smallest and largest the spread. Everything is written to results/serving.json and
into README.md.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import re
import shutil
import statistics
import subprocess
import sys
import tempfile
import threading
import time
import urllib.request
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import Any

from generated import array_bytes, generated_bundle

from bundle import Bundle, read_bundle, write_bundle

HERE = Path(__file__).parent
CONNECTIONS = 16
BARE, OURS = 18500, 18501
"""Ports."""
LUA = """
local users = {%s}
local masks = {"", "gender", "age", "gender,age", "gender,age,occupation"}
request = function()
  local path = "/recommend?user=" .. users[math.random(#users)] .. "&sensitive=" .. masks[math.random(#masks)]
  return wrk.format("GET", path)
end
"""
SERVE = """
import sys, time
import service.serve
print(time.time(), flush=True)
from service.__main__ import main
sys.exit(main(sys.argv[1:]))
"""
INTERPRETER = "import torch, faiss, re; print(re.search(r'VmRSS:\\s+(\\d+)', open('/proc/self/status').read())[1])"
PACKAGES = ("fastapi", "starlette", "uvicorn", "uvloop", "httptools", "pydantic", "sqlalchemy", "torch", "faiss-cpu")
Row = Mapping[str, float]


def main() -> None:
    """Throughput and p99, then the swap, then an audit run, then start and memory."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--bundle", type=Path)
    parser.add_argument("--seconds", type=int, default=8)
    parser.add_argument("--rounds", type=int, default=5)
    options = parser.parse_args()
    if not shutil.which("wrk"):
        sys.exit("wrk is needed for this benchmark (Debian: apt install wrk)")
    with tempfile.TemporaryDirectory() as scratch:
        folder = options.bundle or _generated(Path(scratch))
        result = measure(folder, Path(scratch), options.seconds, options.rounds)
    result["bundle"] = "generated" if options.bundle is None else read_bundle(folder).description.name
    (HERE / "results" / "serving.json").write_text(json.dumps(result, indent=1) + "\n", encoding="utf-8")
    table = as_table(result)
    readme = HERE / "README.md"
    begin, end = "<!-- serving -->\n", "<!-- end -->"
    before, _, rest = readme.read_text(encoding="utf-8").partition(begin)
    readme.write_text(before + begin + table + end + rest.partition(end)[2], encoding="utf-8")
    print(table, end="")


def measure(folder: Path, scratch: Path, seconds: int, rounds: int) -> dict[str, Any]:
    """All of it, with what is needed to judge it."""
    bundle = read_bundle(folder)
    script = scratch / "users.lua"
    script.write_text(LUA % ",".join(f'"{user}"' for user in bundle.users.ids[::10]))
    busy = os.getloadavg()[0]
    first_start_s, _ = _start_and_stop(folder, scratch)
    start_s = statistics.median(_start_and_stop(folder, scratch)[0] for _ in range(3))
    with _bare() as bare_pid, _serving(folder, scratch / "log.db") as pid:
        for port in (BARE, OURS):
            load(port, script, 2)  # warm
        pairs = [(load(BARE, script, seconds, bare_pid), load(OURS, script, seconds, pid)) for _ in range(rounds)]
        swaps = [_swapped(folder, script, seconds) for _ in range(max(1, rounds // 2))]
        audits = [_audited(folder, script, seconds) for _ in range(max(1, rounds // 2))]
        memory_mb = _rss_mb(pid)
    return {
        "date": datetime.now(UTC).date().isoformat(),
        "machine": {
            "processor": _processor(),
            "cpus": os.cpu_count(),
            "system": platform.system(),
            "python": platform.python_version(),
            "busy": round(busy, 1),
        },
        "versions": {name: version(name) for name in PACKAGES},
        "connections": CONNECTIONS,
        "seconds": seconds,
        "rounds": [{"bare": bare, "ours": ours} for bare, ours in pairs],
        "swap": swaps,
        "audit": audits,
        "start_s": {"first": first_start_s, "later": start_s},
        "memory_mb": _memory(memory_mb, bundle),
        "ratios": {
            "throughput": _spread([ours["requests_per_s"] / bare["requests_per_s"] for bare, ours in pairs]),
            "cpu": _spread([ours["cpu_ms"] / bare["cpu_ms"] for bare, ours in pairs]),
            "p99": _spread([ours["p99_ms"] / bare["p99_ms"] for bare, ours in pairs]),
            "p99_swap": _spread([one["during"]["p99_ms"] / one["before"]["p99_ms"] for one in swaps]),
            "p99_audit": _spread([one["during"]["p99_ms"] / one["before"]["p99_ms"] for one in audits]),
        },
    }


def load(port: int, script: Path, seconds: int, pid: int | None = None) -> Row:
    """One wrk run, with the processor time of the process asked; any answer that is not 200 ends the benchmark."""
    address = f"http://127.0.0.1:{port}"
    command = ["wrk", "-t1", f"-c{CONNECTIONS}", f"-d{seconds}s", "--latency", "-s", str(script), address]
    before_s = 0.0 if pid is None else _processor_s(pid)
    printed = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    used_s = 0.0 if pid is None else _processor_s(pid) - before_s
    if "Non-2xx" in printed or "Socket errors" in printed:
        sys.exit(f"{address} did not answer everything with 200:\n{printed}")
    rate = re.search(r"Requests/sec:\s+([\d.]+)", printed)
    latency = {name: re.search(rf"\s{name}%\s+([\d.]+)(us|ms|s)", printed) for name in ("50", "99")}
    if rate is None or None in latency.values():
        sys.exit(f"wrk printed something else than expected:\n{printed}")
    unit = {"us": 1e-3, "ms": 1.0, "s": 1e3}
    times = {f"p{name}_ms": float(match[1]) * unit[match[2]] for name, match in latency.items() if match}
    requests = re.search(r"(\d+) requests in", printed)
    assert requests is not None
    cpu = {} if pid is None else {"cpu_ms": 1e3 * used_s / int(requests[1])}
    return {"requests_per_s": float(rate[1]), **times, **cpu}


def as_table(result: Mapping[str, Any]) -> str:
    """What the budgets are, and what was measured."""
    machine, ratios, memory = result["machine"], result["ratios"], result["memory_mb"]
    swaps = sum(one["swaps"] for one in result["swap"])
    rows = [
        ("throughput, × bare route", "≥ 0.5", _text(ratios["throughput"])),
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
        for name in ("bare", "ours")
    ]
    versions = ", ".join(f"{name} {number}" for name, number in result["versions"].items())
    lines = [
        "| what | budget | measured |",
        "|---|---|---|",
        *(f"| {what} | {budget} | {measured} |" for what, budget, measured in rows),
        "",
        f"| median of {len(result['rounds'])} rounds | requests/s | p50 ms | p99 ms | processor ms each |",
        "|---|---|---|---|---|",
        *each,
        "",
        f"{result['date']}; {machine['cpus']} × {machine['processor']}, on which other work kept {machine['busy']:g} "
        f"processes busy; Python {machine['python']}, {versions}; bundle: {result['bundle']}; {CONNECTIONS} "
        f"connections, {result['seconds']} s each round.",
    ]
    return "\n".join(lines) + "\n"


def _generated(scratch: Path) -> Path:
    write_bundle(generated_bundle(2), scratch / "bundles")
    return write_bundle(generated_bundle(1), scratch / "bundles")


@contextmanager
def _bare() -> Iterator[int]:
    """The bare route; its process id."""
    command = [sys.executable, "-m", "uvicorn", "bare:app", "--app-dir", str(HERE), "--no-access-log"]
    server = subprocess.Popen([*command, "--port", str(BARE)], stderr=subprocess.DEVNULL, env=_environment())
    try:
        _wait(f"http://127.0.0.1:{BARE}/recommend?user=0")
        yield server.pid
    finally:
        server.terminate()
        server.wait(timeout=30)


@contextmanager
def _serving(folder: Path, database: Path) -> Iterator[int]:
    """The service; its process id."""
    command = [sys.executable, "-m", "service", "serve", "--bundle", str(folder), "--port", str(OURS)]
    server = subprocess.Popen(command, stderr=subprocess.DEVNULL, env=_environment(database))
    try:
        _wait(f"http://127.0.0.1:{OURS}/health/ready")
        yield server.pid
    finally:
        server.terminate()
        server.wait(timeout=30)


def _start_and_stop(folder: Path, scratch: Path) -> tuple[float, int]:
    """Seconds from the end of the imports to the first time that it is ready."""
    command = [sys.executable, "-c", SERVE, "serve", "--bundle", str(folder), "--port", str(OURS)]
    environment = _environment(scratch / "start.db")
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, env=environment) as server:
        assert server.stdout is not None
        imported = float(server.stdout.readline())
        _wait(f"http://127.0.0.1:{OURS}/health/ready")
        ready = time.time()
        server.terminate()
    return ready - imported, server.pid


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


def _memory(service_mb: float, bundle: Bundle) -> dict[str, float]:
    printed = subprocess.run([sys.executable, "-c", INTERPRETER], capture_output=True, text=True, check=True).stdout
    interpreter, arrays = int(printed) / 1024, array_bytes(bundle) / 2**20
    return {
        "service": round(service_mb, 1),
        "interpreter": round(interpreter, 1),
        "arrays": round(arrays, 1),
        "above": round(service_mb - interpreter - arrays, 1),
    }


def _environment(database: Path | None = None) -> dict[str, str]:
    """The request log is on, as always; nothing is cached."""
    ours = {"EVENHAND_LOG_LEVEL": "warning", "EVENHAND_CACHE": "off", "EVENHAND_DATABASE_URL": f"sqlite:///{database}"}
    plain = {name: value for name, value in os.environ.items() if not name.startswith("EVENHAND_")}
    return plain | {"OMP_NUM_THREADS": "1", "PYTHONPATH": str(HERE.parent)} | ({} if database is None else ours)


def _wait(url: str) -> None:
    """Until the server answers as it should."""
    for _ in range(24_000):
        try:
            urllib.request.urlopen(url, timeout=2).close()
        except OSError:
            time.sleep(0.005)
        else:
            return
    sys.exit(f"no answer from {url}")


def _processor_s(pid: int) -> float:
    """Used by all threads of a process so far."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    ticks = int(fields[11]) + int(fields[12])
    return ticks / float(os.sysconf("SC_CLK_TCK"))


def _rss_mb(pid: int) -> float:
    found = re.search(r"VmRSS:\s+(\d+)", Path(f"/proc/{pid}/status").read_text())
    assert found is not None
    return int(found[1]) / 1024


def _processor() -> str:
    found = re.search(r"model name\s*:\s*(.+)", Path("/proc/cpuinfo").read_text())
    return found[1].strip() if found else platform.machine()


def _spread(values: Sequence[float]) -> dict[str, float]:
    return {"median": statistics.median(values), "least": min(values), "most": max(values)}


def _text(spread: Row, digits: int = 2) -> str:
    return f"**{spread['median']:.{digits}f}** ({spread['least']:.{digits}f} - {spread['most']:.{digits}f})"


def _p99(result: Mapping[str, Any], when: str) -> float:
    return statistics.median(one[when]["p99_ms"] for one in result["audit"])


def _median(result: Mapping[str, Any], name: str, what: str) -> float:
    return statistics.median(one[name][what] for one in result["rounds"])


if __name__ == "__main__":
    main()
