"""Processes of Python that have imported everything before they begin: forks, in place of seconds of imports each.

Inside `preloaded()` whatever starts `python -m MODULE`, `python SCRIPT` or `python -c CODE` with the `subprocess`
module, and the workers that multiprocessing spawns, gets a fork of a process that has imported the product and begins
there. The fork is a child of whoever asked, with a process id, exit status, streams, folder, environment, session and
group as it would have had. What it starts in its turn begins the same way.

A process of one thread stands beside each of them and forks for it: the asking one may have threads by then, and has
become something else. A start that asks for what an import would have read differently (another hash seed, other
threads) or for an option of Python is a real one, and so is everything outside `preloaded()`.
"""

from __future__ import annotations

import atexit
import ctypes
import fcntl
import gc
import inspect
import json
import multiprocessing.util
import os
import runpy
import signal
import socket
import subprocess
import sys
import threading
import time
import types
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, NoReturn

import numpy

ROOT = Path(__file__).parents[1]
IMPORTED = (
    "service.serve",
    "service.command_line.keys",
    "service.command_line.lists",
    "measure.audit",
    "training.run",
    "training.__main__",
    "torch._dynamo",  # which the first optimiser imports
    "sklearn.ensemble",
    "sklearn.svm",
    "httpx",
    "evenhand_client",
)
READ_BY_IMPORTS = ("PYTHON", "OMP_", "OPENBLAS_", "MKL_", "CUDA_", "LD_", "POLARS_", "COVERAGE_")
READ_LATER = ("PYTHONPATH", "PYTHONUNBUFFERED", "OMP_WAIT_POLICY")
"""But for these: the last says how a thread waits for others, and who has one thread waits for none."""
ASKED_SHORT = "SHORT_TEACHERS"
"""An environment variable: lattices of such a fork, and of those it starts, learn next to nothing of labels."""
SHORT_TEACHERS = {"LINEAR_EPOCHS": 2, "MLP_EPOCHS": 2, "FEWEST_STEPS": 2, "STUDENT_STEPS": 20}
"""In `training.fair.lattice.scores`; most of the time of a small fit is teachers'."""
NAME = "nursery"
MOST_BYTES = 1 << 17
ASIDE = 500
"""Descriptors from here on are in nobody's way."""
SUBREAPER, IS_SUBREAPER, SET_NAME = 36, 37, 15
"""Of prctl."""

_prctl = ctypes.CDLL(None, use_errno=True).prctl
_really_start = subprocess.Popen
_really_spawn = multiprocessing.util.spawnv_passfds
_beside: Beside | None = None
"""Who forks for this process."""
_interrupted = signal.getsignal(signal.SIGINT)
"""What SIGINT does here; a shell may have started us so that it does nothing."""
_base: list[str] = []
"""Where Python looks for modules after the folder of the command and PYTHONPATH."""


class Beside:
    """The process that forks for this one."""

    def __init__(self, door: socket.socket, environment: Mapping[str, str]) -> None:
        """Take our end of what connects us, and the environment under which it has imported."""
        self._door = door
        self._read = _read_by_imports(environment)
        self._lock = threading.Lock()

    def start(self, arguments: Sequence[str], environment: Mapping[str, str] | None, **how: Any) -> int | None:
        """Fork.

        Args:
            arguments: of Python, without its name.
            environment: None where it is ours.
            how: as `_become` takes it; ``streams`` and ``passed`` are descriptors of ours.

        Returns:
            The process id of our new child; None where it has to be a real start.
        """
        given = {os.fsdecode(name): os.fsdecode(text) for name, text in (environment or os.environ).items()}
        if _read_by_imports(given) != self._read or (
            arguments[0].startswith("-") and arguments[0] not in ("-m", "-c", "-u")
        ):
            return None
        streams, passed = how.pop("streams"), sorted(how.pop("passed"))
        wanted = {"arguments": list(arguments), "environment": given, "passed": passed, **how}
        message = json.dumps(wanted).encode()
        if len(message) > MOST_BYTES:
            return None
        was = ctypes.c_int(0)
        with self._lock, suppress(OSError):
            _prctl(IS_SUBREAPER, ctypes.byref(was))
            _prctl(SUBREAPER, 1)  # so the fork, whose parent ends at once, becomes our child
            try:
                socket.send_fds(self._door, [message], [*streams, *passed])
                return int(self._door.recv(64)) or None
            except ValueError:
                return None  # nobody is there any more
            finally:
                _prctl(SUBREAPER, was.value)
        return None

    def close(self) -> None:
        """Let it end; what it has forked lives on."""
        self._door.close()


def _read_by_imports(environment: Mapping[str, str]) -> dict[str, str]:
    return {
        name: text for name, text in environment.items() if name.startswith(READ_BY_IMPORTS) and name not in READ_LATER
    }


