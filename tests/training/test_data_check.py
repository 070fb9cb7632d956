"""Describing a dataset, and how classes are named and ordered."""

import pytest
from pydantic import ValidationError

from training.data.check import describe
from training.data.classes import ordered, range_names
from training.data.config import DATA_CONFIG
from training.data.load import load
from training.errors import DataError

AGES = ("under 18", "18-24", "25-34", "35-44", "45-49", "50-55", "56+")


def test_a_description_counts_and_warns():
    planted = {"team": {"classes": ["red", "blue"], "shares": [9, 1], "unknown": 0.3}}
    config = {
        "reader": "generated",
        "users": 60,
        "min_positives": 1,
        "items": 40,
        "interactions_per_user": 12,
        "attributes": planted,
    }

    text = describe(load(DATA_CONFIG.validate_python(config), None))

    assert "users         60\n" in text
    assert "team (2 classes, " in text
    assert "warning: team has classes under 30 users: blue (" in text
    assert "warning: team is unknown for " in text


def test_a_description_warns_that_nothing_is_held_out_and_all_is_positive(tmp_path):
    (tmp_path / "interactions.csv").write_text("user,item\n1,a\n2,b\n")
    (tmp_path / "users.csv").write_text("user,team\n1,x\n2,y\n")

    text = describe(load(DATA_CONFIG.validate_python({"reader": "auto"}), tmp_path))

    assert "users with fewer than 3 positives, of whom nothing is held out: 2" in text
    assert "every interaction is a positive" in text
    assert "items without a title: 2 of 2" in text


def test_interactions_that_are_there_twice_are_counted(tmp_path):
    (tmp_path / "interactions.csv").write_text("user,item\n1,a\n2,b\n1,a\n1,a\n2,a\n")
    (tmp_path / "users.csv").write_text("user,team\n1,x\n2,y\n")

    text = describe(load(DATA_CONFIG.validate_python({"reader": "auto"}), tmp_path))

    assert "interactions  3 " in text
    assert "left out      interactions that a later one of the same user and item replaces: 2\n" in text


def test_ages_with_decimal_commas_are_cut_like_others(tmp_path):
    (tmp_path / "interactions.csv").write_text("user;item\n" + "".join(f"{user};a\n" for user in range(40)))
    ages = "".join(f"{user};{user},{user % 10}\n" for user in range(40))
    (tmp_path / "users.csv").write_text("user;age\n" + ages)

    dataset = load(DATA_CONFIG.validate_python({"reader": "auto"}), tmp_path)
    told = {"reader": "tables", "csv": {"delimiter": ";"}, "attributes": {"age": {"edges": [18]}}}

    assert [each.classes for each in dataset.attributes] == [("under 18", "18-24", "25-34", "35-44")]
    with pytest.raises(DataError, match="with `decimal` of `csv` a comma"):
        load(DATA_CONFIG.validate_python(told), tmp_path)


@pytest.mark.parametrize("name", ["all", "none", "nothing", "shared", "accuracy"])
def test_what_reports_call_something_else_names_no_attribute(tmp_path, name):
    (tmp_path / "interactions.csv").write_text("user,item\n1,a\n2,b\n")
    (tmp_path / "users.csv").write_text(f"user,{name}\n1,x\n2,y\n")
    own = {"reader": "tables", "attributes": {"team": {"column": name}}}

    for data in ({"reader": "auto"}, {"reader": "tables"}):
        with pytest.raises(DataError, match=f"{name}.*allowed: .*none of all, none, nothing, shared, accuracy"):
            load(DATA_CONFIG.validate_python(data), tmp_path)
    with pytest.raises(ValidationError, match=f"{name}.*cannot name an attribute"):
        DATA_CONFIG.validate_python({"reader": "tables", "attributes": [name]})
    assert load(DATA_CONFIG.validate_python(own), tmp_path).attributes[0].name == "team"


@pytest.mark.parametrize(
    ("edges", "names"),
    [
        ([18, 25, 35, 45, 50, 56], AGES),
        ([1, 2, 4], ("under 1", "1", "2-3", "4+")),
        ([0.5, 2], ("under 0.5", "0.5-2", "2+")),
        ([7], ("under 7", "7+")),
    ],
)
def test_ranges_are_named_by_what_they_hold(edges, names):
    assert range_names(edges) == names


@pytest.mark.parametrize(
    "classes",
    [AGES, ("2", "10", "33"), ("10", "2", "x"), ("F", "M"), ("under 1", "1", "2-3", "4+"), ("under -5", "-5--1", "0+")],
)
def test_classes_are_ordered_by_number_where_they_have_one(classes):
    assert ordered(reversed(classes)) == classes
