"""Refusals: whatever is wrong with a bundle, reading names the file and both values and loads nothing.

The first half damages files as a disk or a careless copy would: sizes and hashes catch it. The second half makes every
hash fit again (`forger`), so that the checks behind the hashes must catch it.
"""

import json
import shutil

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from safetensors.numpy import save_file

import bundle.files
from bundle import BundleError, read_bundle, write_bundle
from bundle.errors import BundleNotFoundError, DamagedError, UnsupportedError
from bundle.history import HISTORIES
from bundle.networks import KINDS

FILES = [
    "items.safetensors",
    "items.parquet",
    "users.safetensors",
    "users.parquet",
    "encoder.safetensors",
    "history.safetensors",
    "seen.safetensors",
    "card.json",
    "audit/base.safetensors",
    "audit/users.safetensors",
    "audit/interactions.safetensors",
]
SEEN = {"u0": ["i1", "i4", "i7"], "u2": ["i0", "i2"], "u5": ["i11"]}


@pytest.fixture(scope="module")
def sound(tmp_path_factory):
    """Written once; every test damages its own copy."""
    return tmp_path_factory.mktemp("sound")


@pytest.fixture
def folder(a_bundle, sound, tmp_path):
    if not (sound / "tiny").exists():
        write_bundle(a_bundle(seen=SEEN), sound)
    return shutil.copytree(sound / "tiny", tmp_path / "bundles" / "tiny") / "1"


def refusal_of(folder, kind=DamagedError):
    with pytest.raises(kind) as refusal:
        read_bundle(folder)
    return refusal.value


def assert_damaged(folder, file, what, expected=None, found=None):
    refusal = refusal_of(folder)
    assert (refusal.file, refusal.what) == (file, what)
    assert str(refusal).startswith(f"{file}: {what} should be ")
    if expected is not None:
        assert str(refusal.expected) == str(expected)
    if found is not None:
        assert str(refusal.found) == str(found)


# --- nothing there -------------------------------------------------------------------------------------------------


def test_an_absent_folder_is_not_a_bundle(tmp_path):
    assert refusal_of(tmp_path / "nowhere", BundleNotFoundError).path == tmp_path / "nowhere"


def test_an_empty_folder_is_not_a_bundle(tmp_path):
    refusal_of(tmp_path, BundleNotFoundError)


def test_a_file_is_not_a_bundle(tmp_path):
    (tmp_path / "bundle").write_text("{}")

    refusal_of(tmp_path / "bundle", BundleNotFoundError)


def test_the_folder_of_a_bundle_reads_as_its_newest_version(a_bundle_folder):
    a_bundle_folder(version="1")
    newest = a_bundle_folder(version="2")

    assert read_bundle(newest.parent).description.version == "2"


# --- damage that sizes, hashes and names show ----------------------------------------------------------------------


@pytest.mark.parametrize("file", FILES)
@pytest.mark.parametrize("place", [0, 0.5, -1])
def test_a_flipped_byte_is_refused(folder, file, place):
    raw = bytearray((folder / file).read_bytes())
    raw[place if isinstance(place, int) else int(len(raw) * place)] ^= 1
    (folder / file).write_bytes(raw)

    assert_damaged(folder, file, "sha256")


def test_a_flipped_byte_anywhere_in_the_manifest_is_refused(folder):
    raw = (folder / "manifest.json").read_bytes()

    for place in range(0, len(raw), 7):
        damaged = bytearray(raw)
        damaged[place] ^= 1
        (folder / "manifest.json").write_bytes(damaged)
        refusal_of(folder, BundleError)


@pytest.mark.parametrize("file", FILES)
def test_a_shorter_file_is_refused(folder, file):
    raw = (folder / file).read_bytes()
    (folder / file).write_bytes(raw[:-1])

    assert_damaged(folder, file, "size in bytes", len(raw), len(raw) - 1)


@pytest.mark.parametrize("file", FILES)
def test_a_missing_file_is_refused(folder, file):
    (folder / file).unlink()

    assert_damaged(folder, file, "file", "a plain file", "nothing")


