"""Arrays are views of their files: nothing is copied, nothing can be written to, nothing is read before it is used."""

import mmap
import shutil

import numpy as np
import pytest
import torch

from bundle import read_bundle
from bundle.errors import DamagedError
from bundle.mapped import tensor_over

WIDE = {"users": 20_000, "dimensions": 64, "seen": {"u0": ["i3", "i1"]}}


def arrays_of(bundle):
    seen, audit = bundle.seen, bundle.audit
    arrays = {"items": bundle.items.vectors, "parts": bundle.users.parts, "gram": bundle.history.gram}
    return (
        arrays
        | {"indptr": seen.indptr, "indices": seen.indices}
        | {name: value for name, value in vars(audit).items() if value is not None}
    )


def root_of(array):
    """What owns the memory of an array."""
    while isinstance(array, np.ndarray):
        array = array.base
    return array


def test_arrays_are_views_of_the_files_that_nobody_can_write_to(a_bundle_folder):
    arrays = arrays_of(read_bundle(a_bundle_folder(seen={"u0": ["i3"]})))

    for name, array in arrays.items():
        assert isinstance(root_of(array), mmap.mmap), name
        assert not array.flags.writeable, name
        with pytest.raises(ValueError, match="read-only"):
            array[0] = 0


def test_a_full_check_keeps_nothing_of_what_it_read(a_bundle, a_bundle_folder, resident):
    folder = a_bundle_folder(**WIDE)

    bundle = read_bundle(folder)

    assert resident(folder / "users.safetensors") == resident(folder / "audit" / "base.safetensors") == 0
    assert np.array_equal(bundle.users.parts, a_bundle(**WIDE).users.parts)


def test_a_start_with_a_stamp_reads_no_array_that_it_does_not_use(a_bundle_folder, resident):
    folder = a_bundle_folder(**WIDE)
    large = [folder / "users.safetensors", *(folder / "audit").iterdir(), folder / "seen.safetensors"]
    read_bundle(folder)

    bundle = read_bundle(folder)

    assert [resident(path) for path in large] == [0] * len(large)
    row = bundle.users.of([10_000])
    assert np.array_equal(row, bundle.users.parts[[10_000]])
    assert 0 < resident(large[0]) < large[0].stat().st_size / 2  # the kernel maps up to 2 MiB around what is touched
    assert bundle.audit.base.sum() != 0
    assert resident(folder / "audit" / "base.safetensors") > bundle.audit.base.nbytes / 2  # zero does mean something


def test_a_bundle_whose_folder_is_deleted_is_served_on(a_bundle, a_bundle_folder):
    expected = arrays_of(a_bundle(seen={"u0": ["i3"]}))
    folder = a_bundle_folder(seen={"u0": ["i3"]})
    found = read_bundle(folder)

    shutil.rmtree(folder)

    for name, array in arrays_of(found).items():
        np.testing.assert_array_equal(array, expected[name])


@pytest.mark.parametrize("spaces", [1, 2, 4])
def test_numbers_that_their_writer_did_not_align_are_copied(a_bundle, a_bundle_folder, forger, spaces):
    seen = {"u0": ["i3", "i5"]}
    expected = arrays_of(a_bundle(seen=seen))
    folder = a_bundle_folder(seen=seen)
    for path in folder.rglob("*.safetensors"):
        raw = path.read_bytes()
        length = int.from_bytes(raw[:8], "little")
        header = raw[8 : 8 + length] + b" " * spaces
        path.write_bytes((length + spaces).to_bytes(8, "little") + header + raw[8 + length :])
    forger.reseal(folder)

    found = arrays_of(read_bundle(folder))

    for name, array in found.items():
        assert array.flags.aligned
        assert not array.flags.writeable
        np.testing.assert_array_equal(array, expected[name])
        assert isinstance(root_of(array), mmap.mmap) == (spaces % array.itemsize == 0), name


def test_a_file_that_ends_early_behind_fitting_hashes_is_refused(a_bundle_folder, forger):
    folder = a_bundle_folder()
    path = folder / "users.safetensors"
    path.write_bytes(path.read_bytes()[:-4])
    forger.reseal(folder)

    with pytest.raises(DamagedError, match=r"users\.safetensors: contents should be a safetensors file"):
        read_bundle(folder)


def test_a_file_that_ends_early_is_refused_whatever_a_stamp_says(a_bundle_folder):
    folder = a_bundle_folder()
    read_bundle(folder)
    path = folder / "users.safetensors"

    path.write_bytes(path.read_bytes()[:-4])

    with pytest.raises(DamagedError, match=r"users\.safetensors: size in bytes"):
        read_bundle(folder)


def test_a_header_that_names_an_array_twice_is_refused(a_bundle_folder, forger):
    folder = a_bundle_folder()
    path = folder / "items.safetensors"
    raw = path.read_bytes()
    length = int.from_bytes(raw[:8], "little")
    entry = raw[8 : 8 + length].strip()[1:-1]
    header = b"{" + entry + b"," + entry + b"}"
    path.write_bytes(len(header).to_bytes(8, "little") + header + raw[8 + length :])
    forger.reseal(folder)

    with pytest.raises(DamagedError, match=r"items\.safetensors: contents"):
        read_bundle(folder)


def test_a_tensor_over_a_mapped_array_is_no_copy(a_bundle_folder):
    vectors = read_bundle(a_bundle_folder()).items.vectors

    tensor = tensor_over(vectors)

    assert tensor.data_ptr() == vectors.__array_interface__["data"][0]
    assert torch.equal(tensor, torch.tensor(vectors.tolist()))
    assert not vectors.flags.writeable
