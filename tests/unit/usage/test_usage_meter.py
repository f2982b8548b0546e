"""Counts are written together, once each, and survive a database that cannot take them for a while."""

import asyncio
from collections.abc import AsyncGenerator
from pathlib import Path

import pytest
from sqlalchemy import Connection, text
from sqlalchemy.exc import OperationalError

from callboard.core.caller import Caller
from callboard.db.sqlite import SqliteDatabase
from callboard.usage import meter as meters
from callboard.usage.meter import Meter, Service, run_totals

ANN = Caller("ann", "ann", run_id="run")
COUNTED = "SELECT coalesce(sum(quantity), 0) FROM usage WHERE user_id = 'ann'"


@pytest.fixture
async def db(tmp_path: Path) -> AsyncGenerator[SqliteDatabase]:
    db = SqliteDatabase(tmp_path / "test.db")
    yield db
    await db.close()


async def of_account(db: SqliteDatabase) -> float:
    return await db.read(lambda tx: tx.execute(text(COUNTED)).scalar_one())


async def execute(db: SqliteDatabase, statement: str) -> None:
    def unit(tx: Connection) -> None:
        tx.execute(text(statement))

    await db.write(unit)


async def test_counts_are_added_up_for_the_account_and_the_run(db: SqliteDatabase):
    meter = Meter(db)
    for _ in range(3):
        meter.count(ANN, Service.DATASET_READS, 2)
        await meter.flush()
    assert await of_account(db) == 6
    assert await db.read(lambda tx: run_totals(tx, "run")) == {"DATASET_READS": 6}


async def test_what_cannot_be_written_is_kept_and_written_later(
    db: SqliteDatabase, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(meters, "FLUSH_AFTER_SECS", 0.01)
    meter = Meter(db)
    await execute(db, "ALTER TABLE usage RENAME TO elsewhere")
    meter.count(ANN, Service.DATASET_WRITES, 5)
    with pytest.raises(OperationalError):
        await meter.flush()
    meter.count(ANN, Service.DATASET_WRITES, 1)
    await execute(db, "ALTER TABLE elsewhere RENAME TO usage")
    async with asyncio.timeout(10):
        while not await of_account(db):
            await asyncio.sleep(0.01)
    await meter.flush()
    assert await of_account(db) == 6
    assert await db.read(lambda tx: run_totals(tx, "run")) == {"DATASET_WRITES": 6}
