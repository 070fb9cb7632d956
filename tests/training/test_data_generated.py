"""The generator: repeatable, shaped as asked, with effects that can be found again."""

from dataclasses import replace

import numpy as np
import polars as pl
import pytest
from pydantic import ValidationError
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import roc_auc_score
from sklearn.model_selection import cross_val_predict

from training.__main__ import main
from training.data import synthetic_interactions
from training.data.config import DATA_CONFIG, AutoConfig, TablesConfig
from training.data.generated import generate
from training.data.generated_config import GeneratedConfig
from training.data.load import load
from training.data.write import write_tables
from training.errors import ConfigError, DataError

SMALL = GeneratedConfig(users=80, items=50, interactions_per_user=15)
LARGE = GeneratedConfig(users=1500, items=synthetic_interactions.SHORTLIST_FROM, interactions_per_user=40)


@pytest.fixture(scope="module")
def generated():
    return load(GeneratedConfig(), None)


def user_vectors(dataset, dimensions=24):
    """Truncated SVD of who liked what, items weighted down by popularity."""
    liked = np.zeros((len(dataset.users), len(dataset.items)))
    rows = np.repeat(np.arange(len(dataset.users)), np.diff(dataset.indptr))
    liked[rows[dataset.positive], dataset.indices[dataset.positive]] = 1
    liked /= np.sqrt(liked.sum(axis=0) + 5)
    liked -= liked.mean(axis=0)
    vectors = liked @ np.linalg.eigh(liked.T @ liked).eigenvectors[:, -dimensions:]
    return vectors / vectors.std()


def test_the_same_seed_gives_the_same_dataset_and_another_seed_another():
    again = load(GeneratedConfig(**SMALL.model_dump()), None)
    other = load(SMALL.model_copy(update={"seed": 1}), None)

    assert load(SMALL, None).fingerprint == again.fingerprint
    assert other.fingerprint != again.fingerprint


def test_the_default_has_the_size_and_shape_it_promises(generated):
    counts = np.bincount(generated.indices)

    assert len(generated.users) == 3000
    assert 495 <= len(generated.items) <= 500  # a few have no positive
    assert 55 < generated.indices.size / 3000 < 65
    assert [len(attribute.classes) for attribute in generated.attributes] == [2, 7, 8]
    assert 0.5 < generated.positive.mean() < 0.65
    assert np.sort(counts)[-50:].sum() > 0.25 * counts.sum()


def test_planted_attributes_are_found_in_user_vectors(generated):
    vectors, gender = user_vectors(generated), generated.labels[:, 0]

    model = LogisticRegression(max_iter=2000)
    scores = cross_val_predict(model, vectors, gender, cv=5, method="predict_proba")[:, 1]

    assert roc_auc_score(gender, scores) > 0.8


def test_taste_is_mostly_personal(generated):
    vectors = user_vectors(generated)
    columns = [np.eye(len(a.classes))[generated.labels[:, row]] for row, a in enumerate(generated.attributes)]
    design = np.concatenate(columns, axis=1)

    explained = design @ np.linalg.lstsq(design, vectors, rcond=None)[0]

    assert 0.05 < explained.var() / vectors.var() < 0.5


def test_an_attribute_without_strength_leaves_no_trace():
    planted = {"gender": {"classes": ["F", "M"], "strength": 0.0}}
    dataset = load(DATA_CONFIG.validate_python({"reader": "generated", "attributes": planted}), None)
    vectors, gender = user_vectors(dataset), dataset.labels[:, 0]

    model = LogisticRegression(max_iter=2000)
    scores = cross_val_predict(model, vectors, gender, cv=5, method="predict_proba")[:, 1]

    assert 0.4 < roc_auc_score(gender, scores) < 0.6


def test_an_occupation_follows_age():
    frame = generate(GeneratedConfig()).users.frame

    students = frame.filter(frame["occupation"] == "student")["age"]
    retired = frame.filter(frame["occupation"] == "retired")["age"]

    assert students.is_in(["under 18", "18-24", "25-34"]).mean() > 0.8
    assert retired.is_in(["under 18", "18-24", "25-34"]).mean() < 0.2


def test_hidden_labels_are_unknown():
    planted = {"team": {"classes": ["x", "y"], "unknown": 0.5}}
    config = DATA_CONFIG.validate_python({**SMALL.model_dump(), "attributes": planted})

    dataset = load(config, None)

    assert 0.3 < (dataset.labels == -1).mean() < 0.7


@pytest.mark.parametrize("table_format", ["csv", "parquet"])
def test_written_tables_are_read_back_to_the_same_dataset(tmp_path, table_format):
    config = TablesConfig(positive_at_least=SMALL.positive_at_least, min_positives=SMALL.min_positives)

    paths = write_tables(generate(SMALL), tmp_path / "out", table_format)

    expected, found = load(SMALL, None), load(config, tmp_path / "out")
    assert [path.name for path in paths] == [f"{stem}.{table_format}" for stem in ("interactions", "users", "items")]
    assert found.fingerprint == expected.fingerprint
    assert (found.titles, found.groups, found.attributes) == (expected.titles, expected.groups, expected.attributes)


def test_interactions_can_be_read_again_and_are_the_same():
    interactions = generate(SMALL).interactions

    first, again = (pl.concat([batch.frame for batch in interactions.batches()]) for _ in range(2))

    assert first.equals(again)
    assert tuple(first.columns) == interactions.columns