@pytest.mark.parametrize("file", ["extra.txt", "evil.pkl", ".hidden", "audit/extra.txt"])
def test_an_extra_file_is_refused(folder, file):
    (folder / file).write_bytes(b"")

    assert_damaged(folder, file, "file", "listed in the manifest", "not listed")


@pytest.mark.parametrize("name", ["empty", "audit/deeper"])
def test_an_extra_folder_is_refused(folder, name):
    (folder / name).mkdir()

    assert_damaged(folder, name, "file", "a plain file", "something else")


@pytest.mark.parametrize("file", [*FILES, "manifest.json"])
def test_a_link_instead_of_a_file_is_refused(folder, file, tmp_path):
    (folder / file).rename(tmp_path / "elsewhere")
    (folder / file).symlink_to(tmp_path / "elsewhere")

    assert_damaged(folder, file, "file", "a plain file", "a link")


def test_a_linked_audit_folder_is_refused(folder, tmp_path):
    (folder / "audit").rename(tmp_path / "elsewhere")
    (folder / "audit").symlink_to(tmp_path / "elsewhere")

    assert_damaged(folder, "audit", "file", "a plain file", "a link")


def test_an_extra_link_to_a_folder_is_refused(folder, tmp_path):
    (folder / "extra").symlink_to(tmp_path)

    assert_damaged(folder, "extra", "file", "a plain file", "a link")


def test_a_folder_instead_of_a_file_is_refused(folder):
    (folder / "card.json").unlink()
    (folder / "card.json").mkdir()

    assert_damaged(folder, "card.json", "file", "a plain file", "something else")


def test_a_file_that_cannot_be_read_is_refused_by_name(folder, monkeypatch):
    def unreadable(path, *args):
        raise PermissionError(13, "Permission denied", str(folder / "card.json"))

    monkeypatch.setattr(bundle.read, "check_hashes", unreadable)

    assert_damaged(folder, "card.json", "file", "readable", "Permission denied")


def test_a_wrong_content_hash_is_refused(folder, forger):
    manifest = forger.manifest(folder)
    forger.seal(folder, manifest)
    true_hash = manifest["content_hash"]
    manifest["content_hash"] = "0" * 64
    manifest["manifest_hash"] = bundle.manifest.manifest_hash(manifest)
    (folder / "manifest.json").write_text(json.dumps(manifest))

    assert_damaged(folder, "manifest.json", "content_hash", "0" * 64, true_hash)


# --- audit/ --------------------------------------------------------------------------------------------------------


def test_audit_may_be_absent_as_a_whole(folder):
    hash_before = read_bundle(folder).description.content_hash
    shutil.rmtree(folder / "audit")

    found = read_bundle(folder)

    assert found.audit is None
    assert found.description.content_hash == hash_before


def test_an_audit_folder_without_files_is_absent(folder):
    for path in (folder / "audit").iterdir():
        path.unlink()

    assert read_bundle(folder).audit is None


def test_audit_may_be_absent_from_the_manifest_too(folder, forger):
    shutil.rmtree(folder / "audit")
    forger.edit(folder, lambda manifest: [manifest["files"].pop(file) for file in FILES if file.startswith("audit/")])

    assert read_bundle(folder).audit is None


def test_half_of_audit_is_refused(folder):
    (folder / "audit" / "base.safetensors").unlink()

    assert_damaged(folder, "audit/base.safetensors", "file", "a plain file", "nothing")


def test_half_of_audit_in_the_manifest_is_refused(folder, forger):
    (folder / "audit" / "base.safetensors").unlink()
    forger.edit(folder, lambda manifest: manifest["files"].pop("audit/base.safetensors"))

    assert_damaged(folder, "manifest.json", "files under audit/", "all or none")


def test_audit_files_that_the_manifest_does_not_list_are_refused(folder, forger):
    forger.edit(folder, lambda manifest: [manifest["files"].pop(file) for file in FILES if file.startswith("audit/")])

    assert_damaged(folder, "audit/base.safetensors", "file", "listed in the manifest", "not listed")


