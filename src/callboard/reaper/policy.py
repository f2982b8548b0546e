"""How long things are kept: storages and runs for the retention of their account, unused builds for longer."""

from dataclasses import dataclass
from datetime import datetime, timedelta

KEEP_RUNS = 10
"""The newest of each Actor are kept for ever."""
UNUSED_BUILD_AGE = timedelta(days=90)
DISPATCH_AGE = timedelta(days=30)


@dataclass(frozen=True)
class Policy:
    retention_days: int
    """For accounts that have not chosen their own."""

    def cutoff(self, days: int | None, now: datetime) -> datetime:
        return now - timedelta(days=self.retention_days if days is None else days)
