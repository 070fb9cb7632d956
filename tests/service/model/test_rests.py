"""Rests of a thread that loads beside those that answer."""

from __future__ import annotations

import time

import pytest

from service.model import rests
from service.model.rests import MOST_S, PARTS, Rests


def work(seconds):
    """Take a processor for so long."""
    until = time.thread_time() + seconds
    while time.thread_time() < until:
        pass


def test_a_rest_is_a_multiple_of_the_work_since_the_last_one():
    pausing = Rests()
    work(0.005)
    began = time.monotonic()
    pausing()
    first_s = time.monotonic() - began

    assert first_s >= PARTS * 0.005
    assert pausing.together_s == pytest.approx(PARTS * 0.005, rel=0.2)
    work(0.002)
    pausing()
    assert pausing.together_s == pytest.approx(PARTS * 0.007, rel=0.2)


def test_small_pieces_go_on_until_they_are_worth_a_rest(monkeypatch):
    slept = []
    monkeypatch.setattr(rests.time, "sleep", slept.append)
    pausing = Rests()
    pausing()
    assert slept == []

    began = time.thread_time()
    while not slept:
        work(0.0002)
        pausing()

    assert time.thread_time() - began >= rests.LEAST_S
    assert slept[0] >= PARTS * rests.LEAST_S


def test_waiting_is_no_work_and_one_long_piece_no_long_rest(monkeypatch):
    slept = []
    pausing = Rests()
    time.sleep(0.01)
    monkeypatch.setattr(rests.time, "sleep", slept.append)
    pausing()
    assert slept == []

    work(MOST_S / PARTS + 0.02)
    pausing()

    assert slept == [MOST_S]
