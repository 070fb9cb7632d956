"""Commands on the database: migrate, backup, restore, export."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from service.command_line.arguments import Parser

if TYPE_CHECKING:
    from argparse import _SubParsersAction


def stored_database() -> Parser:
    """Make the option that every command on the database has."""
    stored = Parser(add_help=False)
    stored.add_argument("--url", help="the database (EVENHAND_DATABASE_URL, where a password is not seen by others)")
    return stored


def add_database(commands: _SubParsersAction[Parser], stored: Parser) -> None:
    """Add the commands, each with the options of ``stored``."""
    migrate = commands.add_parser("migrate", parents=[stored], help="bring the database to this version's schema")
    migrate.set_defaults(run=_migrate)
    backup = commands.add_parser("backup", parents=[stored], help="copy a SQLite database, while the service runs")
    restore = commands.add_parser("restore", parents=[stored], help="put such a copy back, while no service runs")
    for command, run in ((backup, _backup), (restore, _restore)):
        command.add_argument("file", metavar="FILE", type=Path)
        command.set_defaults(run=run)
    export = commands.add_parser(
        "export",
        parents=[stored],
        help="write what the next training needs of the database, while the service runs",
        epilog="Three Parquet files for `python -m training data pull`: interactions, erased_users, hidden_items.",
    )
    export.add_argument("folder", metavar="FOLDER", type=Path)
    export.set_defaults(run=_export)


def url_of(options: argparse.Namespace) -> str:
    """Find the database of a command: its option, else the setting."""
    from service.settings import read_database_url

    return read_database_url(options.url)


def _migrate(options: argparse.Namespace) -> int:
    from service.commands import update_schema

    update_schema(url_of(options))
    return 0


def _backup(options: argparse.Namespace) -> int:
    from service.commands import save_copy

    save_copy(url_of(options), options.file)
    return 0


def _restore(options: argparse.Namespace) -> int:
    from service.commands import put_back

    put_back(url_of(options), options.file)
    return 0


def _export(options: argparse.Namespace) -> int:
    from service.commands import save_told

    done = save_told(url_of(options), options.folder)
    counts = (
        f"{done.interactions:,} interactions, {done.erased_users:,} erased users, {done.hidden_items:,} hidden items"
    )
    print(f"evenhand: {counts} in {options.folder}", file=sys.stderr)
    return 0
