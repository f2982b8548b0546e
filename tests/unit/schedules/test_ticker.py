"""The ticker looks at the clock by itself: nobody tells it when that has been set."""

import asyncio
from collections.abc import AsyncGenerator
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import cast

import pytest
from sqlalchemy import Connection

from callboard.core import clock
from callboard.core.ids import new_id
from callboard.core.signals import Signals
from callboard.db.sqlite import SqliteDatabase
from callboard.schedules import repository
from callboard.schedules.actions import ActionStarter
from callboard.schedules.model import MissedPolicy, Schedule
from callboard.schedules.ticker import Ticker
from callboard.users import repository as users

NOON = datetime(2026, 3, 4, 12, tzinfo=UTC)


@pytest.fixture
async def db(tmp_path: Path) -> AsyncGenerator[SqliteDatabase]:
    db = SqliteDatabase(tmp_path / "test.db")
    yield db
    await db.close()


def daily_at_noon(tx: Connection, *, next_run_at: datetime) -> str:
    """Id of a schedule that starts nothing."""
    user, now = users.create_user(tx, "me", at=clock.now()), clock.now()
    schedule_id = new_id()
    who = (schedule_id, user.id, user.username, "daily", now, now, None, None)
    when = ("0 12 * * *", "UTC", True, False)
    repository.insert_schedule(tx, Schedule(*who, *when, [], {}, next_run_at, None, {}))
    return schedule_id


async def until_due_at(db: SqliteDatabase, schedule_id: str, wanted: datetime) -> None:
    async with asyncio.timeout(10):
        while True:
            schedule = await db.read(lambda tx: repository.by_id(tx, schedule_id))
            if schedule is not None and schedule.next_run_at == wanted:
                return
            await asyncio.sleep(0.01)


async def test_a_clock_that_is_set_back_is_noticed_by_a_ticker_that_sleeps(
    db: SqliteDatabase, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(clock, "LOOK_AGAIN_SECS", 0.05)
    monkeypatch.setattr(clock, "now", lambda: NOON - timedelta(hours=1))
    schedule_id = await db.write(lambda tx: daily_at_noon(tx, next_run_at=NOON + timedelta(days=1)))
    ticker = Ticker(db, Signals(), cast("ActionStarter", None), missed=MissedPolicy.ONCE)
    running = asyncio.create_task(ticker.run())
    await until_due_at(db, schedule_id, NOON)  # as at each start
    await db.write(lambda _: None)  # by then the ticker knows of its own write, and sleeps
    monkeypatch.setattr(clock, "now", lambda: NOON - timedelta(days=1, hours=1))
    await until_due_at(db, schedule_id, NOON - timedelta(days=1))
    running.cancel()
    with suppress(asyncio.CancelledError):
        await running
