"""The ticker: starts what schedules ask for when it is due. It sleeps until then, or until a schedule changes.

Each action of an invocation is started at most once: the transaction that creates its run notes it in the schedule's
row. After a crash the schedule is still due, and only what is not noted there is started.
"""

import asyncio
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfoNotFoundError

import structlog
from sqlalchemy import Connection

from callboard.core import clock
from callboard.core.clock import iso
from callboard.core.errors import ApiError
from callboard.core.signals import Listener, Signals
from callboard.db.base import Database
from callboard.runs import repository as run_rows
from callboard.runs.model import Run
from callboard.schedules import repository
from callboard.schedules.actions import ActionStarter
from callboard.schedules.cron import next_after
from callboard.schedules.errors import CronExpressionInvalid
from callboard.schedules.model import LogEntry, MissedPolicy, Schedule
from callboard.schedules.service import SCHEDULES

log = structlog.get_logger()

MISSED_AFTER = timedelta(minutes=1)
"""What is later than that was due while the server was down or the machine asleep."""
RETRY_SECS = 5.0


class _Overtaken(Exception):
    """The schedule was changed, disabled or deleted while it was being invoked."""


@dataclass(frozen=True)
class _Invocation:
    schedule: Schedule
    at: datetime
    """When it was due."""

    def has_come_to(self, action: dict[str, Any]) -> bool:
        """Whether the action was started, or failed, before a crash."""
        noted = self.schedule.last_run_ids.get(action["id"])
        return noted is not None and noted["scheduledAt"] == iso(self.at)

    @property
    def earlier_run_ids(self) -> list[str]:
        return [
            noted["runId"]
            for noted in self.schedule.last_run_ids.values()
            if "runId" in noted and noted["scheduledAt"] != iso(self.at)
        ]


class Ticker:
    """One per database."""

    def __init__(
        self, db: Database, signals: Signals, starter: ActionStarter, *, missed: MissedPolicy
    ) -> None:
        self._db = db
        self._signals = signals
        self._starter = starter
        self._missed = missed

    async def run(self) -> None:
        """Tick until cancelled."""
        watch = clock.Watch()
        async with self._signals.listen(SCHEDULES) as changes:
            while True:
                try:
                    if watch.was_set_back():
                        await self._db.write(_find_sooner)
                        watch.heed()
                    soonest = await self._db.read(repository.soonest)
                    due_at = None if soonest is None else soonest.next_run_at
                    if soonest is None or due_at is None:
                        await changes.wait()
                    elif due_at > clock.now():
                        await _sleep_until(due_at, changes)
                    else:
                        await self._invoke(_Invocation(soonest, due_at))
                except Exception as error:
                    log.error("ticker.failed", exc_info=error)
                    await asyncio.sleep(RETRY_SECS)

    async def _invoke(self, invocation: _Invocation) -> None:
        """Start the actions and set when the schedule is due next, whatever comes of them."""
        schedule = invocation.schedule
        try:
            message = await self._reason_to_skip(invocation)
            if message is None:
                await self._start_actions(invocation)
            else:
                await self._note(schedule.id, "WARN", message)
        except _Overtaken:
            return
        except Exception as error:
            log.error("schedule.failed", schedule_id=schedule.id, exc_info=error)
        await self._db.write(lambda tx: _advance(tx, invocation))

    async def _reason_to_skip(self, invocation: _Invocation) -> str | None:
        is_missed = clock.now() - invocation.at > MISSED_AFTER
        if is_missed and self._missed is MissedPolicy.SKIP:
            at = iso(invocation.at)
            return f"Not invoked at {at}: the server was not running then, or its clock was behind."
        if not invocation.schedule.is_exclusive:
            return None
        active = await self._db.read(lambda tx: _first_unfinished(tx, invocation.earlier_run_ids))
        return None if active is None else f"Not invoked: the earlier run {active} has not ended."

    async def _start_actions(self, invocation: _Invocation) -> None:
        for action in invocation.schedule.actions:
            if not invocation.has_come_to(action):
                await self._start(invocation, action)

    async def _start(self, invocation: _Invocation, action: dict[str, Any]) -> None:
        def on_start(tx: Connection, run: Run) -> None:
            _note_outcome(tx, invocation, action, "INFO", f"Started run {run.id}.", run_id=run.id)

        try:
            run = await self._starter.start(invocation.schedule, action, invocation.at, on_start)
        except ApiError as error:
            message = f"Nothing was started ({error.type}): {error.message}"
            await self._db.write(lambda tx: _note_outcome(tx, invocation, action, "ERROR", message))
        else:
            log.info("schedule.started", schedule_id=invocation.schedule.id, run_id=run.id)

    async def _note(self, schedule_id: str, level: str, message: str) -> None:
        entry = LogEntry(clock.now(), level, message)
        await self._db.write(lambda tx: repository.add_log(tx, schedule_id, entry))


async def _sleep_until(due_at: datetime, changes: Listener) -> None:
    """Return when the instant has come, the schedules have changed, or it is time to look at the clock again."""
    left = (due_at - clock.now()).total_seconds()
    await changes.wait(min(max(left, 0), clock.LOOK_AGAIN_SECS))


def _current(tx: Connection, invocation: _Invocation) -> Schedule:
    """The schedule as it is now. Raises _Overtaken when it is not to be invoked any more."""
    schedule = repository.by_id(tx, invocation.schedule.id)
    if schedule is None or not schedule.is_enabled or schedule.next_run_at != invocation.at:
        raise _Overtaken
    return schedule


def _note_outcome(
    tx: Connection,
    invocation: _Invocation,
    action: dict[str, Any],
    level: str,
    message: str,
    *,
    run_id: str | None = None,
) -> None:
    schedule = _current(tx, invocation)
    noted = {"scheduledAt": iso(invocation.at), **({"runId": run_id} if run_id else {})}
    last = {**schedule.last_run_ids, action["id"]: noted}
    repository.change(tx, schedule.id, last_run_ids=last)
    repository.add_log(tx, schedule.id, LogEntry(clock.now(), level, message))


def _advance(tx: Connection, invocation: _Invocation) -> None:
    try:
        schedule = _current(tx, invocation)
    except _Overtaken:
        return
    now = max(clock.now(), invocation.at)
    ids = {action["id"] for action in schedule.actions}
    repository.change(
        tx,
        schedule.id,
        last_run_at=invocation.at,
        next_run_at=next_after(
            schedule.cron_expression, schedule.timezone, now, previous=invocation.at
        ),
        last_run_ids={key: noted for key, noted in schedule.last_run_ids.items() if key in ids},
    )


def _find_sooner(tx: Connection) -> None:
    """After the clock was set back: what was to come next by the old time may now come sooner."""
    now = clock.now()
    for schedule in repository.waiting(tx, after=now):
        last = schedule.last_run_at
        previous = None if last is None or last > now else last
        # One whose time cannot be told must not keep the others from theirs.
        with suppress(CronExpressionInvalid, ZoneInfoNotFoundError):
            due_at = next_after(schedule.cron_expression, schedule.timezone, now, previous=previous)
            if schedule.next_run_at is not None and due_at < schedule.next_run_at:
                repository.change(tx, schedule.id, next_run_at=due_at)


def _first_unfinished(tx: Connection, run_ids: list[str]) -> str | None:
    for run_id in run_ids:
        run = run_rows.by_id(tx, run_id)
        if run is not None and not run.status.is_terminal:
            return run_id
    return None
