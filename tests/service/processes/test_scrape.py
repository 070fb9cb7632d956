"""The metrics of several processes in one scrape."""

from __future__ import annotations

import socket

import pytest
from prometheus_client import CollectorRegistry, Counter, Gauge, Info, generate_latest

from service.processes.scrape import Scrape


@pytest.fixture
def listening(tmp_path):
    sockets = []
    for number in range(3):
        sockets.append(socket.socket(socket.AF_UNIX))
        sockets[number].bind(str(tmp_path / f"{number}.metrics"))
        sockets[number].listen()
    yield sockets
    for one in sockets:
        one.close()


def a_registry(asked: float) -> CollectorRegistry:
    registry = CollectorRegistry()
    Counter("evenhand_requests", "Requests.", ["route"], registry=registry).labels("/recommend").inc(asked)
    Gauge("evenhand_waiting", "Waiting.", registry=registry).set_function(lambda: asked + 1)
    Info("evenhand_bundle", "Bundle.", registry=registry).info({"name": "tiny"})
    return registry


def test_each_sample_says_its_process_and_a_silent_one_is_left_out(listening, monkeypatch):
    monkeypatch.setattr("service.processes.scrape.ANSWER_S", 0.2)
    scrapes = [Scrape(number, listening) for number in range(2)]  # the third one never begins
    for scrape, asked in zip(scrapes, (5, 7), strict=True):
        scrape.start(a_registry(asked))

    texts = [generate_latest(scrape).decode() for scrape in scrapes]  # type: ignore[arg-type]

    for text in texts:
        assert 'evenhand_requests_total{process="0",route="/recommend"} 5.0' in text
        assert 'evenhand_requests_total{process="1",route="/recommend"} 7.0' in text
        assert 'evenhand_waiting{process="0"} 6.0' in text
        assert 'evenhand_bundle_info{name="tiny",process="1"} 1.0' in text
        assert text.count("# TYPE evenhand_requests_total counter") == 1
        assert 'process="2"' not in text