# --- the manifest --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "text",
    [
        "",
        "{",
        "[]",
        "null",
        "1",
        '"text"',
        "\x00",
        '{"schema_version": NaN}',
        '{"schema_version": 2, "seeds": {"run": 1e999}}',
        '{"schema_version": 2, "schema_version": 2}',
        '{"schema_version": 2, "method": "\\ud800"}',
        "[" * 100_000,
        '{"a":' * 100_000,
        '{"schema_version": ' + "[" * 70 + "]" * 70 + "}",
        '{"schema_version": ' + "1" * 5000 + "}",
    ],
    ids=lambda text: text[:40],
)
def test_a_manifest_that_is_not_plain_json_is_refused(folder, text):
    (folder / "manifest.json").write_text(text)

    assert refusal_of(folder).file == "manifest.json"


@pytest.mark.parametrize("encoding", ["utf-16", "utf-32", "utf-8-sig"])
def test_a_manifest_in_another_encoding_is_refused(folder, encoding):
    path = folder / "manifest.json"
    path.write_text(path.read_text(), encoding=encoding)

    assert refusal_of(folder).file == "manifest.json"


@pytest.mark.parametrize("file", ["manifest.json", "card.json"])
def test_json_without_end_is_refused_before_it_is_parsed(folder, forger, file):
    with (folder / file).open("ab") as out:
        out.truncate(bundle.files.MAX_JSON_BYTES + 1)
    if file == "card.json":
        forger.reseal(folder)

    assert_damaged(folder, file, "size in bytes", "at most 16777216", 16777217)


@pytest.mark.parametrize("version", [0, 1, 12, "2", None, [], {"deep": [2]}])
def test_an_unknown_schema_version_is_refused_before_anything_else(folder, version):
    (folder / "manifest.json").write_text(json.dumps({"schema_version": version, "unheard": "of"}))

    refusal = refusal_of(folder, UnsupportedError)

    assert (refusal.what, refusal.found, refusal.known) == ("schema_version", version, (2, 3, 4, 5, 6, 7, 8, 9, 10, 11))


@pytest.mark.parametrize("version", [True, 2.0])
def test_a_schema_version_that_only_looks_like_one_is_refused(folder, forger, version):
    forger.edit(folder, lambda manifest: manifest.update(schema_version=version))

    refusal_of(folder, BundleError)


