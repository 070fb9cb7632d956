"""`data check` finds out how a folder is written, and prints the table that `training run` reads it with."""

import gzip
import os
import tomllib
from pathlib import Path

import numpy as np
import polars as pl
import pyarrow as pa
import pytest

from training.__main__ import main
from training.data.config import DATA_CONFIG, AutoConfig, TablesConfig
from training.data.load import choose_reader, load
from training.errors import DataError

RUN = """
name = "small"
threads = 1
[base]
model = "pmf"
dimensions = 8
batch = 512
schedule = { epochs = 2, validate_every = 1 }
"""


def rows(seed=0, users=60, items=20):
    """Interactions of users who differ in how many they have: (user, item, rating, timestamp)."""
    rng = np.random.default_rng(seed)
    found = []
    for user in range(1, users + 1):
        met = rng.permutation(items)[: 10 + user % 8]
        found += [
            (user, int(item) + 1, 4 + int(rng.integers(0, 2)), 1_600_000_000 + place) for place, item in enumerate(met)
        ]
    return found


def text(header, lines, mark=","):
    return "\n".join([*([header] if header else []), *(mark.join(map(str, line)) for line in lines)]) + "\n"


PEOPLE = [(user, "FM"[user % 2], 20 + user % 30) for user in range(1, 61)]
FILMS = [(item, f"Film {item}", "Drama|Comedy" if item % 2 else "Drama") for item in range(1, 31)]


def three_tables(folder):
    (folder / "interactions.csv").write_text(text("user,item,rating,timestamp", rows()))
    (folder / "users.csv").write_text(text("user,gender,age", PEOPLE))
    (folder / "items.csv").write_text(text("item,title,groups", FILMS))


def renamed_and_compressed(folder):
    inter = text("userId\titemId\tstars\tdate", [(*row[:3], "2009-05-05T23:08:40Z") for row in rows()], "\t")
    (folder / "Interactions.tsv.gz").write_bytes(gzip.compress(inter.encode()))
    (folder / "USERS.CSV").write_bytes(text("id;Sex;Age", PEOPLE, ";").encode("utf-16"))
    items = pa.compress(text("id,name,genres", FILMS).encode(), codec="zstd", asbytes=True)
    (folder / "items.csv.zst").write_bytes(items)


def books(folder):
    def quoted(header, lines):
        return "\r\n".join(";".join(f'"{cell}"' for cell in line) for line in [header, *lines]).encode("latin-1")

    isbn = "{:09d}X".format
    ratings = [(user, isbn(item), rating) for user, item, rating, _ in rows()]
    (folder / "BX-Book-Ratings.csv").write_bytes(quoted(("User-ID", "ISBN", "Book-Rating"), ratings))
    people = [(user, "málaga, spain", "NULL" if user % 5 == 0 else age) for user, _, age in PEOPLE]
    (folder / "BX-Users.csv").write_bytes(quoted(("User-ID", "Location", "Age"), people))
    (folder / "BX-Books.csv").write_bytes(
        quoted(("ISBN", "Book-Title"), [(isbn(item), f"Título {item}") for item, *_ in FILMS])
    )


def atomic(folder):
    (folder / "shop.inter").write_text(
        text("user_id:token\titem_id:token\trating:float\ttimestamp:float", rows(), "\t")
    )
    people = [(*person, "0.1 0.2") for person in PEOPLE]
    (folder / "shop.user").write_text(text("user_id:token\tgender:token\tage:float\ttaste:float_seq", people, "\t"))
    films = [(item, f'The "{title}', groups.replace("|", " ")) for item, title, groups in FILMS]
    (folder / "shop.item").write_text(text("item_id:token\tname:token_seq\tclass:token_seq", films, "\t"))


def latest_small(folder):
    (folder / "ratings.csv").write_text(text("userId,movieId,rating,timestamp", rows()))
    films = [(item, f'"Film, The {item}"', groups) for item, _, groups in FILMS[:-1]] + [
        (30, "None", "(no genres listed)")
    ]
    (folder / "movies.csv").write_text(text("movieId,title,genres", films))
    (folder / "tags.csv").write_text("userId,movieId,tag,timestamp\n1,1,fun,1\n")
    (folder / "links.csv").write_text("movieId,imdbId,tmdbId\n1,1,1\n")


