"""Three tables in CSV or Parquet: what is read, and what is refused with the place named."""

from pathlib import Path

import numpy as np
import polars as pl
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from training.data.config import DATA_CONFIG, AutoConfig, TablesConfig
from training.data.load import load
from training.errors import ConfigError, DataError

INTERACTIONS = "user,item,rating,timestamp\n2,b,5,20\n2,a,4,10\n10,a,1,5\n10,c,3,6\n10,b,4,7\n"
USERS = "user,gender,age\n10,M,17\n2,F,56\n7,F,30\n"
ITEMS = "item,title,groups\na,Alien,Horror|Sci-Fi\nb,Brazil,\n"


@pytest.fixture
def a_folder(tmp_path):
    def build(interactions=INTERACTIONS, users=USERS, items=ITEMS):
        tables = {"interactions.csv": interactions, "users.csv": users, "items.csv": items}
        for name, text in tables.items():
            if text is not None:
                (tmp_path / name).write_bytes(text if isinstance(text, bytes) else text.encode())
        return tmp_path

    return build


def tables(**fields) -> TablesConfig:
    return DATA_CONFIG.validate_python({"reader": "tables", **fields})


def test_three_small_tables_become_the_dataset_they_describe(a_folder):
    config = tables(positive_at_least=4, attributes={"age": {"edges": [18, 56]}, "gender": {}})

    dataset = load(config, a_folder())

    assert dataset.users == ("2", "10")
    assert dataset.items == ("a", "b")
    assert dataset.titles == ("Alien", "Brazil")
    assert dataset.groups == (("Horror", "Sci-Fi"), ())
    assert [(a.name, a.classes) for a in dataset.attributes] == [("age", ("under 18", "56+")), ("gender", ("F", "M"))]
    assert dataset.labels.tolist() == [[1, 0], [0, 1]]
    assert dataset.indptr.tolist() == [0, 2, 4]
    assert dataset.indices.tolist() == [0, 1, 0, 1]
    assert dataset.positive.tolist() == [True, True, False, True]
    assert [dataset.labels.dtype, dataset.indptr.dtype, dataset.indices.dtype] == [np.int16, np.int64, np.int32]


def test_without_a_threshold_every_interaction_is_a_positive(a_folder):
    dataset = load(tables(attributes=["gender"]), a_folder())

    assert dataset.positive.all()
    assert dataset.items == ("a", "b", "c")
    assert dataset.titles[2] == ""


def test_without_an_items_table_titles_and_groups_are_empty(a_folder):
    dataset = load(tables(attributes=["gender"]), a_folder(items=None))

    assert set(dataset.titles) == {""}
    assert set(dataset.groups) == {()}


def test_without_timestamps_the_order_of_the_file_is_the_order_in_time(a_folder):
    folder = a_folder(interactions="user,item\n2,b\n10,a\n2,a\n10,c\n")

    dataset = load(tables(attributes=["gender"]), folder)

    assert [dataset.items[row] for row in dataset.indices] == ["b", "a", "a", "c"]


def test_equal_timestamps_keep_the_order_of_the_file(a_folder):
    folder = a_folder(interactions="user,item,timestamp\n2,c,5\n2,a,5\n2,b,4\n10,a,1\n")

    dataset = load(tables(attributes=["gender"]), folder)

    assert [dataset.items[row] for row in dataset.indices[:3]] == ["b", "c", "a"]


def test_of_a_repeated_pair_the_last_in_time_counts(a_folder):
    folder = a_folder(interactions="user,item,rating,timestamp\n2,a,5,9\n2,a,1,3\n2,b,5,4\n10,b,1,1\n10,b,5,1\n")

    dataset = load(tables(positive_at_least=4, attributes=["gender"]), folder)

    assert [dataset.items[row] for row in dataset.indices] == ["b", "a", "b"]
    assert dataset.positive.all()


