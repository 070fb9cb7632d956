"""Traces by OpenTelemetry: one span for each request, its stages below it, sent by OTLP over HTTP. The one door to it.

Everything is said by the standard variables, OTEL_EXPORTER_OTLP_ENDPOINT first; nothing is imported without one. Spans
are made after the answer has left, of the times that were taken anyway, and hold no user, no item and no attribute.

Source: OpenTelemetry 1.x, *Environment Variable Specification* and *Semantic conventions for HTTP spans*.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from functools import partial
from threading import Thread
from time import monotonic, time_ns
from typing import TYPE_CHECKING, NamedTuple

from service.errors import StartError
from service.stages import Stage

if TYPE_CHECKING:
    from opentelemetry.context import Context
    from opentelemetry.propagators.textmap import TextMapPropagator
    from opentelemetry.sdk.trace import SpanProcessor, TracerProvider

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
    """Makes spans of requests that were answered.

    They are made whole, as the library's own type for spans that have ended: opening and ending each by a tracer takes
    several times as long, for locks and limits that nothing here needs.
    """

    def __init__(self, provider: TracerProvider, processor: SpanProcessor, propagator: TextMapPropagator) -> None:
        """Take who samples and says who tells, where spans go, and how callers say what a request belongs to."""
        from opentelemetry.context import Context
        from opentelemetry.sdk.trace import ReadableSpan
        from opentelemetry.sdk.trace.sampling import Decision
        from opentelemetry.sdk.util.instrumentation import InstrumentationScope
        from opentelemetry.trace import SpanContext, SpanKind, Status, StatusCode, TraceFlags, get_current_span

        self._provider = provider
        self._ids = provider.id_generator
        self._ended = processor.on_end
        self._propagator = propagator
        self._fields = {name.lower().encode(): name for name in propagator.fields}
        self._nothing, self._span_of = Context(), get_current_span
        self._span = partial(
            ReadableSpan, resource=provider.resource, instrumentation_scope=InstrumentationScope("evenhand")
        )
        self._identity, self._server, self._sampled = SpanContext, SpanKind.SERVER, Decision.RECORD_AND_SAMPLE
        random = TraceFlags.RANDOM_TRACE_ID if self._ids.is_trace_id_random() else TraceFlags.DEFAULT
        self._own_flags, self._flags = TraceFlags(TraceFlags.SAMPLED | random), TraceFlags
        self._fine, self._failed = Status(StatusCode.UNSET), Status(StatusCode.ERROR)

    def request(self, headers: Iterable[tuple[bytes, bytes]], answered: Answered, stages: Sequence[Stage]) -> None:
        """Tell of a request that has ended. Call it in the event loop; it waits for nothing.

        Args:
            headers: of the request, names in lower case; `traceparent` says what the span belongs to.
            answered: the request.
            stages: become spans below it.
        """
        context = self._context(headers)
        caller = None if context is self._nothing else self._span_of(context).get_span_context()
        if caller is None or not caller.is_valid:
            caller, trace_id = None, self._ids.generate_trace_id()
        else:
            trace_id = caller.trace_id
        method = answered.method if answered.method in METHODS else "_OTHER"
        name = f"{'HTTP' if method == '_OTHER' else method} {answered.route or ''}".rstrip()
        asked = {"http.request.method": method}
        found = self._provider.sampler.should_sample(context, trace_id, name, self._server, asked)
        if found.decision is not self._sampled:
            return
        facts = {**asked, "http.response.status_code": answered.status, **answered.facts}
        if answered.route is not None:
            facts["http.route"] = answered.route
        if answered.refused is not None:
            facts["error.type"] = answered.refused
        flags = self._own_flags if caller is None else self._flags(caller.trace_flags | self._flags.SAMPLED)
        own = self._identity(trace_id, self._ids.generate_span_id(), False, flags, found.trace_state)
        zero_ns = time_ns() - int(1e9 * monotonic())
        for stage, began, ended in stages:
            below = self._identity(trace_id, self._ids.generate_span_id(), False, flags, found.trace_state)
            begin_ns, end_ns = zero_ns + int(1e9 * began), zero_ns + int(1e9 * ended)
            self._ended(self._span(stage, below, own, start_time=begin_ns, end_time=end_ns))
        span = self._span(
            name,
            own,
            caller,
            attributes=facts,
            kind=self._server,
            status=self._failed if answered.status >= 500 else self._fine,
            start_time=zero_ns + int(1e9 * answered.began),
            end_time=zero_ns + int(1e9 * answered.ended),
        )
        self._ended(span)

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
    processor = BatchSpanProcessor(OTLPSpanExporter())
    provider.add_span_processor(processor)
    return Traces(provider, processor, propagate.get_global_textmap())


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