def ml_10m(folder):
    halves = [(user, item, rating + 0.5, time) for user, item, rating, time in rows()]
    (folder / "ratings.dat").write_text(text("", halves, "::"))
    (folder / "movies.dat").write_text(text("", [(item, f"Amélie {item}", groups) for item, _, groups in FILMS], "::"))
    (folder / "tags.dat").write_text("1::1::fun::1\n")


def ml_1m(folder):
    (folder / "ratings.dat").write_text(text("", rows(), "::"))
    (folder / "users.dat").write_text(text("", [(user, sex, age, user % 3, "0") for user, sex, age in PEOPLE], "::"))
    (folder / "movies.dat").write_bytes(
        text("", [(item, f"Amélie {item}", "Drama") for item, *_ in FILMS], "::").encode("latin-1")
    )


def ml_100k(folder):
    (folder / "u.data").write_text(text("", rows(), "\t"))
    (folder / "u.user").write_text(
        text("", [(user, age, sex, ("other", "writer")[user % 3 > 0], "0") for user, sex, age in PEOPLE], "|")
    )
    (folder / "u.genre").write_text("unknown|0\nDrama|1\n")
    (folder / "u.item").write_text(text("", [(item, title, "", "", "", 0, 1) for item, title, _ in FILMS], "|"))


FORMS = [three_tables, renamed_and_compressed, books, atomic, latest_small, ml_10m, ml_1m, ml_100k]


def check(capsys, *arguments):
    """Run `data check`; gives the exit status, the description, the table that it prints and what it refuses with."""
    capsys.readouterr()
    status = main(["data", "check", *map(str, arguments)])
    printed = capsys.readouterr()
    description, _, table = printed.out.partition("[data]\n")
    return status, description, "[data]\n" + table, printed.err


@pytest.mark.parametrize("form", FORMS)
def test_the_table_that_is_printed_reads_what_was_found(tmp_path, capsys, form):
    form(tmp_path)

    status, description, table, _ = check(capsys, tmp_path)

    printed = DATA_CONFIG.validate_python(tomllib.loads(table)["data"])
    assert status == 0
    assert load(printed, tmp_path).fingerprint == load(AutoConfig(), tmp_path).fingerprint
    assert "users         60\n" in description
    assert "items         20\n" in description


@pytest.mark.parametrize("form", [*FORMS[1:3], *FORMS[3:6]])
def test_training_takes_the_table_that_is_printed(tmp_path, capsys, form):
    folder = tmp_path / "data"
    folder.mkdir()
    form(folder)
    _, _, table, _ = check(capsys, folder)
    config = tmp_path / "run.toml"
    config.write_text(RUN + table)

    status = main(["run", str(config), "--data", str(folder), "--out", str(tmp_path / "bundles")])

    assert status == 0
    assert (
        check(capsys, folder, "--config", config)[0],
        len(list(tmp_path.glob("bundles/small/*/manifest.json"))),
    ) == (0, 1)


@pytest.mark.data
@pytest.mark.parametrize("name", ["ml-100k", "ml-1m"])
def test_the_table_of_the_real_sets_reads_them(capsys, name):
    folder = os.environ.get("EVENHAND_DATA") or pytest.skip("EVENHAND_DATA is not set")

    status, _, table, _ = check(capsys, Path(folder) / name)

    assert (status, tomllib.loads(table)["data"]["reader"]) == (0, "movielens")


def test_attributes_ages_and_titles_are_found_in_other_forms(tmp_path):
    books(tmp_path)

    dataset = load(AutoConfig(), tmp_path)

    assert [attribute.name for attribute in dataset.attributes] == ["age"]
    assert dataset.attributes[0].classes == ("18-24", "25-34", "35-44", "45-49")
    assert dataset.titles[0] == "Título 1"
    assert dataset.items[0] == "000000001X"