def test_users_with_too_few_positives_leave_with_their_interactions(a_folder):
    folder = a_folder(
        interactions="user,item\n2,a\n2,b\n7,a\n10,a\n10,c\n", users="user,team\n2,x\n7,y\n10,z\n", items=None
    )

    dataset = load(tables(min_positives=2), folder)

    assert dataset.users == ("2", "10")
    assert dataset.attributes[0].classes == ("x", "z")
    assert dataset.items == ("a", "b", "c")


def test_a_missing_attribute_value_is_unknown_in_csv_and_parquet(a_folder, tmp_path):
    folder = a_folder(
        users="user,gender,age\n2,F,\n10, ,30\n7,M,\n11,M,50\n", interactions="user,item\n2,a\n10,a\n7,b\n11,b\n"
    )
    frame = pl.DataFrame({"user": [2, 10, 7, 11], "gender": ["F", None, "M", "M"], "age": [None, 30.0, np.nan, 50.0]})
    frame.write_parquet(folder / "people.parquet")
    config = {"attributes": {"gender": {}, "age": {"edges": [40]}}}

    from_csv = load(tables(**config), folder)
    from_parquet = load(tables(**config, users={"file": "people.parquet"}), folder)

    assert from_csv.labels.tolist() == [[0, -1], [1, -1], [-1, 0], [1, 1]]
    assert from_parquet.fingerprint == from_csv.fingerprint


def test_names_of_files_and_columns_are_declared_in_the_configuration(tmp_path):
    pl.DataFrame({"who": [1, 2], "what": ["x", "y"], "stars": [4.5, 2.0], "at": [3, 1]}).write_parquet(
        tmp_path / "ratings.parquet"
    )
    (tmp_path / "people.csv").write_text("id,Age Group\n1,old\n2,young\n")
    (tmp_path / "things.csv").write_text("id,name,kinds\nx,Ex,k1;k2\ny,Why,\n")
    config = tables(
        positive_at_least=2,
        interactions={"file": "ratings.parquet", "user": "who", "item": "what", "rating": "stars", "timestamp": "at"},
        users={"file": "people.csv", "user": "id"},
        items={"file": "things.csv", "item": "id", "title": "name", "groups": "kinds", "separator": ";"},
        attributes={"age_group": {"column": "Age Group"}},
    )

    dataset = load(config, tmp_path)

    assert dataset.titles == ("Ex", "Why")
    assert dataset.groups == (("k1", "k2"), ())
    assert dataset.attributes[0].classes == ("old", "young")


def test_auto_takes_every_column_of_users_but_the_id(a_folder):
    dataset = load(AutoConfig(min_positives=2), a_folder())

    assert [attribute.name for attribute in dataset.attributes] == ["gender", "age"]
    assert dataset.attributes[1].classes == ("17", "56")


def test_auto_names_what_it_would_recognise(tmp_path):
    with pytest.raises(DataError, match="interactions and users"):
        load(AutoConfig(), tmp_path)


def test_ids_that_are_all_digits_are_ordered_by_number_and_others_as_text(a_folder):
    numbers = load(tables(attributes=["gender"]), a_folder())
    mixed = load(tables(attributes=["gender"]), a_folder(INTERACTIONS.replace("2,", "u2,"), USERS.replace("2,", "u2,")))

    assert numbers.users == ("2", "10")
    assert mixed.users == ("10", "u2")


