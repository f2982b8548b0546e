"""A dataset service on a real database, with an account."""

from collections.abc import AsyncGenerator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import msgspec
import pytest
from sqlalchemy import insert

from callboard.api.refs import ById
from callboard.core import clock
from callboard.core.caller import Caller
from callboard.datasets.model import ItemQuery
from callboard.datasets.service import DatasetService
from callboard.db.sqlite import SqliteDatabase
from callboard.db.tables import users
from callboard.storages.model import Storage
from callboard.storages.service import Need
from callboard.usage.meter import Meter

CALLER = Caller(user_id="u" * 17, username="alice")


@dataclass
class Bench:
    db: SqliteDatabase
    meter: Meter
    service: DatasetService
    caller: Caller = CALLER

    @classmethod
    async def open(cls, path: Path) -> "Bench":
        db = SqliteDatabase(path)
        row = {"id": CALLER.user_id, "username": CALLER.username, "created_at": clock.now()}
        await db.write(
            lambda tx: tx.execute(insert(users).values(**row, proxy_password="", settings={}))
        )
        meter = Meter(db)
        return cls(db, meter, DatasetService(db, meter))

    async def close(self) -> None:
        await self.service.close()
        await self.meter.flush()
        await self.db.close()

    async def dataset(self, **options: Any) -> Storage:
        return (await self.service.get_or_create(self.caller, name=None, **options))[0]

    async def push(self, dataset: Storage, items: Any) -> None:
        await self.service.push(self.caller, ById(dataset.id), msgspec.json.encode(items))

    async def again(self, dataset: Storage) -> Storage:
        return await self.service.find(self.caller, ById(dataset.id), Need.READ)

    async def read(self, dataset: Storage, query: ItemQuery) -> bytes:
        page = self.service.read_items(await self.again(dataset), query, caller=self.caller)
        document = b"".join([chunk async for chunk in page.body])
        page.body.close()
        return document


@pytest.fixture
async def bench(tmp_path: Path) -> AsyncGenerator[Bench]:
    made = await Bench.open(tmp_path / "callboard.db")
    yield made
    await made.close()
