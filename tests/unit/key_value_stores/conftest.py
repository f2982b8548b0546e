"""A service over a real database and real files, without HTTP."""

from collections.abc import AsyncGenerator
from dataclasses import dataclass
from pathlib import Path

import pytest
from sqlalchemy import Connection, insert

from callboard.api.refs import ById
from callboard.blobs.files import FileBlobStore
from callboard.core import clock
from callboard.core.caller import Caller
from callboard.core.ids import new_id
from callboard.db.sqlite import SqliteDatabase
from callboard.db.tables import users
from callboard.key_value_stores.content import read_plain
from callboard.key_value_stores.service import KeyValueStoreService
from callboard.storages.model import Storage
from callboard.usage.meter import Meter


@dataclass
class Stores:
    """The service, with an account that calls it."""

    service: KeyValueStoreService
    db: SqliteDatabase
    blobs: FileBlobStore
    caller: Caller
    meter: Meter

    @classmethod
    async def open(cls, folder: Path) -> "Stores":
        db = SqliteDatabase(folder / "test.db")
        blobs = FileBlobStore(folder / "blobs")
        meter = Meter(db)
        caller = Caller(user_id=new_id(), username="someone")
        await db.write(lambda tx: _add_user(tx, caller))
        return cls(KeyValueStoreService(db, blobs, meter), db, blobs, caller, meter)

    async def close(self) -> None:
        await self.service.close()
        await self.meter.flush()
        await self.blobs.close()
        await self.db.close()

    async def new(self) -> Storage:
        return (await self.service.get_or_create(self.caller, name=None))[0]

    async def put(self, store: Storage, key: str, value: bytes, coding: str | None = None) -> None:
        await self.service.set_record(
            self.caller, store, key, value, content_type="text/plain", content_encoding=coding
        )

    async def get(self, store: Storage, key: str) -> bytes | None:
        record = await self.service.read_record(store, key)
        return None if record is None else await read_plain(record, limit=1 << 30)

    async def blob_ids(self) -> set[str]:
        before = clock.now().replace(year=clock.now().year + 1)
        return {one async for ids in self.blobs.list_ids(before=before) for one in ids}

    async def delete(self, store: Storage) -> None:
        await self.service.delete(self.caller, ById(store.id))


def _add_user(tx: Connection, caller: Caller) -> None:
    tx.execute(
        insert(users).values(
            id=caller.user_id,
            username=caller.username,
            created_at=clock.now(),
            proxy_password="",
            settings={},
        )
    )


@pytest.fixture
async def stores(tmp_path: Path) -> AsyncGenerator[Stores]:
    opened = await Stores.open(tmp_path)
    yield opened
    await opened.close()
