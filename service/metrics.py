"""What Prometheus may ask. One registry per app, no global state; no user, no attribute value in any label."""

from __future__ import annotations

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, Info, start_http_server

from service.errors import StartError

_REQUEST_S = (0.0005, 0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1, 2, 5)
_QUEUE_S = (0.0001, 0.0002, 0.0005, 0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.5, 2)
_BATCH = (1, 2, 4, 8, 16, 32, 64, 128, 256, 1024, 4096)


class Metrics:
    """The service's own numbers; every name starts ``evenhand_``."""

    def __init__(self) -> None:
        self.registry = registry = CollectorRegistry()
        self.requests = Counter(
            "evenhand_requests_total", "Answers by route and HTTP status.", ["route", "status"], registry=registry
        )
        self.request_seconds = Histogram(
            "evenhand_request_seconds", "Time to answer.", ["route"], buckets=_REQUEST_S, registry=registry
        )
        self.recommendations = Counter(
            "evenhand_recommendations_total",
            "Lists answered, by how many attributes were protected.",
            ["protected"],
            registry=registry,
        )
        self.refused = Counter(
            "evenhand_refused_total", "Requests answered with a problem, by its code.", ["reason"], registry=registry
        )
        self.bundle = Info("evenhand_bundle", "The bundle that is served.", registry=registry)
        self.batch_size = Histogram(
            "evenhand_batch_size", "Requests computed together.", buckets=_BATCH, registry=registry
        )
        self.queue_seconds = Histogram(
            "evenhand_queue_seconds", "Time a request waited for the worker.", buckets=_QUEUE_S, registry=registry
        )
        self.cache = Counter(
            "evenhand_cache_total", "Looks into the cache and writes to it.", ["outcome"], registry=registry
        )
        self.outdated = Counter(
            "evenhand_outdated_total", "Answers computed again, because what they depend on changed.", registry=registry
        )
        self.commit_seconds = Histogram(
            "evenhand_commit_seconds", "Time of a commit to the database.", buckets=_QUEUE_S, registry=registry
        )
        self.commit_size = Histogram("evenhand_commit_size", "Writes in one commit.", buckets=_BATCH, registry=registry)
        self.queue_depth = Gauge(
            "evenhand_queue_depth", "Requests waiting for the worker at this moment.", registry=registry
        )

    def listen(self, host: str, port: int) -> None:
        """Serve the metrics on a port of their own, from a thread that ends with the process.

        Raises:
            StartError: the port is taken, or the address not this machine's.
        """
        try:
            start_http_server(port, addr=host, registry=self.registry)
        except OSError as error:
            raise StartError(f"EVENHAND_METRICS_PORT is {port}: it cannot be listened on ({error.strerror})") from error
