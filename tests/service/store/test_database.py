"""A commit means durable, whatever the server's defaults are; who reads neither waits nor writes."""

from __future__ import annotations

import psycopg
import pytest
from sqlalchemy.exc import DBAPIError, IntegrityError

from service.store import Database
from service.store.database import by_driver, is_lost


def test_a_commit_reaches_the_disk_before_it_returns(ready_url):
    database = Database(ready_url)
    if not database.is_sqlite:
        with psycopg.connect(ready_url.replace("+psycopg", ""), autocommit=True) as connection:
            connection.execute("ALTER ROLE evenhand SET synchronous_commit = off")
    try:
        with database.writing() as tx:
            ask = tx.connection.exec_driver_sql
            if database.is_sqlite:
                assert ask("PRAGMA journal_mode").scalar() == "wal"
                assert ask("PRAGMA synchronous").scalar() == 2
            else:
                assert ask("SHOW synchronous_commit").scalar() == "on"
                assert ask("SHOW fsync").scalar() == "on"
    finally:
        database.close()
        if not database.is_sqlite:
            with psycopg.connect(ready_url.replace("+psycopg", ""), autocommit=True) as connection:
                connection.execute("ALTER ROLE evenhand RESET synchronous_commit")


def test_reading_never_waits_for_a_writer_and_cannot_write(ready_url):
    database = Database(ready_url)
    with database.writing() as tx:
        tx.next_revision()
        with database.reading() as connection:
            assert connection.exec_driver_sql("SELECT revision FROM state").scalar() == 0
            if database.is_sqlite:
                assert connection.exec_driver_sql("PRAGMA query_only").scalar() == 1
    with database.reading() as connection:
        assert connection.exec_driver_sql("SELECT revision FROM state").scalar() == 1
    database.close()


def test_what_the_driver_says_itself_is_what_sqlalchemy_would_have_said(ready_url):
    database = Database(ready_url)
    with database.writing() as tx:
        add = "INSERT INTO hidden_items (item_id, hidden, changed_us, revision) VALUES ('i', true, 1, 1)"
        tx.connection.exec_driver_sql(add)
        with pytest.raises(IntegrityError), tx.connection.begin_nested(), by_driver(tx.connection) as cursor:
            cursor.execute(add)
    with database.writers.connect() as connection:
        connection.connection.driver_connection.close()
        with pytest.raises(DBAPIError) as lost, by_driver(connection) as cursor:
            cursor.execute("SELECT 1")
    database.close()

    assert is_lost(lost.value)
