"""The operator's settings: EVENHAND_* variables, read once at the start, frozen.

An unknown variable with the prefix is an error: a mistyped EVENHAND_REQUIRED must not protect less.
"""

from __future__ import annotations

import os
import re
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BeforeValidator, Field, SecretStr, StringConstraints, ValidationError
from pydantic_core import PydanticCustomError
from pydantic_settings import (
    BaseSettings,
    EnvSettingsSource,
    NoDecode,
    PydanticBaseSettingsSource,
    SettingsConfigDict,
)

from service.errors import StartError, said
from service.service_links import is_service_link

PREFIX = "EVENHAND_"
OTHERS = frozenset({"EVENHAND_DATA", "EVENHAND_BUNDLE_DIR"})
"""Variables with the prefix that the tests and the deployment read, not the service."""


def _split(value: object) -> object:
    """``"a,b"`` → ``["a", "b"]``; an empty element stays and is refused by its pattern."""
    return (value.split(",") if value else []) if isinstance(value, str) else value


def _nameable(names: tuple[str, ...]) -> tuple[str, ...]:
    """Refuse names that no bundle can have; their rule comes with torch, which most commands do without."""
    if names:
        from bundle.limits import ATTRIBUTE_NAME, MOST_ATTRIBUTES, NAME_ALLOWED

        if len(names) > MOST_ATTRIBUTES:
            raise PydanticCustomError("too_many", "at most {most} names are allowed", {"most": MOST_ATTRIBUTES})
        for name in names:
            if re.fullmatch(ATTRIBUTE_NAME, name) is None:
                allowed = {"name": f"{name!r:.80}", "allowed": NAME_ALLOWED}
                raise PydanticCustomError("no_name", "{name} is no name of an attribute: {allowed}", allowed)
    return names


AttributeNames = Annotated[tuple[str, ...], NoDecode, BeforeValidator(_split), AfterValidator(_nameable)]

Origin = Annotated[str, StringConstraints(pattern=r"^https?://[A-Za-z0-9.\[\]:-]{1,255}$")]


AuditPriority = Literal["idle", "normal"]


class BalanceSettings(BaseSettings):
    """How lists are balanced, those that are shown and those that are audited."""

    model_config = SettingsConfigDict(
        env_prefix=PREFIX, frozen=True, env_ignore_empty=True, use_attribute_docstrings=True
    )

    balance: Literal["uniform", "catalogue", "target", "quotas"] | None = None
    """What lists are balanced towards where a request has no `balance`; the ranking as it is where not set. `history`
    cannot be: it would show what a request withholds."""

    balance_weight: Annotated[float, Field(ge=0, le=1)] | None = None
    """How much the target counts where a request has no `balance_weight`: 0 is the ranking, 1 the target alone; .5, or
    the largest weight where that is less."""

    balance_weight_max: Annotated[float, Field(ge=0, le=1)] = 1.0
    """Largest `balance_weight` that a request may ask for."""

    balance_target: Path | None = None
    """JSON file with the shares of `balance=target`, like `{"Drama": 0.4, "Comedy": 0.6}`: item groups of every bundle
    that is served; what is not named gets nothing."""


class AuditSettings(BalanceSettings):
    """What audits are held against and may use. A command leaves its priority to who starts it."""

    model_config = SettingsConfigDict(
        env_prefix=PREFIX, frozen=True, env_ignore_empty=True, use_attribute_docstrings=True
    )

    audit_leakage_at_most: Annotated[float, Field(ge=0.5, le=1)] = 0.6
    """AUC of the strongest attacker, its interval included, with which an audit run still passes."""

    audit_kept_at_least: Annotated[float, Field(ge=0, le=1)] = 0.8
    """Share of the unprotected accuracy, its interval included, with which an audit run still passes."""

    audit_workers: Annotated[int, Field(ge=1, le=64)] = 2
    """Processes that an audit run may keep busy, with what requests leave over."""

    audit_priority: AuditPriority = "idle"
    """What an audit run's processes get of the processors: with `idle` what everything else on the machine leaves
    over, which is nothing where other programs never rest; with `normal` the same share as requests."""


