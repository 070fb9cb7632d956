"""A commit means durable, whatever the server's defaults are; who reads neither waits nor writes."""

from __future__ import annotations

import psycopg

from service.store import Database


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
