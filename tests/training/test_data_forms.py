"""Tables as other programs write them: compression, marks, encodings, times, gaps."""

import gzip
import subprocess
import sys

import polars as pl
import pyarrow as pa
import pytest

from training.data import csv_file
from training.data.config import DATA_CONFIG
from training.data.load import load
from training.errors import DataError

INTERACTIONS = "user,item,rating,timestamp\n1,a,5,10\n1,b,4,20\n2,a,1,5\n2,b,3,6\n"
USERS = "user,team\n1,x\n2,y\n"
ITEMS = "item,title,groups\na,Alien,Horror|Sci-Fi\nb,Café,\n"


@pytest.fixture
def a_folder(tmp_path):
    def build(interactions=INTERACTIONS, users=USERS, items=ITEMS, *, end="csv", encode=str.encode):
        for stem, text in {"interactions": interactions, "users": users, "items": items}.items():
            (tmp_path / f"{stem}.{end}").write_bytes(encode(text))
        return tmp_path

    return build


def read(folder, **fields):
    return load(DATA_CONFIG.validate_python({"reader": "tables", **fields}), folder)


@pytest.fixture
def expected(a_folder):
    dataset = read(a_folder())
    for path in a_folder().iterdir():
        path.unlink()
    return dataset


@pytest.mark.parametrize(
    ("end", "encode", "form"),
    [
        ("csv.gz", lambda text: gzip.compress(text[:20].encode(), mtime=0) + gzip.compress(text[20:].encode()), {}),
        ("csv.zst", lambda text: pa.compress(text.encode(), codec="zstd", asbytes=True), {}),
        ("CSV", str.encode, {}),
        ("tsv", lambda text: text.replace(",", "\t").encode(), {}),
        ("tsv.gz", lambda text: gzip.compress(text.replace(",", "\t").encode()), {}),
        ("csv", lambda text: ("sep=;\r\n" + text.replace(",", ";")).encode(), {}),
        ("csv", lambda text: ("sep=,\n" + text).encode("utf-8-sig"), {}),
        ("csv", lambda text: text.replace("\n", "\r\n").encode(), {}),
        ("csv", lambda text: text.replace("\n", "\r").encode(), {}),
        ("csv", lambda text: text.encode("utf-16"), {"encoding": "utf-16"}),
        ("csv", lambda text: text.encode("latin-1"), {"encoding": "latin-1"}),
        ("csv", lambda text: text.replace(",", ";").encode("cp1252"), {"encoding": "cp1252", "delimiter": ";"}),
        ("csv", lambda text: text.replace("a,Alien", "'a','Alien'").encode(), {"quote": "'"}),
    ],
)
@pytest.mark.parametrize("block", [64, csv_file.BLOCK_BYTES])
def test_the_same_tables_in_another_form_are_the_same_dataset(
    a_folder, expected, monkeypatch, block, end, encode, form
):
    monkeypatch.setattr(csv_file, "BLOCK_BYTES", block)

    dataset = read(a_folder(end=end, encode=encode), csv=form)

    assert dataset.fingerprint == expected.fingerprint
    assert (dataset.titles, dataset.groups) == (expected.titles, expected.groups)


def test_a_file_without_a_header_has_its_columns_named(a_folder, expected):
    folder = a_folder(interactions=INTERACTIONS.partition("\n")[2])

    dataset = read(folder, interactions={"csv": {"columns": ["user", "item", "rating", "timestamp"]}})

    assert dataset.fingerprint == expected.fingerprint


def test_semicolons_decimal_commas_and_ids_in_quotes_are_read(a_folder):
    folder = a_folder(
        'user;item;rating\n"1";"00X";"4,5"\n"1";"01";"3,5"\n"2";"00X";"5"\n', "user;age\n1;17,5\n2;30\n", "item\n00X\n"
    )

    form = {"delimiter": ";", "decimal": ","}
    dataset = read(folder, csv=form, positive_at_least=4.5, attributes={"age": {"edges": [18]}})

    assert dataset.items == ("00X",)
    assert dataset.attributes[0].classes == ("under 18", "18+")


@pytest.mark.parametrize("block", [64, csv_file.BLOCK_BYTES])
def test_a_title_may_have_line_ends_quotes_and_escapes(a_folder, monkeypatch, block):
    monkeypatch.setattr(csv_file, "BLOCK_BYTES", block)
    items = 'item,title\na,"The ""Big"",\nred\r\none"\nb,5" disk\n'

    dataset = read(a_folder(items=items))
    escaped = read(a_folder(items='item,title\na,"The \\"Big\\",\nred one"\nb,"5\\""\n'), csv={"escape": "\\"})

    assert dataset.titles == ('The "Big", red one', '5" disk')
    assert escaped.titles == ('The "Big", red one', '5"')


