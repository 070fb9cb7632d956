"""Cursors: good for the request that they were made for, and for nothing else."""

from __future__ import annotations

import base64

import pytest
from hypothesis import given
from hypothesis import strategies as st

from service.errors import InvalidQueryError, StaleCursorError, StartError
from service.index import Position
from service.recommend.cursor import Bound, Cursors

SECRET = "sixteen letters or more"
REQUEST = ("recommend", "u1", ["gender"], 10, True, ["i7"], [], None)
BOUND = Bound(REQUEST, "ab" * 32, (True, False))
POSITION = Position(row=3_416, shown=20)
LETTERS = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"


class Clock:
    now = 1_800_000_000.0

    def __call__(self) -> float:
        return self.now


def cursors(secret: str | None = SECRET, clock: Clock | None = None) -> Cursors:
    return Cursors(secret, ttl_s=900, clock=clock or Clock())


@given(st.integers(0, 2**64 - 1), st.integers(0, 2**32 - 1))
def test_a_cursor_gives_back_its_position(after, shown):
    text = cursors().make(Position(after, shown), BOUND)

    assert cursors().read(text, BOUND) == Position(after, shown)
    assert set(text) <= set(LETTERS)


@given(st.integers(0, 63 * 8 - 1))
def test_a_cursor_with_any_bit_flipped_is_refused_by_the_name_of_its_field(bit):
    raw = bytearray(base64.urlsafe_b64decode(cursors().make(POSITION, BOUND)))
    raw[bit // 8] ^= 1 << bit % 8

    with pytest.raises(InvalidQueryError, match="cursor: not a cursor of this service, or damaged") as refused:
        cursors().read(base64.urlsafe_b64encode(raw).decode(), BOUND)

    assert (refused.value.status, refused.value.errors[0]["field"]) == (422, "cursor")


@given(st.integers(0, 83), st.sampled_from(LETTERS + "+/=é\n "))
def test_a_cursor_with_any_letter_changed_is_refused(place, letter):
    text = cursors().make(POSITION, BOUND)
    changed = text[:place] + letter + text[place + 1 :]

    if changed == text:
        assert cursors().read(changed, BOUND) == POSITION
    else:
        with pytest.raises(InvalidQueryError):
            cursors().read(changed, BOUND)


@given(st.text(max_size=200))
def test_no_other_text_is_a_cursor(text):
    with pytest.raises(InvalidQueryError):
        cursors().read(text, BOUND)


@pytest.mark.parametrize("change", [lambda text: text[:-1], lambda text: text + "A", lambda text: text + "\n"])
def test_a_cursor_of_another_length_is_refused(change):
    with pytest.raises(InvalidQueryError):
        cursors().read(change(cursors().make(POSITION, BOUND)), BOUND)


def test_a_cursor_signed_with_another_secret_is_refused():
    with pytest.raises(InvalidQueryError):
        cursors().read(cursors("another secret, just as long").make(POSITION, BOUND), BOUND)


def test_without_a_secret_a_cursor_is_good_in_its_own_process_only():
    mine, other = cursors(None), cursors(None)
    text = mine.make(POSITION, BOUND)

    assert mine.read(text, BOUND) == POSITION
    with pytest.raises(InvalidQueryError):
        other.read(text, BOUND)


@pytest.mark.parametrize(
    ("part", "value"),
    list(enumerate(["similar", "u2", None, 11, False, [], ["drama"], "popular"])),
    ids=["route", "user", "sensitive", "k", "exclude_seen", "exclude", "group", "fallback"],
)
def test_a_cursor_of_another_request_is_refused(part, value):
    other = [*REQUEST[:part], value, *REQUEST[part + 1 :]]

    with pytest.raises(InvalidQueryError, match="cursor: belongs to a request with another user or other parameters"):
        cursors().read(cursors().make(POSITION, BOUND), BOUND._replace(request=other))


def test_nothing_named_is_another_request_than_no_attributes():
    bound = {sensitive: Bound(("recommend", "u1", value)) for sensitive, value in {"none": None, "empty": []}.items()}

    with pytest.raises(InvalidQueryError):
        cursors().read(cursors().make(POSITION, bound["none"]), bound["empty"])


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"bundle": "cd" * 32}, "bundle"),
        ({"mask": (True, True)}, "requirement"),
        ({"mask": (False, False)}, "requirement"),
    ],
)
def test_after_a_swap_or_with_another_requirement_a_cursor_is_stale(change, reason):
    text = cursors().make(POSITION, BOUND)

    with pytest.raises(StaleCursorError) as stale:
        cursors().read(text, BOUND._replace(**change))

    assert (stale.value.status, stale.value.code) == (409, "stale_cursor")
    assert stale.value.facts == {"field": "cursor", "reason": reason}


def test_a_cursor_expires():
    clock = Clock()
    made = cursors(clock=clock)
    text = made.make(POSITION, BOUND)

    clock.now += 899
    assert made.read(text, BOUND) == POSITION
    clock.now += 1
    with pytest.raises(StaleCursorError, match="it has expired"):
        made.read(text, BOUND)


def test_an_expired_cursor_of_another_request_says_that_it_is_another():
    clock = Clock()
    text = cursors(clock=clock).make(POSITION, BOUND)
    clock.now += 10_000

    with pytest.raises(InvalidQueryError):
        cursors(clock=clock).read(text, BOUND._replace(request=("recommend", "u2")))


def test_a_cursor_shows_nothing_of_the_user_the_bundle_or_the_mask():
    first, second = (
        base64.urlsafe_b64decode(cursors(secret).make(POSITION, BOUND)) for secret in (SECRET, SECRET + "!")
    )

    assert first[:16] == second[:16]  # expiry and position
    assert all(
        one != other
        for one, other in zip(
            (first[16:31], first[31:39], first[39:47]), (second[16:31], second[31:39], second[39:47]), strict=True
        )
    )


def test_a_short_secret_refuses_the_start_and_is_not_repeated():
    with pytest.raises(StartError, match="EVENHAND_SECRET has 7 characters; at least 16") as refused:
        cursors("hunter2")

    assert "hunter2" not in str(refused.value)
