"""The metrics for Prometheus. One registry per app; no user, no attribute value, no key in any label."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache
from math import nan
from typing import Any, TypeVar

from prometheus_client import (
    CollectorRegistry,
    Counter,
    Gauge,
    Histogram,
    Info,
    ProcessCollector,
    disable_created_metrics,
    start_http_server,
)
from prometheus_client.registry import Collector

from service.errors import StartError

_REQUEST_S = (0.0005, 0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1, 2, 5)
_STAGE_S = (0.0001, 0.0002, 0.0005, 0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1, 2)
_BATCH = (1, 2, 4, 8, 16, 32, 64, 128, 256, 1024, 4096)
BUSY = ("queue_full", "deadline_exceeded", "store_unavailable", "rate_limited", "outdated", "internal_error")
"""Refusals that should never happen: their counters start at 0, so that the first one shows as an increase."""

VERDICTS = ("pass", "fail", "inconclusive", "not_judged")

Labelled = TypeVar("Labelled", Counter, Histogram)

disable_created_metrics()  # type: ignore[no-untyped-call]  # a creation time beside every number doubles the lines


class Metrics:
    """The service's own numbers; every name starts ``evenhand_``."""

    def __init__(self) -> None:
        self.registry = registry = CollectorRegistry()
        ProcessCollector(namespace="evenhand", registry=registry)

        # Requests, in the event loop.
        self.requests = _remembering(
            Counter(
                "evenhand_requests_total", "Answers by route and HTTP status.", ["route", "status"], registry=registry
            )
        )
        self.request_seconds = _remembering(
            Histogram("evenhand_request_seconds", "Time to answer.", ["route"], buckets=_REQUEST_S, registry=registry)
        )
        self.in_flight = Gauge("evenhand_requests_in_flight", "Requests being answered.", registry=registry)
        self.recommendations = _remembering(
            Counter(
                "evenhand_recommendations_total",
                "Lists answered, by how many attributes were protected, and by the version that answered.",
                ["protected", "version"],
                registry=registry,
            )
        )
        self.refused = Counter(
            "evenhand_refused_total", "Requests answered with a problem, by its code.", ["reason"], registry=registry
        )
        for reason in BUSY:
            self.refused.labels(reason)
        self.cache = _remembering(
            Counter(
                "evenhand_cache_total",
                "Looks into the cache and writes to it.",
                ["backend", "outcome"],
                registry=registry,
            )
        )
        self.outdated = Counter(
            "evenhand_outdated_total", "Answers computed again, because what they depend on changed.", registry=registry
        )

        # The worker.
        self.queue_depth = Gauge(
            "evenhand_queue_depth", "Requests waiting for the worker at this moment.", registry=registry
        )
        self.queue_limit = Gauge("evenhand_queue_limit", "Requests that may wait for it.", registry=registry)
        self.queue_seconds = Histogram(
            "evenhand_queue_seconds", "Time a request waited for the worker.", buckets=_STAGE_S, registry=registry
        )
        self.batch_size = Histogram(
            "evenhand_batch_size", "Requests computed together.", buckets=_BATCH, registry=registry
        )
        self.compute_seconds = Histogram(
            "evenhand_compute_seconds", "Time of a batch in the worker.", buckets=_STAGE_S, registry=registry
        )

        # The database.
        self.writes_waiting = Gauge(
            "evenhand_writes_waiting", "Log records and changes that wait for a commit.", registry=registry
        )
        self.commit_seconds = Histogram(
            "evenhand_commit_seconds", "Time of a commit to the database.", buckets=_STAGE_S, registry=registry
        )
        self.commit_size = Histogram("evenhand_commit_size", "Writes in one commit.", buckets=_BATCH, registry=registry)
        self.log_pruned = Counter(
            "evenhand_log_pruned_total", "Rows of the request log deleted for their age or number.", registry=registry
        )
        self.disk_free = Gauge(
            "evenhand_disk_free_bytes", "Room left where files of the service are.", ["disk"], registry=registry
        )

        # The model.
        self.bundle = Info("evenhand_bundle", "The bundle that is active.", registry=registry)
        self.model_share = Gauge(
            "evenhand_model_share",
            "Share of the users that a version answers; the active one has what no other has.",
            ["name", "version"],
            registry=registry,
        )
        self.index = Info("evenhand_index", "The index that is searched, and why it is that one.", registry=registry)
        self.index_recall = Gauge(
            "evenhand_index_recall", "Share of the true best items that the index finds.", registry=registry
        )
        self.index_build_seconds = Gauge(
            "evenhand_index_build_seconds", "Time the index took to build, tuning included.", registry=registry
        )
        self.index_search_seconds = Gauge(
            "evenhand_index_search_seconds",
            "Time of a request in the index, in a batch of 16, as measured when it was loaded.",
            registry=registry,
        )
        self.device_memory = Gauge(
            "evenhand_device_memory_bytes",
            "What the models that answer hold on a GPU; nothing without one.",
            ["what"],
            registry=registry,
        )
        self.activations = Counter(
            "evenhand_activations_total", "Attempts to serve another bundle.", ["outcome"], registry=registry
        )

        # Audits.
        self.audit_runs = Counter(
            "evenhand_audit_runs_total", "Audit runs that ended here.", ["outcome"], registry=registry
        )
        self.audit_leakage = Gauge(
            "evenhand_audit_leakage",
            "AUC of the strongest attacker on an attribute while it is protected, by the last full audit run of the "
            "bundle that is served; NaN where it is not judged.",
            ["attribute"],
            registry=registry,
        )
        self.audit_verdict = Gauge(
            "evenhand_audit_verdict",
            "1 for the verdict of that run, else 0, on everything (`all`), `accuracy` and each attribute "
            "(`attribute:NAME`): pass, fail, inconclusive or not_judged.",
            ["of", "verdict"],
            registry=registry,
        )

        self.up = Gauge("evenhand_up", "1 where a part of the service works, else 0.", ["part"], registry=registry)

    def judged(self, verdict: Mapping[str, Any]) -> None:
        """Take over the verdict of an audit, in place of the one before."""
        self.forget_verdict()
        of = {"all": verdict["overall"], "accuracy": verdict["accuracy"]["verdict"]}
        for each in verdict["attributes"]:
            of[f"attribute:{each['attribute']}"] = each["verdict"]
            known = each["worst"] is not None and each["verdict"] != "not_judged"
            self.audit_leakage.labels(each["attribute"]).set(each["worst"]["auc"] if known else nan)
        for subject, found in of.items():
            for word in VERDICTS:
                self.audit_verdict.labels(subject, word).set(word == found)

    def forget_verdict(self) -> None:
        """No audit of the bundle that is served is known."""
        self.audit_leakage.clear()
        self.audit_verdict.clear()

    def listen(self, host: str, port: int, scraped: Collector) -> None:
        """Serve what is scraped on a port of its own, from a thread that ends with the process.

        Raises:
            StartError: the port is taken, or the address not this machine's.
        """
        try:
            start_http_server(port, addr=host, registry=scraped)
        except OSError as error:
            raise StartError(f"EVENHAND_METRICS_PORT is {port}: it cannot be listened on ({error.strerror})") from error


def _remembering(metric: Labelled) -> Labelled:
    """Make a metric find the child of known labels without a lock: every request needs some."""
    metric.labels = cache(metric.labels)  # type: ignore[method-assign]
    return metric
