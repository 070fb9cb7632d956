"""The parts of one running service: made from the settings, started and closed in order."""

from __future__ import annotations

import asyncio
import os
import shutil
from collections.abc import Mapping
from functools import partial
from typing import Any

from prometheus_client.registry import Collector
from pydantic import SecretStr
from structlog.typing import FilteringBoundLogger

from service.access import Gate
from service.audit.catalogues import Catalogues
from service.audit.exposure import LogStatistics
from service.audit.runs import ENDINGS as RUN_ENDINGS
from service.audit.runs import AuditRuns
from service.audit.versions import Versions
from service.cache import OUTCOMES, open_cache
from service.exposure_counts import ExposureCounts
from service.health import Health, Trouble
from service.logs import make_logger
from service.metrics import Metrics
from service.model.activation import Activations
from service.model.active import Arms, ServedModel, Serving
from service.model.folder import ModelsFolder
from service.model.following import ENDINGS, Follower
from service.model.loaded import Model
from service.processes.process import Process
from service.rate_limits import RateLimits, parse_rate
from service.recommend.cursor import Cursors
from service.recommend.recommender import Recommender
from service.redis_client import RedisClient
from service.replica_events import ReplicaEvents
from service.requirement import check_policy, operator_policy
from service.secret import derive_key
from service.settings import Settings
from service.store import UNRECORDED, Store, StoredModel, register_model
from service.traces import open_traces
from service.upkeep import Upkeep

FILE_OWNER = "the service"
"""Owner of audit runs in a SQLite file: one service has it at a time, so the next one goes on as the one before."""


