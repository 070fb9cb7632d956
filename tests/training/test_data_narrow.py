"""Items of some groups alone, and the core: what stays, and what is said of the rest."""

from __future__ import annotations

import numpy as np
import polars as pl
import pytest

from training.base.vectors import VectorsConfig, read_brought_vectors
from training.data.config import DATA_CONFIG, AutoConfig, TablesConfig
from training.data.gather import Gathered
from training.data.generated_config import GeneratedConfig
from training.data.load import choose_reader, load
from training.data.narrow import core_of
from training.errors import ConfigError, DataError

ITEMS = "item,groups\na,Crime|Drama\nb,Crime|Horror\nc,Horror\nd,Drama\ne,\n"


@pytest.fixture
def a_folder(tmp_path):
    """Two users who like all five items."""
    rows = [f"{user},{item}" for user in (1, 2) for item in "abcde"]
    (tmp_path / "interactions.csv").write_text("\n".join(["user,item", *rows]))
    (tmp_path / "users.csv").write_text("user,team\n1,x\n2,y\n")
    (tmp_path / "items.csv").write_text(ITEMS)
    return tmp_path


def test_an_item_stays_that_is_in_exactly_one_of_the_groups_and_is_then_in_that_one_alone(a_folder):
    dataset = load(TablesConfig(only_groups=("Crime", "Horror")), a_folder)

    assert dict(zip(dataset.items, dataset.groups, strict=True)) == {"a": ("Crime",), "c": ("Horror",)}
    assert len(dataset.indices) == 4
    assert dataset.left_out["items of none or several of the groups wanted"] == 3
    assert "exactly one of 2 groups" in dataset.source


def test_a_group_that_no_item_is_in_is_refused_by_name(a_folder):
    with pytest.raises(
        DataError, match=r"items\.csv: has no item of group 'Comedy'; allowed: 'Crime', 'Drama', 'Horror'"
    ):
        load(TablesConfig(only_groups=("Crime", "Comedy")), a_folder)


@pytest.mark.parametrize(
    ("fields", "said"),
    [
        ({"only_groups": ["a", "a"]}, "names a group twice"),
        ({"core": 0}, "greater than 0"),
        ({"held_out": {"test": 0.5}}, "less than or equal to 0.4"),
        ({"held_out": {"train": 0.5}}, "Extra inputs"),
    ],
)
def test_what_cannot_be_is_refused(fields, said):
    with pytest.raises(ValueError, match=said):
        DATA_CONFIG.validate_python({"reader": "tables"} | fields)


def met(pairs):
    users, items = np.array(pairs, np.int32).T
    return Gathered(users, items, np.ones(len(pairs), np.bool_), pl.Series(list("abcdef"), dtype=pl.String))


def test_a_core_is_what_is_left_when_nobody_has_too_few():
    """User 2 has one positive; without it item 2 has one, and then user 1 has one, and so on: nothing stays of them."""
    chain = met([(0, 0), (0, 1), (3, 0), (3, 1), (1, 1), (1, 2), (2, 2)])

    kept = core_of(chain, 2)

    assert list(zip(kept.users.tolist(), kept.items.tolist(), strict=True)) == [(0, 0), (0, 1), (3, 0), (3, 1)]
    assert len(core_of(chain, 1).users) == 7
    assert len(core_of(chain, 3).users) == 0


def test_what_is_only_seen_makes_no_core():
    rows = met([(0, 0), (0, 1), (1, 0), (1, 1), (2, 0)])
    seen = Gathered(rows.users, rows.items, np.array([True, True, True, True, False]), rows.ids)

    assert core_of(seen, 2).users.tolist() == [0, 0, 1, 1]


def test_a_core_without_anybody_is_an_error_that_says_so(a_folder):
    with pytest.raises(DataError, match="no user has 1 or more positives"):
        load(TablesConfig(core=3), a_folder)


def test_generated_data_takes_them_through_auto():
    said = {"core": 2, "only_groups": ("Action", "Drama"), "held_out": {"validation": 0.1, "test": 0.2}}

    chosen = choose_reader(AutoConfig.model_validate(said), None)

    assert isinstance(chosen, GeneratedConfig)
    assert (chosen.core, chosen.only_groups, chosen.held_out.test) == (2, ("Action", "Drama"), 0.2)


def test_brought_vectors_cannot_be_narrowed(a_folder):
    (a_folder / "u.txt").write_text("2 2\n1 1.0 0.5\n2 0.5 1.0\n")
    (a_folder / "v.txt").write_text("5 2\na 1.0 0.1\nb 0.5 0.2\nc 0.5 0.3\nd 0.1 0.4\ne 0.2 0.5\n")
    files = {"users": {"file": "u.txt"}, "items": {"file": "v.txt"}}
    vectors = read_brought_vectors(VectorsConfig.model_validate(files), a_folder)

    with pytest.raises(ConfigError, match=r"data\.core: 2 leaves out items and users, which brought vectors"):
        load(TablesConfig(core=2), a_folder, vectors.ids)