class Settings(AuditSettings):
    """Every knob of the service. A variable set to nothing counts as not set."""

    model_config = SettingsConfigDict(
        env_prefix=PREFIX, frozen=True, extra="forbid", env_ignore_empty=True, use_attribute_docstrings=True
    )

    bundle: Path
    """Folder of the bundle to serve: a version, or a bundle whose newest version is served."""

    host: Annotated[str, Field(min_length=1, max_length=255)] = "127.0.0.1"
    """Address to listen on."""

    port: Annotated[int, Field(ge=1, le=65535)] = 8000
    """Port to listen on."""

    workers: Annotated[int, Field(ge=1, le=64)] = 1
    """Processes that answer on that port, on one log: about as many as there are cores for them."""

    keep_alive_s: Annotated[int, Field(ge=1, le=3600)] = 75
    """Seconds that a connection may rest between two requests. More than a proxy in front keeps its own idle for, or
    it sends a request into a connection that ends at that moment, and answers 502."""

    root_path: Annotated[str, StringConstraints(pattern=r"^(/[A-Za-z0-9._~-]+)*$", max_length=255)] = ""
    """Path under which a proxy shows the service, like `/evenhand`, and which the proxy takes off again."""

    allow_no_keys: bool = False
    """Listen on an address that is not loopback although no API key is defined, so that anyone may ask anything."""

    default: AttributeNames = ()
    """Attributes protected where a request has no `sensitive`; comma-separated."""

    required: AttributeNames = ()
    """Attributes protected in every answer, whatever the request says; comma-separated."""

    device: Literal["auto", "cpu", "cuda"] = "auto"
    """Where the index searches. `auto` takes a GPU where FAISS can use one; `cuda` refuses to start without.
    The encoder follows the index to a GPU that torch can use; where torch cannot, the log says why, whichever it is."""

    index: Literal["auto", "flat", "ivf", "hnsw", "torch", "milvus"] = "auto"
    """Kind of index. `flat` and `torch` compare every item; `ivf`, `hnsw` and `milvus` miss some of the best, up to one
    in fifty; `auto` measures at the start, and is exact while that is quick."""

    milvus_url: SecretStr | None = None
    """Where vectors are searched with `EVENHAND_INDEX=milvus`: `http[s]://[USER:PASSWORD@]HOST:PORT[/DATABASE]`, or a
    file that ends in `.db` for Milvus Lite in this process."""

    scores: Literal["off", "audit"] = "off"
    """Whether answers carry scores: never, or for callers with the audit scope. 65 scores reconstruct a user vector."""

    queue_size: Annotated[int, Field(ge=1, le=100_000)] = 1024
    """Requests that may wait for the worker; one more is answered 503."""

    deadline_s: Annotated[float, Field(gt=0, le=60)] = 2.0
    """Seconds after which a request that still waits, for the worker or for its record to be durable, is answered
    503."""

    max_batch: Annotated[int, Field(ge=1, le=4096)] = 64
    """Requests computed together at most."""

    log_level: Literal["debug", "info", "warning", "error"] = "info"
    """Least severe operational log event that is written; `debug` adds probes and scrapes."""

    database_url: SecretStr = SecretStr("sqlite:///state/evenhand.db")
    """Where keys, requirements, interactions, hidden items and the request log are: `sqlite:///FILE` for one process,
    `postgresql://USER:PASSWORD@HOST/DATABASE` for replicas."""

    pseudonym_secret: SecretStr | None = None
    """Makes the request log hold keyed hashes instead of user ids. Never change it for a database that has rows."""

    log_max_days: Annotated[float, Field(gt=0, le=36_500)] | None = None
    """Days that a row of the request log is kept; for good where not set."""

    log_max_rows: Annotated[int, Field(ge=1, le=10_000_000_000)] | None = None
    """Rows of the request log that are kept, the newest ones; all where not set."""

    drain_s: Annotated[float, Field(ge=0, le=300)] = 0.0
    """Seconds between not being ready any more and taking no more requests, for load balancers to notice."""

    cache: Literal["off", "memory", "redis"] = "memory"
    """Where answers are kept for the same request: nowhere, in this process, or in Redis for all replicas."""

    cache_ttl_s: Annotated[int, Field(ge=1, le=86_400)] = 300
    """Seconds that an answer is kept."""

    cache_entries: Annotated[int, Field(ge=1, le=10_000_000)] = 100_000
    """Answers kept in this process at most."""

    cache_mb: Annotated[int, Field(ge=1, le=65_536)] = 64
    """Memory in MiB that these may take."""

    redis_url: SecretStr | None = None
    """Redis that replicas share: cache, rate limits, news of changes. `redis://`, `rediss://` or `unix://`."""

    redis_prefix: Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9_.:-]{1,64}$")] = "evenhand:"
    """Begins every name in Redis; another one for every service that shares that Redis."""

    redis_timeout_ms: Annotated[int, Field(ge=1, le=1000)] = 20
    """Milliseconds after which a request goes on without Redis."""

    rate_limit: Annotated[str, Field(min_length=1, max_length=64)] = "600/minute"
    """Requests of one API key in a window, like `600/minute` or `100/10 seconds`; `off` for no limit."""

    secret: SecretStr | None = None
    """Signs cursors and keys the hashes in Redis; at least 16 characters, the same for all replicas. Without one a
    cursor is good in one process and until it ends."""

    cors_origins: Annotated[tuple[Origin, ...], NoDecode, BeforeValidator(_split), Field(max_length=64)] = ()
    """Origins of web pages that may call this service from a browser; comma-separated. None: browsers refuse them."""

    max_body_kb: Annotated[int, Field(ge=1, le=65_536)] = 1024
    """KiB of a request body that are read; a longer one is answered 413."""

    max_k: Annotated[int, Field(ge=1, le=1000)] = 1000
    """Largest `k` that a request may ask for: long lists without seen items tell more of a user than a short one."""

    pinned: bool = False
    """Requests cannot choose what is protected: a `sensitive` other than what applies anyway is answered 422."""

    metrics_port: Annotated[int, Field(ge=1, le=65535)] | None = None
    """Port of its own for /metrics, on the same address; the other one then answers 404 there."""

    models: Path | None = None
    """Folder with the versions that may be activated; otherwise the folder that the version served lies in."""

    cursor_ttl_s: Annotated[int, Field(ge=1, le=86_400)] = 900
    """Seconds that a cursor is good for."""

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,
        file_secret_settings: PydanticBaseSettingsSource,
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        """What is given, then the environment without service links."""
        assert isinstance(env_settings, EnvSettingsSource)  # noqa: S101  for the type checker
        found = env_settings.env_vars.items()
        env_settings.env_vars = {name: value for name, value in found if not is_service_link(name, value)}
        return init_settings, env_settings


