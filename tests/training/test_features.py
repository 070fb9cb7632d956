"""Item features in the data contract."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import polars as pl
import pytest

from training.config import RunConfig
from training.data.check import as_toml, describe
from training.data.config import DATA_CONFIG, AutoConfig
from training.data.dataset import Dataset
from training.data.generated_config import GeneratedConfig
from training.data.load import choose_reader, load
from training.errors import ConfigError, DataError

ITEMS = ("a", "b", "c", "d", "e")
"""Of which nobody touches d and e."""
PLOTS = ("a space ship lands", "a space war", "love in a war", "love and a ship", "")


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    users = [f"u{row}" for row in range(6)]
    pl.DataFrame({"user": users, "gender": ["F", "M"] * 3}).write_csv(tmp_path / "users.csv")
    pl.DataFrame({"item": ITEMS, "title": ITEMS, "plot": PLOTS}).write_csv(tmp_path / "items.csv")
    met = [(user, item) for user in users for item in "abc"]
    pl.DataFrame(met, schema=["user", "item"], orient="row").write_csv(tmp_path / "interactions.csv")
    return tmp_path


def with_vectors(folder: Path, items: tuple[str, ...] = ("a", "c", "d"), **columns: object) -> Path:
    """Features of two dimensions of some items, in Parquet."""
    vectors = {"vector": [[float(row), 1.0] for row in range(len(items))]}
    pl.DataFrame({"item": items} | (columns or vectors)).write_parquet(folder / "features.audio.parquet")
    return folder


def loaded(folder: Path, modalities: dict[str, object] | None = None, **fields: object) -> Dataset:
    said = {"reader": "tables", "modalities": modalities or {"audio": {}}} | fields
    return load(DATA_CONFIG.validate_python(said), folder)


def test_vectors_are_laid_out_by_item_and_what_has_none_is_marked(folder):
    found = loaded(with_vectors(folder))

    (audio,) = found.modalities
    assert (found.items, found.cold.ids) == (("a", "b", "c"), ("d",))
    assert audio.present.tolist() == [True, False, True, True]
    np.testing.assert_array_equal(audio.values[audio.present], [[0, 1], [1, 1], [2, 1]])
    assert np.isnan(audio.values[1]).all()


def test_an_array_beside_a_file_of_ids_says_the_same(folder):
    np.save(folder / "features.audio.npy", np.array([[0, 1], [1, 1], [2, 1]]))
    (folder / "features.audio.txt").write_text("a\nc\nd\n")

    arrays, table = loaded(folder), None
    (folder / "features.audio.npy").unlink()
    table = loaded(with_vectors(folder))

    assert arrays.fingerprint == table.fingerprint


def test_an_array_without_its_file_of_ids_is_refused_by_the_name_of_that_file(folder):
    np.save(folder / "features.audio.npy", np.array([[0, 1], [1, 1], [2, 1]]))

    with pytest.raises(DataError, match=r"features.audio.txt: 'No such file or directory' cannot be read"):
        loaded(folder)


def test_text_that_tells_no_items_apart_is_refused(folder):
    about = [f"a film, number {row}" for row in range(5)]
    pl.DataFrame({"item": ITEMS, "title": ITEMS, "plot": about}).write_csv(folder / "items.csv")

    with pytest.raises(DataError, match=r"items.csv, column 'plot': tells nothing of how texts are alike"):
        loaded(folder, {"plot": {"text": "plot"}})


def test_text_is_encoded_at_unit_length_and_no_text_is_no_feature(folder):
    found = loaded(folder, {"plot": {"text": "plot", "dimensions": 2}})

    (plot,) = found.modalities
    assert plot.present.tolist() == [True, True, True, True]
    assert found.cold.ids == ("d",)
    np.testing.assert_allclose(np.linalg.norm(plot.values, axis=1), 1, rtol=1e-6)
    assert plot.values[0] @ plot.values[1] > plot.values[0] @ plot.values[2]  # space, and nothing in common


def test_dropped_cold_items_are_counted(folder):
    kept, dropped = loaded(with_vectors(folder)), loaded(folder, cold="drop")

    assert dropped.cold.ids == ()
    assert dropped.left_out["cold items, which have features and nobody touched: cold = 'drop'"] == 1
    assert (kept.left_out, dropped.left_out["items that nobody touched"]) == ({"items that nobody touched": 1}, 1)


def test_an_item_touched_by_nobody_kept_is_not_cold(folder):
    met = pl.read_csv(folder / "interactions.csv")
    once = pl.DataFrame({"user": ["u0"], "item": ["d"], "rating": [1.0]})
    pl.concat([met.with_columns(rating=pl.lit(5.0)), once]).write_csv(folder / "interactions.csv")

    assert loaded(with_vectors(folder), positive_at_least=4).cold.ids == ()


def test_other_features_are_other_data(folder):
    without = load(DATA_CONFIG.validate_python({"reader": "tables"}), folder)
    one = loaded(with_vectors(folder))
    other = loaded(with_vectors(folder, vector=[[5.0, 5.0], [5.0, 6.0], [5.0, 7.0]]))

    assert len({without.fingerprint, one.fingerprint, other.fingerprint}) == 3


@pytest.mark.parametrize(
    ("items", "columns", "about"),
    [
        (("a", "a", "b"), {}, r"features.audio.parquet, row 2, .*'a' stands in an earlier row too"),
        (("a", "b", "x"), {}, r"features.audio.parquet, row 3: 'x' is no item of the data .*items table"),
        (("a", "b"), {"vector": [[1.0, 2.0], [1.0]]}, r"features.audio.parquet, row 2, .*no vector of the same length"),
        (
            ("a", "b"),
            {"vector": [[1.0, 2.0], [1.0, float("nan")]]},
            r"features.audio.parquet, row 2: nan is not a finite",
        ),
        (("a", "b"), {"one": [1.0, None]}, r"features.audio.parquet, row 2: nan is not a finite number"),
        (("a", "b"), {"one": [1.0, 1e299]}, r"features.audio.parquet, row 2: 1e\+299 is beyond float32"),
        (("a", "b"), {"one": [1.0, 1e30]}, r"features.audio.parquet: 1.*e\+30 is too large a feature; .* ±1e\+15"),
        (("a", "b"), {"one": ["x", "y"]}, r"features.audio.parquet, column 'one': is String; allowed: numbers"),
        (("a", "b"), {"vector": [[1.0, 2.0]] * 2}, r"features.audio.parquet: has the same vector in every row"),
        (("b", "e"), {"vector": [[1.0], [2.0]]}, None),
    ],
    ids=["twice", "unknown", "length", "nan", "missing", "beyond", "large", "text", "constant", "sound"],
)
def test_a_table_that_is_none_is_refused_by_file_row_and_value(folder, items, columns, about):
    with_vectors(folder, items, **columns)

    if about is None:
        assert loaded(folder).cold.ids == ("e",)
        return
    with pytest.raises(DataError, match=about):
        loaded(folder)


def test_features_of_none_of_the_items_kept_are_refused(folder):
    with pytest.raises(DataError, match="has none of the items kept"):
        loaded(with_vectors(folder, ("e",)), cold="drop")


@pytest.mark.parametrize(
    ("modality", "about"),
    [
        ({}, "has none of features.audio.parquet and features.audio.npy"),
        ({"file": "other.npy"}, "other.npy: is not there"),
        ({"text": "story"}, "'story' is not a column"),
    ],
    ids=str,
)
def test_a_modality_that_is_not_there_is_refused(folder, modality, about):
    with pytest.raises(DataError, match=about):
        loaded(folder, {"audio": modality})


@pytest.mark.parametrize(
    ("name", "modality", "about"),
    [
        ("plot", {"text": "plot", "file": "x.npy"}, "text and file do not go together"),
        ("plot", {"dimensions": 8}, "dimensions without text"),
        ("Plot", {}, "'Plot' cannot name a modality"),
    ],
    ids=str,
)
def test_a_configuration_that_contradicts_itself_is_refused(name, modality, about):
    with pytest.raises(ValueError, match=about):
        DATA_CONFIG.validate_python({"reader": "tables", "modalities": {name: modality}})


def test_a_text_that_generated_items_lack_is_refused():
    with pytest.raises(ConfigError, match=r"data.modalities.plot.text: 'plot' is no text of these items.*'groups'"):
        load(GeneratedConfig(users=20, items=20, interactions_per_user=5, modalities={"plot": {"text": "plot"}}), None)


def test_data_check_says_what_each_modality_covers(folder):
    lines = describe(loaded(with_vectors(folder))).splitlines()

    assert "cold items    1, with features and without interactions" in lines
    have = "2 of 3 items (66.7%), 1 of 1 cold ones have it; features.audio.parquet"
    assert f"modality      audio: 2 numbers, {have}" in lines


def test_what_a_configuration_says_of_features_survives_a_card(folder):
    config = RunConfig.model_validate(
        {"name": "x", "data": {"reader": "tables", "modalities": {"audio": {}, "plot": {"text": "plot"}}}}
    )

    assert RunConfig.model_validate(config.model_dump(mode="json")) == config


def test_generated_features_tell_an_attribute_and_cold_items_are_beside_the_same_data():
    sizes = {"users": 300, "items": 80, "interactions_per_user": 20, "seed": 3}
    plain = load(GeneratedConfig(**sizes), None)
    found = load(GeneratedConfig(**sizes, modalities={"looks": {}}, cold_items=6, featureless=0.2), None)

    (looks,) = found.modalities
    assert (len(found.cold.ids), found.items) == (int(looks.present[80:].sum()), plain.items)
    np.testing.assert_array_equal(found.indices, plain.indices)
    assert 0.6 < looks.present.mean() < 0.95
    owners = np.repeat(np.arange(len(found.users)), np.diff(found.indptr))
    there = looks.present[found.indices]
    means = np.stack([np.bincount(owners[there], column[found.indices[there]]) for column in looks.values.T], 1)
    means /= np.bincount(owners[there])[:, None]
    age = found.labels[:, [each.name for each in found.attributes].index("age")]
    half = np.arange(len(age)) % 2 == 0
    inputs = np.column_stack([means, np.ones(len(means))])
    weights = np.linalg.lstsq(inputs[half], age[half], rcond=None)[0]
    assert np.corrcoef(inputs[~half] @ weights, age[~half])[0, 1] > 0.3


def test_auto_finds_files_of_features_and_data_check_prints_them(folder):
    chosen = choose_reader(AutoConfig(), with_vectors(folder))

    assert list(chosen.modalities) == ["audio"]
    assert "audio = {" in as_toml(chosen)
    assert load(AutoConfig(), folder).cold.ids == ("d",)
    assert load(AutoConfig(modalities={}), folder).modalities == ()
