"""Reads are noted together, and survive a database that cannot take them for a while."""

from collections.abc import AsyncGenerator
from pathlib import Path

import pytest
from sqlalchemy import Connection, text
from sqlalchemy.exc import OperationalError

from callboard.api.refs import ById
from callboard.core import clock
from callboard.core.caller import Caller
from callboard.db.sqlite import SqliteDatabase
from callboard.storages.model import StorageKind
from callboard.storages.service import Need, StorageService
from callboard.users import repository as users


@pytest.fixture
async def db(tmp_path: Path) -> AsyncGenerator[SqliteDatabase]:
    db = SqliteDatabase(tmp_path / "test.db")
    yield db
    await db.close()


async def execute(db: SqliteDatabase, statement: str) -> None:
    def unit(tx: Connection) -> None:
        tx.execute(text(statement))

    await db.write(unit)


async def test_reads_that_cannot_be_noted_are_noted_later(db: SqliteDatabase):
    user = await db.write(lambda tx: users.create_user(tx, "ann", at=clock.now()))
    caller = Caller(user.id, user.username)
    service = StorageService(db, StorageKind.DATASET)
    storage, _ = await service.get_or_create(caller, name="read")
    service.touch(storage, read_count=3)
    await execute(db, "ALTER TABLE storages RENAME COLUMN read_count TO gone")
    with pytest.raises(OperationalError):
        await service.close()
    await execute(db, "ALTER TABLE storages RENAME COLUMN gone TO read_count")
    service.touch(storage, read_count=1)
    await service.close()
    found = await service.find(caller, ById(storage.id), Need.READ)
    assert found.read_count == 4
