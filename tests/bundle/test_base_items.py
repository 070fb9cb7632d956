"""Items that were changed along with the users: audits have those that u goes with, serving has not."""

from __future__ import annotations

import shutil
from dataclasses import replace

import numpy as np
import pytest

from bundle import read_bundle, write_bundle
from bundle.errors import DamagedError


@pytest.fixture
def changed(a_bundle):
    """A bundle in memory that says it has them, and has."""
    made = a_bundle()
    before = np.flip(made.items.vectors, axis=0).copy()
    description = made.description.model_copy(update={"base_items": True})
    return replace(made, description=description, audit=replace(made.audit, items=before))


def test_they_are_read_as_they_were_written(changed, tmp_path):
    found = read_bundle(write_bundle(changed, tmp_path))

    np.testing.assert_array_equal(found.audit.items, changed.audit.items)
    np.testing.assert_array_equal(found.items.vectors, changed.items.vectors)


def test_a_bundle_whose_items_were_not_changed_has_no_such_file(a_bundle_folder):
    folder = a_bundle_folder()

    assert read_bundle(folder).audit.items is None
    assert not (folder / "audit" / "items.safetensors").exists()


def test_a_manifest_that_speaks_of_them_needs_their_file_and_no_other_may_have_it(changed, a_bundle, tmp_path):
    promised = replace(changed, audit=replace(changed.audit, items=None))
    with pytest.raises(DamagedError, match="files under audit/ should be all or none"):
        write_bundle(promised, tmp_path / "one")

    silent = replace(changed, description=a_bundle().description)
    with pytest.raises(DamagedError, match="files should be only"):
        write_bundle(silent, tmp_path / "two")


def test_without_audit_the_bundle_serves_all_the_same(changed, tmp_path):
    folder = write_bundle(changed, tmp_path)
    shutil.rmtree(folder / "audit")

    assert read_bundle(folder).audit is None


def test_a_bundle_of_an_older_schema_has_none(a_bundle_folder, forger):
    folder = a_bundle_folder()
    forger.edit(folder, lambda manifest: manifest.update(schema_version=8))
    forger.edit(folder, lambda manifest: manifest.pop("base_items"))

    assert not read_bundle(folder).description.base_items
