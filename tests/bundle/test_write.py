"""Writing: what goes in comes out, the same contents give the same bytes, a version is whole or absent."""

import json
import threading
from dataclasses import replace

import numpy as np
import pytest

import bundle.write
from bundle import BundleError, read_bundle, write_bundle
from bundle.errors import BundleExistsError, DamagedError


def names_in(folder):
    return sorted(path.name for path in folder.iterdir())


def files_of(folder):
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def content_hash_of(folder):
    return json.loads((folder / "manifest.json").read_text())["content_hash"]


def assert_equal(found, expected):
    assert found.description.model_dump(exclude={"files", "content_hash"}) == expected.description.model_dump()
    for field in ("ids", "titles", "groups"):
        assert getattr(found.items, field) == getattr(expected.items, field)
    assert found.users.ids == expected.users.ids
    assert found.card == expected.card
    arrays = [
        (found.items.popularity, expected.items.popularity),
        (found.items.cold, expected.items.cold),
        (found.items.vectors, expected.items.vectors),
        (found.users.parts, expected.users.parts),
        (found.seen.indptr, expected.seen.indptr),
        (found.seen.indices, expected.seen.indices),
        (found.history.gram, expected.history.gram),
    ]
    if expected.audit is None:
        assert found.audit is None
    else:
        arrays += [
            (getattr(found.audit, name), value) for name, value in vars(expected.audit).items() if value is not None
        ]
    for one, other in arrays:
        assert one.dtype == other.dtype
        np.testing.assert_array_equal(one, other)
    constants = ("weight", "ridge", "scale")
    assert [getattr(found.history, name) for name in constants] == [
        getattr(expected.history, name) for name in constants
    ]
    weights = expected.encoder.state_dict()
    assert found.encoder.state_dict().keys() == weights.keys()
    assert all(value.equal(weights[name]) for name, value in found.encoder.state_dict().items())


@pytest.mark.parametrize(
    "options",
    [
        {"seen": {"u0": ["i3", "i1"], "u4": ["i0"]}},
        {"attributes": ["gender"]},
        {"attributes": ["gender", "age", "occupation"], "pairs": [("age", "occupation")]},
        {"attributes": []},
        {"table": True},
        {"with_audit": False},
        {"users": 0},
        {"items": 0},
        {"items": 3, "cold": np.array([False, True, True])},
    ],
    ids=str,
)
def test_a_bundle_read_back_equals_the_one_that_was_written(a_bundle, tmp_path, options):
    written = a_bundle(**options)

    found = read_bundle(write_bundle(written, tmp_path))

    assert_equal(found, written)


def test_a_bundle_read_back_encodes_as_the_one_that_was_written(a_bundle, tmp_path):
    import torch

    written = a_bundle(attributes=["gender", "age", "occupation"])
    u = torch.from_numpy(written.audit.base)
    mask = torch.rand(len(u), 3, generator=torch.Generator().manual_seed(1)) > 0.5

    found = read_bundle(write_bundle(written, tmp_path))

    assert found.encoder.split(u).equal(written.encoder.split(u))
    assert found.encoder.combine(found.encoder.split(u), mask).equal(
        written.encoder.combine(written.encoder.split(u), mask)
    )


def test_titles_groups_and_card_keep_every_letter(a_bundle, tmp_path):
    written = a_bundle(items=2)
    items = replace(written.items, titles=("Amélie 🎬", ""), groups=((), ("Sci-Fi", "Дети")))
    written = replace(written, items=items, card={"note": "β ≤ 0.1 “quoted”", "rows": [1, 0.5, None, True]})

    found = read_bundle(write_bundle(written, tmp_path))

    assert_equal(found, written)


def test_the_same_contents_give_the_same_bytes_and_content_hash(a_bundle, tmp_path):
    first = write_bundle(a_bundle(seed=3), tmp_path / "a")
    second = write_bundle(a_bundle(seed=3), tmp_path / "b")

    assert files_of(first) == files_of(second)


def test_another_seed_gives_another_content_hash(a_bundle, tmp_path):
    first = write_bundle(a_bundle(seed=3), tmp_path / "a")
    second = write_bundle(a_bundle(seed=4), tmp_path / "b")

    assert content_hash_of(first) != content_hash_of(second)


