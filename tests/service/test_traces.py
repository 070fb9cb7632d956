"""Traces: one span for each request and its stages below it, where the standard variables ask for them."""

from __future__ import annotations

import asyncio
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Condition, Thread
from typing import Any

import pytest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.proto.trace.v1.trace_pb2 import Span, Status
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.id_generator import RandomIdGenerator
from opentelemetry.sdk.trace.sampling import Decision
from opentelemetry.trace import SpanKind
from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

from service.errors import StartError
from service.traces import open_traces

TRACE, CALLER = "0af7651916cd43dd8448eb211c80319c", "b7ad6b7169203331"
SAMPLED, NOT_SAMPLED = f"00-{TRACE}-{CALLER}-01", f"00-{TRACE}-{CALLER}-00"


class Collector:
    """Takes what is sent by OTLP over HTTP."""

    def __init__(self) -> None:
        self.paths: list[str] = []
        self.services: set[str] = set()
        self._spans: list[Span] = []
        self._came = Condition()
        collector = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["content-length"]))
                collector.take(self.path, ExportTraceServiceRequest.FromString(body))
                self.send_response(200)
                self.send_header("content-length", "0")
                self.end_headers()

            def log_message(self, *_: Any) -> None:
                pass

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server.server_port}"

    def take(self, path: str, sent: ExportTraceServiceRequest) -> None:
        with self._came:
            self.paths.append(path)
            for of in sent.resource_spans:
                self.services |= {one.value.string_value for one in of.resource.attributes if one.key == "service.name"}
                self._spans += [span for scope in of.scope_spans for span in scope.spans]
            self._came.notify_all()

    def requests(self, count: int) -> list[Span]:
        """The spans of requests, once so many have come; those below them come together with them."""
        with self._came:
            whole = self._came.wait_for(lambda: len(self._of(Span.SPAN_KIND_SERVER)) >= count, 20)
            assert whole, self._spans
            return self._of(Span.SPAN_KIND_SERVER)

    def below(self, span: Span) -> list[Span]:
        return [one for one in self._spans if one.parent_span_id == span.span_id]

    def _of(self, kind: int) -> list[Span]:
        return [span for span in self._spans if span.kind == kind]


@pytest.fixture(scope="module")
def receiving() -> Iterator[Callable[[], Collector]]:
    """Makes collectors that listen."""
    made: list[Collector] = []

    def make() -> Collector:
        made.append(Collector())
        Thread(target=made[-1].server.serve_forever, args=(0.02,), daemon=True).start()
        return made[-1]

    yield make
    for one in made:
        one.server.shutdown()
        one.server.server_close()


@pytest.fixture
def collector(receiving, monkeypatch) -> Collector:
    """A collector that the variables name."""
    one = receiving()
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", one.url)
    monkeypatch.setenv("OTEL_BSP_SCHEDULE_DELAY", "20")
    return one


def said(span: Span) -> dict[str, Any]:
    """A span's attributes."""
    return {one.key: getattr(one.value, one.value.WhichOneof("value")) for one in span.attributes}


def test_a_request_is_a_span_with_its_stages_below_it_in_their_order(collector, a_client):
    answer = a_client().get("/recommend?user=u0&sensitive=gender", traceparent=SAMPLED)

    (span,) = collector.requests(1)
    stages = collector.below(span)
    assert (span.name, span.trace_id.hex(), span.parent_span_id.hex()) == ("GET /recommend", TRACE, CALLER)
    assert [stage.name for stage in stages] == ["queue", "encode", "search", "commit"]
    assert {stage.trace_id.hex() for stage in stages} == {TRACE}
    times = [time for stage in stages for time in (stage.start_time_unix_nano, stage.end_time_unix_nano)]
    assert sorted(times) == times
    assert span.start_time_unix_nano < times[0]
    assert times[-1] < span.end_time_unix_nano
    assert said(span) == {
        "http.request.method": "GET",
        "http.route": "/recommend",
        "http.response.status_code": 200,
        "evenhand.request_id": answer.headers["x-request-id"],
        "evenhand.bundle": "tiny/1",
        "evenhand.protected": 1,
        "evenhand.cached": False,
    }
    assert all(not stage.attributes for stage in stages)
    assert set(collector.paths) == {"/v1/traces"}
    assert collector.services == {"evenhand"}


