"""The parts of one running service: made of the settings, started and closed in order."""

from __future__ import annotations

from pydantic import SecretStr
from structlog.typing import FilteringBoundLogger

from service.access import Gate
from service.activation import Activations
from service.active import ActiveModel, Served
from service.cache import open_cache
from service.cursor import Cursors
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
            observe=lambda outcome: metrics.cache.labels(outcome).inc(),
        )
        self.store = Store(
            settings.database_url.get_secret_value(),
            pseudonym_secret=_opened(settings.pseudonym_secret),
            observe=self._committed,
        )
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
            log=log or make_logger(settings.log_level),
            swap=self.swap,
        )

    async def start(self) -> None:
        """Redis, then the database's writer, then the worker, proven with a list."""
        if self.link is not None:
            await self.link.start()
        self.store.start()
        await self.recommender.start()
        self.activations.start()

    async def close(self) -> None:
        """Answer what waits, write what waits, and let everything go."""
        await self.activations.close()
        await self.recommender.close()
        await self.store.close()
        await self.cache.close()
        if self.link is not None:
            await self.link.close()

    @property
    def degraded(self) -> dict[str, str]:
        """What the service goes on without: part → why."""
        parts = {"cache": self.cache.trouble, "model": self.activations.trouble}
        return {part: why for part, why in parts.items() if why}

    def swap(self, served: Served) -> Served:
        """Serve another model from now on; returns the one before."""
        self._name(served.model)
        return self.active.swap(served)

    def _registered(self, model: Model) -> int:
        attributes = model.bundle.description.attribute_names
        with self.store.database.writing() as tx:
            return register_model(tx, model.name, model.version, model.content_hash, attributes).id

    def _name(self, model: Model) -> None:
        self.metrics.bundle.info({"name": model.name, "version": model.version, "content_hash": model.content_hash})

    def _committed(self, writes: int, seconds: float) -> None:
        self.metrics.commit_size.observe(writes)
        self.metrics.commit_seconds.observe(seconds)


def _opened(secret: SecretStr | None) -> str | None:
    return None if secret is None else secret.get_secret_value()