class Popen(subprocess.Popen):  # type: ignore[type-arg]
    """`subprocess.Popen`, which forks where it can."""

    def _execute_child(self, *given: Any) -> None:
        how = inspect.signature(_really_start._execute_child).bind(self, *given).arguments  # type: ignore[attr-defined]
        arguments = [] if isinstance(how["args"], (str, bytes)) else [os.fsdecode(word) for word in how["args"]]
        folder = how["cwd"] or str(Path.cwd())
        plain = how["close_fds"] and not (
            how["shell"] or how["preexec_fn"] or how["executable"] not in (None, sys.executable)
        )
        pid = None
        if _beside and plain and len(arguments) > 1 and arguments[0] == sys.executable and Path(folder).is_dir():
            ends = (how["p2cread"], how["c2pwrite"], how["errwrite"])
            pid = _beside.start(
                arguments[1:],
                how["env"],
                streams=[number if end == -1 else end for number, end in enumerate(ends)],
                passed=how["pass_fds"],
                folder=os.fsdecode(folder),
                new_session=how["start_new_session"],
                group=how["process_group"],
            )
        if pid is None:
            super()._execute_child(*given)  # type: ignore[misc]
            return
        self.pid = pid
        self._child_created = True
        self._close_pipe_fds(
            *(how[end] for end in ["p2cread", "p2cwrite", "c2pread", "c2pwrite", "errread", "errwrite"])
        )


def _spawn(path: Any, arguments: Sequence[Any], passed: Sequence[int]) -> int:
    """`multiprocessing.util.spawnv_passfds`; a worker starts nothing itself."""
    words = [os.fsdecode(word) for word in arguments]
    if _beside and "--multiprocessing-fork" in words and os.fsdecode(path) == sys.executable:
        how = {"folder": str(Path.cwd()), "new_session": False, "group": -1, "alone": True}
        words = words[words.index("-c") :]
        if pid := _beside.start(words, None, streams=[0, 1, 2], passed=passed, **how):
            return pid
    return _really_spawn(path, arguments, passed)


def _begin_to_fork() -> None:
    subprocess.Popen, multiprocessing.util.spawnv_passfds = Popen, _spawn  # type: ignore[misc]


@contextmanager
def preloaded() -> Iterator[None]:
    """All that this process starts in the meantime is forked where that can be; costs seconds the first time."""
    global _beside
    if _beside is None:
        _beside = _first()
    before = subprocess.Popen, multiprocessing.util.spawnv_passfds
    _begin_to_fork()
    try:
        yield
    finally:
        subprocess.Popen, multiprocessing.util.spawnv_passfds = before  # type: ignore[misc]


def children_of(process: int) -> list[int]:
    """Process ids of the children that it asked for itself; none where it is gone."""
    try:
        ids = Path(f"/proc/{process}/task/{process}/children").read_text().split()
        return [int(one) for one in ids if Path(f"/proc/{one}/comm").read_text().strip() != NAME]
    except (FileNotFoundError, ProcessLookupError):
        return []


def _first() -> Beside:
    """Begin the process that imports everything; it ends with this one."""
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    code = f"import sys; sys.path[0] = {str(ROOT)!r}; from tests.nursery import main; main({theirs.fileno()})"
    environment = {name: text for name, text in os.environ.items() if name != "PYTHONPATH"}
    with theirs:
        process = _really_start(
            [sys.executable, "-c", code], env=environment, pass_fds=[theirs.fileno()], stdin=subprocess.DEVNULL
        )
    atexit.register(process.wait, 30)
    atexit.register(ours.close)
    return Beside(ours, environment)


def main(door: int) -> NoReturn:
    """Import everything, then fork whenever that is asked for."""
    ours = sys.path.pop(0)
    _base[:] = sys.path
    sys.path[:0] = [ours, str(ROOT / "clients" / "python")]
    for name in IMPORTED:
        __import__(name)
    for name in [name for name in sys.modules if name.endswith(".__main__")]:
        del sys.modules[name]  # it is run, not imported
    gc.collect()
    gc.freeze()
    os.register_at_fork(after_in_child=_forget)
    _fork_for(socket.socket(fileno=door))


def _forget() -> None:
    """A plain fork has nobody beside it: what is forked for its parent is no child of its own."""
    global _beside
    if _beside is not None:
        _beside.close()
        _beside = None


