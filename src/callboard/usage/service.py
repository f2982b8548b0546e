"""What an account uses and may use: limits it can set for itself, and its usage of a month."""

from datetime import datetime

from msgspec import UNSET
from sqlalchemy import Connection

from callboard.core import clock
from callboard.core.caller import Caller, require_account
from callboard.core.caps import Caps
from callboard.core.errors import InvalidValue
from callboard.db.base import Database
from callboard.usage import repository
from callboard.usage.meter import Meter
from callboard.usage.model import UNLIMITED, AccountLimits, Cycle, DayUsage, Holdings, cycle_of
from callboard.usage.schemas import LimitsChange

RETENTION_MAX_DAYS = 36_500
FIRST_YEAR, LAST_YEAR = 1970, 9998


class UsageService:
    """`retention_days`, `memory_limit_mbytes` and `caps` are the server's settings."""

    def __init__(
        self,
        db: Database,
        meter: Meter,
        *,
        retention_days: int,
        memory_limit_mbytes: int,
        caps: Caps,
    ) -> None:
        self._caps = caps
        self._db = db
        self._meter = meter
        self._retention_days = retention_days
        self._memory_limit_mbytes = memory_limit_mbytes

    async def limits(self, caller: Caller) -> tuple[Cycle, AccountLimits, Holdings, list[DayUsage]]:
        """This month, the account's limits, what it holds now and what it has used this month."""
        cycle = cycle_of(clock.now())
        await self._meter.flush()

        def unit(tx: Connection) -> tuple[Cycle, AccountLimits, Holdings, list[DayUsage]]:
            settings = repository.settings_of(tx, caller.user_id)
            limits = AccountLimits(
                max_monthly_usage_usd=settings.get("maxMonthlyUsageUsd", UNLIMITED),
                retention_days=settings.get("dataRetentionDays", self._retention_days),
                memory_limit_mbytes=self._memory_limit_mbytes,
                caps=self._caps,
            )
            days = repository.days(tx, caller.user_id, cycle)
            return cycle, limits, repository.holdings(tx, caller.user_id), days

        return await self._db.read(unit)

    async def change_limits(self, caller: Caller, change: LimitsChange) -> None:
        """Keep what is given. Money does not exist here, so a limit in USD is shown but never reached.

        Raises InvalidValue.
        """
        require_account(caller)
        changes: dict[str, float] = {}
        if change.max_monthly_usage_usd is not UNSET:
            if change.max_monthly_usage_usd < 0:
                raise InvalidValue("maxMonthlyUsageUsd must not be negative.")
            changes["maxMonthlyUsageUsd"] = change.max_monthly_usage_usd
        if change.data_retention_days is not UNSET:
            if not 1 <= change.data_retention_days <= RETENTION_MAX_DAYS:
                raise InvalidValue(f"dataRetentionDays must be from 1 to {RETENTION_MAX_DAYS}.")
            changes["dataRetentionDays"] = change.data_retention_days
        await self._db.write(lambda tx: repository.change_settings(tx, caller.user_id, changes))

    async def monthly(self, caller: Caller, at: datetime) -> tuple[Cycle, list[DayUsage]]:
        """The month that `at` lies in and what was used on its days. Raises InvalidValue."""
        if not FIRST_YEAR <= at.year <= LAST_YEAR:
            raise InvalidValue(f"The date must be in the years {FIRST_YEAR} to {LAST_YEAR}.")
        cycle = cycle_of(at)
        await self._meter.flush()
        return cycle, await self._db.read(lambda tx: repository.days(tx, caller.user_id, cycle))