MANIFEST_EDITS = {
    "unknown field": lambda m: m.update(pickle="evil"),
    "unknown nested field": lambda m: m["parts"][0].update(code="evil"),
    "missing field": lambda m: m.pop("scorer"),
    "number as text": lambda m: m.update(dimensions="4"),
    "unknown scorer": lambda m: m.update(scorer="eval"),
    "name that is a path": lambda m: m.update(name="../tiny"),
    "date without a zone": lambda m: m.update(created="2026-01-01T00:00:00"),
    "attribute name": lambda m: m["attributes"][0].update(name="Gender!"),
    "one class": lambda m: m["attributes"][0].update(classes=["F"]),
    "attributes repeat": lambda m: m["attributes"].__setitem__(1, m["attributes"][0]),
    "parts repeat": lambda m: m["parts"][1].update(name="shared"),
    "unknown attribute of a part": lambda m: m["parts"][1].update(attributes=["height"]),
    "part never withheld": lambda m: m["parts"][1].update(taken="always"),
    "part of no attribute": lambda m: m["parts"][1].update(attributes=[]),
    "unknown attribute protected": lambda m: m.update(always_protected=["height"]),
    "unknown attribute in a mask": lambda m: m.update(supported_masks={"kind": "list", "masks": [["height"]]}),
    "masks for all": lambda m: m.update(supported_masks={"kind": "all", "masks": [[]]}),
    "two fixed masks": lambda m: m.update(supported_masks={"kind": "fixed", "masks": [[], ["age"]]}),
    "mask below always_protected": lambda m: m.update(
        always_protected=["age"], supported_masks={"kind": "list", "masks": [["age"], []]}
    ),
    "no parts": lambda m: m.update(parts=[]),
    "identity with every mask": lambda m: m.update(encoder={"kind": "identity", "sizes": {}}),
    "fair with every mask": lambda m: m.update(user_layout="fair", parts=[]),
    "negative rows": lambda m: m["files"]["items.parquet"].update(rows=-1),
    "no rows": lambda m: m["files"]["items.parquet"].update(rows=None),
    "another rows": lambda m: m["files"]["users.parquet"].update(rows=7),
    "absurd rows": lambda m: m["files"]["users.parquet"].update(rows=2**70),
    "absurd dimensions": lambda m: m.update(dimensions=2**31),
    "absurd shape": lambda m: m["files"]["seen.safetensors"]["arrays"]["indices"].update(shape=[2**80]),
    "no dimensions": lambda m: m["files"]["seen.safetensors"]["arrays"]["indices"].update(shape=[]),
    "unknown dtype": lambda m: m["files"]["seen.safetensors"]["arrays"]["indices"].update(dtype="object"),
    "unknown array": lambda m: m["files"]["seen.safetensors"]["arrays"].update(code={"shape": [1], "dtype": "uint8"}),
    "arrays in a card": lambda m: m["files"]["card.json"].update(arrays={"code": {"shape": [1], "dtype": "uint8"}}),
    "missing array": lambda m: m["files"]["seen.safetensors"]["arrays"].pop("indices"),
    "missing file": lambda m: m["files"].pop("seen.safetensors"),
}


@pytest.mark.parametrize("edit", MANIFEST_EDITS.values(), ids=MANIFEST_EDITS.keys())
def test_a_manifest_that_breaks_the_contract_is_refused(folder, forger, edit):
    forger.edit(folder, edit)

    refusal_of(folder)


@pytest.mark.parametrize("path", ["../x", "/etc/hostname", "audit/../../x", "..", ".", "", "x\x00y", "manifest.json"])
def test_a_manifest_cannot_list_a_file_of_its_own_choice(folder, forger, path):
    (folder.parent / "x").write_text("outside")
    forger.edit(folder, lambda m: m["files"].update({path: m["files"]["card.json"]}))

    refusal = refusal_of(folder)

    assert (refusal.file, refusal.what, refusal.found) == ("manifest.json", "files", [path])


def test_an_edited_manifest_is_refused(folder, forger):
    manifest = forger.manifest(folder)
    manifest["always_protected"] = ["gender"]
    (folder / "manifest.json").write_text(json.dumps(manifest))

    assert_damaged(folder, "manifest.json", "manifest_hash")


def test_a_refusal_stays_on_one_short_line_whatever_the_bundle_brought(folder, forger):
    forger.edit(folder, lambda m: m["files"].update({"\nroot logged in\n" * 10: m["files"]["card.json"]}))

    message = str(refusal_of(folder))
    long = str(DamagedError("card.json\n", "a\nb", ["x"] * 10_000, "\ud800"))

    assert message.isprintable()
    assert long.isprintable()
    assert len(long) < 1500


# --- the encoder ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", ["", "AFRL", "torch.load", "__import__"])
def test_an_unknown_encoder_kind_is_refused(folder, forger, kind):
    forger.edit(folder, lambda m: m["encoder"].update(kind=kind))

    refusal = refusal_of(folder, UnsupportedError)

    assert (refusal.what, refusal.found, refusal.known) == ("encoder.kind", kind, sorted(KINDS))


def test_an_unknown_kind_of_history_is_refused(folder, forger):
    forger.edit(folder, lambda m: m["history"].update(kind="gru"))

    refusal = refusal_of(folder, UnsupportedError)

    assert (refusal.what, refusal.found, refusal.known) == (
        "history.kind",
        "gru",
        sorted(HISTORIES),
    )


