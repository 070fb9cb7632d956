"""The parts of one running service: made of the settings, started and closed in order."""

from __future__ import annotations

import shutil
from functools import partial

from pydantic import SecretStr
from structlog.typing import FilteringBoundLogger

from service.access import Gate
from service.activation import ENDINGS, Activations
from service.active import ActiveModel, Served
from service.cache import OUTCOMES, open_cache
from service.cursor import Cursors
from service.errors import NotReadyError
from service.events import Events
from service.limits import RateLimits, parse_rate
from service.link import RedisLink
from service.logs import make_logger
from service.metrics import Metrics
from service.model import Model
from service.models import ModelsFolder
from service.recommend import Recommender
from service.requirement import Policy, check_policy
from service.settings import Settings
from service.store import Store, register_model
from service.upkeep import Upkeep

NEEDED = frozenset({"worker", "store"})
"""Parts that nothing can be answered without."""


class Runtime:
    """Everything that the routes ask, behind one start and one close."""

    def __init__(self, settings: Settings, model: Model, log: FilteringBoundLogger | None = None) -> None:
        """Open the database; blocks. Nothing runs before `start`.

        Raises:
            StartError: the bundle cannot do what the settings demand, or the database, the secret or Redis's URL
                cannot be used.
            StoreUnavailableError: the database is lost.
        """
        policy = Policy(settings.default, settings.required, settings.pinned)
        check_policy(model.bundle.description, policy)
        secret = _opened(settings.secret)
        cursors = Cursors(secret, ttl_s=settings.cursor_ttl_s)
        rate = parse_rate(settings.rate_limit)
        log = log or make_logger(settings.log_level)
        self.draining = False
        """Whether the process was told to end: it answers, but wants no more requests."""
        self.metrics = metrics = Metrics()
        self.link = (
            RedisLink(settings.redis_url.get_secret_value(), budget_s=settings.redis_timeout_ms / 1e3)
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
        )
        self.events = None
        if self.link is not None:
            self.events = Events(self.link, prefix=settings.redis_prefix, on_change=self.store.hear)
            self.store.on_change = self.events.publish
        limits = None if rate is None else RateLimits(rate, self.link, prefix=settings.redis_prefix)
        self.gate = Gate(self.store.known, limits)
        self.active = ActiveModel(Served(model, self._registered(model), policy))
        self._name(model)
        self.recommender = Recommender(
            self.active,
            self.store,
            self.cache,
            cursors,
            metrics,
            with_scores=settings.scores == "audit",
            max_batch=settings.max_batch,
            queue_size=settings.queue_size,
            deadline_s=settings.deadline_s,
        )

        self.activations = Activations(
            ModelsFolder.of(settings.bundle, settings.models),
            self.active,
            self.store,
            device=settings.device,
            log=log,
            swap=self.swap,
            observe=lambda outcome: metrics.activations.labels(outcome).inc(),
        )
        self.upkeep = Upkeep(
            self.store,
            max_age_s=settings.log_max_days and 86_400 * settings.log_max_days,
            max_rows=settings.log_max_rows,
            observe=metrics.log_pruned.inc,
            log=log,
        )
        self._watch(settings.cache)

    async def start(self) -> None:
        """Redis, then the database's writer, then the worker, proven with a list."""
        if self.link is not None:
            await self.link.start()
        self.store.start()
        await self.recommender.start()
        self.activations.start()
        self.upkeep.start()
        if self.events is not None:
            self.events.start()

    async def close(self) -> None:
        """Answer what waits, write what waits, and let everything go."""
        await self.upkeep.close()
        await self.activations.close()
        await self.recommender.close()
        if self.events is not None:
            await self.events.close()
        await self.store.close()
        await self.cache.close()
        if self.link is not None:
            await self.link.close()

    @property
    def troubles(self) -> dict[str, str | None]:
        """Each part of the service, and what is wrong with it; None where nothing is."""
        parts = {
            "worker": self.recommender.trouble,
            "store": self.store.trouble,
            "model": self.activations.trouble,
            "upkeep": self.upkeep.trouble,
        }
        if self.link is not None and self.events is not None:
            parts |= {"redis": self.link.trouble, "news": self.events.trouble}
        return parts

    @property
    def components(self) -> dict[str, str]:
        """Each part of the service: ``ok`` or ``trouble``."""
        return {part: "trouble" if why else "ok" for part, why in self.troubles.items()}

    @property
    def degraded(self) -> dict[str, str]:
        """What the service goes on without: part → why."""
        return {part: why for part, why in self.troubles.items() if why and part not in NEEDED}

    def check_ready(self) -> None:
        """Pass only where a recommendation would be answered, and should be asked for.

        Raises:
            NotReadyError: says why not, and how each part is.
        """
        if self.draining:
            raise NotReadyError("the service is shutting down", self.components)
        try:
            self.recommender.check_ready()
        except NotReadyError as error:
            raise NotReadyError(str(error), self.components) from None

    def swap(self, served: Served) -> Served:
        """Serve another model from now on; returns the one before."""
        self._name(served.model)
        return self.active.swap(served)

    def _registered(self, model: Model) -> int:
        attributes = model.bundle.description.attribute_names
        with self.store.database.writing() as tx:
            return register_model(tx, model.name, model.version, model.content_hash, attributes).id

    def _watch(self, cache: str) -> None:
        """Let the metrics ask each part when they are asked, and count from 0 what may never happen."""
        metrics = self.metrics
        metrics.writes_waiting.set_function(lambda: self.store.writer.depth)
        for part in self.troubles:
            metrics.up.labels(part).set_function(partial(self._is_up, part))
        if cache != "off":
            for outcome in OUTCOMES:
                metrics.cache.labels(cache, outcome)
        for ending in ENDINGS:
            metrics.activations.labels(ending)
        if (path := self.store.database.path) is not None:
            metrics.disk_free.labels("database").set_function(lambda: shutil.disk_usage(path.parent).free)

    def _is_up(self, part: str) -> float:
        return float(self.troubles[part] is None)

    def _name(self, model: Model) -> None:
        self.metrics.index_recall.set(model.index.recall)
        self.metrics.bundle.info({"name": model.name, "version": model.version, "content_hash": model.content_hash})

    def _committed(self, writes: int, seconds: float) -> None:
        self.metrics.commit_size.observe(writes)
        self.metrics.commit_seconds.observe(seconds)


def _opened(secret: SecretStr | None) -> str | None:
    return None if secret is None else secret.get_secret_value()