def test_a_batch_of_interactions_has_some_users_and_knows_its_place(monkeypatch):
    monkeypatch.setattr(synthetic_interactions, "USERS_AT_ONCE", 32)

    batches = list(generate(SMALL).interactions.batches())

    assert [batch.frame["user"].n_unique() for batch in batches] == [32, 32, 16]
    assert [batch.before for batch in batches] == np.cumsum([0, *(batch.frame.height for batch in batches)])[
        :-1
    ].tolist()


def interactions_of(config: GeneratedConfig) -> pl.DataFrame:
    return pl.concat([batch.frame for batch in generate(config).interactions.batches()])


@pytest.fixture(scope="module")
def from_a_large_catalogue():
    return interactions_of(LARGE)


def test_in_a_large_catalogue_users_meet_as_many_items_each_once_and_in_time_order(from_a_large_catalogue):
    frame = from_a_large_catalogue
    per_user = frame.group_by("user", maintain_order=True).agg(
        pl.len(), in_order=(pl.col("timestamp").diff().drop_nulls() >= 0).all()
    )

    assert per_user["user"].to_list() == [str(row + 1) for row in range(LARGE.users)]
    assert per_user["len"].mean() == pytest.approx(LARGE.interactions_per_user, rel=0.05)
    assert per_user["in_order"].all()
    assert not frame.select("user", "item").is_duplicated().any()
    assert interactions_of(LARGE).equals(frame)


def test_in_a_large_catalogue_shortlists_keep_popularity_and_taste(monkeypatch, from_a_large_catalogue):
    monkeypatch.setattr(synthetic_interactions, "SHORTLIST_FROM", LARGE.items + 1)

    everything = interactions_of(LARGE)

    assert not everything.equals(from_a_large_catalogue)
    for frame in (everything, from_a_large_catalogue):
        per_item = frame["item"].value_counts(sort=True)["count"]
        assert per_item.head(LARGE.items // 10).sum() > 0.35 * len(frame)
        assert 0.5 < (frame["rating"] >= 4).mean() < 0.65
    counts = [frame["item"].value_counts().sort("item") for frame in (everything, from_a_large_catalogue)]
    both = counts[0].join(counts[1], on="item")
    assert np.corrcoef(both["count"], both["count_right"])[0, 1] > 0.85


def test_writing_that_is_broken_off_leaves_no_file(tmp_path, monkeypatch):
    raw = generate(SMALL)

    def broken():
        yield from raw.interactions.batches()
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        write_tables(replace(raw, interactions=replace(raw.interactions, batches=broken)), tmp_path)

    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    ("arguments", "says"),
    [(["--users", "1"], "users: 1 "), (["--items", "80"], "at most half of the 80 items, got 60")],
)
def test_the_command_refuses_sizes_that_make_no_sense(tmp_path, capsys, arguments, says):
    assert main(["data", "generate", str(tmp_path / "out"), *arguments]) == 2

    assert says in capsys.readouterr().err
    assert not (tmp_path / "out").exists()


def test_the_command_writes_as_many_users_items_and_interactions_as_asked_for(tmp_path):
    sizes = ["--users", "90", "--items", "40", "--interactions-per-user", "10"]

    assert main(["data", "generate", str(tmp_path), *sizes, "--format", "parquet"]) == 0

    heights = {path.stem: pl.read_parquet(path).height for path in tmp_path.iterdir()}
    assert (heights["users"], heights["items"]) == (90, 40)
    assert 800 < heights["interactions"] < 1000


def test_writing_never_replaces_a_file(tmp_path):
    write_tables(generate(SMALL), tmp_path)

    with pytest.raises(ConfigError, match=r"'interactions\.csv' exists already"):
        write_tables(generate(SMALL), tmp_path)


def test_auto_without_a_folder_generates_the_attributes_chosen():
    dataset = load(DATA_CONFIG.validate_python({"reader": "auto", "attributes": ["occupation", "gender"]}), None)

    assert [attribute.name for attribute in dataset.attributes] == ["occupation", "gender"]
    with pytest.raises(DataError, match="'religion' is not a column"):
        load(DATA_CONFIG.validate_python({"reader": "auto", "attributes": ["religion"]}), None)
    assert load(AutoConfig(), None).fingerprint == load(GeneratedConfig(), None).fingerprint


def test_generated_data_takes_no_folder(tmp_path):
    with pytest.raises(ConfigError, match="'generated' reads no folder"):
        load(SMALL, tmp_path)


@pytest.mark.parametrize(
    "fields",
    [
        {"reader": "generated", "items": 100, "interactions_per_user": 60},
        {"reader": "generated", "attributes": {}},
        {"reader": "generated", "attributes": {"a": {"classes": ["x"]}}},
        {"reader": "generated", "attributes": {"a": {"classes": ["x", "x"]}}},
        {"reader": "generated", "attributes": {"a": {"classes": ["x", "y"], "shares": [1]}}},
        {"reader": "generated", "attributes": {"a": {"classes": ["x", "y"], "follows": "b"}}},
        {"reader": "generated", "attributes": {"Age": {"classes": ["x", "y"]}}},
        {"reader": "tables", "attributes": ["a", "a"]},
        {"reader": "tables", "attributes": {"a": {"edges": [2, 2]}}},
        {"reader": "tables", "attributes": {"a": {"edges": [float("nan")]}}},
        {"reader": "tables", "users": {"file": "users.xlsx"}},
        {"reader": "tables", "threshold": 4},
        {"reader": "movielens", "min_positives": 0},
        {"reader": "netflix"},
        {},
    ],
)
def test_a_configuration_that_makes_no_sense_is_refused(fields):
    with pytest.raises(ValidationError):
        DATA_CONFIG.validate_python(fields)
