"""Recording ends: a full disk delays them and loses none."""

import asyncio
from pathlib import Path

import pytest
from sqlalchemy import Connection, text
from sqlalchemy.exc import IntegrityError

from callboard.db.sqlite import SqliteDatabase
from callboard.jobs.recording import record


def note(tx: Connection) -> str:
    tx.execute(text("INSERT INTO ends VALUES (1, zeroblob(1000000))"))
    return "recorded"


async def test_an_end_is_recorded_once_there_is_room_again(tmp_path: Path):
    db = SqliteDatabase(tmp_path / "a.db")
    await db.write(lambda tx: tx.execute(text("CREATE TABLE ends (id INTEGER PRIMARY KEY, body)")))
    await db.write(lambda tx: tx.exec_driver_sql("PRAGMA max_page_count=1").scalar())
    recording = asyncio.create_task(record(db, note, owner_id="a"))
    done, _ = await asyncio.wait([recording], timeout=0.2)
    assert not done
    await db.write(lambda tx: tx.exec_driver_sql("PRAGMA max_page_count=100000").scalar())
    async with asyncio.timeout(10):
        assert await recording == "recorded"
    await db.close()


async def test_an_error_that_waiting_does_not_cure_is_raised_at_once(tmp_path: Path):
    db = SqliteDatabase(tmp_path / "a.db")
    await db.write(lambda tx: tx.execute(text("CREATE TABLE ends (id INTEGER PRIMARY KEY, body)")))
    await record(db, note, owner_id="a")
    with pytest.raises(IntegrityError):
        await record(db, note, owner_id="a")
    await db.close()
