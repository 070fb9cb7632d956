"""Pulled tables: what a bundle was trained on and what its service was told, each user and item once."""

from __future__ import annotations

import os
import tempfile
import tomllib
from dataclasses import replace
from pathlib import Path

import numpy as np
import polars as pl
import pytest
import torch

from bundle import Network, read_bundle
from service.__main__ import main as service
from service.store import Database, Interaction, Pseudonyms, add_interactions, erase_user, hide_item, lift_erasure
from training.__main__ import main
from training.config import read_config
from training.data.load import load
from training.data.split import hold_out
from training.data.toml_text import toml_file
from training.data.trained_on import trained_on
from training.run import run

pytestmark = pytest.mark.usefixtures("short_teachers")

TABLE = {"interactions": "interactions.parquet", "users": "users.parquet", "items": "items.parquet"}


@pytest.fixture(scope="module")
def version(tmp_path_factory):
    """A bundle of ALS on three tables with a threshold, where "None" is the title of an item and "NA" a class."""
    folder = tmp_path_factory.mktemp("shop")
    rng = np.random.default_rng(1)
    rows = [(f"u{user}", f"i{item}", 5 - item % 3) for user in range(60) for item in rng.permutation(30)[:12]]
    pl.DataFrame(rows, schema=["user", "item", "rating"], orient="row").write_parquet(folder / "interactions.parquet")
    users = {"user": [f"u{user}" for user in range(60)], "region": ["NA", "EU", None] * 20, "gender": ["F", "M"] * 30}
    pl.DataFrame(users).write_parquet(folder / "users.parquet")
    titles = ["None", *(f"Item {item}" for item in range(1, 30))]
    items = {"item": [f"i{item}" for item in range(30)], "title": titles, "groups": [["a|b"], []] * 15}
    pl.DataFrame(items).write_parquet(folder / "items.parquet")
    config = folder / "config.toml"
    config.write_text(
        'name = "shop"\nthreads = 1\nprofile = "protected"\n[data]\nreader = "auto"\npositive_at_least = 4\n'
        "missing = []\nmin_positives = 3\ncore = 2\n"
        '[base]\nmodel = "als"\ndimensions = 4\niterations = 2\nregularization = 3.0\n'
        '[fair]\nmethod = "lattice"\n'
    )
    return run(read_config(config), folder, folder / "bundles", torch.device("cpu"))


@pytest.fixture
def told(tmp_path):
    """The builder of a service's database; its URL."""
    url = f"sqlite:///{tmp_path}/store.db"
    assert service(["migrate", "--url", url]) == 0

    def tell(*changes):
        database = Database(url)
        for function, *arguments in changes:
            with database.writing() as tx:
                function(tx, *arguments)
        database.close()
        return url

    return tell


def pull(version, url, out, *options):
    """With what the service exports, in this process."""
    folder = Path(tempfile.mkdtemp(dir=out.parent)) / "told"
    assert service(["export", str(folder), "--url", url]) == 0
    return main(["data", "pull", "--exported", str(folder), "--since", str(version), "--out", str(out), *options])


def pull_from(url, version, out):
    """With what a process of the service reads from its database."""
    return main(["data", "pull", "--database", url, "--since", str(version), "--out", str(out)])


def read(out):
    return {name: pl.read_parquet(out / file) for name, file in TABLE.items()}


def again(out):
    return load(read_config(out / "run.toml").data, out)


def as_sets(dataset):
    """User → item → whether positive."""
    rows = zip(dataset.indptr, dataset.indptr[1:], strict=False)
    return {
        user: {dataset.items[dataset.indices[at]]: bool(dataset.positive[at]) for at in range(start, end)}
        for user, (start, end) in zip(dataset.users, rows, strict=True)
    }


def test_with_nothing_told_the_tables_are_what_the_bundle_was_trained_on(version, told, tmp_path):
    bundle = read_bundle(version)

    assert pull_from(told(), version, tmp_path / "out") == 0

    before, after = trained_on(bundle), again(tmp_path / "out")
    assert as_sets(after) == as_sets(before)
    assert after.titles == before.titles
    assert after.groups == before.groups
    assert [one.name for one in after.attributes] == ["region", "gender"]
    named = [[[*one.classes, None][label] for one, label in zip(data.attributes, row, strict=True)]
             for data in (before, after) for row in data.labels]  # fmt: skip
    assert named[:60] == named[60:]
    assert {"NA", None} <= {row[0] for row in named}