@pytest.mark.parametrize(
    "sizes",
    [
        {},
        {"split": [4, 8, 4]},
        {"split": [4, 8, 4], "combine": [12, 12, 4], "more": [1]},
        {"split": [4], "combine": [12, 12, 4]},
        {"split": [], "combine": [12, 12, 4]},
        {"split": [5, 8, 4], "combine": [12, 12, 4]},
        {"split": [4, 8, 5], "combine": [12, 12, 4]},
        {"split": [4, 8, 4], "combine": [8, 12, 4]},
        {"split": [4, 8, 4], "combine": [12, 12, 5]},
        {"split": [4, 9, 4], "combine": [12, 12, 4]},
        {"split": [4, 4], "combine": [12, 12, 4]},
        {"split": [4, 0, 4], "combine": [12, 12, 4]},
        {"split": [4, 2**24, 2**24, 4], "combine": [12, 2**24, 2**24, 4]},
        {"split": [4, 2**31 - 1, 2**31 - 1, 4], "combine": [12, 12, 4]},
        {"split": [4, 2**70, 4], "combine": [12, 12, 4]},
        {"split": [4, *[8] * 100, 4], "combine": [12, 12, 4]},
        {"masks": [2, 2]},
    ],
    ids=str,
)
def test_layer_sizes_that_do_not_fit_are_refused(folder, forger, sizes):
    forger.edit(folder, lambda m: m["encoder"].update(sizes=sizes))

    assert refusal_of(folder).file in ("manifest.json", "encoder.safetensors")


def test_a_table_encoder_over_parts_is_refused(folder, forger):
    forger.edit(folder, lambda m: m.update(encoder={"kind": "table", "sizes": {"masks": [2, 2]}}))

    assert_damaged(folder, "manifest.json", "parts of a table encoder", [], ["shared", "gender", "age"])


@pytest.mark.parametrize(
    "masks",
    [
        [[True, True], [False, False]],
        [[False, False], [False, True]],
        [[False, False]],
        [[False, False], [True, True]] * 2,
    ],
    ids=str,
)
def test_a_table_whose_masks_are_not_the_manifests_is_refused(a_bundle_folder, forger, masks):
    folder = a_bundle_folder(table=True)
    forger.array(folder, "encoder.safetensors", "masks", lambda array: np.array(masks))
    forger.edit(folder, lambda m: m["encoder"].update(sizes={"masks": [len(masks), 2]}))

    assert_damaged(folder, "encoder.safetensors", "masks", [[False, False], [True, True]], masks)


# --- values behind fitting hashes ----------------------------------------------------------------------------------


ARRAYS = [
    ("items.safetensors", "vectors"),
    ("users.safetensors", "parts"),
    ("history.safetensors", "gram"),
    ("history.safetensors", "constants"),
    ("seen.safetensors", "indptr"),
    ("seen.safetensors", "indices"),
    ("encoder.safetensors", "parts.weights.0"),
    ("audit/base.safetensors", "vectors"),
    ("audit/users.safetensors", "labels"),
    ("audit/users.safetensors", "validation"),
    ("audit/users.safetensors", "test"),
    ("audit/users.safetensors", "split"),
    ("audit/users.safetensors", "folded_in"),
    ("audit/interactions.safetensors", "positive"),
]


@pytest.mark.parametrize(("file", "name"), ARRAYS)
@pytest.mark.parametrize(
    "change",
    [
        lambda a: a[:-1],
        lambda a: np.concatenate([a, a[-1:]]),
        lambda a: a[None],
        lambda a: a.ravel()[:1],
        lambda a: a[:0],
    ],
    ids=["shorter", "longer", "deeper", "one", "none"],
)
def test_a_wrong_shape_is_refused(folder, forger, file, name, change):
    forger.array(folder, file, name, change)

    # a longer or shorter list of seen items no longer fits what says which of them are positive
    about = ("audit/interactions.safetensors", "positive") if name == "indices" else (file, name)
    refusal = refusal_of(folder)
    assert (refusal.file, refusal.what) in [(about[0], f"shape of {about[1]}"), (file, "arrays")]


