"""When a cron expression is due, in a time zone with its clock changes."""

import re
from datetime import UTC, datetime, timedelta
from functools import cache
from zoneinfo import ZoneInfo, available_timezones

from cronsim import CronSim, CronSimError

from callboard.core.errors import InvalidValue
from callboard.schedules.errors import CronExpressionInvalid

MIN_GAP = timedelta(seconds=10)
"""Between two runs of a schedule. What would be due earlier is left out."""
_MAX_LENGTH = 200
_PLAIN = re.compile(r"[0-9A-Za-z*,/\- \t]*")
_ALIASES = {
    "@yearly": "0 0 1 1 *",
    "@annually": "0 0 1 1 *",
    "@monthly": "0 0 1 * *",
    "@weekly": "0 0 * * 0",
    "@daily": "0 0 * * *",
    "@midnight": "0 0 * * *",
    "@hourly": "0 * * * *",
}


@cache
def _zone_names() -> frozenset[str]:
    return frozenset(available_timezones())


def checked_timezone(name: str) -> str:
    """Raises InvalidValue."""
    if name not in _zone_names():
        raise InvalidValue(f'There is no time zone "{name}".')
    return name


def checked_expression(expression: str) -> str:
    """The expression as it was given. Raises CronExpressionInvalid, also when it is never due."""
    next_after(expression, "UTC", datetime.now(UTC))
    return expression


def next_after(
    expression: str, timezone: str, after: datetime, *, previous: datetime | None = None
) -> datetime:
    """The first instant after `after` at which it is due, and no sooner than allowed after the previous one.

    A time of day that the clocks skip is due when they have been put forward; one that they show twice is due once,
    unless the expression has a field for seconds. Raises CronExpressionInvalid.
    """
    earliest = after if previous is None else max(after, previous + MIN_GAP - timedelta(seconds=1))
    try:
        due = CronSim(_plain(expression), earliest.astimezone(ZoneInfo(timezone)))
        return next(due).astimezone(UTC)
    except CronSimError as error:
        raise CronExpressionInvalid(expression, str(error)) from error
    except (StopIteration, OverflowError) as error:
        raise CronExpressionInvalid(expression, "it is never due") from error


def _plain(expression: str) -> str:
    text = expression.strip()
    text = _ALIASES.get(text.lower(), text)
    if len(text) > _MAX_LENGTH or not _PLAIN.fullmatch(text):
        raise CronExpressionInvalid(expression[:_MAX_LENGTH], "it has unknown characters")
    fields = text.split()
    if len(fields) >= 5 and any("L" in part.upper() for part in (fields[-1], fields[-3])):
        raise CronExpressionInvalid(expression, '"L" is not supported')
    return text
