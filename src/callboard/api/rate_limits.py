"""How many requests one account may make of one resource: counted in memory, at a cost far below that of any call.

A bucket holds one number, the instant at which it will be full again. So nothing has to be counted down, and one that
has been full for a while can be forgotten: two generations of buckets, the older one dropped as often as a bucket
takes to fill, hold exactly those that matter.
"""

import time
from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum
from typing import Final, TypeAlias

from callboard.api.errors import RateLimitExceeded

BUCKETS_MAX: Final = 100_000
"""Of a generation. Beyond, older ones are forgotten sooner: a little leniency rather than the server's memory."""

Key: TypeAlias = tuple[object, ...]


class Rate(StrEnum):
    """Which of the rates goes for a route."""

    USUAL = "usual"
    RECORDS = "records"
    """Reading, writing and deleting single records."""
    BUSY = "busy"
    """What crawls do all the time: starting runs, pushing items, adding and changing requests."""


@dataclass(frozen=True)
class Rates:
    """Requests a second on one resource, and a minute of one account; of an address, where there is no token."""

    per_second: dict[Rate, int]
    per_minute: int


class RateLimiter:
    """For the event loop's thread only. Not `is_enforced`, it tells the rates and lets everything through."""

    def __init__(
        self, rates: Rates, *, is_enforced: bool, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._is_enforced = is_enforced
        self._clock = clock
        self._accounts = _Buckets(rates.per_minute, 60.0)
        self._resources = {rate: _Buckets(count, 1.0) for rate, count in rates.per_second.items()}
        self._headers = {
            rate: (b"x-ratelimit-limit", str(count).encode())
            for rate, count in rates.per_second.items()
        }

    def header(self, rate: Rate) -> tuple[bytes, bytes]:
        """What every answer tells, so that clients can pace themselves."""
        return self._headers[rate]

    def count(self, who: str, rate: Rate, resource: str) -> None:
        """Count a request. Raises RateLimitExceeded when one of the two rates is used up."""
        if not self._is_enforced:
            return
        now = self._clock()
        if not (
            self._resources[rate].take((who, resource), now) and self._accounts.take((who,), now)
        ):
            raise RateLimitExceeded


class _Buckets:
    """Buckets of the same size, each filling up again within `fill_secs`."""

    def __init__(self, size: int, fill_secs: float) -> None:
        self._fill_secs = fill_secs
        self._drop_secs = fill_secs / size
        self._newer: dict[Key, float] = {}
        self._older: dict[Key, float] = {}
        self._turns_at = 0.0

    def take(self, key: Key, now: float) -> bool:
        """Take a drop from the key's bucket, if there is one left."""
        if now >= self._turns_at or len(self._newer) >= BUCKETS_MAX:
            self._turn(now)
        full_at = self._newer.get(key) or self._older.get(key) or now
        full_at = max(full_at, now) + self._drop_secs
        # The slack is for sums of binary fractions: a bucket of sixty holds sixty.
        if full_at - now > self._fill_secs + self._drop_secs / 2:
            return False
        self._newer[key] = full_at
        return True

    def _turn(self, now: float) -> None:
        self._older, self._newer = self._newer, {}
        self._turns_at = now + self._fill_secs
