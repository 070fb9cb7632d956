"""Parts in float16: said by the manifest, held against the file, taken as float32."""

from dataclasses import replace

import numpy as np
import pytest

from bundle import SCHEMA_VERSION, read_bundle, write_bundle
from bundle.errors import DamagedError


@pytest.fixture
def halved(a_bundle):
    """The builder of tiny bundles with parts in float16."""

    def build(**options):
        bundle = a_bundle(**options)
        return replace(bundle, users=replace(bundle.users, parts=bundle.users.parts.astype(np.float16)))

    return build


@pytest.mark.parametrize("table", [False, True])
def test_parts_in_float16_are_read_as_they_were_written(halved, tmp_path, forger, table):
    written = halved(table=table)

    folder = write_bundle(written, tmp_path)

    found = read_bundle(folder)
    assert found.users.parts.dtype == np.float16
    assert np.array_equal(found.users.parts, written.users.parts)
    assert forger.manifest(folder)["files"]["users.safetensors"]["arrays"]["parts"]["dtype"] == "float16"


def test_parts_in_float16_take_half_the_space(a_bundle, halved, tmp_path):
    sizes = [
        (write_bundle(build(users=1000), tmp_path / name) / "users.safetensors").stat().st_size
        for name, build in (("whole", a_bundle), ("half", halved))
    ]

    assert sizes[1] < 0.51 * sizes[0]


def test_parts_are_taken_as_float32(halved):
    users = halved().users

    assert users.of([4, 1]).dtype == users.part(1).dtype == np.float32
    assert np.array_equal(users.of([4, 1]), users.parts[[4, 1]].astype(np.float32))
    assert np.array_equal(users.of(slice(2, 5)), users.parts[2:5].astype(np.float32))
    assert np.array_equal(users.part(1), users.parts[:, 1].astype(np.float32))


@pytest.mark.parametrize(("said", "held"), [("float16", "float32"), ("float32", "float16")])
def test_a_file_of_another_dtype_than_the_manifest_says_is_refused(a_bundle_folder, forger, said, held):
    folder = a_bundle_folder()
    forger.array(folder, "users.safetensors", "parts", lambda parts: parts.astype(held))
    forger.edit(folder, lambda manifest: manifest["files"]["users.safetensors"]["arrays"]["parts"].update(dtype=said))

    with pytest.raises(DamagedError) as refused:
        read_bundle(folder)

    assert (refused.value.file, refused.value.what) == ("users.safetensors", "dtype of parts")


@pytest.mark.parametrize("value", [np.inf, -np.inf, np.nan])
def test_half_numbers_that_are_not_finite_are_refused(halved, tmp_path, value):
    bundle = halved()
    parts = bundle.users.parts.copy()
    parts[3, 1, 2] = value

    with pytest.raises(DamagedError, match="parts should be finite numbers, found 1 that are not"):
        write_bundle(replace(bundle, users=replace(bundle.users, parts=parts)), tmp_path)


def test_a_bundle_of_schema_2_is_read(a_bundle_folder, forger):
    folder = a_bundle_folder()

    forger.as_of(folder, 2)

    assert read_bundle(folder).users.parts.dtype == np.float32


@pytest.mark.parametrize("schema", [2, 3, 4, 5])
def test_a_bundle_of_an_older_schema_has_no_cold_items(a_bundle_folder, forger, schema):
    folder = a_bundle_folder()

    forger.as_of(folder, schema)

    assert not read_bundle(folder).items.cold.any()


def test_a_bundle_of_an_older_schema_with_the_column_is_refused(a_bundle_folder, forger):
    folder = a_bundle_folder()
    forger.edit(folder, lambda manifest: manifest.update({"schema_version": 5}))

    with pytest.raises(DamagedError, match="cold: bool"):
        read_bundle(folder)


def test_what_was_read_from_schema_2_is_written_as_the_newest(a_bundle_folder, forger, tmp_path):
    folder = a_bundle_folder()
    forger.as_of(folder, 2)
    found = read_bundle(folder)

    again = write_bundle(replace(found, users=replace(found.users, parts=found.users.parts.astype("f2"))), tmp_path)

    assert forger.manifest(again)["schema_version"] == SCHEMA_VERSION
