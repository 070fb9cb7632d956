"""Command line: ``python -m service serve``, and the commands that need no running service."""

from __future__ import annotations

import argparse
import json
import sys

from service.command_line.arguments import Parser
from service.command_line.audit import add_audit
from service.command_line.database import add_database, stored_database
from service.command_line.keys import add_keys
from service.command_line.lists import add_lists
from service.errors import ServiceError, StartError


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
    parser = Parser(prog="python -m service", description="Evenhand: fair recommendation serving.")
    commands = parser.add_subparsers(dest="command", required=True)
    serve = commands.add_parser(
        "serve", help="answer requests until SIGTERM", epilog="All other settings are EVENHAND_* variables."
    )
    serve.add_argument("--bundle", metavar="DIR", help="the bundle's folder (EVENHAND_BUNDLE)")
    serve.add_argument("--host", help="address to listen on (EVENHAND_HOST, else 127.0.0.1)")
    serve.add_argument("--port", help="port to listen on (EVENHAND_PORT, else 8000)")
    serve.add_argument("--workers", metavar="N", help="processes that answer on that port (EVENHAND_WORKERS, else 1)")
    serve.set_defaults(run=_serve)
    commands.add_parser("openapi", help="print the published schema").set_defaults(run=_openapi)
    add_audit(commands.add_parser("audit", help="measure a bundle through the code that serves it"))
    add_lists(commands.add_parser("lists", help="make the lists of many users, as requests would get them, as a file"))
    stored = stored_database()
    add_keys(commands.add_parser("keys", help="API keys: create, list, revoke, rotate"), stored)
    add_database(commands, stored)
    return parser


def _serve(options: argparse.Namespace) -> int:
    from service.settings import read_settings

    settings = read_settings(bundle=options.bundle, host=options.host, port=options.port, workers=options.workers)
    from service.serve import serve  # imports torch and FAISS: only once the settings are known to be good

    return serve(settings)


def _openapi(_: argparse.Namespace) -> int:
    from service.api import published_schema

    json.dump(published_schema(), sys.stdout, indent=1, sort_keys=True, ensure_ascii=False)
    print()
    return 0


if __name__ == "__main__":
    sys.exit(main())