def test_the_configuration_is_the_bundles_own_with_the_tables_as_its_data(version, told, tmp_path):
    pull(version, told(), tmp_path / "out")

    written, before = read_config(tmp_path / "out" / "run.toml"), read_bundle(version).card["run"]
    assert written.model_dump(mode="json", exclude={"data"}) == {k: v for k, v in before.items() if k != "data"}
    assert (written.data.positive_at_least, written.data.min_positives, written.data.missing) == (4, 3, ())
    assert written.data.core == 2


@pytest.mark.parametrize("path", sorted((Path(__file__).parents[2] / "training" / "configs").glob("*.toml")))
def test_every_configuration_is_written_as_it_is_read(path, tmp_path):
    config = read_config(path)

    (tmp_path / "again.toml").write_text(toml_file(config.model_dump(mode="json")))

    assert read_config(tmp_path / "again.toml") == config


def test_what_was_held_out_is_held_out_again(version, told, tmp_path):
    bundle = read_bundle(version)
    pull(version, told(), tmp_path / "out")

    after = again(tmp_path / "out")
    held = hold_out(after)
    row = {user: place for place, user in enumerate(after.users)}
    for place, user in enumerate(bundle.users.ids):
        for now, was in ((held.test, bundle.audit.test), (held.validation, bundle.audit.validation)):
            assert after.items[now[row[user]]] == bundle.items.ids[was[place]]


def test_posted_interactions_are_there_once_as_they_were_posted_last(version, told, tmp_path):
    bundle = read_bundle(version)
    known = bundle.items.ids[bundle.seen.of(0)[0]]
    user = bundle.users.ids[0]
    unseen = next(item for item in bundle.items.ids if item not in [bundle.items.ids[row] for row in bundle.seen.of(0)])
    posted = [
        Interaction(user, known, 20, 1.0),
        Interaction(user, unseen, 30, 5.0),
        Interaction(user, unseen, 10, 1.0),  # told late: the rating of a later time stands
        Interaction("new", unseen, 40),
        Interaction("new", "brand new", 50, 3.9),
    ]
    url = told((add_interactions, posted), (add_interactions, posted))

    pull_from(url, version, tmp_path / "out")

    tables = read(tmp_path / "out")
    rows = tables["interactions"]
    assert rows.select("user", "item").is_unique().all()
    assert rows.height == len(bundle.seen.indices) + 3
    mine = dict(rows.filter(pl.col("user") == user).select("item", "rating").iter_rows())
    assert (mine[known], mine[unseen]) == (1.0, 5.0)
    assert rows.tail(4).rows() == [
        (user, known, 1.0), (user, unseen, 5.0), ("new", unseen, 4.0), ("new", "brand new", 3.9)
    ]  # fmt: skip
    assert tables["users"].row(by_predicate=pl.col("user") == "new") == ("new", None, None)
    assert tables["items"].row(by_predicate=pl.col("item") == "brand new") == ("brand new", "", [], False)


def test_the_threshold_is_the_same_after_many_rounds(version, told, tmp_path, cpu):
    url = told((add_interactions, [Interaction("u0", f"i{item}", item, 3.5) for item in range(30)]))
    for number in range(2):
        out = tmp_path / f"out{number}"
        assert pull(version, url, out) == 0
        version = run(read_config(out / "run.toml"), out, tmp_path / f"bundles{number}", cpu)
        data = tomllib.loads((out / "run.toml").read_text())["data"]
        assert (data["positive_at_least"], data["min_positives"]) == (4, 3)
        bundle = read_bundle(version)
        assert "u0" not in bundle.users.ids  # no positive is left: 3.5 is none, in any round
        assert len(bundle.users.ids) == 59


def test_erased_users_are_in_no_table_and_come_back_with_what_is_posted_after(version, told, tmp_path):
    url = told(
        (add_interactions, [Interaction("u1", "i1", 1, 5.0), Interaction("u2", "i2", 1, 5.0)]),
        (erase_user, "u1", Pseudonyms(None)),
        (erase_user, "u2", Pseudonyms(None)),
        (lift_erasure, "u2"),
        (add_interactions, [Interaction("u1", "i3", 2, 5.0), Interaction("u2", "i4", 2, 5.0)]),
    )

    pull(version, url, tmp_path / "out")

    tables = read(tmp_path / "out")
    assert "u1" not in [*tables["users"]["user"], *tables["interactions"]["user"]]
    assert tables["interactions"].filter(pl.col("user") == "u2").rows() == [("u2", "i4", 5.0)]
    assert tables["users"].row(by_predicate=pl.col("user") == "u2") == ("u2", None, None)


