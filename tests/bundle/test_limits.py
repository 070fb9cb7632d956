"""What a bundle can hold is said once: who reads data and who reads bundles refuse the same."""

import unicodedata

import polars as pl
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from bundle.errors import DamagedError
from bundle.limits import LONGEST_ID, first_unfit
from bundle.write import write_bundle
from training.data.columns import id_column
from training.data.raw import Table
from training.errors import DataError

CHARACTERS = st.one_of(st.characters(exclude_categories=["Cs"]), st.sampled_from("\xa0\u200b\u2028\ufeff\x00\n\x7f é☃"))


@given(st.lists(st.text(CHARACTERS, max_size=4) | st.integers(250, 260).map(lambda n: "é" * n)))
def test_the_first_id_that_is_empty_long_or_not_printable_is_found(ids):
    bad = [place for place, text in enumerate(ids) if not (text.isprintable() and 1 <= len(text) <= LONGEST_ID)]

    found = first_unfit(pa.array(ids, pa.string()))

    assert (found.place, found.id) == (bad[0], ids[bad[0]]) if bad else found is None


@pytest.mark.parametrize("odd", ["\xa0", "\u200b", "\u202e", "\ufeff", "\u2028", "\x07", "\U000e0001", "\u0378"])
def test_reader_and_bundle_refuse_the_same_id_and_name_the_character(a_bundle, tmp_path, odd):
    one = f"i{odd}x"
    bundle = a_bundle(items=2)

    with pytest.raises(DataError) as read:
        id_column(Table("items.csv", pl.DataFrame({"item": ["a", one]})), "item")
    object.__setattr__(bundle.items, "ids", ("a", one))
    with pytest.raises(DamagedError) as written:
        write_bundle(bundle, tmp_path)

    assert (read.value.row, read.value.column) == (2, "item")
    assert f"U+{ord(odd):04X}" in str(read.value)
    assert unicodedata.name(odd, "") in str(read.value)
    assert f"U+{ord(odd):04X}" in str(written.value)
