"""What an account may use and has used, month by month. A month is a calendar month in UTC."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from callboard.core.caps import Caps

UNLIMITED = 999_999_999
"""For limits that the contract wants as a number and this server does not have."""


@dataclass(frozen=True)
class Cycle:
    """A month, from its first instant to its last millisecond."""

    start_at: datetime
    end_at: datetime

    @property
    def first_day(self) -> str:
        return self.start_at.date().isoformat()

    @property
    def last_day(self) -> str:
        return self.end_at.date().isoformat()


def cycle_of(instant: datetime) -> Cycle:
    """The month that an instant lies in."""
    start = datetime(instant.year, instant.month, 1, tzinfo=UTC)
    following = datetime(instant.year + instant.month // 12, instant.month % 12 + 1, 1, tzinfo=UTC)
    return Cycle(start, following - timedelta(milliseconds=1))


@dataclass(frozen=True)
class DayUsage:
    """What was used on a day, by service."""

    day: str
    quantities: Mapping[str, float]


@dataclass(frozen=True)
class Holdings:
    """What an account has at this moment."""

    actor_count: int
    task_count: int
    schedule_count: int
    active_job_count: int
    active_memory_mbytes: int


@dataclass(frozen=True)
class AccountLimits:
    """Limits that an account has set for itself, else the server's."""

    max_monthly_usage_usd: float
    retention_days: int
    memory_limit_mbytes: int
    """For all accounts together."""
    caps: Caps