def test_hidden_items_are_marked(version, told, tmp_path):
    pull(version, told((hide_item, "i3", True), (hide_item, "unknown", True)), tmp_path / "out")

    items = read(tmp_path / "out")["items"]
    assert items.filter("hidden")["item"].to_list() == ["i3"]


def test_ids_that_no_bundle_holds_keep_nobody_elses_from_training(version, told, tmp_path, capsys):
    odd = [Interaction("a\u200bb", "i1", 1), Interaction(" u1", "i1", 1), Interaction("u1", "\u00a0", 1)]
    url = told((add_interactions, [*odd, Interaction("zoë", "i1", 1)]))

    pull(version, url, tmp_path / "out")

    assert "3  posted interactions whose user or item has an id that no bundle holds" in capsys.readouterr().out
    assert len(again(tmp_path / "out").users) == 60
    assert "zoë" in read(tmp_path / "out")["users"]["user"]


def test_a_bundle_whose_base_reads_histories_needs_its_data(version, told, tmp_path):
    bundle = read_bundle(version)
    sequence = replace(bundle, description=bundle.description.model_copy(
        update={"base_model": "sasrec", "history": Network(kind="sasrec", sizes={})}
    ))  # fmt: skip

    with pytest.raises(Exception, match="a sasrec base reads histories in their order") as refused:
        trained_on(sequence)
    assert "--data" in str(refused.value)
    with pytest.raises(Exception, match="without audit/"):
        trained_on(replace(bundle, audit=None))


def test_the_data_itself_is_taken_where_it_is_what_the_bundle_was_trained_on(version, told, tmp_path, capsys):
    data, url = version.parents[2], told()

    assert pull(version, url, tmp_path / "out", "--data", str(data)) == 0
    whole, pulled = pl.read_parquet(data / "interactions.parquet"), read(tmp_path / "out")["interactions"]
    liked = whole.filter(pl.col("item").is_in(pulled["item"].implode()))  # what nobody likes is in no bundle
    for user in ("u5", "u40"):
        orders = [rows.filter(pl.col("user") == user)["item"].to_list() for rows in (pulled, liked)]
        assert orders[0] == orders[1]
    (tmp_path / "other").mkdir()
    for name, file in TABLE.items():
        frame = pl.read_parquet(data / file)
        (frame.head(-12) if name == "interactions" else frame).write_parquet(tmp_path / "other" / file)

    assert pull(version, url, tmp_path / "again", "--data", str(tmp_path / "other")) == 2

    assert "not what the bundle was trained on" in capsys.readouterr().err
    assert not (tmp_path / "again").exists()


def test_what_is_there_is_not_overwritten(version, told, tmp_path, capsys):
    assert pull(version, told(), tmp_path / "out") == 0
    assert pull(version, told(), tmp_path / "out") == 2
    assert "exists already; nothing was written" in capsys.readouterr().err


def test_a_database_that_cannot_be_read_is_refused_without_its_password(version, tmp_path, capsys):
    assert pull_from("postgresql://me:secret@127.0.0.1:1/none", version, tmp_path / "out") == 2

    said = capsys.readouterr().err
    assert "nothing listens at that host and port" in said
    assert "secret" not in said


def test_a_database_that_is_not_there_is_named_as_the_cause(version, tmp_path, capsys):
    absent = tmp_path / "absent.db"

    assert pull_from(f"sqlite:///{absent}", version, tmp_path / "out") == 2

    said = capsys.readouterr().err
    assert f"error: the service's database: cannot be read: there is no database {absent}" in said
    assert "extra" not in said
    assert "allowed: --database or EVENHAND_DATABASE_URL" in said


def test_a_machine_without_the_service_is_told_of_the_extra(version, tmp_path, capsys, monkeypatch):
    (tmp_path / "sqlalchemy.py").write_text("raise ModuleNotFoundError(\"No module named 'sqlalchemy'\")")
    monkeypatch.setenv("PYTHONPATH", str(tmp_path), prepend=os.pathsep)

    assert pull_from(f"sqlite:///{tmp_path}/absent.db", version, tmp_path / "out") == 2

    assert "extra `serve`, which is not installed here" in capsys.readouterr().err


def test_an_export_made_elsewhere_is_read(version, told, tmp_path):
    url = told((add_interactions, [Interaction("new", "i1", 1)]))
    service(["export", str(tmp_path / "told"), "--url", url])
    files = ["--since", str(version), "--out", str(tmp_path / "out")]

    assert main(["data", "pull", "--exported", str(tmp_path / "told"), *files]) == 0

    assert "new" in read(tmp_path / "out")["users"]["user"]