def _fork_for(asked: socket.socket) -> NoReturn:
    """Fork for whoever holds the other end, until it has ended."""
    nowhere = os.open(os.devnull, os.O_RDWR)
    for stream in (0, 1, 2):
        os.dup2(nowhere, stream)
    os.close(nowhere)
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    _prctl(SET_NAME, NAME.encode())
    while True:
        message, descriptors, *_ = socket.recv_fds(asked, MOST_BYTES, 250)
        if not message:
            os._exit(0)
        read, write = os.pipe()
        if (between := os.fork()) == 0:
            between = os.getpid()
            if (child := os.fork()) == 0:
                for end in (read, write, asked.detach()):
                    os.close(end)
                while os.getppid() == between:
                    time.sleep(0.0005)
                _become(descriptors, **json.loads(message))
            os.write(write, str(child).encode())
            os._exit(0)
        for end in (write, *descriptors):
            os.close(end)
        child_id = os.read(read, 64)
        os.close(read)
        os.waitpid(between, 0)
        asked.send(child_id or b"0")


def _become(
    descriptors: Sequence[int],
    *,
    arguments: Sequence[str],
    environment: Mapping[str, str],
    folder: str,
    passed: Sequence[int],
    new_session: bool,
    group: int,
    alone: bool = False,
) -> NoReturn:
    """Be what was asked for, to its end.

    Args:
        descriptors: standard input, output and error, then those for ``passed``.
        arguments: of Python.
        environment: all of it.
        folder: where it works.
        passed: the numbers that further descriptors have in it.
        new_session: whether it leads one.
        group: of processes, 0 for its own, -1 for the one it is in.
        alone: it starts nothing itself.
    """
    global _beside
    if new_session:
        os.setsid()
    elif group != -1:
        os.setpgid(0, group)
    if not alone:
        ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        if os.fork() == 0:
            for end in (ours.detach(), *descriptors):
                os.close(end)
            _fork_for(theirs)
        theirs.close()
        door = socket.socket(fileno=fcntl.fcntl(ours.detach(), fcntl.F_DUPFD_CLOEXEC, ASIDE))
        _beside = Beside(door, os.environ)
        _begin_to_fork()
    held = [fcntl.fcntl(descriptor, fcntl.F_DUPFD, ASIDE) for descriptor in descriptors]
    for descriptor in descriptors:
        os.close(descriptor)
    for descriptor, number in zip(held, (0, 1, 2, *passed), strict=True):
        os.dup2(descriptor, number)
        os.close(descriptor)
    os.chdir(folder)
    os.environ.clear()
    os.environ.update(environment)
    if ASKED_SHORT in environment:
        scores = sys.modules["training.fair.lattice.scores"]
        for name, number in SHORT_TEACHERS.items():
            setattr(scores, name, number)
    signal.signal(signal.SIGINT, _interrupted)
    _prctl(SET_NAME, b"python")
    numpy.random.seed()  # noqa: NPY002  the global one was made before the fork
    _end(_status(arguments))


def _status(arguments: Sequence[str]) -> int:
    """The exit status of `python ARGUMENTS`, run to its end."""
    try:
        _run(*arguments)
    except SystemExit as end:
        if end.code is None or isinstance(end.code, int):
            return end.code or 0
        sys.stderr.write(f"{end.code}\n")
        return 1
    except BaseException as error:
        sys.excepthook(*sys.exc_info())
        return -signal.SIGINT if isinstance(error, KeyboardInterrupt) else 1
    return 0


def _end(status: int) -> NoReturn:
    """End as Python does, but leave what is in memory to the kernel: taking it apart would copy most of it."""
    threading._shutdown()  # type: ignore[attr-defined]  # waits for threads
    atexit._run_exitfuncs()
    for stream in (sys.stdout, sys.stderr):
        with suppress(OSError, ValueError):
            stream.flush()
    if status < 0:
        signal.signal(-status, signal.SIG_DFL)
        os.kill(os.getpid(), -status)
    os._exit(status & 0xFF)


def _run(what: str, *arguments: str) -> None:
    """`python WHAT ARGUMENTS`."""
    if what == "-u":
        sys.stdout.reconfigure(write_through=True)  # type: ignore[union-attr]
        what, *arguments = arguments
    further = [path for path in os.environ.get("PYTHONPATH", "").split(os.pathsep) if path]
    if what == "-m":
        name, *arguments = arguments
        sys.path[:] = [str(Path.cwd()), *further, *_base]
        sys.argv[:] = ["-m", *arguments]
        runpy.run_module(name, run_name="__main__", alter_sys=True)
    elif what == "-c":
        code, *arguments = arguments
        sys.path[:] = ["", *further, *_base]
        sys.argv[:] = ["-c", *arguments]
        sys.modules["__main__"] = main = types.ModuleType("__main__")
        exec(compile(code, "<string>", "exec"), main.__dict__)
    else:
        sys.path[:] = [str(Path(what).resolve().parent), *further, *_base]
        sys.argv[:] = [what, *arguments]
        runpy.run_path(what, run_name="__main__")
