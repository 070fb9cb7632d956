"""Command line: ``python -m service serve``, and the commands that need no running service."""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Iterable
from datetime import UTC, datetime
from pathlib import Path
from typing import TypeVar

from service.errors import ServiceError, StartError

Number = TypeVar("Number", int, float)


def main(arguments: list[str] | None = None) -> int:
    """Run one command; its exit status."""
    options = _parser().parse_args(arguments)
    try:
        status: int = options.run(options)
    except ServiceError as error:
        print(f"evenhand: {error}", file=sys.stderr)
        return error.exit_status if isinstance(error, StartError) else StartError.exit_status
    return status


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m service", description="Evenhand: fair recommendation serving.")
    commands = parser.add_subparsers(dest="command", required=True)
    serve = commands.add_parser(
        "serve", help="answer requests until SIGTERM", epilog="All other settings are EVENHAND_* variables."
    )
    serve.add_argument("--bundle", metavar="DIR", help="the bundle's folder (EVENHAND_BUNDLE)")
    serve.add_argument("--host", help="address to listen on (EVENHAND_HOST, else 127.0.0.1)")
    serve.add_argument("--port", help="port to listen on (EVENHAND_PORT, else 8000)")
    serve.set_defaults(run=_serve)
    commands.add_parser("openapi", help="print the published schema").set_defaults(run=_openapi)
    _add_audit(commands.add_parser("audit", help="measure a bundle through the code that serves it"))
    _add_lists(commands.add_parser("lists", help="make the lists of many users, as requests would get them, as a file"))
    stored = argparse.ArgumentParser(add_help=False)
    stored.add_argument("--url", help="the database (EVENHAND_DATABASE_URL, where a password is not seen by others)")
    _add_keys(commands.add_parser("keys", help="API keys: create, list, revoke, rotate"), stored)
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
    return parser


def _add_audit(parser: argparse.ArgumentParser) -> None:
    parser.epilog = (
        "Ends with 0 where the verdict is pass or inconclusive, 1 where it is fail, 2 where the audit was refused, 4 "
        "where something was not judged, as in every quick look. Options win over EVENHAND_AUDIT_* variables."
    )
    parser.add_argument("bundle", metavar="BUNDLE", type=Path, help="folder of a version, or of a bundle (its newest)")
    parser.add_argument("--out", metavar="DIR", type=Path, help="folder of the files (audits/NAME-VERSION)")
    parser.add_argument("--profile", choices=("quick", "full"), help="quick: a look, no verdict (the default)")
    parser.add_argument("--masks", metavar="SETS", help='attributes to protect, like "gender;gender,age;" (all sets)')
    parser.add_argument("--metrics", metavar="NAMES", help="comma-separated (everything)")
    parser.add_argument("--users", metavar="N", type=int, help="audit users to look at, at most (all)")
    parser.add_argument("--seed", metavar="N", type=int, help="of all that is drawn (that of the training run)")
    parser.add_argument(
        "--workers", metavar="N", type=_positive, help="processes side by side (EVENHAND_AUDIT_WORKERS, else 1)"
    )
    parser.add_argument(
        "--leakage-at-most",
        metavar="AUC",
        type=float,
        help="for a pass, with its interval (EVENHAND_AUDIT_LEAKAGE_AT_MOST, else 0.6)",
    )
    parser.add_argument(
        "--kept-at-least",
        metavar="SHARE",
        type=float,
        help="of the accuracy, for a pass (EVENHAND_AUDIT_KEPT_AT_LEAST, else 0.8)",
    )
    parser.add_argument(
        "--index", choices=("torch", "ivf", "hnsw"), default="torch", help="the kind that serves (torch)"
    )
    parser.add_argument("--progress", action="store_true", help="lines of JSON for a supervising process, nothing else")
    parser.set_defaults(run=_audit)


def _add_lists(parser: argparse.ArgumentParser) -> None:
    parser.epilog = (
        "A run that is broken off goes on when the same command is given again. EVENHAND_* variables mean what they "
        "mean to the service: EVENHAND_DEFAULT, EVENHAND_REQUIRED, EVENHAND_PINNED, EVENHAND_MAX_K, EVENHAND_INDEX ..."
    )
    parser.add_argument("bundle", metavar="BUNDLE", type=Path, help="folder of a version, or of a bundle (its newest)")
    parser.add_argument("--out", metavar="FILE", type=Path, required=True, help="ends in .parquet, .ndjson or .jsonl")
    parser.add_argument(
        "--users", metavar="all|FILE", default="all", help="all of the bundle (all), or those in FILE, one id a line"
    )
    parser.add_argument(
        "--sensitive", metavar="NAMES", action="append", help="attributes to protect (EVENHAND_DEFAULT), like a request"
    )
    parser.add_argument("--k", metavar="N", type=int, default=10, help="items of a list (10)")
    parser.add_argument(
        "--exclude-seen",
        action=argparse.BooleanOptionalAction,
        default=True,
        help="leave out what a user has interacted with (so it is)",
    )
    parser.add_argument("--group", metavar="NAMES", action="append", help="only items in one of these groups (all)")
    parser.add_argument("--fallback", choices=("popular",), help="what unknown and erased users get (nothing)")
    parser.add_argument(
        "--database",
        metavar="URL",
        help="requirements, interactions, hidden items, erasures (that of the service, where there is one); or none",
    )
    parser.add_argument("--log", action="store_true", help="record the lists in its request log, as shown")
    parser.add_argument("--threads", metavar="N", type=_positive, help="that make lists (one for each core)")
    parser.set_defaults(run=_lists)