@pytest.mark.parametrize(("file", "name"), ARRAYS)
@pytest.mark.parametrize("dtype", ["float16", "uint32", "int8"])
def test_a_wrong_dtype_is_refused(folder, forger, file, name, dtype):
    if (name, dtype) == ("parts", "float16"):
        forger.as_of(folder, 2)  # which had no parts in float16
    forger.array(folder, file, name, lambda array: array.astype(dtype))

    assert_damaged(folder, file, f"dtype of {name}", found=dtype)


@pytest.mark.parametrize("dtype", ["float64", "int32", "bool"])
def test_a_wrong_dtype_of_the_contract_is_refused(folder, forger, dtype):
    forger.array(folder, "users.safetensors", "parts", lambda array: array.astype(dtype))

    assert_damaged(folder, "users.safetensors", "dtype of parts", "float32", dtype)


@pytest.mark.parametrize("dtype", ["BF16", "F16", "I32", "U32", "F8_E4M3", "F64", "C64", "no"])
def test_a_header_of_another_dtype_than_the_manifests_is_refused(folder, forger, dtype):
    path = folder / "items.safetensors"
    raw = path.read_bytes()
    length = int.from_bytes(raw[:8], "little")
    header = raw[8 : 8 + length].replace(b'"F32"', json.dumps(dtype).encode())
    path.write_bytes(len(header).to_bytes(8, "little") + header + raw[8 + length :])
    forger.reseal(folder)

    assert refusal_of(folder).file == "items.safetensors"


@pytest.mark.parametrize("change", [lambda a: a.T, lambda a: a[:, :2], lambda a: a.astype(np.float64)])
def test_a_header_of_another_shape_or_dtype_than_the_manifests_is_refused(folder, forger, change):
    save_file({"vectors": np.ascontiguousarray(change(np.zeros((12, 4), np.float32)))}, folder / "items.safetensors")
    forger.reseal(folder)

    assert refusal_of(folder).file == "items.safetensors"


def test_an_array_that_the_manifest_does_not_list_is_refused(folder, forger):
    arrays = {"vectors": np.zeros((12, 4), np.float32), "code": np.zeros(1, np.uint8)}
    save_file(arrays, folder / "items.safetensors")
    forger.reseal(folder)

    assert_damaged(folder, "items.safetensors", "arrays", "['vectors']", "['code', 'vectors']")


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
@pytest.mark.parametrize(
    ("file", "name"),
    [(file, name) for file, name in ARRAYS if name in ("vectors", "parts", "gram", "constants", "parts.weights.0")],
)
def test_numbers_that_are_not_finite_are_refused(folder, forger, file, name, value):
    def put(array):
        array.flat[-1] = value
        return array

    forger.array(folder, file, name, put)

    assert_damaged(folder, file, name, "finite numbers", "1 that are not")


@pytest.mark.parametrize("length", [0, 2**20, 2**62, 2**63, 2**64 - 1])
def test_an_absurd_header_length_is_refused(folder, forger, length):
    path = folder / "users.safetensors"
    path.write_bytes(length.to_bytes(8, "little") + path.read_bytes()[8:])
    forger.reseal(folder)

    assert refusal_of(folder).file == "users.safetensors"


@pytest.mark.parametrize("raw", [b"", b"\x01", b"\x08" + bytes(7), b"\x02" + bytes(7) + b"{}", b"\x80\x04N."])
def test_a_file_that_is_no_safetensors_file_is_refused(folder, forger, raw):
    (folder / "users.safetensors").write_bytes(raw)
    forger.reseal(folder)

    assert refusal_of(folder).file == "users.safetensors"


def test_a_boolean_that_is_neither_true_nor_false_is_refused(folder, forger):
    path = folder / "audit/interactions.safetensors"
    path.write_bytes(path.read_bytes()[:-1] + b"\x02")
    forger.reseal(folder)

    assert_damaged(folder, "audit/interactions.safetensors", "positive", "bytes 0 and 1", 2)


