"""Operations on schedules: find, create, change, delete."""

from collections.abc import Callable
from dataclasses import replace
from datetime import datetime
from typing import Any

import msgspec
from msgspec import UNSET
from sqlalchemy import Connection
from sqlalchemy.exc import IntegrityError

from callboard.actors.model import NAME
from callboard.api.pagination import Page, PageRequest
from callboard.api.refs import ById, Ref
from callboard.core import clock
from callboard.core.caller import Caller, require_account
from callboard.core.errors import InvalidValue
from callboard.core.ids import new_id
from callboard.core.signals import Signals
from callboard.db.base import Database
from callboard.schedules import repository
from callboard.schedules.actions import checked_actions
from callboard.schedules.cron import checked_expression, checked_timezone, next_after
from callboard.schedules.errors import (
    CronExpressionInvalid,
    ScheduleNameNotUnique,
    ScheduleNotFound,
    TooManySchedules,
)
from callboard.schedules.model import LogEntry, Schedule
from callboard.schedules.schemas import Notifications, ScheduleBody

SCHEDULES = "schedules"
"""The topic on which the ticker looks again."""


def find_schedule(tx: Connection, caller: Caller, ref: Ref) -> Schedule:
    """The caller's schedule. Raises ScheduleNotFound."""
    if isinstance(ref, ById):
        found = repository.by_id(tx, ref.id) or repository.by_name(tx, caller.user_id, ref.id)
    else:
        is_own = ref.username is None
        found = repository.by_name(tx, caller.user_id, ref.name) if is_own else None
    if found is None or not caller.owns(found.user_id):
        raise ScheduleNotFound
    return found


class ScheduleService:
    def __init__(self, db: Database, signals: Signals, *, max_schedules: int) -> None:
        self._db = db
        self._max_schedules = max_schedules
        self._signals = signals

    async def get(self, caller: Caller, ref: Ref) -> Schedule:
        require_account(caller)
        return await self._db.read(lambda tx: find_schedule(tx, caller, ref))

    async def page(self, caller: Caller, request: PageRequest) -> Page[Schedule]:
        require_account(caller)
        return await self._db.read(lambda tx: repository.page(tx, caller.user_id, request))

    async def log(self, caller: Caller, ref: Ref) -> list[LogEntry]:
        """What came of the schedule's invocations, newest first."""
        require_account(caller)
        return await self._db.read(
            lambda tx: repository.log_of(tx, find_schedule(tx, caller, ref).id)
        )

    async def create(self, caller: Caller, body: ScheduleBody) -> Schedule:
        """Enabled unless it says otherwise.

        Raises CronExpressionInvalid, ScheduleNameNotUnique, TooManySchedules, InvalidValue or an action's error.
        """
        require_account(caller)
        if not isinstance(body.cron_expression, str):
            raise CronExpressionInvalid("", "it is required")
        at = clock.now()
        blank = Schedule(
            id=new_id(),
            user_id=caller.user_id,
            username=caller.username,
            name=f"my-schedule-{new_id()[:8].lower()}",
            created_at=at,
            modified_at=at,
            title=None,
            description=None,
            cron_expression=body.cron_expression,
            timezone="UTC",
            is_enabled=True,
            is_exclusive=False,
            actions=[],
            notifications=msgspec.to_builtins(Notifications()),
            next_run_at=None,
            last_run_at=None,
            last_run_ids={},
        )

        def unit(tx: Connection) -> Schedule:
            if repository.count_of(tx, caller.user_id) >= self._max_schedules:
                raise TooManySchedules(self._max_schedules)
            schedule = _changed(tx, caller, blank, body, at)
            repository.insert_schedule(tx, schedule)
            return schedule

        return await self._write(unit)

    async def update(self, caller: Caller, ref: Ref, body: ScheduleBody) -> Schedule:
        """Change what is given. Raises what `create` raises."""
        require_account(caller)

        def unit(tx: Connection) -> Schedule:
            before = find_schedule(tx, caller, ref)
            schedule = _changed(tx, caller, before, body, clock.now())
            repository.change(tx, schedule.id, **_different(before, schedule))
            return schedule

        return await self._write(unit)

    async def delete(self, caller: Caller, ref: Ref) -> None:
        require_account(caller)
        await self._db.write(lambda tx: repository.remove(tx, find_schedule(tx, caller, ref).id))

    async def _write(self, unit: Callable[[Connection], Schedule]) -> Schedule:
        try:
            schedule = await self._db.write(unit)
        except IntegrityError as error:
            raise ScheduleNameNotUnique from error
        self._signals.notify(SCHEDULES)
        return schedule


def _changed(
    tx: Connection, caller: Caller, schedule: Schedule, body: ScheduleBody, at: datetime
) -> Schedule:
    given = {
        name: value
        for name in body.__struct_fields__
        if (value := getattr(body, name)) is not UNSET
    }
    values: dict[str, Any] = {
        name: value
        for name, value in given.items()
        if value is not None or name in ("title", "description")
    }
    if "name" in values and not NAME.fullmatch(values["name"]):
        raise InvalidValue(
            "A schedule's name has 3 to 63 letters, digits and hyphens, with no hyphen at the ends."
        )
    if "timezone" in values:
        checked_timezone(values["timezone"])
    if "cron_expression" in values:
        checked_expression(values["cron_expression"])
    if "actions" in values:
        values["actions"] = checked_actions(tx, caller, values["actions"])
    if "notifications" in values:
        values["notifications"] = msgspec.to_builtins(values["notifications"])
    return _planned(schedule, replace(schedule, modified_at=at, **values), at)


def _planned(before: Schedule, schedule: Schedule, at: datetime) -> Schedule:
    """The schedule with the instant it is due next. That stays when nothing about it has changed."""
    if not schedule.is_enabled:
        return replace(schedule, next_run_at=None)
    timing = ("cron_expression", "timezone")
    is_same = all(getattr(before, name) == getattr(schedule, name) for name in timing)
    if is_same and schedule.next_run_at is not None:
        return schedule
    due = next_after(schedule.cron_expression, schedule.timezone, at, previous=schedule.last_run_at)
    return replace(schedule, next_run_at=due)


def _different(before: Schedule, after: Schedule) -> dict[str, Any]:
    return {
        name: value
        for name in Schedule.__dataclass_fields__
        if (value := getattr(after, name)) != getattr(before, name)
    }
