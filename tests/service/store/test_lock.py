"""SQLite takes one process."""

from __future__ import annotations

import os
import stat
import subprocess
import sys
from pathlib import Path

import pytest

from service.store import Store, StoreStartError

HOLD = """
import sys, time
from service.store import Store
store = Store(sys.argv[1])
print("holding", flush=True)
time.sleep(60)
"""


def test_a_second_process_is_refused_and_a_dead_one_is_forgotten(tmp_path):
    url = f"sqlite:///{tmp_path}/store.db"
    root = Path(__file__).parents[3]
    with subprocess.Popen([sys.executable, "-c", HOLD, url], stdout=subprocess.PIPE, cwd=root) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == b"holding\n"

        with pytest.raises(StoreStartError, match=f"process {process.pid} serves"):
            Store(url)
        process.kill()

    store = Store(url)
    assert (tmp_path / "store.db.lock").read_text() == f"{os.getpid()}\n"
    store._let_go()


def test_the_file_is_for_its_owner_alone(tmp_path):
    store = Store(f"sqlite:///{tmp_path}/store.db")

    for file in ("store.db", "store.db.lock"):
        assert stat.S_IMODE((tmp_path / file).stat().st_mode) == 0o600
    store._let_go()


def test_a_folder_is_made_for_its_owner_and_the_one_above_it_is_not(tmp_path):
    store = Store(f"sqlite:///{tmp_path}/state/store.db")
    store._let_go()

    assert stat.S_IMODE((tmp_path / "state").stat().st_mode) == 0o700
    with pytest.raises(StoreStartError, match="nowhere"):
        Store(f"sqlite:///{tmp_path}/nowhere/state/store.db")