def _add_keys(parser: argparse.ArgumentParser, stored: argparse.ArgumentParser) -> None:
    commands = parser.add_subparsers(dest="keys", required=True)
    create = commands.add_parser("create", parents=[stored], help="make a key and print it, once")
    create.add_argument("name", metavar="NAME", help="of the application that will use it; used once")
    create.add_argument("--scopes", required=True, help="comma-separated: recommend,requirement,feedback,admin,audit")
    create.add_argument("--expires", metavar="TIME", help="from now, like 90d or 12h; never, if not given")
    create.set_defaults(run=_create)
    commands.add_parser("list", parents=[stored], help="list all keys").set_defaults(run=_list)
    revoke = commands.add_parser("revoke", parents=[stored], help="end a key at once and for good")
    revoke.add_argument("name", metavar="NAME")
    revoke.set_defaults(run=_revoke)
    rotate = commands.add_parser("rotate", parents=[stored], help="make a key in the place of another; it is NAME.2")
    rotate.add_argument("name", metavar="NAME")
    rotate.add_argument(
        "--overlap", metavar="TIME", default="24h", help="how long the old one stays valid (24h); 0s: not at all"
    )
    rotate.set_defaults(run=_rotate)


def _serve(options: argparse.Namespace) -> int:
    from service.settings import read_settings

    settings = read_settings(bundle=options.bundle, host=options.host, port=options.port)
    from service.serve import serve  # imports torch and FAISS: only once the settings are known to be good

    return serve(settings)


def _openapi(_: argparse.Namespace) -> int:
    from service.api import published_schema

    json.dump(published_schema(), sys.stdout, indent=1, sort_keys=True, ensure_ascii=False)
    print()
    return 0


def _audit(options: argparse.Namespace) -> int:
    try:
        from service.audit.command import audit, read_request
    except ModuleNotFoundError as error:
        raise StartError(f"audits need the package {error.name}: install evenhand with its extra `audit`") from error

    from service.settings import read_audit_settings

    settings = read_audit_settings()
    asked = {name: getattr(options, name) for name in ("profile", "masks", "metrics", "users", "seed")}
    workers = settings.audit_workers if "audit_workers" in settings.model_fields_set else 1
    outcome = audit(
        options.bundle,
        options.out,
        read_request(**asked),
        workers=_first(options.workers, workers),
        leakage_at_most=_first(options.leakage_at_most, settings.audit_leakage_at_most),
        kept_at_least=_first(options.kept_at_least, settings.audit_kept_at_least),
        index=options.index,
        supervised=options.progress,
    )
    for line in outcome.lines:
        print(line)
    return outcome.status


def _lists(options: argparse.Namespace) -> int:
    from service.settings import read_settings

    settings = read_settings(bundle=options.bundle)
    from service.lists.command import Asked, make_lists

    outcome = make_lists(
        settings,
        Asked(
            sensitive=None if options.sensitive is None else _names(options.sensitive),
            k=options.k,
            exclude_seen=options.exclude_seen,
            group=_names(options.group or ()),
            fallback=options.fallback,
            users=options.users,
            out=options.out,
            database=options.database,
            log=options.log,
            threads=options.threads,
        ),
    )
    for line in outcome.lines:
        print(line)
    return outcome.status


def _names(given: Iterable[str]) -> tuple[str, ...]:
    """Names of a repeatable option, each time comma-separated; nothing is left out silently."""
    return tuple(name for text in given if text for name in text.split(","))


def _create(options: argparse.Namespace) -> int:
    from service.commands import make_key, parse_duration

    lifetime_us = None if options.expires is None else parse_duration(options.expires)
    print(make_key(_url(options), options.name, options.scopes.split(","), lifetime_us))
    print("evenhand: this is the only time that the key is shown", file=sys.stderr)
    return 0


def _list(options: argparse.Namespace) -> int:
    from service.commands import all_keys, status_of

    for key in all_keys(_url(options)):
        until = "never" if key.expires_us is None else _day(key.expires_us)
        print(f"{key.name}\t{status_of(key)}\t{','.join(sorted(key.scopes))}\t{_day(key.created_us)}\t{until}")
    return 0


def _revoke(options: argparse.Namespace) -> int:
    from service.commands import end_key

    end_key(_url(options), options.name)
    return 0


def _rotate(options: argparse.Namespace) -> int:
    from service.commands import parse_duration, replace_key

    name, secret = replace_key(_url(options), options.name, parse_duration(options.overlap))
    print(secret)
    print(f"evenhand: this is {name}; {options.name} stays valid for {options.overlap}", file=sys.stderr)
    return 0


def _migrate(options: argparse.Namespace) -> int:
    from service.commands import update_schema

    update_schema(_url(options))
    return 0


def _backup(options: argparse.Namespace) -> int:
    from service.commands import save_copy

    save_copy(_url(options), options.file)
    return 0


def _restore(options: argparse.Namespace) -> int:
    from service.commands import put_back

    put_back(_url(options), options.file)
    return 0


def _export(options: argparse.Namespace) -> int:
    from service.commands import save_told

    done = save_told(_url(options), options.folder)
    counts = (
        f"{done.interactions:,} interactions, {done.erased_users:,} erased users, {done.hidden_items:,} hidden items"
    )
    print(f"evenhand: {counts} in {options.folder}", file=sys.stderr)
    return 0


def _first(given: Number | None, else_: Number) -> Number:
    return else_ if given is None else given


def _positive(text: str) -> int:
    number = int(text)
    if number < 1:
        raise ValueError
    return number


def _url(options: argparse.Namespace) -> str:
    from service.settings import read_database_url

    return read_database_url(options.url)


def _day(time_us: int) -> str:
    return datetime.fromtimestamp(time_us // 1_000_000, UTC).strftime("%Y-%m-%dT%H:%MZ")


if __name__ == "__main__":
    sys.exit(main())
