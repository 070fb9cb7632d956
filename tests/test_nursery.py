"""A fork of the nursery is what a process would have been: each is started both ways."""

from __future__ import annotations

import multiprocessing
import os
import signal
import subprocess
import sys
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path

import pytest

from tests import nursery

HERE = Path(__file__).parents[1]
ABOUT = """
import os, sys
print(sys.argv[1:], os.getcwd(), os.environ["MINE"], "HOME" in os.environ, sys.path[:2], __name__)
print(sys.stdin.read(), os.getsid(0) == os.getpid(), os.getpgid(0) == os.getpid(), flush=True)
os.write(2, b"told")
"""
ENDS = {
    "nothing": "pass",
    "a status": "import sys; sys.exit(7)",
    "words": "import sys; sys.exit('no')",
    "an error": "{}['what']",
    "a signal": "import os; os.kill(os.getpid(), 9)",
    "control-c": "import os; os.kill(os.getpid(), 2); import time; time.sleep(1)",
    "a thread": "import threading, time; threading.Thread(target=lambda: (time.sleep(0.1), print('late'))).start()",
    "what is to be done at the end": "import atexit; atexit.register(print, 'bye'); print('work', end=' ')",
}


def ended(*words, **how):
    """A command's status, output, and last line of error."""
    done = subprocess.run([sys.executable, *words], capture_output=True, text=True, check=False, **how)
    return done.returncode, done.stdout, done.stderr.splitlines()[-1:]


def both(*words, **how):
    """The same, started as a process and as a fork."""
    really = ended(*words, **how)
    with nursery.preloaded():
        return really, ended(*words, **how)


@pytest.mark.parametrize("code", ENDS.values(), ids=ENDS)
def test_it_ends_with_the_status_and_the_words_of_a_process(code):
    really, forked = both("-c", code)

    assert forked == really


@pytest.mark.parametrize("kind", ["-c", "-m", "-u", "script"])
@pytest.mark.parametrize("group", [{}, {"start_new_session": True}, {"process_group": 0}], ids=str)
def test_it_has_the_arguments_folder_environment_streams_session_and_group_of_a_process(tmp_path, kind, group):
    (tmp_path / "about.py").write_text(ABOUT)
    kinds = {"-c": ["-c", ABOUT], "-m": ["-m", "about"], "-u": ["-u", "-m", "about"], "script": [tmp_path / "about.py"]}
    words = kinds[kind]
    environment = {"MINE": "é", "PYTHONPATH": str(HERE), **same_imports()}

    really, forked = both(*words, "one", "two words", cwd=tmp_path, env=environment, input="heard", **group)

    assert forked == really
    assert really[0] == 0


def same_imports():
    """The part of our environment that decides what an import does."""
    return {name: text for name, text in os.environ.items() if name.startswith(nursery.READ_BY_IMPORTS)}


def test_it_is_a_child_that_has_imported_everything_and_so_is_what_it_starts():
    loaded = "import sys; print('torch' in sys.modules)"
    start = f"subprocess.run([sys.executable, '-c', {loaded!r}])"
    inner = f"import os, subprocess, sys; print(os.getppid(), flush=True); {start}"

    really, forked = both("-c", inner)

    assert really[1].split() == [str(os.getpid()), "False"]
    assert forked[1].split() == [str(os.getpid()), "True"]


@pytest.mark.parametrize("other", [{"PYTHONHASHSEED": "5"}, {"OMP_NUM_THREADS": "2"}], ids=str)
def test_what_imports_would_have_read_differently_makes_it_a_process(other):
    code = f"import os, sys; print('torch' in sys.modules, os.environ[{next(iter(other))!r}])"

    _, forked = both("-c", code, env={**os.environ, **other})

    assert forked[1].split() == ["False", *other.values()]


def test_an_audit_that_a_service_starts_is_a_fork():
    child = "import sys; print('torch' in sys.modules)"
    service = f"""
import os, subprocess, sys
from service.audit.child import environment
print(subprocess.run([sys.executable, '-c', {child!r}], env=environment(os.environ), capture_output=True).stdout)
"""

    with nursery.preloaded():
        assert ended("-c", service, env={**os.environ, "EVENHAND_LOG_LEVEL": "info"})[1] == "b'True\\n'\n"


def test_lattices_of_a_fork_and_of_what_it_starts_learn_little_where_that_is_asked_for():
    said = "import training.fair.lattice.scores as scores; print(scores.STUDENT_STEPS)"
    inner = f"import subprocess, sys; subprocess.run([sys.executable, '-c', {said!r}])"

    found = [ended("-c", said, env={**os.environ, nursery.ASKED_SHORT: "yes"})]
    with nursery.preloaded():
        found += [
            ended("-c", code, env={**os.environ, **more})
            for code, more in [(said, {}), (said, {nursery.ASKED_SHORT: "yes"}), (inner, {nursery.ASKED_SHORT: "yes"})]
        ]

    assert [printed for _, printed, _ in found] == ["600\n", "600\n", "20\n", "20\n"]


def test_it_is_signalled_waited_for_and_leaves_nobody_behind():
    with nursery.preloaded():
        waiting = "import subprocess, sys; subprocess.run([sys.executable, '-c', 'import time; time.sleep(60)'])"
        one = subprocess.Popen([sys.executable, "-c", waiting], start_new_session=True)

        with pytest.raises(subprocess.TimeoutExpired):
            one.wait(0.3)
        os.killpg(one.pid, signal.SIGKILL)

        assert one.wait(10) == -signal.SIGKILL
    with pytest.raises(ChildProcessError):
        os.waitpid(one.pid, 0)


def test_a_spawned_worker_is_one_as_well_and_shares_nothing_that_changed_here(monkeypatch):
    monkeypatch.setattr(nursery, "ASIDE", "changed")

    with nursery.preloaded(), ProcessPoolExecutor(1, multiprocessing.get_context("spawn")) as pool:
        found = pool.submit(eval, "__import__('sys').modules['torch'] and __import__('tests.nursery').nursery.ASIDE")

        assert found.result() == 500


def test_two_forks_draw_other_numbers():
    code = "import random, numpy; print(random.random(), numpy.random.random())"

    _, one = both("-c", code)
    _, other = both("-c", code)

    assert not set(one[1].split()) & set(other[1].split())


def test_outside_nothing_is_forked():
    assert ended("-c", "import sys; print('torch' in sys.modules)") == (0, "False\n", [])
