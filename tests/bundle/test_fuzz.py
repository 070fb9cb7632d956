"""Random damage: reading refuses with a BundleError or gives a bundle that keeps the contract; it never does else."""

import json
import tempfile
from copy import deepcopy
from itertools import chain
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from bundle import BundleError, read_bundle, write_bundle
from bundle.manifest import manifest_hash

BOUNDED = settings(
    max_examples=200,
    deadline=None,
    derandomize=True,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
SEEN = {"u0": ["i1", "i4", "i7"], "u2": ["i0", "i2"], "u5": ["i11"]}
PLACE = st.floats(0, 1, exclude_max=True)


@pytest.fixture(scope="module")
def written():
    """Filled by the first test that runs; file name → bytes."""
    return {}


@pytest.fixture
def sound(written, a_bundle, tmp_path):
    if not written:
        folder = write_bundle(a_bundle(seen=SEEN), tmp_path)
        written |= {p.relative_to(folder).as_posix(): p.read_bytes() for p in folder.rglob("*") if p.is_file()}
    return written


def flip(raw, place, bit):
    raw[int(place * len(raw))] ^= 1 << bit


def insert(raw, place, more):
    at = int(place * len(raw))
    raw[at:at] = more


def put(raw, place, more):
    at = int(place * len(raw))
    raw[at : at + len(more)] = more


def delete(raw, place, count):
    at = int(place * len(raw))
    del raw[at : at + count]


def truncate(raw, place):
    del raw[int(place * len(raw)) :]


def swap(raw, place, other):
    one, two = int(place * len(raw)), int(other * len(raw))
    raw[one], raw[two] = raw[two], raw[one]


EDGES = [b"\x00" * 8, b"\xff" * 8, b"\xff" * 7 + b"\x7f", b"\x00\x00\x80\x7f", b'"', b"{", b"[" * 2000, b"-1", b"1e999"]
MORE = st.binary(min_size=1, max_size=16) | st.sampled_from(EDGES)
DAMAGE = st.one_of(
    st.tuples(st.just(flip), PLACE, st.integers(0, 7)),
    st.tuples(st.just(insert), PLACE, MORE),
    st.tuples(st.just(put), PLACE, MORE),
    st.tuples(st.just(delete), PLACE, st.integers(1, 64)),
    st.tuples(st.just(truncate), PLACE),
    st.tuples(st.just(swap), PLACE, PLACE),
)
FILES = st.sampled_from(
    [
        "audit/base.safetensors",
        "audit/interactions.safetensors",
        "audit/users.safetensors",
        "card.json",
        "encoder.safetensors",
        "history.safetensors",
        "items.parquet",
        "items.safetensors",
        "seen.safetensors",
        "users.parquet",
        "users.safetensors",
    ]
)


def damaged(raw, steps):
    raw = bytearray(raw)
    for change, *arguments in steps:
        if raw:
            change(raw, *arguments)
    return bytes(raw)


def read_as(files, forger=None):
    """Read these files as a bundle. Returns None where it is refused."""
    with tempfile.TemporaryDirectory() as place:
        folder = Path(place) / "tiny" / "1"
        (folder / "audit").mkdir(parents=True)
        for name, raw in files.items():
            (folder / name).write_bytes(raw)
        if forger:
            forger.reseal(folder)
        try:
            return read_bundle(folder)
        except BundleError:
            return None


def assert_keeps_the_contract(bundle):
    """The contract once more, in other words than `bundle.check` says it."""
    users, items, d = len(bundle.users.ids), len(bundle.items.ids), bundle.description.dimensions
    names = bundle.description.attribute_names
    assert bundle.items.vectors.shape == (items, d)
    assert bundle.users.parts.shape == (users, len(bundle.description.parts), d)
    for ids in (bundle.users.ids, bundle.items.ids):
        assert len(set(ids)) == len(ids)
        assert all(key.isprintable() and 0 < len(key) <= 256 for key in ids)
    for array in (bundle.items.vectors, bundle.users.parts, bundle.audit.base, bundle.history.gram):
        assert np.isfinite(array).all()
    assert all(value.isfinite().all() for value in bundle.encoder.state_dict().values())
    assert all(isinstance(title, str) for title in bundle.items.titles)
    assert all(isinstance(group, str) for groups in bundle.items.groups for group in groups)
    assert min(bundle.items.popularity, default=0) >= 0
    lists = [bundle.seen.of(row).tolist() for row in range(users)]
    assert list(chain.from_iterable(lists)) == bundle.seen.indices.tolist()
    assert all(row == sorted(set(row)) and set(row) <= set(range(items)) for row in lists)
    for column, attribute in enumerate(bundle.description.attributes):
        assert set(bundle.audit.labels[:, column].tolist()) <= {-1, *range(len(attribute.classes))}
    assert bundle.audit.labels.shape == (users, len(names))
    for held_out in (bundle.audit.validation, bundle.audit.test):
        assert set(held_out.tolist()) <= {-1, *range(items)}
    assert set(bundle.audit.split.tolist()) <= {0, 1, 2}
    assert np.isfinite(bundle.history.user_vectors([np.arange(items)], bundle.items.vectors)).all()
    json.dumps(bundle.card, allow_nan=False)


@BOUNDED
@given(file=FILES | st.just("manifest.json"), steps=st.lists(DAMAGE, min_size=1, max_size=4))
def test_damage_is_refused(sound, file, steps):
    raw = damaged(sound[file], steps)

    found = read_as(sound | {file: raw})

    # spaces between the manifest's words mean nothing; any other change of any byte is refused
    same = file == "manifest.json" and found is not None and json.loads(raw) == json.loads(sound[file])
    assert (found is not None) == (raw == sound[file] or same)


@BOUNDED
@given(file=FILES, steps=st.lists(DAMAGE, min_size=1, max_size=4))
def test_damage_behind_fitting_hashes_is_refused_or_keeps_the_contract(sound, forger, file, steps):
    found = read_as(sound | {file: damaged(sound[file], steps)}, forger)

    if found is not None:
        assert_keeps_the_contract(found)


def places(value, path=()):
    """Every place in a JSON value, as the keys that lead there."""
    yield path
    if isinstance(value, dict | list):
        for key, child in value.items() if isinstance(value, dict) else enumerate(value):
            yield from places(child, (*path, key))


VALUES = st.one_of(
    st.sampled_from(
        [None, True, False, 0, 1, -1, 2, 3, 2**24, 2**31, 2**53, 2**63, 2**64, 2**80, 0.5, 1e300, "", "..", "../x"]
    ),
    st.sampled_from([[], {}, [[]], [{}], ["gender"], ["age", "age"], [0], [2**24] * 4, [1] * 64, "always", "table"]),
    st.sampled_from(["fair", "list", "fixed", "all_protected", "float64", "bool", "0" * 64, "2026-01-01T00:00:00"]),
    st.text(max_size=8),
    st.integers(),
)


@BOUNDED
@given(edits=st.lists(st.tuples(PLACE, VALUES, st.booleans()), min_size=1, max_size=3), sealed=st.booleans())
@example(edits=[(0.0, {}, False)], sealed=True)
def test_an_edited_manifest_is_refused_or_keeps_the_contract(sound, edits, sealed):
    manifest = json.loads(sound["manifest.json"])
    for where, value, remove in edits:
        candidates = list(places(manifest))[1:]
        if not candidates:
            break
        *way, last = candidates[int(where * len(candidates))]
        parent = manifest
        for key in way:
            parent = parent[key]
        if remove:
            del parent[last]
        else:
            parent[last] = deepcopy(value)
    if sealed:
        manifest["manifest_hash"] = manifest_hash(manifest)

    found = read_as(sound | {"manifest.json": json.dumps(manifest).encode()})

    if found is not None:
        assert sealed or manifest == json.loads(sound["manifest.json"])
        assert_keeps_the_contract(found)
