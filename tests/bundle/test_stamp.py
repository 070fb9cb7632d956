"""The stamp: checked in full once, trusted until a file changes, never needed."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

import bundle.read
from bundle import read_bundle
from bundle.errors import DamagedError


@pytest.fixture
def full_checks(monkeypatch):
    """The published folders of which every file was hashed, once for each time."""
    folders = []
    check = bundle.read.check_hashes

    def count(folder, *args):
        if not folder.name.startswith("."):
            folders.append(folder)
        check(folder, *args)

    monkeypatch.setattr(bundle.read, "check_hashes", count)
    return folders


def stamp_of(folder):
    return folder.parent / f".{folder.name}.verified.json"


def test_a_first_reading_checks_everything_and_leaves_a_stamp(a_bundle_folder, full_checks):
    folder = a_bundle_folder()
    assert not stamp_of(folder).exists()

    read_bundle(folder)

    assert len(full_checks) == 1
    assert stamp_of(folder).exists()


def test_a_stamp_is_trusted_later(a_bundle_folder, full_checks):
    folder = a_bundle_folder()
    read_bundle(folder)

    again = read_bundle(folder)

    assert len(full_checks) == 1
    assert again.users.ids == ("u0", "u1", "u2", "u3", "u4", "u5")


def test_a_stamp_can_be_left_aside(a_bundle_folder, full_checks):
    folder = a_bundle_folder()
    read_bundle(folder)

    read_bundle(folder, trust_stamp=False)

    assert len(full_checks) == 2


@pytest.mark.parametrize("file", ["users.safetensors", "items.parquet", "card.json", "audit/base.safetensors"])
def test_another_modification_time_ends_the_trust(a_bundle_folder, full_checks, file):
    folder = a_bundle_folder()
    read_bundle(folder)

    status = (folder / file).stat()
    os.utime(folder / file, ns=(status.st_atime_ns, status.st_mtime_ns + 1))
    read_bundle(folder)

    assert len(full_checks) == 2


def test_another_size_ends_the_trust_even_with_the_old_modification_time(a_bundle_folder, full_checks):
    folder = a_bundle_folder()
    read_bundle(folder)
    card = folder / "card.json"
    before = card.stat()

    card.write_text(card.read_text() + " ")
    os.utime(card, ns=(before.st_atime_ns, before.st_mtime_ns))

    with pytest.raises(DamagedError, match=r"card\.json: size in bytes"):
        read_bundle(folder)


def test_another_manifest_ends_the_trust(a_bundle_folder, full_checks, forger):
    folder = a_bundle_folder()
    read_bundle(folder)

    forger.edit(folder, lambda manifest: manifest.update(code_revision="another"))
    read_bundle(folder)

    assert len(full_checks) == 2


def test_leaving_audit_out_ends_the_trust(a_bundle_folder, full_checks):
    folder = a_bundle_folder()
    read_bundle(folder)

    (folder / "audit").rename(folder.parent.parent / "elsewhere")

    assert read_bundle(folder).audit is None
    assert len(full_checks) == 2


def test_a_file_that_changes_while_it_is_checked_is_not_stamped(a_bundle_folder, full_checks, monkeypatch):
    folder = a_bundle_folder()
    check = bundle.read.check_values

    def slow_check(*args):
        check(*args)
        raw = (folder / "users.safetensors").read_bytes()
        (folder / "users.safetensors").write_bytes(raw[:-1] + bytes([raw[-1] ^ 1]))

    with monkeypatch.context() as patch:
        patch.setattr(bundle.read, "check_values", slow_check)
        read_bundle(folder)

    with pytest.raises(DamagedError, match="sha256"):
        read_bundle(folder)


def test_a_refused_bundle_is_not_stamped(a_bundle_folder):
    folder = a_bundle_folder()
    (folder / "card.json").write_text("{}")

    with pytest.raises(DamagedError):
        read_bundle(folder)

    assert not stamp_of(folder).exists()


def test_where_the_place_is_read_only_each_start_checks_everything(a_bundle_folder, full_checks, monkeypatch):
    folder = a_bundle_folder()

    def read_only(self, *args, **kwargs):
        raise OSError(30, "Read-only file system", str(self))

    monkeypatch.setattr(Path, "write_text", read_only)
    read_bundle(folder)
    read_bundle(folder)

    assert len(full_checks) == 2
    assert not stamp_of(folder).exists()


@pytest.mark.parametrize("text", ["", "{", "[]", "null", "[" * 100_000, '{"manifest": "", "files": {}}', "\x00\xff"])
def test_a_stamp_that_makes_no_sense_is_not_trusted(a_bundle_folder, full_checks, text):
    folder = a_bundle_folder()
    stamp_of(folder).write_text(text, encoding="latin-1")

    read_bundle(folder)

    assert len(full_checks) == 1
    assert json.loads(stamp_of(folder).read_text())["files"]


WITHOUT_PANDAS = """
import sys
from pathlib import Path
from bundle import read_bundle
read_bundle(Path(sys.argv[1]), trust_stamp=False)
print("pandas" in sys.modules)
"""


def test_a_version_is_checked_in_full_without_pandas(a_bundle_folder):
    """Arrow imports it for a single Python number, which would be most of a first activation, while requests wait."""
    pytest.importorskip("pandas")

    said = subprocess.check_output([sys.executable, "-c", WITHOUT_PANDAS, str(a_bundle_folder())], text=True)

    assert said == "False\n"


def test_whoever_reads_in_full_may_rest_after_each_mebibyte_and_between_stages(a_bundle_folder):
    folder = a_bundle_folder(items=50_000, dimensions=16)
    blocks = sum(-(-path.stat().st_size // 2**20) for path in folder.rglob("*") if path.is_file())
    calls = []

    read_bundle(folder, pause=lambda: calls.append("full"))
    read_bundle(folder, pause=lambda: calls.append("stamped"))

    assert blocks > 12  # more than there are files
    assert calls.count("full") >= blocks + calls.count("stamped")
    assert calls.count("stamped") >= 5
