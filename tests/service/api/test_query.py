"""Query strings: what is read, what is refused."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from service.api.list_requests import RecommendationParameters
from service.api.query import MAX_QUERY_BYTES, NoParameters, openapi_parameters, parse
from service.errors import InvalidQueryError, QueryTooLongError


def read(text: str) -> RecommendationParameters:
    return parse(RecommendationParameters, text.encode())


def errors(text: str) -> list[dict[str, object]]:
    with pytest.raises(InvalidQueryError) as refused:
        read(text)
    return refused.value.errors


def test_everything_but_the_user_has_a_default():
    query = read("user=42")

    assert query == RecommendationParameters(user="42")
    assert (query.sensitive, query.k, query.exclude_seen, query.exclude) == (None, 10, True, ())


@pytest.mark.parametrize("text", ["sensitive=gender,age", "sensitive=gender&sensitive=age", "sensitive=gender%2Cage"])
def test_lists_are_comma_separated_or_repeated(text):
    assert read(f"user=42&{text}").sensitive == ("gender", "age")


def test_a_wholly_empty_list_is_a_list_and_not_an_absent_one():
    assert read("user=42&sensitive=").sensitive == ()
    assert read("user=42").sensitive is None


@pytest.mark.parametrize(
    "text", ["sensitive=gender,", "sensitive=,", "sensitive=gender,,age", "sensitive=&sensitive=age", "exclude=,i1"]
)
def test_an_empty_element_is_refused(text):
    (error,) = errors(f"user=42&{text}")

    assert error["field"] == text.partition("=")[0]
    assert "element" in str(error["reason"])


def test_a_mistyped_parameter_is_refused_with_the_known_ones():
    assert errors("user=42&sensitve=gender") == [
        {
            "field": "sensitve",
            "value": "gender",
            "reason": "unknown parameter",
            "allowed": [
                "user",
                "sensitive",
                "k",
                "exclude_seen",
                "exclude",
                "group",
                "fallback",
                "cursor",
                "balance",
                "balance_weight",
            ],
        }
    ]


@pytest.mark.parametrize("text", ["user=1&user=2", "user=1&k=1&k=2", "user=1&exclude_seen=true&exclude_seen=true"])
def test_any_other_repeated_parameter_is_refused(text):
    (error,) = errors(text)

    assert error["reason"] == "given more than once"


def test_every_error_is_listed_with_its_value_and_what_is_allowed():
    listed = errors("k=1001&k=3&exclude_seen=perhaps&colour=red")

    assert [error["field"] for error in listed] == ["k", "user", "k", "exclude_seen", "colour"]
    assert listed[2]["value"] == "1001"
    assert listed[2]["allowed"] == {"type": "integer", "minimum": 1, "maximum": 1000, "default": 10}


@pytest.mark.parametrize(
    "text",
    [
        "user=",
        "user=" + "x" * 257,
        "user=1&k=0",
        "user=1&k=" + "9" * 5000,
        "user=1&sensitive=" + "x" * 65,
        "user=1&sensitive=" + ",".join("x" * 65),
        "user=1&exclude=" + "x" * 257,
        "user=1&exclude=" + ",".join(["i"] * 1001),
    ],
)
def test_every_value_is_bounded_and_what_is_sent_back_is_short(text):
    (error,) = errors(text)

    assert len(str(error["value"])) <= 101


def test_a_query_string_beyond_the_limit_is_not_even_read():
    with pytest.raises(QueryTooLongError):
        read("user=" + "x" * MAX_QUERY_BYTES)


def test_a_flood_of_parameters_is_refused_in_a_short_answer():
    assert [error["field"] for error in errors("&".join(["p=1"] * 5000))] == ["query"]
    assert len(errors("&".join(f"p{i}=1" for i in range(500)))) == 20


def test_a_route_without_parameters_refuses_any():
    with pytest.raises(InvalidQueryError, match="unknown parameter"):
        parse(NoParameters, b"k=1")


def test_the_schema_says_comma_separated_and_bounded():
    listed = {parameter["name"]: parameter for parameter in openapi_parameters(RecommendationParameters)}

    assert listed["user"]["required"] is True
    assert listed["sensitive"]["explode"] is False
    assert listed["sensitive"]["schema"] == {
        "type": "array",
        "items": {"type": "string", "minLength": 1, "maxLength": 64},
        "maxItems": 64,
    }


@given(st.binary(max_size=200))
def test_any_bytes_are_read_or_refused(raw):
    try:
        query = parse(RecommendationParameters, b"user=42&" + raw)
    except InvalidQueryError:
        return
    assert query.user == "42"
    assert 1 <= query.k <= 1000


@given(st.lists(st.sampled_from(["gender", "age", "", "x" * 65, "ö"]), max_size=6), st.booleans())
def test_no_element_of_a_list_gets_lost(names, repeat):
    text = "&".join(f"sensitive={name}" for name in names) if repeat else "sensitive=" + ",".join(names)
    try:
        read_names = read(f"user=42&{text}").sensitive
    except InvalidQueryError:
        assert "" in names or "x" * 65 in names
    else:
        assert list(read_names or ()) == [name for name in names if name]
