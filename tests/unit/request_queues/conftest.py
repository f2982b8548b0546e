"""A queue service on a real database, with a clock that tests set."""

from collections.abc import AsyncGenerator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from sqlalchemy import Connection, insert

from callboard.core.caller import Caller
from callboard.db.sqlite import SqliteDatabase
from callboard.db.tables import users
from callboard.request_queues.model import Access, Client, Draft
from callboard.request_queues.schemas import parse_draft
from callboard.request_queues.service import RequestQueueService
from callboard.usage.meter import Meter

ACCOUNT = Caller("user1", "alice")


class Clock:
    def __init__(self) -> None:
        self.now = datetime(2026, 1, 1, tzinfo=UTC)

    def __call__(self) -> datetime:
        return self.now

    def pass_secs(self, secs: float) -> None:
        self.now += timedelta(seconds=secs)


class Queue:
    """One queue, with requests by name."""

    def __init__(self, service: RequestQueueService, access: Access) -> None:
        self.service = service
        self.access = access

    @classmethod
    async def create(cls, service: RequestQueueService, *names: str) -> "Queue":
        storage, _ = await service.get_or_create(ACCOUNT, name=None)
        made = cls(service, Access(storage, ACCOUNT, Client("one", None)))
        if names:
            await made.add(*names)
        return made

    def used_by(self, key: str | None, *, run_id: str | None = None) -> "Queue":
        caller = Caller("user1", "alice", run_id=run_id)
        return Queue(self.service, Access(self.access.queue, caller, Client(key, run_id)))

    async def add(self, *names: str, forefront: bool = False) -> None:
        drafts = [draft(name) for name in names]
        await self.service.add_requests(self.access, drafts, forefront=forefront)

    async def update(self, name: str, *, is_handled: bool = False, forefront: bool = False) -> None:
        changed = draft(name, is_handled=is_handled)
        await self.service.update_request(self.access, changed, forefront=forefront)

    async def head(self, limit: int = 1000) -> list[str]:
        head = await self.service.get_head(self.access, limit=limit)
        return [item.unique_key for item in head.items]

    async def lock(self, limit: int = 25, *, secs: float = 60) -> list[str]:
        head = await self.service.locking.lock_head(
            self.access, limit=limit, duration=timedelta(seconds=secs)
        )
        return [item.unique_key for item in head.items]

    async def prolong(self, name: str, *, secs: float = 60, forefront: bool = False) -> datetime:
        return await self.service.locking.prolong(
            self.access, draft(name).id, duration=timedelta(seconds=secs), forefront=forefront
        )

    async def release(self, name: str, *, forefront: bool = False) -> None:
        await self.service.locking.release(self.access, draft(name).id, forefront=forefront)


def draft(name: str, *, is_handled: bool = False) -> Draft:
    body = {"uniqueKey": name, "url": f"https://example.com/{name}"}
    if is_handled:
        body["handledAt"] = "2026-01-01T00:00:00.000Z"
    return parse_draft(body)


def add_account(tx: Connection) -> None:
    tx.execute(
        insert(users).values(
            id=ACCOUNT.user_id,
            username=ACCOUNT.username,
            created_at=datetime.now(UTC),
            proxy_password="secret",
            settings={},
        )
    )


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
async def db(tmp_path: Path) -> AsyncGenerator[SqliteDatabase]:
    database = SqliteDatabase(tmp_path / "test.db")
    await database.write(add_account)
    yield database
    await database.close()


@pytest.fixture
async def service(db: SqliteDatabase, clock: Clock) -> AsyncGenerator[RequestQueueService]:
    meter = Meter(db)
    made = RequestQueueService(db, meter, now=clock)
    yield made
    await made.close()
    await meter.flush()
