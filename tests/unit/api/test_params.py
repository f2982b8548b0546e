"""Query parameters: as clients send them, and as nobody should."""

import math
from datetime import UTC, datetime
from enum import StrEnum

import pytest
from hypothesis import given
from hypothesis import strategies as st

from callboard.api.params import EXACT_MAX, ParameterRequired, ParamNotOneOf, Query
from callboard.core.errors import ApiError, InvalidParameter


class Colour(StrEnum):
    RED = "RED"
    BLUE = "BLUE"


@pytest.mark.parametrize(
    ("text", "value"),
    [("true", True), ("1", True), ("TRUE", True), ("false", False), ("0", False), ("", None)],
)
def test_flags_come_as_words_and_digits(text: str, value: bool | None):
    assert Query({"clean": text}).optional_flag("clean") is value


def test_an_empty_value_counts_as_not_given():
    query = Query({"name": "", "limit": ""})
    assert query.text("name") is None and query.integer("limit") is None and "name" not in query
    assert query.raw("name") == ""
    with pytest.raises(ParameterRequired):
        query.required_text("name")


def test_whole_numbers_may_be_written_as_doubles():
    assert Query({"limit": "10.0"}).integer("limit") == 10
    assert Query({"limit": "1e3"}).integer("limit") == 1000


@pytest.mark.parametrize("text", ["-1", "1.5", "nan", "-inf", "1e300", "ten", str(2**54)])
def test_other_numbers_are_refused(text: str):
    with pytest.raises(InvalidParameter, match="limit"):
        Query({"limit": text}).integer("limit")


@given(st.text())
def test_whatever_is_sent_gives_a_value_in_bounds_or_an_error_of_the_contract(text: str):
    query = Query({"x": text})
    try:
        number = query.integer("x", minimum=-5)
    except ApiError as error:
        assert error.status == 400
    else:
        assert number is None or -5 <= number <= EXACT_MAX
    try:
        limited = query.number("x")
    except ApiError as error:
        assert error.status == 400
    else:
        assert limited is None or (limited >= 0 and math.isfinite(limited))
    for read in (query.optional_flag, query.instant):
        try:
            read("x")
        except ApiError as error:
            assert error.status == 400


def test_choices_are_checked_one_by_one():
    assert Query({"c": "RED, BLUE,"}).some_of("c", Colour) == [Colour.RED, Colour.BLUE]
    assert Query({"c": "RED"}).one_of("c", Colour) is Colour.RED
    for text in ("GREEN", "red", "RED,GREEN"):
        with pytest.raises(ParamNotOneOf, match="RED, BLUE"):
            Query({"c": text}).some_of("c", Colour)


@pytest.mark.parametrize(
    "text",
    ["2026-01-02T03:04:05.000Z", "2026-01-02T03:04:05", "2026-01-02T05:04:05+02:00"],
)
def test_instants_are_in_utc_unless_they_say_otherwise(text: str):
    expected = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)
    assert Query({"at": text}).instant("at") == expected
    # A plus sign that a client forgot to encode arrives as a space.
    assert Query({"at": text.replace("+", " ")}).instant("at") == expected
