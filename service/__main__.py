"""Command line: ``python -m service serve`` and ``python -m service openapi``."""

from __future__ import annotations

import argparse
import json
import sys

from service.errors import StartError

REFUSED = 2


def main(arguments: list[str] | None = None) -> int:
    """Run one command; its exit status."""
    parser = argparse.ArgumentParser(prog="python -m service", description="Evenhand: fair recommendation serving.")
    commands = parser.add_subparsers(dest="command", required=True)
    serve_parser = commands.add_parser(
        "serve", help="answer requests until SIGTERM", epilog="All other settings are EVENHAND_* variables."
    )
    serve_parser.add_argument("--bundle", metavar="DIR", help="the bundle's folder (EVENHAND_BUNDLE)")
    serve_parser.add_argument("--host", help="address to listen on (EVENHAND_HOST, else 127.0.0.1)")
    serve_parser.add_argument("--port", help="port to listen on (EVENHAND_PORT, else 8000)")
    commands.add_parser("openapi", help="print the published schema")
    options = parser.parse_args(arguments)
    try:
        return _openapi() if options.command == "openapi" else _serve(options)
    except StartError as error:
        print(f"evenhand: {error}", file=sys.stderr)
        return REFUSED


def _serve(options: argparse.Namespace) -> int:
    from service.settings import read_settings

    settings = read_settings(bundle=options.bundle, host=options.host, port=options.port)
    from service.serve import serve  # imports torch and FAISS: only once the settings are known to be good

    return serve(settings)


def _openapi() -> int:
    from service.api import published_schema

    json.dump(published_schema(), sys.stdout, indent=1, sort_keys=True, ensure_ascii=False)
    print()
    return 0


if __name__ == "__main__":
    sys.exit(main())