def test_no_span_names_a_user_an_item_or_an_attribute(collector, a_client):
    client = a_client()
    client.get("/recommend?user=u0&sensitive=gender")
    client.get("/users/u1/requirement")
    client.get("/recommend?user=ripley")
    client.get("/nowhere/u2?user=u0")

    spans = collector.requests(4)

    told = " ".join(str(span) for one in spans for span in (one, *collector.below(one)))
    assert not any(word in told for word in ('"u0"', "u1/", "ripley", "u2", "=u0", "gender", "nowhere"))
    assert [span.name for span in spans] == ["GET /recommend", "GET /users/{user}/requirement", "GET /recommend", "GET"]


def test_a_cached_answer_has_only_its_commit_and_a_refusal_says_which_it_is(collector, a_client):
    client = a_client(settings={"cache": "memory"})
    for user in ("u0", "u0", "nobody"):
        client.get(f"/recommend?user={user}")

    made, cached, refused = collector.requests(3)

    assert (said(made)["evenhand.cached"], said(cached)["evenhand.cached"]) == (False, True)
    assert [stage.name for stage in collector.below(cached)] == ["commit"]
    assert (said(refused)["error.type"], said(refused)["http.response.status_code"]) == ("unknown_user", 404)
    assert collector.below(refused) == []
    assert refused.status.code == Status.STATUS_CODE_UNSET


def test_probes_are_no_traces_and_a_caller_that_is_not_sampled_is_followed(collector, a_client):
    client = a_client()
    client.get("/health/ready")
    client.get("/metrics")
    client.get("/recommend?user=u0", traceparent=NOT_SAMPLED)
    client.get("/popular", traceparent="not one")

    (span,) = collector.requests(1)

    assert span.name == "GET /popular"
    assert span.parent_span_id == b""


def test_the_sampler_and_the_name_are_those_of_the_variables(collector, a_client, monkeypatch):
    monkeypatch.setenv("OTEL_TRACES_SAMPLER", "traceidratio")
    monkeypatch.setenv("OTEL_TRACES_SAMPLER_ARG", "0")
    monkeypatch.setenv("OTEL_SERVICE_NAME", "shop")
    quiet = a_client()
    monkeypatch.setenv("OTEL_TRACES_SAMPLER_ARG", "1")
    loud = a_client(version="2")

    quiet.get("/recommend?user=u0", traceparent=SAMPLED)
    loud.get("/popular", traceparent=NOT_SAMPLED)

    assert [span.name for span in collector.requests(1)] == ["GET /popular"]
    assert collector.services == {"shop"}


@pytest.mark.parametrize("root", ["always_on", "always_off", "traceidratio"])
@pytest.mark.parametrize("before", ["", "parentbased_"])
@pytest.mark.parametrize("caller", [None, SAMPLED, NOT_SAMPLED])
def test_each_sampler_chooses_as_that_of_the_library(root, before, caller, monkeypatch):
    asked = {"OTEL_TRACES_SAMPLER": before + root, "OTEL_TRACES_SAMPLER_ARG": "0.3"}
    for name, value in {**asked, "OTEL_EXPORTER_OTLP_ENDPOINT": "http://127.0.0.1:1"}.items():
        monkeypatch.setenv(name, value)
    sampler = TracerProvider(shutdown_on_exit=False).sampler
    traces = open_traces(os.environ)
    assert traces is not None
    chosen, theirs = [], []

    for trace_id in [*(low << 60 for low in range(1, 16)), round(0.3 * 2**64) - 1, round(0.3 * 2**64), 2**127 + 5]:
        monkeypatch.setattr(RandomIdGenerator, "generate_trace_id", lambda _, drawn=trace_id: drawn)
        said = caller and caller.replace(TRACE, f"{trace_id:032x}")
        place = traces.place([(b"host", b"here"), *([(b"traceparent", said.encode())] if said else [])])
        context = TraceContextTextMapPropagator().extract({"traceparent": said} if said else {})
        chosen.append(place is not None)
        theirs.append(
            sampler.should_sample(context, trace_id, "", SpanKind.SERVER).decision is Decision.RECORD_AND_SAMPLE
        )

    traces.close()
    assert chosen == theirs