def test_groups_of_atomic_files_and_of_movielens_are_apart(tmp_path):
    (tmp_path / "a").mkdir()
    (tmp_path / "b").mkdir()
    atomic(tmp_path / "a")
    latest_small(tmp_path / "b")

    shop, films = load(AutoConfig(), tmp_path / "a"), load(AutoConfig(), tmp_path / "b")

    assert (shop.titles[0], shop.groups[0]) == ('The "Film 1', ("Drama", "Comedy"))
    assert (films.titles[0], films.groups[0]) == ("Film, The 1", ("Drama", "Comedy"))


@pytest.mark.parametrize("form", [latest_small, ml_10m])
def test_where_nothing_is_known_of_users_it_is_said_and_activity_stands_in(tmp_path, capsys, form):
    form(tmp_path)

    status, description, table, _ = check(capsys, tmp_path)

    assert status == 0
    assert "warning: nothing is known of users that can be an attribute: how many" in description
    assert tomllib.loads(table)["data"]["attributes"] == {"activity": {"counts": "interactions", "edges": [13.0]}}


def test_where_all_users_are_as_active_there_is_no_attribute_and_no_training(tmp_path, capsys):
    (tmp_path / "ratings.csv").write_text(
        "userId,movieId,rating\n" + "".join(f"{user},{item},5\n" for user in range(9) for item in range(4))
    )

    status, description, _, refused = check(capsys, tmp_path)

    assert "users         9\n" in description
    assert "warning: nothing is known of users that can be an attribute: nothing" in description
    assert (status, refused.count("\n")) == (2, 1)
    assert "no users table, or no column" in refused


def test_movielens_without_users_has_none_of_the_usual_attributes(tmp_path):
    ml_10m(tmp_path)

    with pytest.raises(DataError, match="has no users table, so there is no attribute; allowed: a users table"):
        load(DATA_CONFIG.validate_python({"reader": "movielens", "attributes": ["gender"]}), tmp_path)


def test_auto_hands_columns_on_and_keeps_what_is_said(tmp_path, capsys):
    (tmp_path / "interactions.csv").write_text("who,what\n1,a\n2,b\n3,a\n")
    (tmp_path / "users.csv").write_text("nr,team\n1,x\n2,y\n3,x\n")
    config = tmp_path / "data.toml"
    config.write_text(
        '[data]\nreader = "auto"\ninteractions = { user = "who", item = "what" }\nusers = { user = "nr" }\n'
    )

    _, description, table, _ = check(capsys, tmp_path, "--config", config)
    refused = check(capsys, tmp_path)[3]

    assert "users         3\n" in description
    assert tomllib.loads(table)["data"]["interactions"] == {"file": "interactions.csv", "user": "who", "item": "what"}
    assert (
        "interactions.csv: has no column that seems to hold the user; allowed: its name in the configuration" in refused
    )


def test_a_file_without_a_header_is_recognised_by_its_numbers(tmp_path):
    three_tables(tmp_path)
    expected = load(AutoConfig(), tmp_path)
    (tmp_path / "interactions.csv").write_text(text("", rows()))

    assert load(AutoConfig(), tmp_path).fingerprint == expected.fingerprint


def test_numbers_with_decimal_commas_are_recognised(tmp_path):
    three_tables(tmp_path)
    (tmp_path / "interactions.csv").write_text(
        text("user;item;rating", [(*row[:2], f"{row[2]},5") for row in rows()], ";")
    )

    chosen = choose_reader(AutoConfig(), tmp_path)

    assert isinstance(chosen, TablesConfig)
    assert chosen.interactions.csv is not None
    assert chosen.interactions.csv.decimal == ","
    assert load(AutoConfig(positive_at_least=5.5), tmp_path).positive.sum() > 0


def test_users_without_a_row_are_refused_or_dropped_and_counted(tmp_path):
    three_tables(tmp_path)
    (tmp_path / "users.csv").write_text(text("user,gender,age", PEOPLE[:-2]))

    with pytest.raises(DataError, match=r"'59' is not in the users table; allowed: .*unknown_users = .drop."):
        load(AutoConfig(), tmp_path)
    dataset = load(AutoConfig(unknown_users="drop"), tmp_path)

    assert len(dataset.users) == 58
    assert dataset.left_out["interactions of users without a row"] == sum(row[0] > 58 for row in rows())


