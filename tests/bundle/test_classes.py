"""The order of classes, and what merged ones stand for: optional in a manifest, and checked."""

from __future__ import annotations

import pytest

from bundle import read_bundle
from bundle.errors import BundleError


def test_a_manifest_says_what_a_class_stands_for(a_bundle_folder, forger):
    folder = a_bundle_folder()
    name = forger.manifest(folder)["attributes"][0]["classes"][0]
    forger.edit(folder, lambda manifest: manifest["attributes"][0].update(ordered=True, merged={name: ["DK", "NO"]}))

    attribute = read_bundle(folder).description.attributes[0]

    assert (attribute.ordered, attribute.merged) == (True, {name: ["DK", "NO"]})


def test_a_manifest_without_order_and_merges_has_none(a_bundle_folder, forger):
    folder = a_bundle_folder()
    forger.as_of(folder, 4)
    forger.edit(folder, lambda manifest: [manifest["attributes"][0].pop(field) for field in ("ordered", "merged")])

    attribute = read_bundle(folder).description.attributes[0]

    assert (attribute.ordered, attribute.merged) == (None, {})


@pytest.mark.parametrize("merged", [{"nowhere": ["DK"]}, {"nowhere": []}])
def test_only_classes_stand_for_others(merged, a_bundle_folder, forger):
    folder = a_bundle_folder()
    forger.edit(folder, lambda manifest: manifest["attributes"][0].update(merged=merged))

    with pytest.raises(BundleError, match=r"merged"):
        read_bundle(folder)