class Runtime:
    """All parts that the routes ask, with one start and one close."""

    def __init__(
        self,
        settings: Settings,
        model: Model,
        log: FilteringBoundLogger | None = None,
        process: Process | None = None,
    ) -> None:
        """Open the database; blocks. Nothing runs before `start`. ``process``: this one, where there are others.

        Raises:
            StartError: the bundle cannot do what the settings demand, or the database, the secret, Redis's URL or an
                OTEL_* variable cannot be used.
            StoreUnavailableError: the database is lost.
        """
        policy = operator_policy(settings)
        check_policy(model.bundle.description, policy)
        secret = _opened(settings.secret)
        self._process = process = process or Process()
        self.cursors = cursors = Cursors(secret or process.cursor_secret, ttl_s=settings.cursor_ttl_s)
        rate = parse_rate(settings.rate_limit)
        log = log or make_logger(settings.log_level)
        self.metrics = metrics = Metrics()
        self.traces = open_traces(os.environ)
        self.link = (
            RedisClient(settings.redis_url.get_secret_value(), budget_s=settings.redis_timeout_ms / 1e3)
            if settings.redis_url
            else None
        )
        self.cache = open_cache(
            settings.cache,
            link=self.link,
            prefix=settings.redis_prefix,
            secret=secret,
            ttl_s=settings.cache_ttl_s,
            max_entries=settings.cache_entries,
            max_bytes=settings.cache_mb << 20,
            observe=lambda outcome: metrics.cache.labels(settings.cache, outcome).inc(),
        )
        self.store = Store(
            settings.database_url.get_secret_value(),
            pseudonym_secret=_opened(settings.pseudonym_secret),
            observe=self._committed,
            deadline_s=settings.deadline_s,
            lock=process.lock,
        )
        self.events = None
        if self.link is not None:
            self.events = ReplicaEvents(self.link, prefix=settings.redis_prefix, on_change=self.store.hear)
            self.store.on_change = self.events.publish
        limits = (
            None if rate is None else RateLimits(rate, self.link, prefix=settings.redis_prefix, windows=process.windows)
        )
        self.gate = Gate(self.store.known, limits)
        self.serving = Serving(self._first(ServedModel(model, self._registered(model), policy)))
        self._name(self.serving.arms)
        self.recommender = Recommender(
            self.serving,
            self.store,
            self.cache,
            cursors,
            metrics,
            with_scores=settings.scores == "audit",
            max_batch=settings.max_batch,
            queue_size=settings.queue_size,
            deadline_s=settings.deadline_s,
        )

        models = ModelsFolder.of(settings.bundle, settings.models)
        self.follower = Follower(
            models,
            self.serving,
            self.store,
            device=settings.device,
            index=settings.index if process.scrape is None else model.index_report.kind,
            milvus_url=_opened(settings.milvus_url),
            secret=derive_key(secret, "share"),
            log=log,
            swap=self.swap,
            observe=lambda outcome: metrics.activations.labels(outcome).inc(),
        )
        self.activations = Activations(
            models,
            self.serving,
            self.store,
            self.follower,
            all_serve=process.board.all_serve,
            observe=lambda outcome: metrics.activations.labels(outcome).inc(),
        )
        self.catalogues = Catalogues(self.serving, models)
        self.log_statistics = LogStatistics(self.store, self.serving, self.catalogues)
        self.upkeep = Upkeep(
            self.store,
            max_age_s=settings.log_max_days and 86_400 * settings.log_max_days,
            max_rows=settings.log_max_rows,
            observe=metrics.log_pruned.inc,
            log=log,
        )
        self.exposure_counts = ExposureCounts(self.store, self.serving, log=log)
        self.versions = Versions(models, settings.bundle, self.serving)
        self.audits = AuditRuns(
            self.versions,
            self.store,
            owner=process.owner if self.store.database.path is None else FILE_OWNER,
            leakage_at_most=settings.audit_leakage_at_most,
            kept_at_least=settings.audit_kept_at_least,
            workers=settings.audit_workers,
            priority=settings.audit_priority,
            balance=policy.balance,
            log=log,
            observe=lambda outcome: metrics.audit_runs.labels(outcome).inc(),
            measured=self._audited,
        )
        self.health = Health(
            self._parts(searches_elsewhere=settings.index == "milvus"), self.recommender.check_ready, log
        )
        self._watch(settings.cache)

    def _parts(self, *, searches_elsewhere: bool) -> dict[str, Trouble]:
        """What each part says of its fault."""
        parts: dict[str, Trouble] = {
            "worker": lambda: self.recommender.trouble,
            "store": lambda: self.store.trouble,
            "model": lambda: self.follower.trouble,
            "upkeep": lambda: self.upkeep.trouble,
            "audits": lambda: self.audits.trouble,
        }
        if searches_elsewhere:
            parts["index"] = self._index_trouble
        if (link := self.link) is not None and (events := self.events) is not None:
            parts |= {"redis": lambda: link.trouble, "news": lambda: events.trouble}
        return parts

    @property
    def scraped(self) -> Collector:
        """The metrics of this process, or of all processes of the service. Collecting the latter blocks."""
        return self._process.scrape or self.metrics.registry

    def tell_ready(self) -> None:
        """Tell the supervisor, where there is one, that requests are answered."""
        if self._process.ready is not None:
            self._process.ready(self.serving.arms.active.model.index_report.kind)

    async def start(self) -> None:
        """Start Redis, then the database's writer, then the worker, which makes a list as a test."""
        if self.link is not None:
            await self.link.start()
        if self._process.scrape is not None:
            self._process.scrape.start(self.metrics.registry)
        self.store.start()
        await self.recommender.start()
        # Activations wait for this process from here on; the follower takes up those that did not.
        self._process.board.put_models(self._process.number, self.serving.arms.revision)
        await self.follower.start()
        self.exposure_counts.start()
        if self._process.is_first:
            self.upkeep.start()
            self.audits.start()
        if self.events is not None:
            self.events.start()

    async def close(self) -> None:
        """Answer the waiting requests, write the waiting records, and close all parts."""
        await self.audits.close()
        await self.exposure_counts.close()
        await self.upkeep.close()
        await self.follower.close()
        await self.recommender.close()
        if self.events is not None:
            await self.events.close()
        await self.store.close()
        await self.cache.close()
        if self.link is not None:
            await self.link.close()
        if self.traces is not None:
            await asyncio.to_thread(self.traces.close)

    def swap(self, arms: Arms) -> Arms:
        """Answer from these models from now on; returns those before."""
        if arms.active.model.content_hash != self.serving.arms.active.model.content_hash:
            self.metrics.forget_verdict()  # what was measured on the bundle before says nothing of this one
        self._name(arms)
        before = self.serving.swap(arms)
        self._process.board.put_models(self._process.number, arms.revision)
        return before

    def _first(self, served: ServedModel) -> Arms:
        """What is answered from until the follower has looked."""
        recorded = self.store.known.arms
        is_it = recorded.trial is None and recorded.active is not None and recorded.active.id == served.id
        return Arms(served, None, recorded.revision if is_it else UNRECORDED)

    def _index_trouble(self) -> str | None:
        return next((why for one in self.serving.arms.models if (why := one.model.index.trouble)), None)

    def _registered(self, model: Model) -> int:
        attributes = model.bundle.description.attribute_names
        with self.store.database.writing() as tx:
            return register_model(tx, model.name, model.version, model.content_hash, attributes).id

    def _watch(self, cache: str) -> None:
        """Let metrics ask each part when they are read, and start counters of rare events at 0."""
        metrics = self.metrics
        metrics.writes_waiting.set_function(lambda: self.store.writer.depth)
        for part in self.health.troubles:
            metrics.up.labels(part).set_function(partial(self.health.is_up, part))
        if cache != "off":
            for outcome in OUTCOMES:
                metrics.cache.labels(cache, outcome)
        for ending in ENDINGS:
            metrics.activations.labels(ending)
        for run_ending in RUN_ENDINGS:
            metrics.audit_runs.labels(run_ending)
        if (path := self.store.database.path) is not None:
            metrics.disk_free.labels("database").set_function(lambda: shutil.disk_usage(path.parent).free)

    def _audited(self, model: StoredModel, result: Mapping[str, Any]) -> None:
        """Tell metrics what an audit of the bundle that is served found; one that was asked for less does not count."""
        request, serving = result["request"], self.serving.arms.active.model
        whole = request["profile"] == "full" and request["users"] is None
        whole = whole and not any(each["code"] == "not_asked" for each in result["verdict"]["not_judged"])
        if whole and model.content_hash == serving.content_hash:
            self.metrics.judged(result["verdict"])

    def _name(self, arms: Arms) -> None:
        model = arms.active.model
        report = model.index_report
        self.metrics.index_recall.set(report.recall)
        self.metrics.index_build_seconds.set(report.build_s)
        self.metrics.index_search_seconds.set(report.search_ms / 1e3)
        self.metrics.device_memory.clear()  # the models before may have held something there
        self.metrics.model_share.clear()
        for served, share in arms.shares:
            self.metrics.model_share.labels(served.model.name, served.model.version).set(share)
            for what, count in served.model.device_bytes.items():
                self.metrics.device_memory.labels(what).inc(count)
        exact = "true" if report.exact else "false"
        named = {"kind": report.kind, "device": report.device, "exact": exact, "parameters": report.parameters}
        self.metrics.index.info({**named, "reason": report.reason})
        self.metrics.bundle.info({"name": model.name, "version": model.version, "content_hash": model.content_hash})

    def _committed(self, writes: int, seconds: float) -> None:
        self.metrics.commit_size.observe(writes)
        self.metrics.commit_seconds.observe(seconds)


def _opened(secret: SecretStr | None) -> str | None:
    return None if secret is None else secret.get_secret_value()