@pytest.mark.parametrize(
    ("file", "text", "row", "says"),
    [
        ("interactions", INTERACTIONS + "2,c,good,30\n", 6, "'good' is not a finite number"),
        ("interactions", INTERACTIONS + "2,c,NaN,30\n", 6, "not a finite number"),
        ("interactions", INTERACTIONS + "2,c,inf,30\n", 6, "not a finite number"),
        ("interactions", INTERACTIONS + "2,c,,30\n", 6, "a number is missing"),
        ("interactions", INTERACTIONS + "2,c,5,yesterday\n", 6, "'yesterday' is not a finite number"),
        ("interactions", INTERACTIONS + "3,c,5,30\n", 6, "'3' is not in the users table"),
        ("interactions", INTERACTIONS + "2,c,5", 6, "has 3 fields; allowed: 4"),
        ("interactions", INTERACTIONS + "2,c,5,1,1\n", 6, "has 5 fields; allowed: 4"),
        ("interactions", INTERACTIONS + ",c,5,1\n", 6, "an id is missing"),
        ("interactions", INTERACTIONS + '"2,c,5,1\n', None, "opens a quote that never closes"),
        (
            "interactions",
            INTERACTIONS.replace("item,", "thing,"),
            None,
            "allowed: 'user', 'thing'",
        ),
        ("interactions", "user,item,rating\n", None, "has no rows"),
        ("interactions", "", None, "is empty"),
        ("interactions", "\n\n", None, "is empty"),
        ("users", USERS + "2,M,20\n", 4, "'2' stands in an earlier row too"),
        ("users", USERS + "8,M,old\n", 4, "'old' is not a number"),
        ("users", USERS + "8,M\n", 4, "has 2 fields"),
        ("users", USERS.replace("gender", "age"), None, "names two columns"),
        ("users", USERS.replace("gender", "sex"), None, "'gender' is not a column"),
        ("users", USERS.replace("F", "M"), None, "attribute 'gender' has only 'M'"),
        ("users", b"user,gender,age\n10,M,17\n2,\xff,20\n", None, r"is not UTF-8"),
        ("items", ITEMS + "a,Again,\n", 3, "'a' stands in an earlier row too"),
        ("items", ITEMS + "d,\x1b[31mred,\n", 3, r"'\x1b[31mred' is not plain text"),
        ("items", ITEMS + "d,\u202etxt,\n", 3, "is not plain text"),
        ("items", ITEMS + "d\x00,zero,\n", 3, "cannot be printed, U+0000"),
        ("items", ITEMS + "d ,space,\n", 3, "has a space at an end"),
        ("items", ITEMS + f"{'d' * 300},long,\n", 3, "has 300 characters"),
        ("items", ITEMS + "d\N{NO-BREAK SPACE}x,nbsp,\n", 3, "cannot be printed, U+00A0 (NO-BREAK SPACE)"),
        ("items", ITEMS + "d\N{ZERO WIDTH SPACE},zero,\n", 3, "cannot be printed, U+200B (ZERO WIDTH SPACE)"),
        ("items", ITEMS + "d,Dune,Sand\x07\n", 3, "is not plain text"),
    ],
)
def test_a_malformed_table_is_refused_with_the_place_named(a_folder, file, text, row, says):
    config = tables(positive_at_least=4, attributes={"gender": {}, "age": {"edges": [18, 56]}})
    folder = a_folder(**{file: text})

    with pytest.raises(DataError) as caught:
        load(config, folder)

    assert says in str(caught.value)
    assert caught.value.file == f"{file}.csv"
    assert caught.value.row == row
    assert str(folder) not in str(caught.value)


def test_an_error_carries_its_facts_as_fields(a_folder):
    with pytest.raises(DataError) as caught:
        load(tables(attributes=["gender"]), a_folder(interactions=INTERACTIONS + "2,c,good,30\n"))

    assert (caught.value.file, caught.value.row, caught.value.column) == ("interactions.csv", 6, "rating")
    assert (caught.value.value, caught.value.allowed) == ("good", "a finite number")
    assert str(caught.value) == (
        "interactions.csv, row 6, column 'rating': 'good' is not a finite number; allowed: a finite number"
    )


def test_a_threshold_without_ratings_is_refused(a_folder):
    folder = a_folder(interactions="user,item\n2,a\n10,b\n")

    with pytest.raises(DataError, match=r"interactions.csv: has no ratings, which positive_at_least = 4 needs"):
        load(tables(positive_at_least=4, attributes=["gender"]), folder)


def test_an_attribute_with_too_many_classes_is_refused(a_folder):
    users = "user,zip\n" + "".join(f"{row},{row:05}\n" for row in range(300))

    with pytest.raises(DataError, match="has 300 classes: give `edges`"):
        load(tables(), a_folder(users=users))


