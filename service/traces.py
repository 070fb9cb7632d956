"""Traces by OpenTelemetry: one span for each request, its stages below it, sent by OTLP over HTTP. The one door to it.

Everything is said by the standard variables, OTEL_EXPORTER_OTLP_ENDPOINT first; nothing is imported without one. Spans
are made after the answer has left, of the times that were taken anyway, and hold no user, no item and no attribute.

Source: OpenTelemetry 1.x, *Environment Variable Specification* and *Semantic conventions for HTTP spans*.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from threading import Thread
from time import monotonic, time_ns
from typing import TYPE_CHECKING, NamedTuple

from service.errors import StartError
from service.stages import Stage

if TYPE_CHECKING:
    from opentelemetry.context import Context
    from opentelemetry.propagators.textmap import TextMapPropagator
    from opentelemetry.sdk.trace import TracerProvider

ENDPOINTS = ("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", "OTEL_EXPORTER_OTLP_ENDPOINT")
PROTOCOLS = ("OTEL_EXPORTER_OTLP_TRACES_PROTOCOL", "OTEL_EXPORTER_OTLP_PROTOCOL")
SAMPLERS = frozenset(
    {prefix + name for prefix in ("", "parentbased_") for name in ("always_on", "always_off")}
    | {"traceidratio", "parentbased_traceidratio"}
)
METHODS = frozenset({"GET", "HEAD", "POST", "PUT", "DELETE", "PATCH", "OPTIONS", "TRACE", "CONNECT", "QUERY"})
CLOSE_S = 5.0
"""How long a shutdown waits for a collector to take the last spans."""


class Answered(NamedTuple):
    """What is told of a request that was answered."""

    method: str
    route: str | None
    """The template; None for a path that no route has."""
    status: int
    began: float
    """`monotonic` seconds, as ``ended``."""
    ended: float
    refused: str | None
    """Code of the problem."""
    facts: Mapping[str, str | int | bool]
    """What else the span says."""


class Traces:
    """Makes spans of requests that were answered."""

    def __init__(self, provider: TracerProvider, propagator: TextMapPropagator) -> None:
        """Take where spans go, and how callers say what they belong to."""
        from opentelemetry.context import Context
        from opentelemetry.trace import SpanKind, Status, StatusCode, set_span_in_context

        self._provider = provider
        self._tracer = provider.get_tracer("evenhand")
        self._propagator = propagator
        self._fields = {name.lower().encode(): name for name in propagator.fields}
        self._nothing = Context()
        self._server, self._below = SpanKind.SERVER, set_span_in_context
        self._failed = Status(StatusCode.ERROR)

    def request(self, headers: Iterable[tuple[bytes, bytes]], answered: Answered, stages: Sequence[Stage]) -> None:
        """Tell of a request that has ended. Call it in the event loop; it waits for nothing.

        Args:
            headers: of the request, names in lower case; `traceparent` says what the span belongs to.
            answered: the request.
            stages: become spans below it.
        """
        zero_ns = time_ns() - int(1e9 * monotonic())
        method = answered.method if answered.method in METHODS else "_OTHER"
        span = self._tracer.start_span(
            f"{'HTTP' if method == '_OTHER' else method} {answered.route or ''}".rstrip(),
            self._context(headers),
            self._server,
            {"http.request.method": method},
            start_time=zero_ns + int(1e9 * answered.began),
        )
        if not span.is_recording():
            return
        span.set_attribute("http.response.status_code", answered.status)
        if answered.route is not None:
            span.set_attribute("http.route", answered.route)
        span.set_attributes(answered.facts)
        if answered.refused is not None:
            span.set_attribute("error.type", answered.refused)
        if answered.status >= 500:
            span.set_status(self._failed)
        inside = self._below(span)
        for name, began, ended in stages:
            stage = self._tracer.start_span(name, inside, start_time=zero_ns + int(1e9 * began))
            stage.end(zero_ns + int(1e9 * ended))
        span.end(zero_ns + int(1e9 * answered.ended))

    def close(self) -> None:
        """Send what waits, within `CLOSE_S`; blocks."""
        last = Thread(target=self._provider.shutdown, name="traces-last", daemon=True)
        last.start()
        last.join(CLOSE_S)

    def _context(self, headers: Iterable[tuple[bytes, bytes]]) -> Context:
        carrier: dict[str, list[str]] = {}
        for name, value in headers:
            if (field := self._fields.get(name)) is not None:
                carrier.setdefault(field, []).append(value.decode("latin-1"))
        return self._propagator.extract(carrier, self._nothing) if carrier else self._nothing


def open_traces(environment: Mapping[str, str]) -> Traces | None:
    """What the variables ask for; None, with nothing imported, where they name no endpoint or switch traces off.

    Raises:
        StartError: a variable has a value that cannot be followed, or the extra `traces` is not installed.
    """
    asked = {name: value for name, value in environment.items() if name.startswith("OTEL_") and value}
    exporter = asked.get("OTEL_TRACES_EXPORTER", "otlp").lower()
    disabled = asked.get("OTEL_SDK_DISABLED", "").lower() == "true"
    if disabled or exporter == "none" or not any(name in asked for name in ENDPOINTS):
        return None
    _check(asked, exporter)
    try:
        from opentelemetry import propagate
        from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
        from opentelemetry.sdk.resources import OTELResourceDetector, Resource
        from opentelemetry.sdk.trace import TracerProvider
        from opentelemetry.sdk.trace.export import BatchSpanProcessor
    except ModuleNotFoundError as error:
        raise StartError(f"traces need the package {error.name}: install evenhand with its extra `traces`") from error
    resource = Resource.create({"service.name": "evenhand"}).merge(OTELResourceDetector().detect())
    provider = TracerProvider(resource=resource, shutdown_on_exit=False)
    provider.add_span_processor(BatchSpanProcessor(OTLPSpanExporter()))
    return Traces(provider, propagate.get_global_textmap())


def _check(asked: Mapping[str, str], exporter: str) -> None:
    """Refuse what the library would put a default in place of, with a warning."""
    if exporter != "otlp":
        raise StartError(f"OTEL_TRACES_EXPORTER is {exporter!r:.80}: otlp or none are allowed")
    for name in PROTOCOLS:
        if (protocol := asked.get(name, "http/protobuf")) != "http/protobuf":
            raise StartError(f"{name} is {protocol!r:.80}: http/protobuf is allowed")
    sampler = asked.get("OTEL_TRACES_SAMPLER", "parentbased_always_on").lower()
    if sampler not in SAMPLERS:
        raise StartError(f"OTEL_TRACES_SAMPLER is {sampler!r:.80}: allowed are {', '.join(sorted(SAMPLERS))}")
    if sampler.endswith("traceidratio"):
        rate = asked.get("OTEL_TRACES_SAMPLER_ARG", "")
        try:
            good = 0 <= float(rate) <= 1
        except ValueError:
            good = False
        if not good:
            raise StartError(f"OTEL_TRACES_SAMPLER_ARG is {rate!r:.80}: with {sampler} it is a number from 0 to 1")
