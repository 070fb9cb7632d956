"""What a database's URL may ask for, and what is said where it leads nowhere."""

from __future__ import annotations

import shutil
import socket
import subprocess
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest
from sqlalchemy.exc import OperationalError

from service.store import Database, StoreStartError, StoreUnavailableError, check_schema, migrate
from service.store.database import complaint


def said(url: str) -> str:
    database = Database(url)
    try:
        with pytest.raises(StoreUnavailableError) as refused:
            check_schema(database)
    finally:
        database.close()
    assert "\n" not in str(refused.value)
    return str(refused.value)


def test_two_services_with_schemas_of_their_own_share_nothing(postgres):
    url = postgres.empty_database()
    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute("CREATE SCHEMA one")
        connection.execute("CREATE SCHEMA other")
    one, other = (Database(f"{url}&options=-c%20search_path%3D{schema}") for schema in ("one", "other"))
    try:
        for database in (one, other):
            migrate(database)
        with one.writing() as tx:
            tx.next_revision()

        with other.reading() as connection:
            assert connection.exec_driver_sql("SELECT revision FROM state").scalar() == 0
            assert connection.exec_driver_sql("SHOW search_path").scalar() == "other"
        with one.writing() as tx:
            assert tx.connection.exec_driver_sql("SHOW synchronous_commit").scalar() == "on"
    finally:
        one.close()
        other.close()
        with psycopg.connect(url, autocommit=True) as connection:
            connection.execute("DROP SCHEMA one, other CASCADE")


def test_options_of_a_url_do_not_make_a_commit_less_durable(ready_postgres):
    database = Database(f"{ready_postgres}&options=-c%20synchronous_commit%3Doff&application_name=shop")
    try:
        with database.writing() as tx:
            assert tx.connection.exec_driver_sql("SHOW synchronous_commit").scalar() == "on"
            assert tx.connection.exec_driver_sql("SHOW application_name").scalar() == "shop"
    finally:
        database.close()


def test_a_parameter_that_is_given_twice_is_refused():
    with pytest.raises(StoreStartError, match="options more than once"):
        Database("postgresql://u@h/d?options=-ca%3Db&options=-cc%3Dd")


def test_a_database_that_is_not_there_is_named_as_that(postgres):
    assert said(postgres.url("nowhere")) == "the database cannot be used: its server has no database of that name"


def test_a_host_that_is_not_there_is_named_as_that():
    assert said("postgresql://u:hunter2@no-such-host.invalid/d") == (
        "the database cannot be used: there is no host of that name"
    )


def test_a_port_where_nothing_listens_is_named_as_that():
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]

    assert said(f"postgresql://u:hunter2@127.0.0.1:{port}/d") == (
        "the database cannot be used: nothing listens at that host and port"
    )


@pytest.mark.parametrize(
    ("driver", "why"),
    [
        ('FATAL:  password authentication failed for user "u"', "it refuses this user and password"),
        ("fe_sendauth: no password supplied", "it asks for a password, and the URL has none"),
        ("server does not support SSL, but SSL was required", "its server has no TLS, which sslmode demands"),
        ("SSL error: certificate verify failed", "the TLS certificate of its server is not accepted"),
        ('FATAL:  no pg_hba.conf entry for host "10.0.0.1", no encryption', "it lets this user in from nowhere like"),
        ("connection timeout expired", "no connection within 2 s"),
    ],
)
def test_what_a_server_refuses_is_said_without_names_and_addresses(driver, why):
    failed = psycopg.OperationalError(f'connection to server at "10.0.0.1", port 5432 failed: {driver}')
    found = complaint(OperationalError("", {}, failed))

    assert found.startswith(f"the database cannot be used: {why}")
    assert "10.0.0.1" not in found


@pytest.fixture(params=["", "options"])
def pooled_url(request, postgres) -> Iterator[str]:
    """A database behind PgBouncer in transaction mode, which refuses the options of a connection, or drops them."""
    binary = shutil.which("pgbouncer", path="/usr/sbin:/usr/bin")
    if binary is None:
        pytest.skip("Debian's pgbouncer is not installed")
    direct = Database(postgres.empty_database())
    migrate(direct)
    name = direct.url.database
    direct.close()
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    ignored = f"ignore_startup_parameters = {request.param}\n" if request.param else ""
    readable = tempfile.TemporaryDirectory()  # by the user nobody: folders above tmp_path belong to us alone
    Path(readable.name).chmod(0o755)
    settings = Path(readable.name) / "pgbouncer.ini"
    settings.write_text(
        f"[databases]\n{name} = host={postgres.home} user=evenhand\n[pgbouncer]\nlisten_addr = 127.0.0.1\n"
        f"listen_port = {port}\nauth_type = any\npool_mode = transaction\nunix_socket_dir =\n{ignored}"
    )
    pooler = subprocess.Popen(
        [binary, str(settings)], user="nobody", stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )
    try:
        for _ in range(1200):
            with socket.socket() as asked:
                if asked.connect_ex(("127.0.0.1", port)) == 0:
                    break
            assert pooler.poll() is None
            time.sleep(0.05)
        yield f"postgresql://evenhand@127.0.0.1:{port}/{name}"
    finally:
        pooler.kill()
        pooler.wait()
        readable.cleanup()


@pytest.mark.debian
def test_pgbouncer_is_refused_with_the_reason_and_the_remedy(pooled_url):
    """It takes synchronous_commit and statement_timeout off, silently where it is told to."""
    database = Database(pooled_url)
    try:
        with pytest.raises((StoreStartError, StoreUnavailableError), match="this is PgBouncer") as refused:
            check_schema(database)
    finally:
        database.close()

    assert "Let EVENHAND_DATABASE_URL lead to PostgreSQL" in str(refused.value)
