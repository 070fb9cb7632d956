"""What the next training is given: posted interactions, erased users and hidden items, as of one moment."""

from __future__ import annotations

import stat

import pyarrow.parquet as pq
import pytest

from service.__main__ import main
from service.store import Database, Interaction, Pseudonyms, add_interactions, erase_user, hide_item, lift_erasure


def table(folder, name):
    return pq.read_table(folder / f"{name}.parquet").to_pylist()


def test_an_export_has_what_was_posted_who_was_erased_and_what_is_hidden(ready_url, tmp_path, capsys, changed):
    posted = [Interaction("ann", "alien", 5, 4.5), Interaction("bob", "brazil", 3), Interaction("cy", "alien", 4)]
    changed(
        ready_url,
        (add_interactions, posted),
        (erase_user, "bob", Pseudonyms(None)),
        (erase_user, "cy", Pseudonyms(None)),
        (lift_erasure, "cy"),
        (add_interactions, [Interaction("cy", "dune", 6)]),
        (hide_item, "alien", True),
        (hide_item, "brazil", True),
        (hide_item, "brazil", False),
    )

    assert main(["export", str(tmp_path / "told"), "--url", ready_url]) == 0

    assert table(tmp_path / "told", "interactions") == [
        {"user": "ann", "item": "alien", "time_us": 5, "rating": 4.5},
        {"user": "cy", "item": "dune", "time_us": 6, "rating": None},
    ]
    assert table(tmp_path / "told", "erased_users") == [
        {"user": "bob", "suppressed": True},
        {"user": "cy", "suppressed": False},
    ]
    assert table(tmp_path / "told", "hidden_items") == [{"item": "alien"}]
    assert stat.S_IMODE((tmp_path / "told").stat().st_mode) == 0o700
    assert "2 interactions, 2 erased users, 1 hidden items" in capsys.readouterr().err


def test_an_export_of_nothing_has_all_three_files(ready_url, tmp_path):
    assert main(["export", str(tmp_path / "told"), "--url", ready_url]) == 0

    assert [table(tmp_path / "told", name) for name in ("interactions", "erased_users", "hidden_items")] == [[], [], []]


def test_an_export_is_of_one_moment_whatever_is_written_meanwhile(ready_url, changed):
    changed(ready_url, (add_interactions, [Interaction("ann", "alien", 1)]))
    database = Database(ready_url)

    with database.snapshot() as connection:
        before = connection.exec_driver_sql("SELECT count(*) FROM interactions").scalar_one()
        changed(ready_url, (erase_user, "ann", Pseudonyms(None)))
        after = connection.exec_driver_sql("SELECT count(*) FROM interactions").scalar_one()
        erased = connection.exec_driver_sql("SELECT count(*) FROM erased_users").scalar_one()
    with database.reading() as connection:
        now = connection.exec_driver_sql("SELECT count(*) FROM interactions").scalar_one()
    database.close()

    assert (before, after, erased, now) == (1, 1, 0, 0)


@pytest.mark.parametrize("there", ["folder", "database"])
def test_an_export_replaces_nothing_and_makes_no_database(tmp_path, capsys, there):
    (tmp_path / "told").mkdir()
    (tmp_path / "told" / "mine.txt").write_text("precious")
    url = f"sqlite:///{tmp_path}/none.db"
    if there == "database":
        main(["migrate", "--url", url])

    assert main(["export", str(tmp_path / "told"), "--url", url]) == 2

    assert [path.name for path in (tmp_path / "told").iterdir()] == ["mine.txt"]
    said = capsys.readouterr().err
    assert ("exists; an export never replaces" in said) == (there == "database")
    assert ("there is no database" in said) == (there == "folder")
    assert (tmp_path / "none.db").exists() == (there == "database")
