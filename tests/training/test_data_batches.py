"""Interactions are read a batch at a time: the batches change neither the dataset nor what is said of a bad row."""

import subprocess
import sys
from pathlib import Path

import numpy as np
import polars as pl
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from training.data import csv_file, parquet_file
from training.data.assemble import id_order
from training.data.codes import Codes, Rows
from training.data.config import DATA_CONFIG
from training.data.load import load
from training.errors import DataError

IDS = ("1", "2", "10", "007", "é", 'a"b', "c,d")
USERS = {"user": IDS, "team": ("x", "y", "x", "y", "x", "y", "x")}
EVERY_TIME = settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])


@pytest.fixture
def in_small_batches(monkeypatch):
    """About eight rows at a time."""
    monkeypatch.setattr(csv_file, "BLOCK_BYTES", 64)
    monkeypatch.setattr(parquet_file, "ROWS_AT_ONCE", 8)


def load_frame(folder: Path, frame: pl.DataFrame, suffix: str = "csv", **fields):
    """Write interactions and the users above, and load them."""
    folder = folder / suffix
    folder.mkdir(exist_ok=True)
    for stem, table in (("interactions", frame), ("users", pl.DataFrame(USERS))):
        path = folder / f"{stem}.{suffix}"
        table.write_csv(path) if suffix == "csv" else table.write_parquet(path)
    return load(DATA_CONFIG.validate_python({"reader": "tables", **fields}), folder)


def row_by_row(rows, at_least, fewest):
    """What a dataset is, by the plainest loop: per user the (item, positive) in time order, each item once."""
    users: dict[str, dict[str, bool]] = {}
    for user, item, rating, _ in sorted(rows, key=lambda row: row[3]):
        users.setdefault(user, {}).pop(item, None)
        users[user][item] = rating >= at_least
    kept = {user: met for user, met in users.items() if sum(met.values()) >= fewest}
    liked = {item for met in kept.values() for item, positive in met.items() if positive}
    return {user: [(item, met[item]) for item in met if item in liked] for user, met in kept.items()}


ROWS = st.lists(
    st.tuples(st.sampled_from(IDS), st.sampled_from(IDS), st.integers(1, 5), st.integers(0, 6)), min_size=1, max_size=60
)


@EVERY_TIME
@given(rows=ROWS, fewest=st.integers(1, 2), suffix=st.sampled_from(["csv", "parquet"]))
def test_a_dataset_in_batches_is_what_a_loop_over_the_rows_makes(tmp_path, in_small_batches, rows, fewest, suffix):
    frame = pl.DataFrame(rows, schema=["user", "item", "rating", "timestamp"], orient="row")
    expected = row_by_row(rows, 4, fewest)
    if len({USERS["team"][IDS.index(user)] for user in expected}) < 2:
        with pytest.raises(DataError, match=r"no user has|among the users kept"):
            load_frame(tmp_path, frame, suffix, positive_at_least=4, min_positives=fewest)
        return

    dataset = load_frame(tmp_path, frame, suffix, positive_at_least=4, min_positives=fewest)

    found = {}
    for row, user in enumerate(dataset.users):
        own = range(dataset.indptr[row], dataset.indptr[row + 1])
        found[user] = [(dataset.items[dataset.indices[place]], bool(dataset.positive[place])) for place in own]
    assert found == expected
    assert set(dataset.items) == {item for met in expected.values() for item, _ in met}


def test_a_whole_number_in_one_batch_and_a_fraction_in_another_are_one_time(tmp_path, in_small_batches):
    frame = pl.DataFrame({"user": ["1"] * 30 + ["2"], "item": [f"i{row}" for row in range(31)]})
    times = ["10.5", *(str(99 - row) for row in range(28)), "10", "0"]

    dataset = load_frame(tmp_path, frame.with_columns(timestamp=pl.Series(times)))

    assert [dataset.items[row] for row in dataset.indices[:4]] == ["i29", "i0", "i28", "i27"]


@pytest.mark.parametrize(("last", "name"), [(30.0, "29"), (30.5, "29.0")])
def test_float_ids_are_whole_numbers_where_all_in_the_file_are(tmp_path, in_small_batches, last, name):
    items = [float(row) for row in range(30)] + [last]
    frame = pl.DataFrame({"user": ["1"] * 30 + ["2"], "item": items})

    dataset = load_frame(tmp_path, frame, "parquet")

    assert name in dataset.items


GOOD = [("1", "i", "5", "1")] * 40


@pytest.mark.parametrize("suffix", ["csv", "parquet"])
@pytest.mark.parametrize(
    ("bad", "says"),
    [
        (("1", "i", "five", "1"), "'five' is not a finite number"),
        (("1", "i", "5", None), "a number is missing"),
        (("1", "i\x07", "5", "1"), r"'i\x07' has a character that cannot be printed, U+0007"),
        (("", "i", "5", "1"), "an id is missing"),
        (("9", "i", "5", "1"), "'9' is not in the users table"),
    ],
)
def test_a_bad_value_in_a_later_batch_is_named_by_its_row_in_the_file(tmp_path, in_small_batches, suffix, bad, says):
    frame = pl.DataFrame([*GOOD, bad, *GOOD], schema=["user", "item", "rating", "timestamp"], orient="row")

    with pytest.raises(DataError) as caught:
        load_frame(tmp_path, frame, suffix)

    assert says in str(caught.value)
    assert (caught.value.file, caught.value.row) == (f"interactions.{suffix}", 41)