def test_another_version_of_the_same_contents_has_the_same_content_hash(a_bundle, tmp_path):
    first = write_bundle(a_bundle(version="1"), tmp_path)
    second = write_bundle(a_bundle(version="2"), tmp_path)

    assert content_hash_of(first) == content_hash_of(second)


def test_a_bundle_that_was_read_can_be_written_under_another_version(a_bundle, tmp_path):
    found = read_bundle(write_bundle(a_bundle(), tmp_path))

    again = write_bundle(
        replace(found, description=found.description.model_copy(update={"version": "2", "method": "renamed"})), tmp_path
    )

    assert read_bundle(again).description.method == "renamed"


def test_a_version_is_never_overwritten(a_bundle, tmp_path):
    folder = write_bundle(a_bundle(seed=1), tmp_path)
    before = files_of(folder)

    with pytest.raises(BundleExistsError):
        write_bundle(a_bundle(seed=2), tmp_path)

    assert files_of(folder) == before
    assert names_in(folder.parent) == ["1"]


def test_of_writers_at_the_same_time_one_wins_and_the_others_are_told(a_bundle, tmp_path, monkeypatch):
    count = 4
    ready = threading.Barrier(count)
    publish = bundle.write._publish
    monkeypatch.setattr(bundle.write, "_publish", lambda draft, target: (ready.wait(30), publish(draft, target)))
    outcomes = {}

    def write(seed):
        try:
            outcomes[seed] = write_bundle(contents[seed], tmp_path)
        except BundleError as error:
            outcomes[seed] = error

    contents = [a_bundle(seed=seed) for seed in range(count)]
    threads = [threading.Thread(target=write, args=(seed,)) for seed in range(count)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    winners = [seed for seed, outcome in outcomes.items() if outcome == tmp_path / "tiny" / "1"]
    assert len(winners) == 1
    assert sum(isinstance(outcome, BundleExistsError) for outcome in outcomes.values()) == count - 1
    assert names_in(tmp_path / "tiny") == ["1"]
    assert_equal(read_bundle(tmp_path / "tiny"), contents[winners[0]])


@pytest.mark.parametrize("interruption", [KeyboardInterrupt, OSError(28, "No space left on device")], ids=str)
@pytest.mark.parametrize("stage", ["_write_arrays", "_write_table", "_write_json", "_publish"])
def test_an_interrupted_write_leaves_nothing_behind(a_bundle, tmp_path, monkeypatch, stage, interruption):
    def interrupt(*args, **kwargs):
        raise interruption

    with monkeypatch.context() as patch:
        patch.setattr(bundle.write, stage, interrupt)
        with pytest.raises((KeyboardInterrupt, OSError)):
            write_bundle(a_bundle(), tmp_path)

    assert names_in(tmp_path / "tiny") == []
    assert read_bundle(write_bundle(a_bundle(), tmp_path)).users.ids


def test_a_draft_that_a_loss_of_power_left_behind_is_not_taken_for_a_version(a_bundle, tmp_path):
    folder = write_bundle(a_bundle(version="1"), tmp_path)
    write_bundle(a_bundle(version="2"), tmp_path).rename(folder.parent / ".2.abcdef")

    assert read_bundle(tmp_path / "tiny").description.version == "1"


@pytest.mark.parametrize(
    ("change", "file"),
    [
        (lambda b: replace(b, items=replace(b.items, ids=("same",) * len(b.items.ids))), "items.parquet"),
        (lambda b: replace(b, items=replace(b.items, vectors=b.items.vectors * np.nan)), "items.safetensors"),
        (lambda b: replace(b, users=replace(b.users, parts=b.users.parts[:, :1])), "users.safetensors"),
        (lambda b: replace(b, users=replace(b.users, parts=b.users.parts.astype(np.float64))), "users.safetensors"),
        (lambda b: replace(b, seen=replace(b.seen, indptr=b.seen.indptr + 1)), "seen.safetensors"),
        (lambda b: replace(b, history=replace(b.history, ridge=0.0)), "history.safetensors"),
    ],
)
def test_contents_that_no_reader_would_take_are_never_published(a_bundle, tmp_path, change, file):
    broken = change(a_bundle())

    with pytest.raises(DamagedError) as refusal:
        write_bundle(broken, tmp_path)

    assert refusal.value.file == file
    assert names_in(tmp_path / "tiny") == []
