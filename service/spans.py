"""Spans of requests that were answered, and of their stages: the one door to OpenTelemetry.

Imported where traces are on.

Source: OpenTelemetry 1.x, *Semantic conventions for HTTP spans*, *Tracing SDK* (samplers).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from functools import partial
from threading import Thread
from time import monotonic, time_ns
from typing import NamedTuple

from opentelemetry import propagate
from opentelemetry.context import Context
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.resources import OTELResourceDetector, Resource
from opentelemetry.sdk.trace import ReadableSpan
from opentelemetry.sdk.trace.export import BatchSpanProcessor
from opentelemetry.sdk.trace.id_generator import RandomIdGenerator
from opentelemetry.sdk.trace.sampling import TraceIdRatioBased
from opentelemetry.sdk.util.instrumentation import InstrumentationScope
from opentelemetry.trace import SpanContext, SpanKind, Status, StatusCode, TraceFlags, TraceState, get_current_span
from opentelemetry.util.types import AnyValue

from service.stages import Answered, Stage

METHODS = frozenset({"GET", "HEAD", "POST", "PUT", "DELETE", "PATCH", "OPTIONS", "TRACE", "CONNECT", "QUERY"})
CLOSE_S = 5.0
"""How long a shutdown waits for a collector to take the last spans."""
OWN = TraceFlags(TraceFlags.SAMPLED | TraceFlags.RANDOM_TRACE_ID)
NO_STATE, NO_CONTEXT = TraceState(), Context()
FINE, FAILED = Status(StatusCode.UNSET), Status(StatusCode.ERROR)


class Place(NamedTuple):
    """Where the span of a request that is traced belongs."""

    trace_id: int
    caller: SpanContext | None


class Traces:
    """Chooses which requests are traced, and makes their spans.

    Nothing is made for a request that is not chosen; a sampler of the library makes an answer for each that it is asked
    about. Spans are made whole, as the library's own type for spans that have ended: a tracer that opens and ends each
    takes several times as long, for locks and limits that nothing here needs.
    """

    def __init__(self, follow: bool, share: float) -> None:
        """Open what the standard variables name.

        Args:
            follow: a caller that says whether it is traced is followed.
            share: of all other requests, 0 - 1.
        """
        self._follow, self._below = follow, TraceIdRatioBased.get_bound_for_rate(share)
        self._ids = RandomIdGenerator()
        self._propagator = propagate.get_global_textmap()
        self._fields = {name.lower().encode(): name for name in self._propagator.fields}
        told = Resource.create({"service.name": "evenhand"}).merge(OTELResourceDetector().detect())
        resource = _Resource(told.attributes or {}, told.schema_url)
        self._span = partial(ReadableSpan, resource=resource, instrumentation_scope=InstrumentationScope("evenhand"))
        self._processor = BatchSpanProcessor(OTLPSpanExporter())
        self._end = self._processor.on_end

    def place(self, headers: Iterable[tuple[bytes, bytes]]) -> Place | None:
        """Where the span of a request belongs; None where it is not traced.

        Args:
            headers: of the request, names in lower case; `traceparent` says what the span belongs to.
        """
        caller = self._caller(headers)
        trace_id = self._ids.generate_trace_id() if caller is None else caller.trace_id
        if caller is not None and self._follow:
            chosen = caller.trace_flags.sampled
        else:
            chosen = trace_id & TraceIdRatioBased.TRACE_ID_LIMIT < self._below
        return Place(trace_id, caller) if chosen else None

    def request(self, place: Place, answered: Answered, stages: Sequence[Stage]) -> None:
        """Tell of a request that has ended; its stages become spans below its own. Waits for nothing."""
        trace_id, caller = place
        flags, state = OWN, NO_STATE
        if caller is not None:
            flags, state = TraceFlags(caller.trace_flags | TraceFlags.SAMPLED), caller.trace_state
        own = SpanContext(trace_id, self._ids.generate_span_id(), False, flags, state)
        zero_ns = time_ns() - int(1e9 * monotonic())
        for name, began, ended in stages:
            below = SpanContext(trace_id, self._ids.generate_span_id(), False, flags, state)
            begin_ns, end_ns = zero_ns + int(1e9 * began), zero_ns + int(1e9 * ended)
            self._end(self._span(name, below, own, start_time=begin_ns, end_time=end_ns))
        method = answered.method if answered.method in METHODS else "_OTHER"
        facts = {"http.request.method": method, "http.response.status_code": answered.status, **answered.facts}
        if answered.route is not None:
            facts["http.route"] = answered.route
        if answered.refused is not None:
            facts["error.type"] = answered.refused
        span = self._span(
            f"{'HTTP' if method == '_OTHER' else method} {answered.route or ''}".rstrip(),
            own,
            caller,
            attributes=facts,
            kind=SpanKind.SERVER,
            status=FAILED if answered.status >= 500 else FINE,
            start_time=zero_ns + int(1e9 * answered.began),
            end_time=zero_ns + int(1e9 * answered.ended),
        )
        self._end(span)

    def close(self) -> None:
        """Send what waits, within `CLOSE_S`; blocks."""
        last = Thread(target=self._processor.shutdown, name="traces-last", daemon=True)
        last.start()
        last.join(CLOSE_S)

    def _caller(self, headers: Iterable[tuple[bytes, bytes]]) -> SpanContext | None:
        carrier: dict[str, list[str]] = {}
        for name, value in headers:
            if (field := self._fields.get(name)) is not None:
                carrier.setdefault(field, []).append(value.decode("latin-1"))
        if not carrier:
            return None
        caller = get_current_span(self._propagator.extract(carrier, NO_CONTEXT)).get_span_context()
        return caller if caller.is_valid else None


class _Resource(Resource):
    """Who tells, with its hash kept: the exporter asks for it at each span, and the library makes JSON each time."""

    def __init__(self, attributes: Mapping[str, AnyValue], schema_url: str) -> None:
        super().__init__(attributes, schema_url)
        self._number = super().__hash__()

    def __hash__(self) -> int:
        return self._number
