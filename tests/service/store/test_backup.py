"""A copy made under load is whole, and takes the place of a lost database."""

from __future__ import annotations

import asyncio
import sqlite3

import pytest

from service.store import Database, Store, StoreStartError, back_up, restore


def test_a_backup_under_load_is_restored(tmp_path, a_model, a_record, logged):
    url = f"sqlite:///{tmp_path}/store.db"
    copy = tmp_path / "copy.db"

    async def before():
        store = Store(url, deadline_s=60)
        store.start()
        model = await a_model(store)
        records = [a_record(model) for _ in range(2000)]
        await store.log(records[:1000])
        load = asyncio.gather(*(store.log([record]) for record in records[1000:]))
        await asyncio.to_thread(back_up, Database(url), copy)
        await load
        with pytest.raises(StoreStartError, match="serves from"):
            await asyncio.to_thread(restore, copy, Database(url))
        await store.close()
        return [record.request_id for record in records]

    async def after():
        store = Store(url, deadline_s=20)
        store.start()
        found = [row.request_id for row in await logged(store)]
        await store.log([a_record(await a_model(store))])
        await store.close()
        return found

    ids = asyncio.run(before())
    (tmp_path / "store.db").write_bytes(b"lost" * 1000)
    restore(copy, Database(url))

    found = asyncio.run(after())
    assert 1000 <= len(found) <= 2000
    assert set(ids[:1000]) <= set(found) <= set(ids)


def test_a_backup_never_replaces_another(tmp_path):
    database = Database(f"sqlite:///{tmp_path}/store.db")
    Store(f"sqlite:///{tmp_path}/store.db")._let_go()
    (tmp_path / "copy.db").write_text("precious")

    with pytest.raises(StoreStartError, match="exists"):
        back_up(database, tmp_path / "copy.db")

    assert (tmp_path / "copy.db").read_text() == "precious"


@pytest.mark.parametrize("damage", ["cut", "foreign", "missing"])
def test_a_damaged_backup_is_refused_and_the_database_stays(tmp_path, damage):
    url = f"sqlite:///{tmp_path}/store.db"
    Store(url)._let_go()
    copy = tmp_path / "copy.db"
    if damage == "cut":
        back_up(Database(url), copy)
        copy.write_bytes(copy.read_bytes()[:20_000])
    elif damage == "foreign":
        sqlite3.connect(copy).execute("CREATE TABLE other (x)").connection.close()
    before = (tmp_path / "store.db").read_bytes()

    with pytest.raises(StoreStartError):
        restore(copy, Database(url))

    assert (tmp_path / "store.db").read_bytes() == before


def test_postgresql_is_left_to_its_own_tools(tmp_path):
    with pytest.raises(StoreStartError, match="pg_dump"):
        back_up(Database("postgresql://nobody@nowhere/none"), tmp_path / "copy.db")