@pytest.mark.parametrize(
    "ids",
    [
        ["u0", "u1", "u2", "u3", "u4", "u4"],
        ["u0", "u1", "u2", "u3", "u4", ""],
        ["u0", "u1", "u2", "u3", "u4", "u\n5"],
        ["u0", "u1", "u2", "u3", "u4", "u\x005"],
        ["u0", "u1", "u2", "u3", "u4", "\u202eu5"],
        ["u0", "u1", "u2", "u3", "u4", "u" * 257],
    ],
    ids=lambda ids: ascii(ids[-1][:10]),
)
def test_ids_that_repeat_or_cannot_be_printed_are_refused(folder, forger, ids):
    forger.users(folder, ids)

    assert_damaged(folder, "users.parquet", "ids")


def test_item_ids_that_repeat_are_refused(folder, forger):
    forger.items(folder, id=["i0"] * 12)

    assert_damaged(folder, "items.parquet", "ids", "unique", "'i0' more than once")


@pytest.mark.parametrize(
    "columns",
    [
        {"id": [None, *(f"i{row}" for row in range(11))]},
        {"title": [None] * 12},
        {"groups": [None] * 12},
        {"groups": [["even", None]] * 12},
        {"popularity": [None] * 12},
        {"popularity": [-1] * 12},
        {"cold": [None] * 12},
        {"cold": [True] * 12},
    ],
    ids=str,
)
def test_empty_or_negative_values_in_a_table_are_refused(folder, forger, columns):
    forger.items(folder, **columns)

    assert refusal_of(folder).file == "items.parquet"


def test_an_id_that_is_not_text_is_refused(folder, forger):
    wrong = pa.array([b"u\xff"] * 6, pa.binary()).view(pa.string())
    forger.table(folder, "users.parquet", pa.table({"id": wrong}))

    assert_damaged(folder, "users.parquet", "contents", "a Parquet file")


@pytest.mark.parametrize(
    "table",
    [
        pa.table({"user": [f"u{row}" for row in range(6)]}),
        pa.table({"id": list(range(6))}),
        pa.table({"id": pa.array([f"u{row}" for row in range(6)], pa.large_string())}),
        pa.table({"id": pa.array([f"u{row}" for row in range(6)]).dictionary_encode()}),
        pa.table({"id": [f"u{row}" for row in range(6)], "age": [30] * 6}),
    ],
    ids=lambda table: str(table.schema),
)
def test_a_table_of_other_columns_is_refused(folder, forger, table):
    forger.table(folder, "users.parquet", table)

    assert_damaged(folder, "users.parquet", "columns", "pyarrow.Field<id: string>")


@pytest.mark.parametrize("count", [0, 5, 7])
def test_a_table_of_another_length_is_refused(folder, forger, count):
    ids = pa.array([f"u{row}" for row in range(count)], pa.string())
    pq.write_table(pa.table({"id": ids}), folder / "users.parquet")
    forger.reseal(folder)

    assert_damaged(folder, "users.parquet", "rows", 6, count)


@pytest.mark.parametrize(
    "raw", [b"", b"PAR1", b"PAR1PAR1", b"PAR1\xff\xff\xff\x7fPAR1", b"PAR1" + bytes(100) + b"PAR1"]
)
def test_a_file_that_is_no_parquet_file_is_refused(folder, forger, raw):
    (folder / "users.parquet").write_bytes(raw)
    forger.reseal(folder)

    assert_damaged(folder, "users.parquet", "contents", "a Parquet file")


def test_a_small_table_that_stands_for_a_huge_one_is_refused(folder, forger, monkeypatch):
    monkeypatch.setattr(bundle.files, "MAX_TABLE_BYTES", 2**20)
    forger.items(folder, title=["x" * 2**18] * 12)
    assert (folder / "items.parquet").stat().st_size < 2**16

    assert_damaged(folder, "items.parquet", "unpacked size in bytes", "at most 1048576")


