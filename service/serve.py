"""Starts the service: refuse unsafe settings, load, listen."""

from __future__ import annotations

import gc
import ipaddress
import math
import signal
import socket
import sys

import uvicorn

from service.api import State, create_app
from service.errors import StartError
from service.http_protocol import HttpProtocol
from service.logs import adopt_libraries, make_logger
from service.model.folder import folder_to_serve, glance
from service.model.loaded import load_model
from service.processes.process import Process, shared_by
from service.processes.supervisor import Supervisor
from service.settings import Settings
from service.store import Database
from service.uvicorn_server import Server, bind

LISTENING_FAILED = 3
"""Exit status where the app came up but its first recommendation did not; that of an `AddressError` too."""


def serve(settings: Settings) -> int:
    """Serve until SIGTERM or SIGINT; what waits by then is answered. A second signal ends the process at once.

    Returns:
        The exit status.

    Raises:
        AddressError: the address cannot be listened on; before anything is loaded.
        StartError: the settings, the machine or the bundle do not allow a start.
    """
    stored = glance(settings.database_url.get_secret_value())
    if stored is not None:
        _check_address(settings, has_keys=stored.has_keys)
    listening = bind(settings.host.strip("[]"), settings.port)
    if settings.workers == 1:
        return _answer(settings, listening, Process())
    log = make_logger(settings.log_level)
    database = Database(settings.database_url.get_secret_value())
    _keep_what_is_there()  # else the first full collection of each process copies the pages that they share
    with shared_by(settings.workers, database.path) as processes:

        def run(process: Process, kind: str | None) -> int:
            chosen = settings if kind is None else settings.model_copy(update={"index": kind})
            return _answer(chosen, listening, process)

        return Supervisor(processes, run, log).serve()


def _answer(settings: Settings, listening: list[socket.socket], process: Process) -> int:
    """Serve with this process."""
    told_to_end = False

    def end(*_: object) -> None:
        nonlocal told_to_end
        told_to_end = True
        sys.exit(0)

    # uvicorn sends itself the signal again once it has stopped; this makes the process end with status 0.
    for sign in (signal.SIGTERM, signal.SIGINT):
        signal.signal(sign, end)
    stored = glance(settings.database_url.get_secret_value())
    folder = folder_to_serve(settings, stored.active if stored is not None else None, make_logger(settings.log_level))
    milvus_url = None if settings.milvus_url is None else settings.milvus_url.get_secret_value()
    app = create_app(settings, load_model(folder, settings.device, settings.index, milvus_url=milvus_url), process)
    state: State = app.state.evenhand
    _check_address(settings, has_keys=not state.runtime.gate.is_open)
    if settings.metrics_port is not None and process.is_first:
        state.runtime.metrics.listen(settings.host, settings.metrics_port, state.runtime.scraped)
    adopt_libraries()
    _keep_what_is_there()  # to walk it in every full collection would stop all requests for a tenth of a second
    config = uvicorn.Config(
        app,
        host=settings.host,
        port=settings.port,
        log_config=None,
        access_log=False,
        proxy_headers=False,
        http=HttpProtocol,
        server_header=False,
        timeout_keep_alive=settings.keep_alive_s,
        timeout_graceful_shutdown=math.ceil(settings.deadline_s) + 1,
    )

    def stop_taking() -> None:
        state.runtime.health.draining = True
        state.log.info("stopping", drain_s=settings.drain_s)

    on_start = state.runtime.tell_ready
    server = Server(config, drain_s=settings.drain_s, on_start=on_start, on_stop=stop_taking, accept=process.accept)
    if told_to_end:  # an exit that is raised in a callback of the garbage collector is lost
        return 0
    server.run(sockets=listening)
    return 0 if server.started else LISTENING_FAILED


def _keep_what_is_there() -> None:
    """Let the garbage collector look no more at what was imported and loaded by now, all of which stays."""
    gc.collect()
    gc.freeze()


def _check_address(settings: Settings, *, has_keys: bool) -> None:
    if not (has_keys or settings.allow_no_keys or _is_loopback(settings.host)):
        raise StartError(
            f"no API key is defined and {settings.host} is not a loopback address, so anyone could ask anything: "
            "make one with `python -m service keys create`, or set EVENHAND_ALLOW_NO_KEYS=true if that is meant"
        )


def _is_loopback(host: str) -> bool:
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host.strip("[]")).is_loopback
    except ValueError:
        return False