def test_a_caller_keeps_its_flags_and_its_state(collector, a_client):
    a_client().get("/recommend?user=u0", traceparent=SAMPLED[:-2] + "03", tracestate="shop=1")

    (span,) = collector.requests(1)

    assert {one.trace_state for one in (span, *collector.below(span))} == {"shop=1"}


def test_what_waits_is_sent_before_the_service_ends(collector, an_app, run_app, monkeypatch):
    monkeypatch.setenv("OTEL_BSP_SCHEDULE_DELAY", "60000")

    async def story() -> None:
        async with run_app(an_app()) as http:
            await http.get("/popular")
            assert collector.paths == []

    asyncio.run(story())

    assert [span.name for span in collector.requests(1)] == ["GET /popular"]


@pytest.mark.parametrize(
    "environment",
    [
        {},
        {"OTEL_EXPORTER_OTLP_ENDPOINT": ""},
        {"OTEL_EXPORTER_OTLP_ENDPOINT": "http://127.0.0.1:1", "OTEL_SDK_DISABLED": "true"},
        {"OTEL_EXPORTER_OTLP_ENDPOINT": "http://127.0.0.1:1", "OTEL_TRACES_EXPORTER": "none"},
        {"OTEL_TRACES_SAMPLER": "always_on", "OTEL_SERVICE_NAME": "shop"},
    ],
)
def test_without_an_endpoint_or_switched_off_there_are_no_traces(environment):
    assert open_traces(environment) is None


def test_nothing_of_it_is_imported_while_there_are_no_traces():
    code = "import sys, service.traces as t; t.open_traces({}); print([m for m in sys.modules if 'telemetry' in m])"

    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)

    assert done.stdout == "[]\n"


@pytest.mark.parametrize(
    ("name", "value", "allowed"),
    [
        ("OTEL_TRACES_EXPORTER", "zipkin", "otlp or none"),
        ("OTEL_EXPORTER_OTLP_PROTOCOL", "grpc", "http/protobuf"),
        ("OTEL_EXPORTER_OTLP_TRACES_PROTOCOL", "http/json", "http/protobuf"),
        ("OTEL_TRACES_SAMPLER", "sometimes", "parentbased_traceidratio"),
        ("OTEL_TRACES_SAMPLER_ARG", "1.5", "0 to 1"),
        ("OTEL_TRACES_SAMPLER_ARG", "", "0 to 1"),
    ],
)
def test_a_value_that_cannot_be_followed_refuses_the_start(name, value, allowed):
    asked = {"OTEL_EXPORTER_OTLP_ENDPOINT": "http://127.0.0.1:1", "OTEL_TRACES_SAMPLER": "traceidratio"}

    with pytest.raises(StartError, match=f"{name} is .*{allowed}"):
        open_traces({**asked, "OTEL_TRACES_SAMPLER_ARG": ".1", name: value})


def test_without_the_extra_the_start_says_which_is_missing(monkeypatch):
    monkeypatch.delitem(sys.modules, "service.spans", raising=False)
    monkeypatch.setitem(sys.modules, "opentelemetry.sdk.trace", None)

    with pytest.raises(StartError, match="extra `traces`"):
        open_traces({"OTEL_EXPORTER_OTLP_ENDPOINT": "http://127.0.0.1:1"})