def test_a_column_whose_name_cannot_name_an_attribute_is_refused(a_folder):
    with pytest.raises(DataError, match="'Age Group' cannot name an attribute"):
        load(tables(), a_folder(users=USERS.replace("age", "Age Group")))


def test_an_attribute_name_that_no_bundle_holds_is_refused_with_its_length(a_folder):
    longest = "a" * 64

    data = load(tables(), a_folder(users=USERS.replace("age", longest)))

    assert longest in [attribute.name for attribute in data.attributes]
    with pytest.raises(DataError, match=r"cannot name an attribute \(65 characters\); allowed: 1 to 64 characters"):
        load(tables(), a_folder(users=USERS.replace("age", longest + "a")))


def test_more_attributes_than_a_bundle_holds_are_refused(a_folder):
    names = [f"a{place}" for place in range(65)]
    users = "\n".join([",".join(["user", *names]), *(",".join([user, *(user * 65)]) for user in "12"), ""])

    with pytest.raises(DataError, match="has 65 attributes; allowed: at most 64"):
        load(tables(), a_folder(users=users))


def test_a_missing_folder_file_or_table_is_refused(a_folder, tmp_path):
    folder = a_folder(users=None)

    with pytest.raises(DataError, match=r"has no users table; allowed: users.csv or users.parquet"):
        load(tables(), folder)
    with pytest.raises(DataError, match=r"people.csv: cannot be read"):
        load(tables(users={"file": "people.csv"}), folder)
    with pytest.raises(DataError, match="is not a folder"):
        load(tables(), tmp_path / "nowhere")
    with pytest.raises(ConfigError, match="needs a folder"):
        load(tables(), None)


def test_two_files_for_one_table_are_refused(a_folder):
    folder = a_folder()
    pl.DataFrame({"user": [2]}).write_parquet(folder / "users.parquet")

    with pytest.raises(DataError, match=r"has both users.csv and users.parquet"):
        load(tables(), folder)


def test_parquet_that_is_cut_off_or_holds_other_types_is_refused(a_folder):
    folder = a_folder()
    frame = pl.DataFrame({"user": [[2], [10]], "item": ["a", "b"]})
    frame.write_parquet(folder / "nested.parquet")
    (folder / "cut.parquet").write_bytes((folder / "nested.parquet").read_bytes()[:-20])

    with pytest.raises(DataError, match=r"nested.parquet, column 'user': is List"):
        load(tables(interactions={"file": "nested.parquet"}), folder)
    with pytest.raises(DataError, match=r"cut.parquet: is not readable as Parquet"):
        load(tables(interactions={"file": "cut.parquet"}), folder)


def refusal(folder: Path, name: str, data: bytes) -> str:
    """Load with one file replaced; return the message of a DataError, let any other refusal escape."""
    (folder / name).write_bytes(data)
    try:
        load(tables(positive_at_least=4, attributes={"gender": {}, "age": {"edges": [18, 56]}}), folder)
    except DataError as error:
        return str(error)
    return ""


LETTERS = st.text(alphabet='ab21,"\n\r\t|.-\x00é\ufeff', max_size=40)


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(name=st.sampled_from(["interactions.csv", "users.csv", "items.csv"]), tail=st.binary(max_size=40) | LETTERS)
def test_malformed_csv_raises_nothing_but_data_errors(a_folder, name, tail):
    folder = a_folder()
    head = {"interactions.csv": INTERACTIONS, "users.csv": USERS, "items.csv": ITEMS}[name]
    tail = tail if isinstance(tail, bytes) else tail.encode()

    messages = [refusal(folder, name, head.encode() + tail), refusal(folder, name, tail)]

    assert all(message.isprintable() for message in messages)


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(place=st.floats(0, 1, exclude_max=True), value=st.integers(0, 255))
def test_a_changed_byte_in_csv_raises_nothing_but_data_errors(a_folder, place, value):
    folder = a_folder()
    data = bytearray(INTERACTIONS.encode())
    data[int(place * len(data))] = value

    assert refusal(folder, "interactions.csv", bytes(data)).isprintable()
