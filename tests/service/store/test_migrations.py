"""One history for both databases; it makes what `schema` says, and takes it away again."""

from __future__ import annotations

import pytest
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from sqlalchemy import inspect, text

from service.store import Database, Store, StoreStartError, check_schema, get_run, migrate
from service.store.migration import known_revisions, schema_revision
from service.store.schema import metadata


@pytest.fixture
def database(url):
    database = Database(url)
    yield database
    database.close()


def _tables(database):
    with database.reading() as connection:
        return set(inspect(connection).get_table_names())


def test_the_history_makes_exactly_the_tables_of_the_schema(database):
    migrate(database)

    with database.reading() as connection:
        context = MigrationContext.configure(connection, opts={"compare_type": True})
        assert compare_metadata(context, metadata) == []
        assert schema_revision(connection) == known_revisions()[0]


def test_down_and_up_again(database):
    migrate(database)
    migrate(database)
    assert _tables(database) > {"request_log", "state"}

    migrate(database, "base")
    assert _tables(database) == {"alembic_version"}

    migrate(database)
    check_schema(database)
    with database.writing() as tx:
        assert tx.next_revision() == 1


def test_audit_runs_of_the_first_schema_are_kept_and_have_not_been_begun(database):
    migrate(database, "0001")
    with database.writing() as tx:
        tx.connection.execute(
            text(
                "INSERT INTO audit_runs (id, status, request, progress, created_us) VALUES ('a', 'queued', '{}', 0, 1)"
            )
        )

    migrate(database)

    with database.reading() as connection:
        run = get_run(connection, "a")
    assert (run.status, run.attempts, run.model_id, run.verdict) == ("queued", 0, None, None)
    migrate(database, "0001")
    migrate(database)
    with database.reading() as connection:
        assert get_run(connection, "a") == run


def test_a_schema_of_a_newer_version_is_refused(database):
    migrate(database)
    with database.writing() as tx:
        tx.connection.execute(text("UPDATE alembic_version SET version_num = '9999'"))

    for use in (check_schema, migrate):
        with pytest.raises(StoreStartError, match="9999"):
            use(database)


def test_postgresql_waits_for_the_command_and_sqlite_helps_itself(url):
    if url.startswith("sqlite"):
        store = Store(url, deadline_s=20)
        check_schema(store.database)
        store._let_go()
    else:
        with pytest.raises(StoreStartError, match="python -m service migrate"):
            Store(url)


@pytest.mark.parametrize("wrong", ["mysql://root@localhost/x", "sqlite://", "sqlite:///:memory:", "not a url", ""])
def test_an_url_of_nothing_we_know_is_refused(wrong):
    with pytest.raises(StoreStartError, match="EVENHAND_DATABASE_URL"):
        Database(wrong)
