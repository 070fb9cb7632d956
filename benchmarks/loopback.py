"""Servers on this machine's loopback, and one wrk that loads them: what the benchmarks of whole servers share."""

from __future__ import annotations

import os
import re
import shutil
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path

HERE = Path(__file__).parent
CONNECTIONS = 16
QUIET = {"EVENHAND_LOG_LEVEL": "warning", "EVENHAND_CACHE": "off"}
"""The request log is on, as always; nothing is cached."""
SCRIPT = """
math.randomseed(os.time())  -- else every load asks for the same users in the same order
local users = {%s}
local masks = {%s}
request = function()
  local path = "/recommend?user=" .. users[math.random(#users)] .. "&sensitive=" .. masks[math.random(#masks)] .. "%s"
  return wrk.format("GET", path)
end
"""
STAMPED = """
import sys, time
import service.serve
print(time.time(), flush=True)
from service.__main__ import main
sys.exit(main(sys.argv[1:]))
"""
"""Serves, and says when its imports were done."""
Row = Mapping[str, float]


def check_wrk() -> None:
    """End here where it is not installed."""
    if not shutil.which("wrk"):
        sys.exit("wrk is needed for this benchmark (Debian: apt install wrk)")


def free_ports(count: int) -> list[int]:
    """So many ports on which nobody listens."""
    with ExitStack() as held:
        sockets = [held.enter_context(socket.create_server(("127.0.0.1", 0))) for _ in range(count)]
        return [one.getsockname()[1] for one in sockets]


def write_script(path: Path, users: Sequence[str], masks: Sequence[str], more: str = "") -> Path:
    """What wrk asks: ten items for a user at random, under a mask at random (names, joined by commas), and ``more``."""
    quoted = (",".join(f'"{text}"' for text in texts) for texts in (users, masks))
    path.write_text(SCRIPT % (*quoted, more), encoding="utf-8")
    return path


@contextmanager
def app(name: str, port: int, *arguments: str, **environment: str) -> Iterator[int]:
    """An application of this folder under uvicorn (``MODULE:NAME``), with further arguments; its process id."""
    command = [sys.executable, "-m", "uvicorn", name, "--app-dir", str(HERE), "--no-access-log", "--port", str(port)]
    command += arguments
    with _running(command, f"http://127.0.0.1:{port}/recommend?user=0", environment) as pid:
        yield pid


@contextmanager
def service(bundle: Path, port: int, database: Path, **settings: str) -> Iterator[int]:
    """The service on a bundle, with further settings; its process id."""
    command = [sys.executable, "-m", "service", "serve", "--bundle", str(bundle), "--port", str(port)]
    environment = QUIET | {"EVENHAND_DATABASE_URL": f"sqlite:///{database}"} | settings
    with _running(command, f"http://127.0.0.1:{port}/health/ready", environment) as pid:
        yield pid


@contextmanager
def _running(command: Sequence[str], url: str, environment: Mapping[str, str]) -> Iterator[int]:
    _check_free(url)
    server = subprocess.Popen(command, stderr=subprocess.DEVNULL, env=plain_environment() | environment)
    try:
        wait(url, server)
        yield server.pid
    finally:
        server.terminate()
        server.wait(timeout=30)


def seconds_to_ready(bundle: Path, port: int, database: Path, log: Path = Path(os.devnull), **settings: str) -> float:
    """From the end of the imports to the first time that the service is ready; what it logs goes to a file."""
    command = [sys.executable, "-c", STAMPED, "serve", "--bundle", str(bundle), "--port", str(port)]
    environment = plain_environment() | QUIET | {"EVENHAND_DATABASE_URL": f"sqlite:///{database}"} | settings
    url = f"http://127.0.0.1:{port}/health/ready"
    _check_free(url)
    with (
        log.open("w") as said,
        subprocess.Popen(command, stdout=subprocess.PIPE, stderr=said, env=environment) as server,
    ):
        assert server.stdout is not None
        imported = float(server.stdout.readline())
        try:
            wait(url, server)
            ready = time.time()
        finally:
            server.terminate()
    return ready - imported


def plain_environment() -> dict[str, str]:
    """This process's, without any setting of the service; one thread for numerical libraries."""
    plain = {name: value for name, value in os.environ.items() if not name.startswith("EVENHAND_")}
    return plain | {"OMP_NUM_THREADS": "1", "PYTHONPATH": str(HERE.parent)}


def _check_free(url: str) -> None:
    """End here where somebody else answers already: that one would be measured."""
    try:
        urllib.request.urlopen(url, timeout=2).close()
    except urllib.error.HTTPError:
        pass
    except OSError:
        return
    sys.exit(f"{url} is answered already: end that server first")


def wait(url: str, server: subprocess.Popen[bytes], seconds: float = 900) -> None:
    """Until the server answers as it should; one that builds a graph of a million items takes minutes."""
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline and server.poll() is None:
        try:
            urllib.request.urlopen(url, timeout=2).close()
        except OSError:
            time.sleep(0.005)
        else:
            return
    sys.exit(f"no answer from {url}")


def load(port: int, script: Path, seconds: int, pid: int | None = None) -> Row:
    """One wrk run, with the processor time of the process asked; any answer that is not 200 ends the benchmark.

    Returns:
        ``requests_per_s``, ``p50_ms``, ``p99_ms``, and with a process id ``cpu_ms`` for each request.
    """
    address = f"http://127.0.0.1:{port}"
    command = ["wrk", "-t1", f"-c{CONNECTIONS}", f"-d{seconds}s", "--latency", "-s", str(script), address]
    before_s = 0.0 if pid is None else processor_s(pid)
    printed = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    used_s = 0.0 if pid is None else processor_s(pid) - before_s
    if "Non-2xx" in printed or "Socket errors" in printed:
        sys.exit(f"{address} did not answer everything with 200:\n{printed}")
    rate = re.search(r"Requests/sec:\s+([\d.]+)", printed)
    latency = {name: re.search(rf"\s{name}%\s+([\d.]+)(us|ms|s)", printed) for name in ("50", "99")}
    requests = re.search(r"(\d+) requests in", printed)
    if rate is None or requests is None or None in latency.values():
        sys.exit(f"wrk printed something else than expected:\n{printed}")
    unit = {"us": 1e-3, "ms": 1.0, "s": 1e3}
    times = {f"p{name}_ms": float(match[1]) * unit[match[2]] for name, match in latency.items() if match}
    cpu = {} if pid is None else {"cpu_ms": 1e3 * used_s / int(requests[1])}
    return {"requests_per_s": float(rate[1]), **times, **cpu}


def warm(port: int, script: Path, seconds: int) -> None:
    """Load for two seconds before loads of so many; not at all before a load of one, which measures nothing anyway."""
    if seconds > 1:
        load(port, script, min(2, seconds))


def processor_s(pid: int) -> float:
    """Used by all threads of a process so far."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    ticks = int(fields[11]) + int(fields[12])
    return ticks / float(os.sysconf("SC_CLK_TCK"))


def resident_mib(pid: int, kind: str = "VmRSS") -> float:
    """Memory of a process: VmRSS all that is resident, RssAnon what no file stands behind, VmHWM the most so far."""
    found = re.search(rf"{kind}:\s+(\d+)", Path(f"/proc/{pid}/status").read_text())
    assert found is not None
    return int(found[1]) / 1024
