"""Operational logs: one JSON object per line on stderr. No user ids, no attribute values."""

from __future__ import annotations

import asyncio
import logging
import sys
from typing import Any

import structlog
from pydantic_core import to_json

_SHARED: list[Any] = [
    structlog.processors.add_log_level,
    structlog.processors.TimeStamper(fmt="iso", utc=True),
    structlog.processors.format_exc_info,
]


class TurnBuffer:
    """Collects the log lines of one turn of the event loop, and writes them to stderr together at the next turn.

    A write releases the interpreter lock, and a busy worker thread delays its return; a batch of answers should wait
    for that once, not once for each answer.
    """

    def __init__(self) -> None:
        self._lines: list[str] = []
        self._loop: asyncio.AbstractEventLoop | None = None
        """The loop that will write the kept lines; None where no write is due."""

    def write(self, line: str) -> None:
        """Keep a line."""
        self._lines.append(line)

    def flush(self) -> None:
        """Write the kept lines: soon if an event loop runs, else at once."""
        try:
            loop = asyncio.get_running_loop()
        except RuntimeError:
            self._flush()
            return
        if loop is not self._loop:
            self._loop = loop
            loop.call_soon(self._flush)

    def _flush(self) -> None:
        self._loop = None
        lines, self._lines = self._lines, []
        sys.stderr.write("".join(lines))
        sys.stderr.flush()


def _to_json(event: Any, default: Any) -> str:
    return to_json(event, fallback=default).decode()


_RENDERER = structlog.processors.JSONRenderer(serializer=_to_json)


def make_logger(level: str) -> structlog.typing.FilteringBoundLogger:
    """A logger of its own: nothing global is configured, so that several apps live in one process."""
    logger = structlog.wrap_logger(
        structlog.WriteLogger(TurnBuffer()),  # type: ignore[arg-type]
        processors=[*_SHARED, _RENDERER],
        wrapper_class=structlog.make_filtering_bound_logger(level),
    )
    bound: structlog.typing.FilteringBoundLogger = logger.bind()  # else every line makes a new one
    return bound


def adopt_libraries() -> None:
    """Give warnings of web server and tracing the same shape. The access log stays off: paths hold user ids."""
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=_SHARED,
            processors=[
                structlog.stdlib.ProcessorFormatter.remove_processors_meta,
                _RENDERER,
            ],
        )
    )
    for name in ("uvicorn", "opentelemetry"):
        library = logging.getLogger(name)
        library.handlers = [handler]
        library.propagate = False
        library.setLevel(logging.WARNING)
