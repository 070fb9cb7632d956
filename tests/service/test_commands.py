"""Commands on the database: keys, schema, backups."""

from __future__ import annotations

import asyncio
import re
import stat
import subprocess
import sys

import pytest
from hypothesis import given
from hypothesis import strategies as st

from service.__main__ import main
from service.commands import all_keys, next_name, parse_duration
from service.errors import StartError
from service.store import Store, find_key, now_us, put_requirement


@pytest.fixture
def url(tmp_path):
    return f"sqlite:///{tmp_path}/evenhand.db"


@pytest.fixture
def run(url, capsys):
    """Runs one command on the test's database: exit status, stdout, stderr."""

    def command(*words):
        status = main([*words, "--url", url])
        written = capsys.readouterr()
        return status, written.out, written.err

    return command


def scopes_of(url, secret):
    key = find_key({key.digest: key for key in all_keys(url)}, secret.strip(), now_us())
    return None if key is None else key.scopes


def test_a_command_on_the_database_starts_without_what_computes(url):
    program = f"import sys; from service.__main__ import main; main(['migrate', '--url', {url!r}]); print(*sys.modules)"

    loaded = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True).stdout.split()

    assert "sqlalchemy" in loaded
    assert not {"torch", "faiss", "bundle"} & set(loaded)


def test_a_key_is_shown_once_and_opens_its_scopes(run, url, tmp_path):
    status, secret, note = run("keys", "create", "app", "--scopes", "recommend,audit", "--expires", "90d")

    assert (status, len(note.splitlines())) == (0, 1)
    assert re.fullmatch(r"evh_[A-Za-z0-9_-]{43}\n", secret)
    assert scopes_of(url, secret) == {"recommend", "audit"}
    (key,) = all_keys(url)
    assert key.expires_us - key.created_us == 90 * 86_400 * 1_000_000
    assert secret.strip() not in run("keys", "list")[1]
    assert not any(secret.strip().encode() in file.read_bytes() for file in tmp_path.iterdir())


def test_the_list_tells_valid_from_expired_and_revoked(run):
    run("keys", "create", "lasting", "--scopes", "recommend")
    run("keys", "create", "gone", "--scopes", "admin")
    run("keys", "revoke", "gone")

    rows = [line.split("\t") for line in run("keys", "list")[1].splitlines()]

    assert [row[:3] for row in rows] == [["lasting", "valid", "recommend"], ["gone", "revoked", "admin"]]
    assert rows[0][4] == "never"


def test_a_rotated_key_has_the_same_scopes_and_the_old_one_overlaps(run, url):
    old = run("keys", "create", "app", "--scopes", "recommend,feedback", "--expires", "90d")[1]

    status, new, note = run("keys", "rotate", "app")

    assert (status, "app.2" in note) == (0, True)
    assert scopes_of(url, old) == scopes_of(url, new) == {"recommend", "feedback"}
    before, after = all_keys(url)
    assert 86_300 < (before.expires_us - now_us()) / 1e6 < 86_401
    assert after.expires_us - after.created_us == 90 * 86_400 * 1_000_000

    third = run("keys", "rotate", "app.2", "--overlap", "0s")[1]

    assert [scopes_of(url, secret) is None for secret in (old, new, third)] == [False, True, False]
    assert [key.name for key in all_keys(url)] == ["app", "app.2", "app.3"]


def test_rotation_never_prolongs_a_key(run, url):
    run("keys", "create", "app", "--scopes", "recommend", "--expires", "1h")
    expires_us = all_keys(url)[0].expires_us

    run("keys", "rotate", "app", "--overlap", "2d")

    assert all_keys(url)[0].expires_us == expires_us


@pytest.mark.parametrize(
    ("words", "reason"),
    [
        (("create", "app", "--scopes", "recommend,everything"), "unknown scope everything"),
        (("create", "app", "--scopes", ""), "unknown scope"),
        (("create", "a b", "--scopes", "recommend"), "is no name"),
        (("create", "app", "--scopes", "recommend", "--expires", "soon"), "not a duration"),
        (("create", "app", "--scopes", "recommend", "--expires", "0s"), "expires at once"),
        (("create", "taken", "--scopes", "recommend"), "there is a key 'taken' already"),
        (("revoke", "nobody"), "no key 'nobody'"),
        (("rotate", "nobody"), "no valid key 'nobody'"),
    ],
)
def test_what_cannot_be_is_refused_in_one_line(run, url, words, reason):
    run("keys", "create", "taken", "--scopes", "audit")

    status, out, err = run("keys", *words)

    assert (status, out) == (2, "")
    assert reason in err
    assert len(err.splitlines()) == 1
    assert len(all_keys(url)) == 1


def test_keys_can_be_made_while_the_service_has_the_database(run, url):
    async def story():
        store = Store(url, deadline_s=20)
        store.start()
        try:
            secret = await asyncio.to_thread(lambda: run("keys", "create", "app", "--scopes", "recommend")[1])
            for _ in range(500):
                if find_key(store.known.keys, secret.strip(), now_us()):
                    return
                await asyncio.sleep(0.02)
            raise AssertionError("the running service never heard of the key")
        finally:
            await store.close()

    asyncio.run(story())


def test_a_backup_is_taken_while_the_service_runs_and_put_back_when_it_does_not(run, url, tmp_path):
    copy = tmp_path / "copy.db"

    async def story():
        store = Store(url, deadline_s=20)
        store.start()
        await store.change(put_requirement, "ripley", ("age",))
        assert run("backup", str(copy))[0] == 0
        await store.change(put_requirement, "ripley", ("gender",))
        assert run("restore", str(copy))[0] == 2
        await store.close()

    asyncio.run(story())
    assert run("restore", str(copy))[0] == 0

    async def restored():
        store = Store(url, deadline_s=20)
        store.start()
        assert store.known.user("ripley").requirement == ("age",)
        await store.close()

    asyncio.run(restored())
    assert stat.S_IMODE(copy.stat().st_mode) == stat.S_IMODE((tmp_path / "evenhand.db").stat().st_mode) == 0o600


def test_a_backup_of_nothing_is_refused(run, tmp_path):
    status, _, err = run("backup", str(tmp_path / "copy.db"))

    assert (status, list(tmp_path.glob("*.db"))) == (2, [])
    assert "there is no database" in err


def test_migrate_makes_the_schema_and_may_be_repeated(run):
    assert run("migrate")[0] == 0
    assert run("migrate")[0] == 0
    assert run("keys", "list") == (0, "", "")


def test_the_environment_names_the_database(tmp_path, monkeypatch, capsys):
    monkeypatch.setenv("EVENHAND_DATABASE_URL", f"sqlite:///{tmp_path}/other.db")

    assert main(["keys", "create", "app", "--scopes", "recommend"]) == 0

    assert (tmp_path / "other.db").is_file()
    capsys.readouterr()


def test_durations():
    assert [parse_duration(text) for text in ("90d", "12h", "30m", "0s")] == [
        7_776_000_000_000,
        43_200_000_000,
        1_800_000_000,
        0,
    ]
    for text in ("", "d", "-1d", "1.5h", "1 d", "1w", "9999999s"):
        with pytest.raises(StartError):
            parse_duration(text)


@given(
    st.from_regex(r"[a-z][a-z0-9.]{0,8}", fullmatch=True),
    st.sets(st.from_regex(r"[a-z][a-z0-9.]{0,8}", fullmatch=True)),
)
def test_the_next_name_is_always_free(name, taken):
    assert next_name(name, taken) not in taken | {name}
