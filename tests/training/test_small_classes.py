"""Small classes: which become one, what they are called, whose labels decide, what stays as it was."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import polars as pl
import pytest
import torch
from pydantic import ValidationError

from bundle import read_bundle
from measure.labels import in_order
from measure.report import render_markdown
from measure.split import TRAIN
from training.__main__ import main
from training.card.views import population_of
from training.config import read_config
from training.data.classes import run_names
from training.data.config import DATA_CONFIG
from training.data.dataset import UNKNOWN, Attribute
from training.data.load import load
from training.data.small_classes import groups_of, merge_small, merged_classes, too_small
from training.data.split import split_users
from training.demands import experiment_of
from training.errors import DataError
from training.run import run
from training.summary import summary

pytestmark = pytest.mark.usefixtures("a_quick_card", "short_teachers")

ALONE = [[0], [1], [2]]


@pytest.mark.parametrize(
    ("counts", "groups"),
    [
        ([60, 60, 59, 1], [[0], [1], [2, 3]]),  # sixty are enough, fifty-nine are not
        ([5, 100, 6, 100], [[1], [3], [0, 2]]),  # though the rest has eleven
        ([100, 59, 100], ALONE),  # one alone joins no class that is large enough
        ([59, 59, 59], ALONE),  # all together would be one class
        ([100, 1, 0], [[0], [1, 2]]),
        ([60, 60, 60], ALONE),
    ],
)
def test_unordered_classes_of_few_users_become_one_class_of_the_rest(counts, groups):
    assert groups_of(counts, 60, in_order=False) == groups


@pytest.mark.parametrize(
    ("counts", "groups"),
    [
        ([60, 60, 60], ALONE),
        ([59, 1, 60], [[0, 1], [2]]),
        ([60, 59, 60], [[0], [1, 2]]),
        ([60, 60, 59], [[0], [1, 2]]),  # the last one has no class above it
        ([30, 30, 30, 30], [[0, 1], [2, 3]]),  # ties
        ([55, 5, 5, 55], [[0, 1], [2, 3]]),
        ([10, 200, 10], ALONE),  # either end would have to join the middle: one class
        ([40, 40, 39], ALONE),
        ([0, 60, 0, 0, 60, 0], [[0, 1], [2, 3, 4, 5]]),
    ],
)
def test_ordered_classes_of_few_users_join_a_neighbour(counts, groups):
    assert groups_of(counts, 60, in_order=True) == groups


@pytest.mark.parametrize("in_order", [True, False])
def test_merging_again_changes_nothing(in_order):
    rng = np.random.default_rng(3)
    for _ in range(200):
        counts = rng.integers(0, 120, rng.integers(2, 9)).tolist()
        groups = groups_of(counts, 60, in_order=in_order)
        if not in_order or len(groups) < len(counts):
            again = groups_of([sum(counts[place] for place in group) for group in groups], 60, in_order=in_order)
            assert again == [[place] for place in range(len(groups))]


@pytest.mark.parametrize(
    ("run", "name"),
    [
        (["18-24", "25-34"], "18-34"),
        (["under 18", "18-24"], "under 25"),
        (["45-49", "50-55", "56+"], "45+"),
        (["17", "18", "19"], "17-19"),
        (["1.5-2.5", "2.5-3"], "1.5-3"),
        (["under 0.5", "0.5-2"], "under 2"),
        (["18-24", "35-44"], "18-24 to 35-44"),  # somebody may be in between
        (["2-2.5", "2.5-3", "3-4"], "2-4"),
        (["1.5", "2.5"], "1.5 to 2.5"),
        (["low", "middle", "high"], "low to high"),
    ],
)
def test_a_run_of_ranges_is_named_as_one_range(run, name):
    assert run_names([run, ["99"]])[0] == name


def labelled(attribute, labels, small_data):
    """The small dataset with one attribute, whose labels repeat."""
    users = np.resize(np.asarray(labels, np.int16), len(small_data.users))
    return type(small_data)(**{**vars_of(small_data), "attributes": (attribute,), "labels": users[:, None]})


def vars_of(dataset):
    return {name: getattr(dataset, name) for name in dataset.__dataclass_fields__}


def test_unknown_labels_stay_unknown_and_count_for_no_class(small_data):
    team = Attribute("team", ("a", "b", "c", "d"), classes_at_least=30)
    dataset = labelled(team, [0, 1, 0, 1, 2, UNKNOWN, 0, 1, 3, UNKNOWN], small_data)  # 60, 60, 20, 20 and 40 unknown

    merged = merge_small(dataset, np.ones(200, np.bool_))

    assert merged.attributes[0].classes == ("a", "b", "other")
    assert merged.attributes[0].merged == {"other": ("c", "d")}
    assert np.bincount(merged.labels[:, 0] + 1).tolist() == [40, 60, 60, 40]
    assert merged_classes(merged) == {"team": {"other": {"of": ["c", "d"], "users": 40}}}


def test_train_users_alone_are_counted(small_data):
    team = Attribute("team", ("a", "b", "c", "d"), classes_at_least=30)
    dataset = labelled(team, [0, 1, 2, 3], small_data)
    counted = np.zeros(200, np.bool_)
    counted[:120] = True
    others = np.array(dataset.labels)
    others[120:] = 0  # whatever others' labels say

    assert (
        merge_small(dataset, counted).attributes
        == merge_small(type(dataset)(**{**vars_of(dataset), "labels": others}), counted).attributes
    )
    assert merge_small(dataset, counted).attributes[0].classes == ("a", "b", "c", "d")
    counted[0:8:4] = False  # 28 of "a"
    counted[1:9:4] = False  # and of "b"
    assert merge_small(dataset, counted).attributes[0].classes == ("c", "d", "other")


def test_the_class_of_the_rest_has_a_name_of_its_own(small_data):
    team = Attribute("team", ("b", "c", "other"), classes_at_least=90)
    dataset = labelled(team, [0, 1, 2, 2], small_data)

    merged = merge_small(dataset, np.ones(200, np.bool_)).attributes[0]

    assert merged.merged == {"other (together)": ("b", "c")}
    again = labelled(Attribute("team", ("a", "b", "other"), classes_at_least=90), [0, 0, 1, 2], small_data)
    assert merge_small(again, np.ones(200, np.bool_)).attributes[0].merged == {"other": ("b", "other")}


def test_what_was_merged_before_is_named_by_the_classes_of_the_data(small_data):
    team = Attribute("team", ("a", "b", "x"), merged={"x": ("c", "d")}, classes_at_least=90)

    merged = merge_small(labelled(team, [0, 0, 1, 2], small_data), np.ones(200, np.bool_)).attributes[0]

    assert merged.merged == {"other": ("b", "c", "d")}


def test_classes_that_cannot_be_merged_are_known(small_data):
    team = Attribute("team", ("a", "b"), classes_at_least=90)
    dataset = labelled(team, [0, 0, 0, 1], small_data)

    merged = merge_small(dataset, np.ones(200, np.bool_))

    assert merged.attributes == dataset.attributes
    assert too_small(merged.attributes[0], merged.labels[:, 0], np.ones(200, np.bool_)) == {"b": 50}


@pytest.fixture(scope="module")
def shop(tmp_path_factory):
    """400 users: seven countries, four of them small; education in words, few with the lowest; age in plain years."""
    folder = tmp_path_factory.mktemp("shop")
    rng = np.random.default_rng(1)
    rows = [(f"u{user}", f"i{item}") for user in range(400) for item in rng.permutation(30)[:10]]
    pl.DataFrame(rows, schema=["user", "item"], orient="row").write_csv(folder / "interactions.csv")
    countries = ["DE"] * 6 + ["FR"] * 6 + ["IT"] * 4 + ["NO", "SE", "LU", None]
    schools = ["none"] + ["school"] * 12 + ["college"] * 7
    users = {
        "user": [f"u{user}" for user in range(400)],
        "country": countries * 20,
        "education": schools * 20,
        "code": ["1", "2", "3", "4"] * 100,
    }
    pl.DataFrame(users).write_csv(folder / "users.csv")
    return folder


def data(**attributes):
    return DATA_CONFIG.validate_python({"reader": "tables", "attributes": attributes})


def test_a_declared_order_is_that_of_the_classes(shop):
    order = ["none", "school", "college"]

    dataset = load(data(education={"ordered": order}), shop)

    assert dataset.attributes[0].classes == tuple(order)
    assert dataset.attributes[0].ordered
    assert not load(data(education={}), shop).attributes[0].ordered
    assert load(data(code={}), shop).attributes[0].ordered
    assert not load(data(code={"ordered": False}), shop).attributes[0].ordered


def test_a_value_that_the_order_lacks_is_refused(shop):
    with pytest.raises(DataError, match=r"users.csv, row 14, column 'education': 'college' is not one of `ordered`"):
        load(data(education={"ordered": ["none", "school"]}), shop)
    options = {"ordered": ["none", "school", "college"], "merged": {"edge": ["none", "college"]}}
    with pytest.raises(DataError, match=r"is, as `merged`, not one of `ordered`; allowed: none, school, college"):
        load(data(education=options), shop)


def test_merging_a_value_that_the_data_lack_is_refused(shop):
    with pytest.raises(DataError, match=r"column 'country': has no 'SWE', which `merged` names; allowed: DE, .*SE"):
        load(data(country={"merged": {"north": ["NO", "SWE"]}}), shop)
    with pytest.raises(DataError, match=r"column 'code': has no '9', which `merged` names"):
        load(data(code={"edges": [2, 3], "merged": {"low": ["under 2", "9"]}}), shop)


def test_a_class_that_was_merged_before_needs_no_more_the_values_that_it_stands_for(shop):
    dataset = load(data(country={"merged": {"DE": ["DE", "AT"]}}), shop)

    assert dataset.attributes[0].classes == ("DE", "FR", "IT", "LU", "NO", "SE")


def test_declared_merges_are_read_as_one_class(shop):
    dataset = load(data(country={"merged": {"north": ["NO", "SE"]}}), shop)

    assert dataset.attributes[0].classes == ("DE", "FR", "IT", "LU", "north")
    assert dataset.attributes[0].merged == {"north": ("NO", "SE")}
    cut = load(data(code={"edges": [2, 3, 4], "merged": {"low": ["under 2", "2"]}}), shop).attributes[0]
    assert cut.classes == ("low", "3", "4+")
    assert cut.ordered


@pytest.mark.parametrize(
    ("attribute", "said"),
    [
        ({"ordered": True}, "ordered is True; allowed: false, or two or more classes from low to high"),
        ({"ordered": ["low"]}, r"ordered is \['low'\]; allowed"),
        ({"ordered": ["low", "low"]}, "each once"),
        ({"edges": [1], "ordered": ["under 1", "1+"]}, "edges put classes in order"),
        ({"merged": {"x": ["a"], "y": ["a"]}}, "merged has 'a' in two classes"),
        ({"merged": {"x": []}}, "at least 1 item"),
        ({"merged": {"x": ["a"], "a": ["b"]}}, "merged puts the class 'a' into another one"),
        ({"merged": {"": ["a"]}}, "at least 1 character"),
        ({"merged": {"x": [""]}}, "at least 1 character"),
        ({"classes_at_least": 0}, "greater than 0"),
        ({"classes_at_least": True}, "valid integer"),
    ],
)
def test_an_option_that_makes_no_sense_is_refused(attribute, said):
    with pytest.raises(ValidationError, match=said):
        data(team=attribute)


def test_nothing_is_merged_unless_asked(shop):
    dataset = load(data(country={}, education={"classes_at_least": 30}), shop)

    assert [attribute.classes_at_least for attribute in dataset.attributes] == [1, 30]
    merged = merge_small(dataset, split_users(dataset.users, "evenhand") == TRAIN)
    assert merged.attributes[0] == dataset.attributes[0]
    assert merged.attributes[1].classes == ("college", "none", "school")  # without an order one small class stays


@pytest.fixture(scope="module")
def config(shop):
    path = shop / "config.toml"
    path.write_text(
        'name = "shop"\nthreads = 1\nprofile = "protected"\n[data]\nreader = "tables"\nclasses_at_least = 30\n'
        '[data.attributes]\ncountry = {}\neducation = { ordered = ["none", "school", "college"] }\n'
        "code = { classes_at_least = 1 }\n"
        '[base]\nmodel = "als"\ndimensions = 4\niterations = 2\nregularization = 3.0\n[fair]\nmethod = "lattice"\n'
    )
    return path


@pytest.fixture(scope="module")
def version(shop, config):
    return run(read_config(config), shop, shop / "bundles", torch.device("cpu"))


def test_training_names_what_was_merged_in_manifest_card_and_report(version):
    bundle = read_bundle(version)

    country, education, code = bundle.description.attributes
    assert (country.classes, country.ordered) == (["DE", "FR", "IT", "other"], False)
    assert country.merged == {"other": ["LU", "NO", "SE"]}
    assert (education.classes, education.ordered) == (["none to school", "college"], True)
    assert education.merged == {"none to school": ["none", "school"]}
    assert (code.classes, code.merged) == (["1", "2", "3", "4"], {})
    users = int((bundle.audit.labels[:, 0] == 3).sum())
    assert bundle.card["merged_classes"]["country"] == {"other": {"of": ["LU", "NO", "SE"], "users": users}}
    assert users == 60
    assert "merged: country: 'other' (60 users) stands for LU, NO, SE" in summary(bundle.card)
    page = render_markdown({"bundle": bundle.description.facts(), "card": bundle.card})
    assert "| country | other | LU, NO, SE | 60 |" in page


def test_audits_go_by_the_order_that_the_manifest_declares(version):
    bundle = read_bundle(version)

    population = population_of(bundle, bundle.audit)

    assert [population.in_order(name) for name in ("country", "education", "code")] == [False, True, True]
    undeclared = replace(population, ordered={"code": None})  # as of a bundle before schema 5
    assert [undeclared.in_order(name) for name in ("country", "education", "code")] == [False, False, True]
    assert not replace(population, ordered={"code": False}).in_order("code")


def test_the_check_says_what_training_merges(shop, config, version, capsys):
    assert main(["data", "check", str(shop), "--config", str(config)]) == 0

    said = capsys.readouterr().out
    assert "country (4 classes, 20 unknown)" in said
    assert "merged: 'other' stands for LU, NO, SE" in said
    assert "education (2 classes in order, 0 unknown)" in said
    bundle = read_bundle(version)
    assert f"fingerprint   {bundle.description.data.fingerprint[:16]}" in said


def test_pulled_data_keeps_classes_order_and_what_they_stand_for(version, shop, tmp_path):
    from service.__main__ import main as service

    url = f"sqlite:///{tmp_path}/store.db"
    assert service(["migrate", "--url", url]) == 0
    before = read_bundle(version).description

    for number, more in enumerate(([], ["--data", str(shop)])):
        out = tmp_path / f"out{number}"
        assert main(["data", "pull", "--database", url, "--since", str(version), "--out", str(out), *more]) == 0
        pulled = read_config(out / "run.toml")
        after = experiment_of(pulled, load(pulled.data, out)).dataset
        assert pulled.data.classes_at_least == 1
        for now, then in zip(after.attributes, before.attributes, strict=True):
            assert (list(now.classes), now.ordered) == (then.classes, then.ordered)
            assert {name: list(of) for name, of in now.merged.items()} == then.merged


def test_the_same_classes_are_merged_for_every_user(shop, config):
    dataset = load(read_config(config).data, shop)

    split = split_users(dataset.users, "evenhand")
    merged = merge_small(dataset, split == TRAIN)

    rest = np.isin(dataset.labels[:, 0], [dataset.attributes[0].classes.index(name) for name in ("LU", "NO", "SE")])
    assert (rest == (merged.labels[:, 0] == 3)).all()
    assert merged.fingerprint != dataset.fingerprint
    assert in_order(merged.attributes[2].classes)
