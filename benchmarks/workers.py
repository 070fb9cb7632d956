"""What a second process brings: the service with one and with two workers, beside a bare route with one and with two.

    .venv/bin/python benchmarks/workers.py [--postgres URL] [--seconds 8] [--rounds 5]

Needs wrk (Debian's package). A generated bundle of MovieLens-1M's size (`generated.py`), the log on, the cache off,
as in `serving.py`; on SQLite, and on PostgreSQL where the URL of an empty database is given. All servers run side by
side and are loaded in turn. wrk needs a part of the cores too, so the scaling of the bare route says what this machine
has to give, and the result is our scaling as a share of it. Results go to results/workers.json and workers.md.
"""

from __future__ import annotations

import statistics
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

from command import Command
from generated import USERS, Size, generated_bundle
from loopback import CONNECTIONS, app, check_wrk, free_ports, load, plain_environment, service, warm, write_script
from machine import circumstances
from report import write_report

from bundle import read_bundle, write_bundle

MASKS = ("", "gender", "age", "gender,age", "gender,age,occupation")
WORKERS = ("1", "2")
PACKAGES = ("fastapi", "uvicorn", "sqlalchemy", "psycopg")


def main() -> None:
    """Measure, print and write."""
    command = Command(__doc__)
    command.add_argument("--postgres", metavar="URL")
    command.add_size("--users", type=int, default=USERS, help="of the generated bundle")
    command.add_size("--seconds", type=int, default=8)
    command.add_size("--rounds", type=int, default=5)
    options = command.options()
    check_wrk()
    with tempfile.TemporaryDirectory() as scratch, ExitStack() as running:
        folder = write_bundle(generated_bundle(1, Size(users=options.users)), Path(scratch) / "bundles")
        script = write_script(Path(scratch) / "users.lua", read_bundle(folder).users.ids, MASKS)
        ports, pids = started(folder, Path(scratch), options.postgres, running)
        for port in ports.values():
            warm(port, script, options.seconds)
        rounds = [
            {name: load(port, script, options.seconds) for name, port in ports.items()} for _ in range(options.rounds)
        ]
        own_mib = {name: [private_mib(child) for child in children_of(pid)] for name, pid in pids.items()}
    result = circumstances(PACKAGES) | {"seconds": options.seconds, "rounds": rounds, "own_mib": own_mib}
    write_report(options.results, "workers", "One worker and two", result, as_text(result))


def started(
    folder: Path, scratch: Path, postgres: str | None, running: ExitStack
) -> tuple[dict[str, int], dict[str, int]]:
    """Every server, one after the other: its port; and the process id of ours."""
    kinds = ["bare", "sqlite", *(["postgresql"] if postgres else [])]
    names = [f"{kind} {workers}" for kind in kinds for workers in WORKERS]
    ports, pids = dict(zip(names, free_ports(len(names)), strict=True)), {}
    for workers in WORKERS:
        running.enter_context(app("bare:app", ports[f"bare {workers}"], "--workers", workers))
        name = f"sqlite {workers}"
        pids[name] = running.enter_context(
            service(folder, ports[name], scratch / f"{workers}.db", EVENHAND_WORKERS=workers)
        )
        if postgres:
            name = f"postgresql {workers}"
            pids[name] = running.enter_context(on_postgres(folder, ports[name], postgres, workers))
    return ports, pids


@contextmanager
def on_postgres(folder: Path, port: int, url: str, workers: str) -> Iterator[int]:
    """The service on PostgreSQL, whose schema is made first."""
    settings = {"EVENHAND_DATABASE_URL": url, "EVENHAND_WORKERS": workers}
    migrate = [sys.executable, "-m", "service", "migrate"]
    subprocess.run(migrate, check=True, env=plain_environment() | settings, stdout=subprocess.DEVNULL)
    with service(folder, port, Path("unused"), **settings) as pid:
        yield pid


def children_of(pid: int) -> list[int]:
    """The processes that a supervisor has started; the process itself where there is none."""
    found = [int(child) for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]
    return found or [pid]


def private_mib(pid: int) -> float:
    """Memory that no other process shares."""
    lines = Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()
    return round(sum(int(line.split()[1]) for line in lines if line.startswith("Private")) / 1024, 1)


def as_text(result: dict[str, Any]) -> str:
    """Scalings, then what they are made of."""
    rounds = result["rounds"]
    scaling = {kind: _ratios(rounds, f"{kind} 2", f"{kind} 1") for kind in _kinds(rounds)}
    bare = scaling.pop("bare")
    lines = [
        f"{CONNECTIONS} connections, {result['seconds']} s a round, medians of {len(rounds)} rounds, no cache.",
        "",
        "| two workers, × one | measured | × the bare route's |",
        "|---|---|---|",
        f"| bare route | {_spread(bare)} | |",
    ]
    for kind, ratios in scaling.items():
        shares = [one / other for one, other in zip(ratios, bare, strict=True)]
        lines.append(f"| ours, {kind} | {_spread(ratios)} | {_spread(shares)} (to be at least .88) |")
    lines += ["", "| server, workers | requests/s | p50 ms | p99 ms | MiB of its own, each |", "|---|---|---|---|---|"]
    for name in rounds[0]:
        values = [f"{_median(rounds, name, 'requests_per_s'):,.0f}"]
        values += [f"{_median(rounds, name, what):.1f}" for what in ("p50_ms", "p99_ms")]
        own = ", ".join(f"{mib:.0f}" for mib in result["own_mib"].get(name, []))
        lines.append(f"| {name} | {' | '.join(values)} | {own} |")
    return "\n".join(lines)


def _kinds(rounds: Sequence[Any]) -> list[str]:
    return list(dict.fromkeys(name.split()[0] for name in rounds[0]))


def _ratios(rounds: Sequence[Any], one: str, other: str) -> list[float]:
    return [each[one]["requests_per_s"] / each[other]["requests_per_s"] for each in rounds]


def _median(rounds: Sequence[Any], name: str, what: str) -> float:
    return statistics.median(one[name][what] for one in rounds)


def _spread(ratios: Sequence[float]) -> str:
    return f"**{statistics.median(ratios):.2f}** ({min(ratios):.2f} - {max(ratios):.2f})"


if __name__ == "__main__":
    main()
