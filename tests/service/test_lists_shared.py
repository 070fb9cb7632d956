"""`python -m service lists` while a second version answers a share of the users."""

from __future__ import annotations

import pytest

from bundle.files import read_manifest
from service.model.share import new_salt
from service.secret import derive_key
from service.store import activate_model, end_share, register_model, share_model

SECRET = "the same secret for all"
USERS = 60


@pytest.fixture
def versions(a_bundle_folder, ready_sqlite, changed, monkeypatch):
    """Folders of two versions, of which the second answers half of the users."""
    monkeypatch.setenv("EVENHAND_SECRET", SECRET)
    monkeypatch.setenv("EVENHAND_DATABASE_URL", ready_sqlite)
    folders = [a_bundle_folder(version=version, seed=seed, users=USERS) for version, seed in (("1", 1), ("2", 2))]
    salt = new_salt(derive_key(SECRET, "share"))

    def share(tx):
        first, second = (
            register_model(tx, "tiny", each.version, each.content_hash, each.attribute_names).id
            for each in map(read_manifest, folders)
        )
        activate_model(tx, first, None)
        share_model(tx, second, 0.5, beside=first, salt=salt, by=None)

    changed(ready_sqlite, (share,))
    return folders


def test_each_version_makes_lists_of_those_whom_it_answers_and_both_of_everybody(
    versions, lists, a_client, ready_sqlite
):
    rows = {
        folder.name: lists(folder, "--share", "follow", "--log", out=f"{folder.name}.ndjson")[1] for folder in versions
    }

    client = a_client(folder=versions[0], settings={"database_url": ready_sqlite, "secret": SECRET, "cache": "off"})
    assert {row["user"] for made in rows.values() for row in made} == {f"u{user}" for user in range(USERS)}
    assert sum(map(len, rows.values())) == USERS
    assert {(row.user_key, row.model.version) for row in client.logged()} == {
        (row["user"], version) for version, made in rows.items() for row in made
    }
    for version, made in rows.items():
        for row in made:
            answer = client.get(f"/recommend?user={row['user']}").json()
            assert (answer["model"]["version"], [one["item"] for one in answer["items"]]) == (version, row["items"])


def test_the_command_has_to_say_whose_lists_it_wants_and_then_tells_whom_it_left_out(versions, lists):
    status, _, _, refusal = lists(versions[1])
    assert status == 2
    assert "version '2' answers a share of 0.5 of the users, '1' the others: --share follow makes" in refusal

    status, rows, said, _ = lists(versions[1], "--share", "ignore")
    assert (status, len(rows), "another version" in said) == (0, USERS, False)
    status, rows, said, _ = lists(versions[1], "--share", "follow")
    assert status == 0
    assert f"not in the file: {USERS - len(rows)}\n" in said


def test_a_file_of_users_is_refused_for_whom_it_names_and_dealt_like_everybody(versions, lists, tmp_path):
    people = tmp_path / "people.txt"
    people.write_text("\n".join([*(f"u{user}" for user in range(USERS)), "nobody"]))
    assert f"line {USERS + 1}: no user 'nobody'" in lists(versions[0], "--share", "follow", "--users", people)[3]

    people.write_text("\n".join(f"u{user}" for user in range(USERS)))
    named = [lists(folder, "--share", "follow", "--users", people)[1] for folder in versions]

    assert named == [lists(folder, "--share", "follow")[1] for folder in versions]


def test_what_cannot_be_followed_is_refused(versions, lists, a_bundle_folder, monkeypatch):
    third = a_bundle_folder(version="3", seed=3)
    assert "this version answers nobody; that database has '1' and '2' answer" in lists(third, "--share", "follow")[3]
    assert "needs the database" in lists(versions[0], "--share", "follow", "--database", "none")[3]
    monkeypatch.setenv("EVENHAND_SECRET", "another secret for all")
    assert "begun with another EVENHAND_SECRET" in lists(versions[0], "--share", "follow")[3]


def test_two_answers_to_whose_lists_are_refused_and_not_the_last_one_taken(versions, lists, capsys):
    with pytest.raises(SystemExit) as ended:
        lists(versions[0], "--share", "follow", "--share", "ignore")

    assert ended.value.code == 2
    assert "argument --share: given more than once" in capsys.readouterr().err


def test_without_a_share_following_makes_the_lists_of_everybody(versions, lists, changed, ready_sqlite):
    changed(ready_sqlite, (end_share, 2))

    assert len(lists(versions[0], "--share", "follow")[1]) == USERS
    assert "answers nobody" in lists(versions[1], "--share", "follow")[3]
    assert len(lists(versions[1])[1]) == USERS
