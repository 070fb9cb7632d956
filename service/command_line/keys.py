"""`python -m service keys`: API keys."""

from __future__ import annotations

import argparse
import sys
from datetime import UTC, datetime

from service.command_line.database import url_of


def add_keys(parser: argparse.ArgumentParser, stored: argparse.ArgumentParser) -> None:
    """Take the four commands, each with the options of ``stored``."""
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


def _create(options: argparse.Namespace) -> int:
    from service.commands import make_key, parse_duration

    lifetime_us = None if options.expires is None else parse_duration(options.expires)
    print(make_key(url_of(options), options.name, options.scopes.split(","), lifetime_us))
    print("evenhand: this is the only time that the key is shown", file=sys.stderr)
    return 0


def _list(options: argparse.Namespace) -> int:
    from service.commands import all_keys, status_of

    for key in all_keys(url_of(options)):
        until = "never" if key.expires_us is None else _day(key.expires_us)
        print(f"{key.name}\t{status_of(key)}\t{','.join(sorted(key.scopes))}\t{_day(key.created_us)}\t{until}")
    return 0


def _revoke(options: argparse.Namespace) -> int:
    from service.commands import end_key

    end_key(url_of(options), options.name)
    return 0


def _rotate(options: argparse.Namespace) -> int:
    from service.commands import parse_duration, replace_key

    name, secret = replace_key(url_of(options), options.name, parse_duration(options.overlap))
    print(secret)
    print(f"evenhand: this is {name}; {options.name} stays valid for {options.overlap}", file=sys.stderr)
    return 0


def _day(time_us: int) -> str:
    return datetime.fromtimestamp(time_us // 1_000_000, UTC).strftime("%Y-%m-%dT%H:%MZ")