@pytest.mark.parametrize(
    "indptr",
    [
        [1, 3, 3, 5, 5, 5, 6],
        [0, 3, 3, 5, 5, 5, 5],
        [0, 3, 2, 5, 5, 5, 6],
        [0, 3, 3, 5, 5, 7, 6],
        [0, -1, 3, 5, 5, 5, 6],
        [0, 2**63 - 1, -2, 5, 5, 5, 6],
        [0, 2**63 - 1, -(2**63), 5, 5, 5, 6],
        [0, 0, 0, 0, 0, 0, 6],
    ],
    ids=str,
)
def test_seen_lists_that_do_not_rise_to_their_end_or_overlap_are_refused(folder, forger, indptr):
    forger.array(folder, "seen.safetensors", "indptr", lambda array: np.array(indptr))

    assert refusal_of(folder).file == "seen.safetensors"


@pytest.mark.parametrize(
    ("indices", "what"),
    [
        ([1, 4, 12, 0, 2, 11], "0 to 11"),
        ([-1, 4, 7, 0, 2, 11], "0 to 11"),
        ([1, 4, 2**31 - 1, 0, 2, 11], "0 to 11"),
        ([4, 1, 7, 0, 2, 11], "sorted and unique within a user"),
        ([1, 4, 4, 0, 2, 11], "sorted and unique within a user"),
        ([1, 4, 7, 2, 0, 11], "sorted and unique within a user"),
    ],
    ids=str,
)
def test_seen_items_that_are_unknown_unsorted_or_repeated_are_refused(folder, forger, indices, what):
    forger.array(folder, "seen.safetensors", "indices", lambda array: np.array(indices, np.int32))

    assert_damaged(folder, "seen.safetensors", "indices", what)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("labels", 3),
        ("labels", -2),
        ("validation", 12),
        ("validation", -2),
        ("test", 12),
        ("test", -(2**31)),
        ("split", 3),
        ("split", 255),
    ],
)
def test_audit_values_out_of_range_are_refused(folder, forger, name, value):
    def put(array):
        array.flat[-1] = value
        return array

    forger.array(folder, "audit/users.safetensors", name, put)

    refusal = refusal_of(folder)
    assert (refusal.file, refusal.what) == ("audit/users.safetensors", name)
    assert value in refusal.found


def test_only_audit_users_may_be_folded_in(folder, forger):
    forger.array(folder, "audit/users.safetensors", "folded_in", lambda flags: np.arange(len(flags)) == 0)

    assert_damaged(folder, "audit/users.safetensors", "folded_in", "audit users only", "1 that are not")


def test_a_label_is_held_against_the_classes_of_its_own_attribute(folder, forger):
    forger.array(folder, "audit/users.safetensors", "labels", lambda labels: np.full_like(labels, 2))  # gender has 2

    assert_damaged(folder, "audit/users.safetensors", "labels")


@pytest.mark.parametrize("constants", [[-0.1, 0.1, 1], [1, 0, 1], [1, -1, 1]], ids=str)
def test_fold_in_constants_out_of_range_are_refused(folder, forger, constants):
    forger.array(folder, "history.safetensors", "constants", lambda array: np.array(constants, np.float64))

    assert_damaged(
        folder, "history.safetensors", "constants", "weight ≥ 0 and ridge > 0", [float(c) for c in constants[:2]]
    )


def test_a_fold_in_without_a_solution_is_refused(folder, forger):
    forger.array(folder, "history.safetensors", "gram", lambda gram: -0.1 * np.eye(4, dtype=np.float32))

    assert_damaged(folder, "history.safetensors", "gram")


@pytest.mark.parametrize(
    "text", ["", "[]", "NaN", '{"a": NaN}', '{"a": Infinity}', '{"a": 1e999}', '{"a": "\\ud800"}', '{"a": 1, "a": 2}']
)
def test_a_card_that_is_not_plain_json_is_refused(folder, forger, text):
    (folder / "card.json").write_text(text)
    forger.reseal(folder)

    assert_damaged(folder, "card.json", "contents")
