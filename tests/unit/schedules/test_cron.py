"""When cron expressions are due."""

from datetime import UTC, datetime, timedelta

import pytest

from callboard.core.errors import ApiError
from callboard.schedules.cron import checked_expression, checked_timezone, next_after

NOON = datetime(2026, 3, 10, 12, 0, 0, tzinfo=UTC)


@pytest.mark.parametrize(
    ("expression", "due"),
    [
        ("* * * * *", "2026-03-10T12:01:00"),
        ("*/5 * * * *", "2026-03-10T12:05:00"),
        ("30 */2 * * * *", "2026-03-10T12:00:30"),
        ("0 9-11,13 * * *", "2026-03-10T13:00:00"),
        ("0 0 * * 7", "2026-03-15T00:00:00"),
        ("0 0 * * 0", "2026-03-15T00:00:00"),
        ("0 0 29 2 *", "2028-02-29T00:00:00"),
        ("@yearly", "2027-01-01T00:00:00"),
        ("@monthly", "2026-04-01T00:00:00"),
        ("@weekly", "2026-03-15T00:00:00"),
        ("@daily", "2026-03-11T00:00:00"),
        ("@HOURLY", "2026-03-10T13:00:00"),
    ],
)
def test_an_expression_is_next_due(expression: str, due: str):
    assert next_after(expression, "UTC", NOON) == datetime.fromisoformat(due).replace(tzinfo=UTC)


def test_the_time_zone_counts():
    assert next_after("0 8 * * *", "Asia/Tokyo", NOON) == datetime(2026, 3, 10, 23, tzinfo=UTC)


def test_a_time_that_the_clocks_skip_is_due_when_they_have_jumped():
    before = datetime(2026, 3, 28, 12, tzinfo=UTC)
    due = next_after("30 2 * * *", "Europe/Prague", before)
    assert due == datetime(2026, 3, 29, 1, 0, tzinfo=UTC)


def test_a_time_that_the_clocks_show_twice_is_due_once():
    before = datetime(2026, 10, 24, 12, tzinfo=UTC)
    first = next_after("30 2 * * *", "Europe/Prague", before)
    second = next_after("30 2 * * *", "Europe/Prague", first)
    assert first == datetime(2026, 10, 25, 0, 30, tzinfo=UTC)
    assert second == datetime(2026, 10, 26, 1, 30, tzinfo=UTC)


def test_ten_seconds_pass_between_two_runs():
    due = next_after("* * * * * *", "UTC", NOON, previous=NOON)
    assert due == NOON + timedelta(seconds=10)
    assert next_after("0 * * * * *", "UTC", NOON, previous=NOON) == NOON + timedelta(minutes=1)


@pytest.mark.parametrize(
    "expression",
    [
        "",
        "* * * *",
        "* * * * * * *",
        "60 * * * *",
        "* * 30 2 *",
        "0 0 31 4,6 *",
        "5-1 * * * *",
        "*/0 * * * *",
        "@sometimes",
        "* * L * *",
        "* * * * 5L",
        "* * * * 5#2",
        "* * * * ?",
        "1,,2 * * * *",
        "9" * 300 + " * * * *",
        ("1," * 5000) + "1 * * * *",
    ],
)
def test_what_makes_no_sense_is_refused(expression: str):
    with pytest.raises(ApiError) as caught:
        checked_expression(expression)
    assert (caught.value.status, caught.value.type) == (400, "cron-expression-invalid")


@pytest.mark.parametrize("name", ["Mars/Olympus", "", "America", "../UTC", "/etc/passwd"])
def test_unknown_time_zones_are_refused(name: str):
    with pytest.raises(ApiError) as caught:
        checked_timezone(name)
    assert caught.value.type == "invalid-value"
