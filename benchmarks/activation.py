"""What loading a model takes of the process that serves: time, processor, and how long others wait for the interpreter.

    .venv/bin/python benchmarks/activation.py [--users 6040] [--items 3533] [--times 40]

Two generated bundles of MovieLens-1M's size are prepared in turn as an activation does it: every hash and value
checked, the index measured, lists made, and rests between all that (`service/model/rests.py`). Beside it a thread asks
for the interpreter every `ASK_S`, as the threads of requests do; what it waits for a processor is not counted, nor are
waits of less than `LONG_S`. Results go to results/activation.json and activation.md.
"""

from __future__ import annotations

import functools
import statistics
import tempfile
import threading
import time
from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from types import ModuleType
from typing import Any

from command import Command
from generated import ITEMS, USERS, Size, generated_bundle
from machine import circumstances
from report import write_report

from bundle import read, write_bundle
from service.model import loaded, preparation
from service.model.inference import use_one_thread
from service.requirement import Policy

ASK_S = 2e-4
LONG_S = 1e-3
"""A shorter wait is the timer's, or nobody's trouble."""
STAGES: Mapping[str, Sequence[tuple[ModuleType, str]]] = {
    "manifest, names, shapes": [(read, "read_manifest"), (read, "check_names"), (read, "check_shapes")],
    "hashes": [(read, "check_hashes")],
    "arrays mapped, tables unpacked, networks built": [(read, "_load")],
    "values": [(read, "check_values")],
    "stamp": [(read, "stamp")],
    "encoder": [(loaded, "UserEncoder")],
    "index, built and measured": [(loaded, "open_index")],
    "lists as a test": [(preparation, "warm")],
}
"""Stage → the functions that it is."""
ALL = "all of it"
PACKAGES = ("numpy", "torch", "pyarrow")
Times = dict[str, list[tuple[float, float]]]
"""Stage → seconds and seconds of a processor, each time."""


def main() -> None:
    """Prepare, and write both files."""
    command = Command(__doc__)
    command.add_size("--users", type=int, default=USERS)
    command.add_size("--items", type=int, default=ITEMS)
    command.add_size("--times", type=int, default=40)
    options = command.options()
    with tempfile.TemporaryDirectory() as scratch:
        size = Size(users=options.users, items=options.items)
        folders = [write_bundle(generated_bundle(version, size), Path(scratch)) for version in (1, 2)]
        found = measure(folders, options.times)
    sizes = {"users": options.users, "items": options.items, "times": options.times}
    result = circumstances(PACKAGES) | sizes | found
    write_report(options.results, "activation", "What loading a model takes", result, as_text(result))


def measure(folders: Sequence[Path], count: int) -> dict[str, Any]:
    """Milliseconds of each stage, and of waits for the interpreter, of one activation."""
    times: Times = defaultdict(list)
    with ThreadPoolExecutor(1, initializer=use_one_thread) as thread, timed(times):

        def prepare(turn: int) -> None:
            thread.submit(times_of(ALL, times, preparation.prepare), folders[turn % 2], Policy(), "cpu").result()

        prepare(0)  # what is made once
        times.clear()
        with asked() as waits_s:
            for turn in range(count):
                prepare(1 + turn)
    stages = {
        stage: [1e3 * statistics.median(each) for each in zip(*_together(times, stage), strict=True)]
        for stage in (*STAGES, ALL)
    }
    long_ms = [1e3 * each for each in waits_s if each > LONG_S]
    waits = {"each": len(long_ms) / count, "together_ms": sum(long_ms) / count, "longest_ms": max(long_ms, default=0.0)}
    return {"stages_ms": stages, "waits": waits}


def _together(times: Times, stage: str) -> Iterator[tuple[float, float]]:
    """Seconds of a stage each time, its functions added up."""
    parts = [times[name] for _, name in STAGES[stage]] if stage in STAGES else [times[stage]]
    for each in zip(*parts, strict=True):
        yield sum(wall for wall, _ in each), sum(of_processor for _, of_processor in each)


def times_of(name: str, times: Times, function: Callable[..., Any]) -> Callable[..., Any]:
    """The function, which notes how long it takes."""

    @functools.wraps(function)
    def measured(*given: Any, **named: Any) -> Any:
        began, before = time.perf_counter(), time.thread_time()
        try:
            return function(*given, **named)
        finally:
            times[name].append((time.perf_counter() - began, time.thread_time() - before))

    return measured


@contextmanager
def timed(times: Times) -> Iterator[None]:
    """Let the functions of all stages note their times."""
    functions = [(module, name, getattr(module, name)) for each in STAGES.values() for module, name in each]
    for module, name, function in functions:
        setattr(module, name, times_of(name, times, function))
    try:
        yield
    finally:
        for module, name, function in functions:
            setattr(module, name, function)


@contextmanager
def asked() -> Iterator[list[float]]:
    """Seconds that a thread waits for the interpreter, each time that it asks."""
    waits: list[float] = []
    ending = threading.Event()

    def ask() -> None:
        with Path(f"/proc/self/task/{threading.get_native_id()}/schedstat").open() as file:
            queued = _queued_s(file)
            while not ending.is_set():
                began = time.perf_counter()
                time.sleep(ASK_S)
                took, before, queued = time.perf_counter() - began, queued, _queued_s(file)
                waits.append(max(0.0, took - ASK_S - (queued - before)))

    thread = threading.Thread(target=ask)
    thread.start()
    try:
        yield waits
    finally:
        ending.set()
        thread.join()


def _queued_s(file: Any) -> float:
    """How long the thread has waited for a processor by now."""
    file.seek(0)
    return int(file.read().split()[1]) / 1e9


def as_text(result: Mapping[str, Any]) -> str:
    """A table of the stages, and the waits."""
    rows = [f"| {stage} | {wall:.1f} | {busy:.1f} |" for stage, (wall, busy) in result["stages_ms"].items()]
    head = "| stage | ms | of a processor, ms |\n|---|---|---|"
    waits = result["waits"]
    told = (
        f"A thread that asks for the interpreter each {1e3 * ASK_S:g} ms waits for it {waits['each']:.1f} times an "
        f"activation for more than {1e3 * LONG_S:g} ms, {waits['together_ms']:.1f} ms together, "
        f"{waits['longest_ms']:.1f} ms at the longest in {result['times']} activations."
    )
    return f"{result['users']:,} users, {result['items']:,} items; medians.\n\n" + "\n".join([head, *rows, "", told])


if __name__ == "__main__":
    main()
