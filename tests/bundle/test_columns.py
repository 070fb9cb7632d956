"""Columns: sequences of Python objects that are made one by one, and rows found without any."""

from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bundle import Groups, Texts, missing
from bundle.columns import Rows

TEXTS = st.lists(st.text(max_size=40) | st.text("ab", max_size=30), unique=True, max_size=60)
BOUNDED = settings(max_examples=100, deadline=None, derandomize=True)


@BOUNDED
@given(texts=TEXTS, other=st.text(max_size=40))
def test_every_text_has_its_row_and_no_other_text_has_one(texts, other):
    rows = Rows(texts)

    assert dict(rows) == {text: row for row, text in enumerate(texts)}
    assert (other in rows) == (other in texts)


@pytest.mark.parametrize("count", [1, 1000, 200_000])
def test_many_texts_have_their_rows(count):
    texts = [f"user-{number}" for number in range(count)]

    rows = Rows(texts)

    assert [rows[text] for text in texts[::997]] == list(range(0, count, 997))
    assert rows.get(f"user-{count}") is rows.get("") is rows.get("user-0" * 1000) is None


def test_a_text_that_is_no_unicode_has_no_row():
    assert "\ud800" not in Rows(["a", "\u00e9"])


def test_texts_alike_do_not_share_a_bucket_more_than_chance_has_it():
    rows = Rows([f"{number:09d}" for number in range(100_000)])

    assert max(end - start for start, end in pairwise(rows._starts)) < 12


@BOUNDED
@given(texts=TEXTS)
def test_a_column_of_texts_is_equal_to_the_sequence_that_it_was_made_of(texts):
    column = Texts.of(texts)

    assert column == texts
    assert tuple(texts) == column
    assert column[::-1] == texts[::-1]
    assert column[1:3] == texts[1:3]
    assert [column[place] for place in range(-len(texts), 0)] == texts
    assert column != [*texts, "more"]
    assert dict(Rows(column[1:])) == {text: row for row, text in enumerate(texts[1:])}


def test_a_row_that_there_is_none_of_is_an_error():
    with pytest.raises(IndexError):
        Texts.of(["a"])[1]
    with pytest.raises(IndexError):
        Groups.of([["a"]])[1]


def test_a_column_of_groups_is_equal_to_the_sequence_that_it_was_made_of():
    groups = (("drama",), (), ("comedy", "drama"), ("war", "war"))

    column = Groups.of(groups)

    assert column == groups
    assert column[1:] == list(groups[1:])
    assert column[-2] == ("comedy", "drama")
    assert column.names == ("comedy", "drama", "war")
    assert Groups.of(column) is column
    assert Groups.of([]) == ()


def test_the_rows_of_a_group_ascend():
    column = Groups.of([["drama"], [], ["comedy", "drama"], [], ["war", "war"]])

    assert column.rows("drama").tolist() == [0, 2]
    assert set(column.rows("war").tolist()) == {4}
    assert column.has("war")
    assert not column.has("western")


def test_missing_counts_what_only_the_first_has():
    assert missing(["a", "b", "c"], Texts.of(["b", "d"])) == 2
    assert missing([], ["b"]) == 0
    assert missing(["a"], []) == 1