@pytest.fixture
def measured(tmp_path, cpu):
    """The builder of versions with enough users and items that something is measured; settings as of `training run`.

    Without a dither, which would hide what the weak one shows: it would then keep less and leak less.
    """
    path = tmp_path / "measured.toml"
    path.write_text(
        'name = "shop"\nthreads = 1\nprofile = "protected"\n[data]\nreader = "generated"\nusers = 300\nitems = 300\n'
        'interactions_per_user = 15\nseed = 3\n[data.attributes]\ngender = { classes = ["F", "M"] }\n'
        'age = { classes = ["young", "old"] }\n[base]\nmodel = "als"\ndimensions = 8\niterations = 3\n'
        'regularization = 3.0\n[fair]\nmethod = "lattice"\ndither = 0\n'
    )

    def make(*settings):
        return run(read_config(path, settings), None, tmp_path / f"bundles{len(settings)}", cpu)

    return make


def test_compare_ends_with_0_where_nothing_is_worse_1_where_something_is_and_2_where_nothing_can_be_told(
    measured, version, tmp_path, capsys
):
    good, weak = str(measured()), str(measured("fair.mix_ridge=1e9", "fair.ridge=1e9"))

    assert main(["compare", good, weak]) == 0
    assert "worse" not in capsys.readouterr().out
    assert main(["compare", weak, good]) == 1
    said = capsys.readouterr().out
    assert "refused: accuracy: keeps less, full ndcg@10 with age protected: " in said
    assert main(["compare", str(version), str(version)]) == 1
    assert "refused: nothing was measured of both versions" in capsys.readouterr().out  # 60 users are too few
    assert main(["compare", str(tmp_path), good]) == 2
    assert main(["compare", good, good, "--leakage-at-most", "0.4"]) == 2
    assert "leakage_at_most" in capsys.readouterr().err


@pytest.fixture(scope="module")
def featured(tmp_path_factory):
    """A bundle of ALS with features of items, the last of which is cold; and its data."""
    folder = tmp_path_factory.mktemp("features")
    rng = np.random.default_rng(1)
    rows = [(f"u{user}", f"i{item}") for user in range(60) for item in rng.permutation(29)[:12]]
    pl.DataFrame(rows, schema=["user", "item"], orient="row").write_parquet(folder / "interactions.parquet")
    people = {"user": [f"u{user}" for user in range(60)], "gender": ["F", "M"] * 30}
    pl.DataFrame(people).write_parquet(folder / "users.parquet")
    ids = [f"i{item}" for item in range(30)]
    words = ["red", "green", "blue", "small", "large"]
    told = {"item": ids, "about": [f"{words[item % 5]} {words[item % 3]}" for item in range(30)]}
    pl.DataFrame(told).write_parquet(folder / "items.parquet")
    np.save(folder / "features.looks.npy", rng.normal(size=(29, 3)))
    (folder / "features.looks.txt").write_text("\n".join(ids[1:]) + "\n")
    config = folder / "config.toml"
    config.write_text(
        'name = "shop"\nthreads = 1\nprofile = "protected"\n[data]\nreader = "tables"\n'
        '[data.modalities]\nlooks = {}\nabout = { text = "about" }\n'
        '[base]\nmodel = "als"\ndimensions = 4\niterations = 2\nregularization = 3.0\n'
        '[fair]\nmethod = "lattice"\n'
    )
    return run(read_config(config), folder, folder / "bundles", torch.device("cpu")), folder


def test_features_are_pulled_from_the_data_and_read_back(featured, told, tmp_path):
    version, data = featured
    out = tmp_path / "pulled"

    assert pull(version, told(), out, "--data", str(data)) == 0

    before, after = load(read_config(data / "config.toml").data, data), again(out)
    assert (after.items, after.cold.ids) == (before.items, ("i29",)) == (before.items, before.cold.ids)
    for one, other in zip(before.modalities, after.modalities, strict=True):
        assert (one.name, one.present.tolist()) == (other.name, other.present.tolist())
        np.testing.assert_array_equal(one.values[one.present], other.values[other.present])


def test_a_bundle_alone_has_no_features_to_pull(featured, told, tmp_path, capsys):
    version, _ = featured

    assert pull(version, told(), tmp_path / "pulled") == 2

    assert "--data: 'about, looks' is needed: this bundle was trained with item features" in capsys.readouterr().err
    assert not (tmp_path / "pulled").exists()
