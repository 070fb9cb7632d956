"""Where the processor time of a request goes, thread by thread and stage by stage, in microseconds.

    .venv/bin/python benchmarks/request.py [--bundle DIR] [--seconds 20]

Needs wrk (Debian's package) and py-spy, which must be allowed to look into a process of the same user. The service
answers the load of `serving.py` three times: alone, which gives the processor time of each of its threads, and while
py-spy looks at its stacks. A thread's time is divided among stages as its samples are, those of the event loop only
where it holds the interpreter: it waits for sockets without. A sample belongs to the stage whose code is nearest to the
top of the stack. Results: results/request.md.
"""

from __future__ import annotations

import re
import subprocess
import sys
import tempfile
from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from command import Command
from generated import USERS, Size, generated_bundle
from loopback import app, check_wrk, free_ports, load, service, warm, write_script
from machine import circumstances
from report import write_report
from serving import MASKS, PACKAGES

from bundle import read_bundle, write_bundle

RATE = 250
"""Looks at the stacks a second."""
LEAST_US = 0.5
"""A stage that takes less has no line."""
BARE, OURS = free_ports(2)


class Stage(NamedTuple):
    """A part of a request, and the code that is its own."""

    name: str
    thread: str
    code: tuple[str, ...]
    """Beginnings of ``file:function``; a file alone is all of it."""


STAGES = (
    Stage(
        "read the request (httptools, uvicorn)",
        "event loop",
        ("uvicorn/protocols", "uvicorn/server", "service/http_protocol.py:on_", "httptools/"),
    ),
    Stage("write the answer to the socket", "event loop", ("service/http_protocol.py",)),
    Stage("metrics, log line", "event loop", ("service/api/middleware.py:_record", "service/logs.py")),
    Stage(
        "id, headers, route, key",
        "event loop",
        (
            "service/api/middleware.py",
            "service/api/dispatch.py",
            "service/api/access.py",
            "service/api/request_context.py",
            "service/api/state.py",
            "service/api/paths.py",
            "service/access.py",
            "service/rate_limits.py",
        ),
    ),
    Stage("query string", "event loop", ("service/api/query.py", "service/api/list_requests.py")),
    Stage(
        "plan: user, requirement, seen and hidden items",
        "event loop",
        (
            "service/recommend/plan.py",
            "service/requirement.py",
            "service/model/active.py",
            "service/model/item_lookup.py",
            "service/model/share.py",
            "service/store/state_cache.py",
            "service/recommend/queries.py",
            "service/balance.py",
            "bundle/",
        ),
    ),
    Stage("cache", "event loop", ("service/cache",)),
    Stage("cursor", "event loop", ("service/recommend/cursor.py",)),
    Stage("answer: page, JSON, response", "event loop", ("service/api/schemas", "service/api/answer.py", "starlette/")),
    Stage("the request's own coroutine", "event loop", ("service/recommend/recommender.py", "service/api/")),
    Stage("hand over and wake", "event loop", ("service/thread_queue.py", "service/recommend/batcher.py")),
    Stage("turns of the loop", "event loop", ("asyncio/", "uvicorn/", "service/")),
    Stage("hand over and wake", "worker", ("service/thread_queue.py",)),
    Stage(
        "encode",
        "worker",
        ("service/model/encoder.py", "service/model/array_network.py", "<eval_with_key>", "bundle/networks", "torch/"),
    ),
    Stage("search", "worker", ("service/index", "faiss/", "numpy/")),
    Stage("record", "worker", ("service/recommend/recommender.py", "service/store/record.py")),
    Stage("the rest", "worker", ("service/", "threading.py")),
    Stage("hand over and wake", "log's writer", ("service/thread_queue.py",)),
    Stage("record and commit", "log's writer", ("service/store", "sqlalchemy/", "service/")),
)
"""In the order in which a frame is looked up; of each thread, its own."""
THREADS = {"MainThread": "event loop", "batcher": "worker", "store": "log's writer"}
"""Beginnings of the names of the service's threads."""
OTHER = "other threads"
WAITS = "take (service/thread_queue.py"
"""A thread that waits for work, which py-spy takes for work itself."""


def main() -> None:
    """Load, look, divide."""
    command = Command(__doc__)
    command.add_size("--bundle", type=Path)
    command.add_size("--users", type=int, default=USERS, help="of the generated bundle")
    command.add_size("--seconds", type=int, default=20)
    options = command.options()
    check_wrk()
    with tempfile.TemporaryDirectory() as scratch:
        folder = options.bundle or write_bundle(
            generated_bundle(1, Size(users=options.users)), Path(scratch) / "bundles"
        )
        result = measure(folder, Path(scratch), options.seconds)
    facts = circumstances((*PACKAGES, "py-spy"))
    write_report(options.results, "request", "Where a request's time goes", facts | result, _table(result))


