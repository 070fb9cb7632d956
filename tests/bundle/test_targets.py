"""Targets of each user: optional in a bundle, whole or not at all, and checked."""

from __future__ import annotations

import numpy as np
import pytest

from bundle import Tilts, read_bundle, write_bundle
from bundle.errors import BundleError, DamagedError


def test_they_are_read_as_they_were_written(a_bundle_folder, a_bundle):
    folder = a_bundle_folder(personal=True)

    found, written = read_bundle(folder), a_bundle(personal=True)

    assert found.description.balance == written.description.balance
    assert found.balance.target.tolist() == written.balance.target.tolist()
    assert found.balance.tilts.tolist() == written.balance.tilts.tolist()


def test_a_bundle_without_them_is_as_it_was(a_bundle_folder, forger):
    folder = a_bundle_folder()
    forger.edit(folder, lambda manifest: manifest.update(schema_version=6))
    forger.edit(folder, lambda manifest: manifest.pop("balance"))

    found = read_bundle(folder)

    assert (found.balance, found.description.balance) == (None, None)
    assert not (folder / "balance.safetensors").exists()


def test_a_manifest_that_speaks_of_them_needs_their_file(a_bundle_folder, forger):
    folder = a_bundle_folder(personal=True)
    (folder / "balance.safetensors").unlink()
    with pytest.raises(DamagedError, match=r"balance.safetensors: file should be a plain file"):
        read_bundle(folder)

    other = a_bundle_folder(version="2", personal=True)
    forger.edit(other, lambda manifest: manifest.update(balance=None))
    with pytest.raises(DamagedError, match=r"files should be only"):
        read_bundle(other)


@pytest.mark.parametrize(
    ("stored", "why"),
    [
        (Tilts(np.array([0.7, 0.4]), np.zeros((3, 2))), "target should be shares of 0 or more, 1 together"),
        (Tilts(np.array([1.2, -0.2]), np.zeros((3, 2))), "target should be shares of 0 or more"),
        (Tilts(np.array([0.5, 0.5]), np.full((3, 2), -np.inf)), "tilts should be finite numbers"),
        (Tilts(np.array([0.5, 0.5]), np.zeros((2, 2))), "shape of tilts"),
    ],
)
def test_numbers_that_are_no_targets_are_not_published(tmp_path, a_bundle, stored, why):
    wrong = a_bundle(personal=True)
    object.__setattr__(wrong, "balance", stored)

    with pytest.raises(BundleError, match=why):
        write_bundle(wrong, tmp_path)


def test_a_mask_of_an_unknown_attribute_is_refused(a_bundle_folder, forger):
    folder = a_bundle_folder(personal=True)
    forger.edit(folder, lambda manifest: manifest["balance"].update(masks=[[], ["shoe"]]))

    with pytest.raises(DamagedError, match="unknown attributes"):
        read_bundle(folder)
