"""The metrics of all processes of a service in one scrape, each sample with the label `process`.

Each process answers its siblings on a socket of its own, from a thread: two that are scraped at the same moment must
not wait for each other. `prometheus_client` has a mode for several processes, but its gauges cannot ask when they are
read, and it has no Info metrics; ours use both.
"""

from __future__ import annotations

import socket
import threading
from collections.abc import Iterable, Iterator, Sequence
from contextlib import suppress

from prometheus_client import CollectorRegistry, Metric, generate_latest
from prometheus_client.parser import text_string_to_metric_families
from prometheus_client.registry import Collector

ANSWER_S = 1.0
"""How long a process may take to tell its metrics; one that is silent for longer is left out of the scrape."""
PROCESS = "process"
"""Label of the process's number."""


class Scrape(Collector):
    """Collects the metrics of this process and, over their sockets, those of its siblings."""

    def __init__(self, number: int, listening: Sequence[socket.socket]) -> None:
        """Nothing runs before `start`.

        Args:
            number: of this process.
            listening: a Unix socket for each process; made before they began, so that one that is started again
                answers where the one before did.
        """
        self._number = number
        self._listening = listening
        self._registry: CollectorRegistry | None = None

    def start(self, registry: CollectorRegistry) -> None:
        """Answer siblings with these metrics, from a thread that ends with the process."""
        self._registry = registry
        threading.Thread(target=self._answer, name="metrics", daemon=True).start()

    def collect(self) -> Iterable[Metric]:
        """Metrics of every process that answers. Blocks, up to `ANSWER_S` for each that does not."""
        families: dict[str, Metric] = {}
        for number, text in self._texts():
            for family in text_string_to_metric_families(text):
                one = families.setdefault(family.name, Metric(family.name, family.documentation, family.type))
                for sample in family.samples:
                    one.add_sample(sample.name, {**sample.labels, PROCESS: str(number)}, sample.value)
        return families.values()

    def _texts(self) -> Iterator[tuple[int, str]]:
        for number, listening in enumerate(self._listening):
            if number == self._number:
                yield number, self._own().decode()
            else:
                with suppress(OSError):
                    yield number, _ask(listening.getsockname())

    def _own(self) -> bytes:
        assert self._registry is not None  # noqa: S101  it was started
        return generate_latest(self._registry)

    def _answer(self) -> None:
        while True:
            with suppress(OSError):  # whoever asked has gone
                asking, _ = self._listening[self._number].accept()
                with asking:
                    asking.settimeout(ANSWER_S)
                    asking.sendall(self._own())


def _ask(address: str | bytes) -> str:
    """What a sibling answers, up to the end of the connection."""
    parts = []
    with socket.socket(socket.AF_UNIX) as asking:
        asking.settimeout(ANSWER_S)
        asking.connect(address)
        while part := asking.recv(1 << 16):
            parts.append(part)
    return b"".join(parts).decode()
