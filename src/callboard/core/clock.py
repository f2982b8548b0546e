"""Time as the platform sees it: aware UTC datetimes of millisecond precision.

That clock may be set, forward or back. What lasts is measured from a `Mark` instead, on one that nobody sets.
"""

import time
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import cache
from pathlib import Path

LOOK_AGAIN_SECS = 60.0
"""For who waits for an instant: timers stand still while a machine sleeps, and know nothing of clocks being set."""
_SET_BACK_MILLIS = 1000
"""Less than that is the clock being kept right."""


def now() -> datetime:
    """The current instant, cut to milliseconds so that what is stored equals what is shown."""
    instant = datetime.now(UTC)
    return instant.replace(microsecond=instant.microsecond // 1000 * 1000)


def iso(instant: datetime) -> str:
    """ISO 8601 in UTC with milliseconds and `Z`, the contract's only date format."""
    return instant.astimezone(UTC).isoformat(timespec="milliseconds").removesuffix("+00:00") + "Z"


def iso_or_none(instant: datetime | None) -> str | None:
    return None if instant is None else iso(instant)


def parse_iso(text: str) -> datetime:
    """Read an ISO 8601 instant; one without an offset is UTC. Raises ValueError for anything else."""
    instant = datetime.fromisoformat(text)
    try:
        return instant.replace(tzinfo=UTC) if instant.tzinfo is None else instant.astimezone(UTC)
    except OverflowError as error:
        raise ValueError(f"{text} is out of range") from error


def to_millis(instant: datetime) -> int:
    return round(instant.timestamp() * 1000)


def from_millis(millis: int) -> datetime:
    return datetime.fromtimestamp(millis / 1000, UTC)


@dataclass(frozen=True)
class Mark:
    """A moment to measure from, also for a later process."""

    at_millis: int
    """By the clock, for people."""
    steady_millis: int
    """By the one that nobody sets, which begins anew with the machine."""
    boot_id: str

    def passed_millis(self) -> int:
        """Time since then, whatever was done to the clock. Only over a start of the machine does the clock count."""
        if self.boot_id == _boot_id():
            return max(0, _steady_millis() - self.steady_millis)
        return max(0, to_millis(now()) - self.at_millis)


def mark() -> Mark:
    """This moment."""
    return Mark(to_millis(now()), _steady_millis(), _boot_id())


class Watch:
    """Tells whether the clock was set back, so that what is due by it has come to lie too far ahead."""

    def __init__(self) -> None:
        self._ahead: int | None = None
        """Of the clock that nobody sets, at most, since the last time it was heeded."""

    def was_set_back(self) -> bool:
        """Also at first: nobody knows what was done before."""
        ahead = _ahead_millis()
        if self._ahead is None:
            return True
        self._ahead = max(self._ahead, ahead)
        return self._ahead - ahead > _SET_BACK_MILLIS

    def heed(self) -> None:
        """What follows from it has been done."""
        self._ahead = _ahead_millis()


def _ahead_millis() -> int:
    return to_millis(now()) - _steady_millis()


def _steady_millis() -> int:
    return time.monotonic_ns() // 1_000_000


@cache
def _boot_id() -> str:
    return Path("/proc/sys/kernel/random/boot_id").read_text().strip()