def read_settings(**given: Any) -> Settings:
    """Settings from the environment; ``given`` ones (from the command line) win where they are not None.

    Raises:
        StartError: an unknown EVENHAND_* variable, or a value out of bounds; one line that names each.
    """
    known = {PREFIX + name.upper() for name in Settings.model_fields}
    ours = {name: value for name, value in os.environ.items() if name.upper().startswith(PREFIX)}
    named = {name for name, value in ours.items() if not is_service_link(name, value)}
    if unknown := sorted(named - known - OTHERS):
        raise StartError(f"unknown setting {', '.join(unknown)}; known are {', '.join(sorted(known))}")
    try:
        return Settings(**{name: value for name, value in given.items() if value is not None})
    except ValidationError as error:
        raise StartError("; ".join(_complaint(dict(problem)) for problem in error.errors())) from None


def read_audit_settings() -> AuditSettings:
    """The settings of audits alone, for a command that needs no other.

    Raises:
        StartError: an unknown EVENHAND_AUDIT_* variable, or a value out of bounds; one line that names each.
    """
    known = {PREFIX + name.upper() for name in AuditSettings.model_fields}
    ours = {name: value for name, value in os.environ.items() if name.upper().startswith(f"{PREFIX}AUDIT_")}
    named = {name for name, value in ours.items() if not is_service_link(name, value)}
    if unknown := sorted(named - known):
        raise StartError(f"unknown setting {', '.join(unknown)}; known are {', '.join(sorted(known))}")
    try:
        return AuditSettings()
    except ValidationError as error:
        raise StartError("; ".join(_complaint(dict(problem)) for problem in error.errors())) from None


def read_database_url(given: str | None) -> str:
    """The database for a command that needs no other setting; ``given`` (from the command line) wins."""
    found = given or os.environ.get(f"{PREFIX}DATABASE_URL")
    default: SecretStr = Settings.model_fields["database_url"].default
    return found or default.get_secret_value()


def _complaint(problem: dict[str, Any]) -> str:
    name = str(problem["loc"][0])
    if problem["type"] == "missing":
        return f"{PREFIX}{name.upper()} is not set, nor is --{name} given"
    return f"{PREFIX}{name.upper()} is {problem['input']!r:.200}: {said(problem)}"
