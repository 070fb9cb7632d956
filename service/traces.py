"""Traces by OpenTelemetry: one span for each request, its stages below it, sent by OTLP over HTTP.

Everything is said by the standard variables, OTEL_EXPORTER_OTLP_ENDPOINT first; nothing is imported without one. Spans
(`spans.py`) are made after the answer has left, of the times that were taken anyway, and hold no user, no item and no
attribute.

Source: OpenTelemetry 1.x, *Environment Variable Specification*.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from service.errors import StartError

if TYPE_CHECKING:
    from service.spans import Traces

ENDPOINTS = ("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", "OTEL_EXPORTER_OTLP_ENDPOINT")
PROTOCOLS = ("OTEL_EXPORTER_OTLP_TRACES_PROTOCOL", "OTEL_EXPORTER_OTLP_PROTOCOL")
FOLLOW = "parentbased_"
"""Begins the names of samplers that follow a caller who says whether it is traced."""
SHARES = {"always_on": 1.0, "always_off": 0.0}
RATIO = "traceidratio"


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
    if exporter != "otlp":
        raise StartError(f"OTEL_TRACES_EXPORTER is {exporter!r:.80}: otlp or none are allowed")
    for name in PROTOCOLS:
        if (protocol := asked.get(name, "http/protobuf")) != "http/protobuf":
            raise StartError(f"{name} is {protocol!r:.80}: http/protobuf is allowed")
    sampler = asked.get("OTEL_TRACES_SAMPLER", "parentbased_always_on").lower()
    share = _share(sampler, asked.get("OTEL_TRACES_SAMPLER_ARG", ""))
    try:
        from service.spans import Traces
    except ModuleNotFoundError as error:
        raise StartError(f"traces need the package {error.name}: install evenhand with its extra `traces`") from error
    return Traces(sampler.startswith(FOLLOW), share)


def _share(sampler: str, rate: str) -> float:
    """Of requests whose caller is not followed. Refuses what the library warns of and puts a default in place of."""
    root = sampler.removeprefix(FOLLOW)
    if root in SHARES:
        return SHARES[root]
    if root != RATIO:
        allowed = sorted(before + name for before in ("", FOLLOW) for name in (*SHARES, RATIO))
        raise StartError(f"OTEL_TRACES_SAMPLER is {sampler!r:.80}: allowed are {', '.join(allowed)}")
    try:
        share = float(rate)
    except ValueError:
        share = -1.0
    if not 0 <= share <= 1:
        raise StartError(f"OTEL_TRACES_SAMPLER_ARG is {rate!r:.80}: with {sampler} it is a number from 0 to 1")
    return share
