"""docs/bundle-format.md is what another language is written from: it names everything, and its recipes hold."""

import hashlib
import json
from pathlib import Path

import pytest

from bundle import Manifest
from bundle.history import HISTORIES
from bundle.layout import ARRAY_FILES, AUDIT_FILES, ITEM_COLUMNS, REQUIRED, RERANKER
from bundle.manifest import SCHEMA_VERSION, SCHEMA_VERSIONS
from bundle.networks import KINDS

PAGE = (Path(__file__).parents[2] / "docs" / "bundle-format.md").read_text("utf-8")


def words():
    arrays = [name for contents in ARRAY_FILES.values() for name in contents]
    files, kinds = {*REQUIRED, *AUDIT_FILES, RERANKER}, {*KINDS, *HISTORIES}
    return sorted({*files, *kinds, *arrays, *ITEM_COLUMNS.names, *Manifest.model_fields})


@pytest.mark.parametrize("word", words())
def test_the_page_names_every_file_array_field_and_kind(word):
    assert f"`{word}`" in PAGE or f"`{word}/" in PAGE


def test_the_content_hash_is_what_the_page_says(a_bundle_folder):
    folder = a_bundle_folder()
    paths = sorted(path for path in folder.rglob("*") if path.is_file() and path.name != "manifest.json")
    pairs = sorted(
        (path.relative_to(folder).as_posix(), hashlib.sha256(path.read_bytes()).hexdigest()) for path in paths
    )

    text = "[" + ",".join(f'["{path}","{digest}"]' for path, digest in pairs) + "]"

    manifest = json.loads((folder / "manifest.json").read_text("utf-8"))
    assert manifest["content_hash"] == hashlib.sha256(text.encode()).hexdigest()


def test_the_manifest_hash_is_what_the_page_says(a_bundle_folder):
    manifest = json.loads((a_bundle_folder() / "manifest.json").read_text("utf-8"))
    found = manifest.pop("manifest_hash")

    text = by_hand(manifest)

    assert found == hashlib.sha256(text.encode()).hexdigest()


def by_hand(value):
    """The page's JSON text, for values without characters that need escaping."""
    if isinstance(value, dict):
        return "{" + ",".join(f'"{key}":{by_hand(value[key])}' for key in sorted(value)) + "}"
    if isinstance(value, list):
        return "[" + ",".join(by_hand(child) for child in value) + "]"
    if isinstance(value, bool):
        return str(value).lower()
    return "null" if value is None else f'"{value}"' if isinstance(value, str) else str(value)


def test_the_weights_are_called_what_the_page_says(a_bundle):
    assert sorted(a_bundle().encoder.state_dict()) == [
        "aggregate.0.bias",
        "aggregate.0.weight",
        "aggregate.2.bias",
        "aggregate.2.weight",
        "parts.biases.0",
        "parts.biases.1",
        "parts.norm_bias",
        "parts.norm_weight",
        "parts.weights.0",
        "parts.weights.1",
    ]
    assert list(a_bundle(table=True).encoder.state_dict()) == ["masks"]


def test_the_page_says_which_schema_version_is_written_and_which_are_read():
    newest, oldest = SCHEMA_VERSION, min(SCHEMA_VERSIONS)

    assert f"Schema version {newest}." in PAGE
    assert f"| `schema_version` | {newest}; {oldest} to {newest - 1} are read too" in PAGE
    assert f"the versions it knows ({oldest} to {newest};" in PAGE