def measure(folder: Path, scratch: Path, seconds: int) -> dict[str, Any]:
    """Processor ms of a request of either server, and microseconds of ours by thread and stage."""
    script = write_script(scratch / "users.lua", read_bundle(folder).users.ids, MASKS)
    with app("bare:app", BARE) as bare, service(folder, OURS, scratch / "log.db") as ours:
        for port in (BARE, OURS):
            warm(port, script, seconds)
        before = thread_times(ours)
        cpu_ms = {"ours": load(OURS, script, seconds, ours)["cpu_ms"]}
        used = {thread: ticks - before.get(thread, 0) for thread, ticks in thread_times(ours).items()}
        cpu_ms["bare"] = load(BARE, script, seconds, bare)["cpu_ms"]
        stacks = [
            line
            for gil in (True, False)
            for line in looked(ours, script, seconds, scratch / f"stacks-{gil}.txt", gil=gil)
            if ("MainThread" in line) is gil
        ]
    each_us = {thread: 1e3 * cpu_ms["ours"] * ticks / sum(used.values()) for thread, ticks in used.items()}
    return {"cpu_ms": cpu_ms, "stages": divided(stacks, each_us)}


def divided(stacks: Sequence[str], each_us: Mapping[int, float]) -> list[Any]:
    """Rows (thread, stage, microseconds a request), the dearest first.

    Args:
        stacks: lines of py-spy's raw format: frames from the thread to the innermost one, joined by ``;``, then a
            number of samples. The thread is ``thread (ID): NAME``, a frame ``function (file)``.
        each_us: thread id → what it takes of a request.
    """
    samples: dict[int, Counter[tuple[str, str]]] = {}
    for line in stacks:
        frames, _, number = line.rpartition(" ")
        thread, *calls = frames.split(";")
        if calls and calls[-1].startswith(WAITS):
            continue
        found = re.fullmatch(r"thread \((\d+)\): (.*)", thread)
        assert found is not None, line
        name = next((ours for begin, ours in THREADS.items() if found[2].startswith(begin)), OTHER)
        samples.setdefault(int(found[1]), Counter())[name, _stage(name, calls)] += int(number)
    total: defaultdict[tuple[str, str], float] = defaultdict(float)
    for thread, us in each_us.items():
        counted = samples.get(thread) or Counter([(OTHER, "the rest")])
        for place, looks in counted.items():
            total[place] += us * looks / counted.total()
    return [[thread, stage, round(us, 1)] for (thread, stage), us in sorted(total.items(), key=lambda one: -one[1])]


def _stage(thread: str, calls: list[str]) -> str:
    for call in reversed(calls):
        function, _, file = call.removesuffix(")").partition(" (")
        place = f"{file}:{function}"
        for stage in STAGES:
            if stage.thread == thread and place.startswith(stage.code):
                return stage.name
    return "the rest"


def thread_times(pid: int) -> dict[int, int]:
    """Thread id → clock ticks of a processor that it has used."""
    found = {}
    for task in Path(f"/proc/{pid}/task").iterdir():
        fields = (task / "stat").read_text().rpartition(")")[2].split()
        found[int(task.name)] = int(fields[11]) + int(fields[12])
    return found


def looked(pid: int, script: Path, seconds: int, out: Path, *, gil: bool) -> list[str]:
    """Lines of py-spy's raw format over a loaded service; ``gil``: of the thread alone that holds the interpreter."""
    options = ["--nolineno", "--threads", "--format", "raw", "--rate", str(RATE), "--duration", str(seconds)]
    command = [Path(sys.executable).with_name("py-spy"), "record", *options, "--output", out, "--pid", str(pid)]
    command += ["--gil"] * gil
    with subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True) as spy:
        load(OURS, script, seconds + 1)
        said = spy.communicate()[1]
    if spy.returncode:
        sys.exit(f"py-spy cannot look into the service: {said.strip()}")
    return out.read_text("utf-8").splitlines()


def _table(result: Mapping[str, Any]) -> str:
    cpu_ms, stages = result["cpu_ms"], result["stages"]
    ours, bare = 1e3 * cpu_ms["ours"], 1e3 * cpu_ms["bare"]
    lines = [f"A request takes {ours:.0f} µs of a processor, one of the bare route {bare:.0f}.", ""]
    lines += ["| thread | stage | µs |", "|---|---|---|"]
    for thread in (*THREADS.values(), OTHER):
        rows = [(stage, us) for owner, stage, us in stages if owner == thread and us >= LEAST_US]
        if rows:
            lines.append(f"| **{thread}** | | **{sum(us for _, us in rows):.0f}** |")
            lines += [f"| | {stage} | {us:.0f} |" for stage, us in rows]
    return "\n".join(lines)


if __name__ == "__main__":
    main()