def load_bytes(folder: Path, data: bytes, name: str = "interactions.csv"):
    """Load with these interactions; gives the dataset, or the DataError that refuses them."""
    (folder / "users.csv").write_text("user,team\n1,x\n2,y\n")
    (folder / name).write_bytes(data)
    try:
        return load(DATA_CONFIG.validate_python({"reader": "tables"}), folder)
    except DataError as error:
        return error


def test_damage_in_a_later_block_is_named_by_its_place_in_the_file(tmp_path, in_small_batches):
    head = b"user,item\n" + b"1,i\n2,j\n" * 20

    short = load_bytes(tmp_path, head + b"1\n1,i\n")
    coded = load_bytes(tmp_path, head + b"1,\xff\n")
    cut = load_bytes(tmp_path, head + b"1,\xc3")
    quoted = load_bytes(tmp_path, head + b'1,"i\n' + b"1,i\n" * 20)
    long = load_bytes(tmp_path, head + b'1,"' + b"i" * 200 + b'"\n')

    assert (short.row, short.problem, short.value) == (41, "has 1 field", "1")
    assert (coded.line, coded.problem, coded.value) == (42, "is not UTF-8", b"\xff")
    assert (cut.line, cut.problem) == (42, "is not UTF-8")
    assert quoted.problem == "opens a quote that never closes"
    assert "is not readable as CSV" in long.problem


def test_line_ends_at_the_end_are_no_rows_and_those_inside_are(tmp_path, in_small_batches):
    rows = b"user,item\r\n" + b"1,i\r\n2,j\r\n" * 20

    inside = load_bytes(tmp_path, rows + b"\r\n1,i\r\n")
    dataset = load_bytes(tmp_path, b"\xef\xbb\xbf" + rows + b"\r\n" * 100)

    assert (inside.row, inside.problem) == (41, "an id is missing")
    assert dataset.items == ("i", "j")


@EVERY_TIME
@given(place=st.floats(0, 1, exclude_max=True), value=st.integers(0, 255))
def test_a_changed_byte_in_parquet_raises_nothing_but_data_errors(tmp_path, in_small_batches, place, value):
    rows = [*GOOD, ("2", "j", "4", "2")]
    pl.DataFrame(rows, schema=["user", "item", "rating", "timestamp"], orient="row").write_parquet(tmp_path / "whole")
    data = bytearray((tmp_path / "whole").read_bytes())
    data[int(place * len(data))] = value

    found = load_bytes(tmp_path, bytes(data), "interactions.parquet")

    said = str(found) if isinstance(found, DataError) else ""
    assert said.isprintable()
    assert str(tmp_path) not in said


@given(st.lists(st.text(alphabet="019aé", min_size=1, max_size=4) | st.text(alphabet="0129", min_size=1), unique=True))
def test_ids_are_ordered_as_numbers_where_all_are_digits(ids):
    def by_number(text):
        return (len(text.lstrip("0")), text.lstrip("0"), text)

    digits = all(text.isascii() and text.isdigit() for text in ids)
    ordered = [ids[row] for row in id_order(pl.Series("id", ids, dtype=pl.String))]

    assert ordered == sorted(ids, key=by_number if digits else None)


def test_an_id_has_the_same_number_whenever_it_is_met():
    codes, rows = Codes(), Rows(pl.Series(["b", "a"]))

    numbers = [*codes.of(pl.Series(["x", "y", "x"])), *codes.of(pl.Series(["z", "y"]))]

    assert sorted(set(numbers)) == [0, 1, 2]
    assert [codes.ids()[int(number)] for number in numbers] == ["x", "y", "x", "z", "y"]
    assert rows.of(pl.Series(["a", "c", "b", "c", "d"])).tolist() == [1, -1, 0, -1, -1]
    assert rows.of(pl.Series(["d", "a"])).tolist() == [-1, 1]


PEAKS = """
import sys
from pathlib import Path
from training.data.config import AutoConfig
from training.data.load import load
for folder in sys.argv[1:]:
    load(AutoConfig(), Path(folder))
    status = Path("/proc/self/status").read_text()
    print(next(line.split()[1] for line in status.splitlines() if line.startswith("VmHWM")))
"""
ID_CHARACTERS = 240


def write_long(folder: Path, rows: int, suffix: str) -> Path:
    """So many interactions, whose ids are nearly as long as ids may be."""
    folder.mkdir()
    ids = pl.Series([f"{row:0>{ID_CHARACTERS}}" for row in range(500)])
    of_user, of_item = np.random.default_rng(0).integers(0, 500, (2, rows))
    frame = pl.DataFrame({"user": ids[of_user], "item": ids[of_item], "timestamp": np.arange(rows)})
    users = pl.DataFrame({"user": ids, "team": ["x", "y"] * 250})
    for stem, table in (("interactions", frame), ("users", users)):
        table.write_csv(folder / f"{stem}.csv") if suffix == "csv" else table.write_parquet(folder / f"{stem}.parquet")
    return folder


@pytest.mark.skipif(not Path("/proc/self/status").is_file(), reason="the peak is read from /proc")
@pytest.mark.parametrize("suffix", ["csv", "parquet"])
def test_memory_does_not_grow_with_the_text_of_the_interactions(tmp_path, suffix):
    """What one process took at most after few rows, and after many: far more than what is read ahead."""
    few, many = 100_000, 400_000
    folders = [write_long(tmp_path / str(rows), rows, suffix) for rows in (few, many)]

    command = [sys.executable, "-c", PEAKS, *map(str, folders)]
    done = subprocess.run(command, capture_output=True, text=True, check=True, timeout=120)

    low, high = (1024 * int(line) for line in done.stdout.split())
    assert high - low < 0.5 * 2 * ID_CHARACTERS * (many - few)