def test_what_is_left_out_is_counted(tmp_path, capsys):
    three_tables(tmp_path)
    (tmp_path / "users.csv").write_text(
        text(",user,gender,age", [(1, *person) for person in PEOPLE] + [(61, 61, "", 20)])
    )
    status, description, _, _ = check(capsys, tmp_path)
    assert status == 0
    assert "left out      columns of users.csv without a name: 1\n" in description
    assert "left out      items that nobody touched: 10\n" in description
    assert "left out      users with fewer than 1 positives: 1\n" in description


def test_parquet_is_recognised_by_its_columns(tmp_path):
    pl.DataFrame(rows(), schema=["user_id", "item_id", "rating", "timestamp"], orient="row").write_parquet(
        tmp_path / "ratings.parquet"
    )
    pl.DataFrame(PEOPLE, schema=["user_id", "gender", "age"], orient="row").write_parquet(tmp_path / "users.parquet")

    assert [attribute.name for attribute in load(AutoConfig(), tmp_path).attributes] == ["gender", "age"]


def test_columns_that_cannot_be_attributes_are_left_out_by_name(tmp_path, capsys):
    three_tables(tmp_path)
    people = [(row, user, sex, f"{10000 + user}") for row, (user, sex, _) in enumerate(PEOPLE)]
    (tmp_path / "users.csv").write_text(text("index,user,gender,postcode", people))

    status, description, table, _ = check(capsys, tmp_path)

    assert status == 0
    assert tomllib.loads(table)["data"]["attributes"] == {"gender": {}}
    assert "columns of users.csv that are no attribute ('index', 'postcode'): 2" in description


@pytest.mark.parametrize("column", ["gender_" * 10, "性别", "Sex"])
def test_a_column_whose_name_no_attribute_can_have_is_refused_with_the_way_out(tmp_path, capsys, column):
    three_tables(tmp_path)
    people = [(user, sex, sex) for user, sex, _ in PEOPLE]
    (tmp_path / "users.csv").write_text(text(f"user,sex,{column}", people))

    status, _, _, refused = check(capsys, tmp_path)

    assert (status, refused.count("\n")) == (2, 1)
    assert f"{len(column)} characters" in refused
    assert "[data.attributes] NAME = { column = " in refused


def test_a_column_of_decimals_is_left_out_and_the_rest_is_read(tmp_path, capsys):
    three_tables(tmp_path)
    people = pl.read_csv(tmp_path / "users.csv").with_columns(pl.lit("1.5").cast(pl.Decimal(5, 1)).alias("credit"))
    (tmp_path / "users.csv").unlink()
    people.write_parquet(tmp_path / "users.parquet")

    status, description, _, _ = check(capsys, tmp_path)

    assert status == 0
    assert "columns of users.parquet that are no attribute ('credit'): 1" in description


def test_hidden_files_and_locks_of_office_programs_are_no_tables(tmp_path, capsys):
    three_tables(tmp_path)
    for name in ("._users.csv", "~$users.csv", ".users.csv"):
        (tmp_path / name).write_bytes(b"\0\5\26\7")

    assert check(capsys, tmp_path)[0] == 0


def test_activity_is_cut_in_the_middle_of_the_users_who_are_kept(tmp_path, capsys):
    lines = [(user, item, 5, 1) for user in range(300) for item in range(2 if user < 160 else 4 + user % 3)]
    (tmp_path / "ratings.csv").write_text(text("userId,movieId,rating,timestamp", lines))

    status, description, table, _ = check(capsys, tmp_path)

    assert tomllib.loads(table)["data"]["attributes"]["activity"]["edges"] == [5.0]
    assert status == 0
    assert "activity (2 classes" in description


def test_movielens_files_with_windows_line_ends_are_read(tmp_path):
    for form, name in ((ml_10m, "one"), (ml_10m, "two")):
        (tmp_path / name).mkdir()
        form(tmp_path / name)
    for path in (tmp_path / "two").iterdir():
        path.write_bytes(path.read_bytes().replace(b"\n", b"\r\n"))

    unix, windows = (load(AutoConfig(), tmp_path / name) for name in ("one", "two"))

    assert windows.fingerprint == unix.fingerprint
    assert windows.groups == unix.groups
