"""Brings a database to the schema of this version: SQLite at the start, PostgreSQL by `python -m service migrate`."""

from __future__ import annotations

from functools import cache
from pathlib import Path

from alembic import command
from alembic.config import Config
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import Connection, text

from service.store.database import Database, translated
from service.store.errors import StoreStartError

LOCK = 7_318_001
"""PostgreSQL's advisory lock for a migration, so that two commands do not run at once."""


@cache
def known_revisions() -> tuple[str, ...]:
    """The revisions of the schema that this version of the service knows, the one that it needs first."""
    return tuple(script.revision for script in ScriptDirectory.from_config(_config()).walk_revisions())


def schema_revision(connection: Connection) -> str | None:
    """The revision of the database's schema; None where it has none of ours."""
    return MigrationContext.configure(connection).get_current_revision()


def migrate(database: Database, to: str = "head") -> None:
    """Bring the schema to a revision: later ones by upgrading, earlier ones (``base`` for none) by downgrading.

    Raises:
        StoreStartError: the database has a schema that this version does not know.
        StoreUnavailableError: the database is lost, or full.
    """
    database.check_options()
    with translated(), database.writers.begin() as connection:
        if not database.is_sqlite:
            connection.execute(text("SET LOCAL statement_timeout = 0"))
            connection.execute(text("SELECT pg_advisory_xact_lock(:lock)"), {"lock": LOCK})
        _check_known(schema_revision(connection))
        config, known = _config(connection), known_revisions()
        have, wanted = schema_revision(connection), known[0] if to == "head" else to
        if have in known and (wanted == "base" or known.index(wanted) > known.index(have)):
            command.downgrade(config, wanted)
        elif wanted not in ("base", have):
            command.upgrade(config, wanted)


def check_schema(database: Database) -> None:
    """Pass only if the database has the schema that this version needs.

    Raises:
        StoreStartError: says which of the two is older, and what to do.
        StoreUnavailableError: the database is lost.
    """
    database.check_options()
    with database.reading() as connection:
        have = schema_revision(connection)
    _check_known(have)
    newest = known_revisions()[0]
    if have != newest:
        raise StoreStartError(
            f"the database has schema {have or 'none'}, this version needs {newest}: run `python -m service migrate`"
        )


def _check_known(have: str | None) -> None:
    known = known_revisions()
    if have is not None and have not in known:
        raise StoreStartError(
            f"the database has schema {have}, which this version does not know (it knows up to {known[0]}): "
            "a newer version made it"
        )


def _config(connection: Connection | None = None) -> Config:
    config = Config(attributes={"connection": connection})
    config.set_main_option("script_location", str(Path(__file__).parent / "migrations").replace("%", "%%"))
    config.set_main_option("path_separator", "os")
    return config