@pytest.mark.parametrize(
    "times",
    [
        ("2009-05-05T23:08:40Z", "2009-05-06T00:08:39+01:00"),
        ("2009-05-05 23:08:40", "2009-05-05 23:08:39.999999"),
        ("2009-05-05", "2009-05-04"),
        ("20090505T230840Z", "20090505T230839Z"),
        ("1600000001", "1600000000.5"),
        ("1600000000001", "1600000000000"),
    ],
)
def test_times_are_numbers_or_iso_8601(a_folder, times):
    dataset = read(a_folder(f"user,item,timestamp\n1,a,{times[0]}\n1,b,{times[1]}\n2,a,{times[0]}\n"))

    assert [dataset.items[row] for row in dataset.indices[:2]] == ["b", "a"]


@pytest.mark.parametrize(
    ("second", "says"), [("7", "'7' is not a time"), ("2009-02-30", "is not a time"), ("", "missing")]
)
def test_a_column_of_times_has_one_kind(a_folder, second, says):
    folder = a_folder(f"user,item,timestamp\n1,a,2009-05-05\n1,b,{second}\n2,a,2009-05-05\n")

    with pytest.raises(DataError, match=says) as caught:
        read(folder)

    assert (caught.value.row, caught.value.column) == (2, "timestamp")


def test_a_rating_may_be_missing_where_ratings_do_not_decide(a_folder, expected):
    folder = a_folder(INTERACTIONS.replace("1,b,4,", "1,b,,").replace("2,a,1,", "2,a,NULL,"))

    assert read(folder).fingerprint == expected.fingerprint
    with pytest.raises(DataError, match="a number is missing") as caught:
        read(folder, positive_at_least=3)
    assert (caught.value.row, caught.value.column) == (2, "rating")


def test_a_word_for_missing_is_an_unknown_label_unless_it_is_a_class(a_folder):
    folder = a_folder(
        "user,item\n" + "".join(f"{user},a\n" for user in range(1, 6)), "user,team\n1,x\n2,y\n3,NULL\n4, \n5,NA\n"
    )

    usual, kept = read(folder), read(folder, missing=["NULL"])

    assert usual.labels.ravel().tolist() == [0, 1, -1, -1, -1]
    assert kept.attributes[0].classes == ("NA", "x", "y")
    assert kept.labels.ravel().tolist() == [1, 2, -1, -1, 0]


def test_columns_without_a_name_are_no_attributes(a_folder):
    folder = a_folder(users=",Unnamed: 0,user,team\n0,0,1,x\n1,1,2,y\n")

    assert [attribute.name for attribute in read(folder).attributes] == ["team"]


@pytest.mark.parametrize(
    ("end", "data", "says"),
    [
        ("csv.gz", gzip.compress(INTERACTIONS.encode() * 99, mtime=0)[:-20], "is not readable as gzip"),
        ("csv.zst", b"nonsense", "is not readable as zstd"),
        ("csv", INTERACTIONS.encode("utf-16"), "is not UTF-8; allowed: UTF-8 text, or another `encoding`"),
        ("csv", INTERACTIONS.replace("user", "us\0er").encode(), r"'us\x00er' is not the name of a column"),
        ("csv", INTERACTIONS.encode() + b"1,2\n# end\n", "row 5: '1,2' has 2 fields; allowed: 4"),
    ],
)
def test_what_cannot_be_read_is_one_line_that_says_why(a_folder, end, data, says):
    folder = a_folder()
    (folder / "interactions.csv").unlink()
    (folder / f"interactions.{end}").write_bytes(data)

    with pytest.raises(DataError) as caught:
        read(folder)

    assert says in str(caught.value)
    assert str(caught.value).isprintable()


@pytest.mark.parametrize("mark", [";;", "", "a", "\n", '"'])
def test_a_delimiter_is_one_mark_of_its_own(mark):
    with pytest.raises(ValueError, match="delimiter"):
        DATA_CONFIG.validate_python({"reader": "tables", "csv": {"delimiter": mark}})


@pytest.mark.parametrize("name", ["rot13", "base64", "latin-0", "\0"])
def test_an_encoding_is_one_that_python_knows(name):
    with pytest.raises(ValueError, match="encoding"):
        DATA_CONFIG.validate_python({"reader": "tables", "csv": {"encoding": name}})


def test_parquet_has_times_and_categories(a_folder, expected):
    folder = a_folder()
    frame = pl.read_csv(folder / "interactions.csv").with_columns(
        pl.col("item").cast(pl.Categorical), pl.from_epoch("timestamp")
    )
    frame.write_parquet(folder / "interactions.parquet")
    (folder / "interactions.csv").unlink()

    assert read(folder).fingerprint == expected.fingerprint


REFUSED = """
import sys
from pathlib import Path
from training.data.csv_file import open_csv
from training.data.csv_form import CsvForm
names, rows = open_csv(Path(sys.argv[1]), CsvForm())
list(rows(names))
"""


def test_a_refused_row_ends_the_process_with_its_message_and_nothing_else(tmp_path):
    (tmp_path / "users.csv").write_text("user,team\n1\n2,y\n")
    command = [sys.executable, "-c", REFUSED, str(tmp_path / "users.csv")]

    done = [subprocess.run(command, capture_output=True, text=True, timeout=60) for _ in range(12)]

    assert {one.returncode for one in done} == {1}
    assert all(one.stderr.endswith("users.csv, row 1: '1' has 1 field; allowed: 2\n") for one in done)
