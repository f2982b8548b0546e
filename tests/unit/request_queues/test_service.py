"""What queries and callers outside of HTTP rely on: costs, counting and the removal of deleted queues."""

from dataclasses import replace

import pytest
from sqlalchemy import Connection, event, func, select

from callboard.api.refs import ById, ByName
from callboard.core.caller import Caller
from callboard.db.prepared import Prepared
from callboard.db.sqlite import SqliteDatabase
from callboard.db.tables import requests, storages
from callboard.request_queues import repository
from callboard.request_queues.known import KnownQueues
from callboard.request_queues.listing import Cursor
from callboard.request_queues.model import RequestState
from callboard.request_queues.service import RequestQueueService
from callboard.storages.errors import StorageNotFound
from callboard.usage.meter import Meter, run_totals

from .conftest import ACCOUNT, Clock, Queue, draft


async def count(db: SqliteDatabase, table_pk: object) -> int:
    return await db.read(lambda tx: tx.execute(select(func.count(table_pk))).scalar_one())


async def test_the_first_read_by_a_client_is_noted_and_later_ones_write_nothing(
    service: RequestQueueService, db: SqliteDatabase, monkeypatch: pytest.MonkeyPatch
):
    queue = await Queue.create(service)
    writes: list[object] = []
    write = db.write
    monkeypatch.setattr(db, "write", lambda unit: (writes.append(unit), write(unit))[1])
    await queue.head()
    assert len(writes) == 1
    for _ in range(3):
        await queue.head()
        await service.list_requests(
            queue.access, states=frozenset({RequestState.PENDING}), cursor=Cursor(), limit=10
        )
    assert len(writes) == 1
    for key in ("two", "three", None):
        await queue.used_by(key).head()
    assert len(writes) == 2


async def test_adding_only_known_requests_leaves_the_disk_alone(
    service: RequestQueueService, db: SqliteDatabase
):
    queue = await Queue.create(service, "a", "b")

    def changes(tx: Connection) -> int:
        return tx.exec_driver_sql("SELECT total_changes()").scalar_one()

    before = await db.write(changes)
    await queue.add("b", "a")
    assert await db.write(changes) == before


async def test_no_query_of_a_crawl_looks_at_all_requests(
    service: RequestQueueService,
    db: SqliteDatabase,
    clock: Clock,
    monkeypatch: pytest.MonkeyPatch,
):
    """Handled requests are the most: anything that passes over them makes long crawls slow."""
    queue = await Queue.create(service, *"abc")
    statements: set[str] = set()

    def note(_c: object, _cursor: object, statement: str, *_: object) -> None:
        statements.add(statement)

    plan_of = Prepared._plan

    def noted_plan(self: Prepared, tx: Connection) -> object:
        plan = plan_of(self, tx)
        statements.add(plan.sql)
        return plan

    monkeypatch.setattr(Prepared, "_plan", noted_plan)
    engines = (db._reader_engine, db._writer_engine)
    for engine in engines:
        event.listen(engine, "before_cursor_execute", note)
    await queue.lock(2)
    clock.pass_secs(61)
    await queue.lock(3)
    await queue.prolong("a")
    await queue.release("b")
    await queue.update("a", is_handled=True)
    await queue.update("c", forefront=True)
    await queue.add("a", "d")
    await queue.head()
    await service.get_request(queue.access, draft("a").id)
    await service.locking.unlock_all(queue.access)
    for states in ({RequestState.LOCKED}, {RequestState.PENDING}, set(RequestState)):
        await service.list_requests(
            queue.access, states=frozenset(states), cursor=Cursor(), limit=10
        )
    for engine in engines:
        event.remove(engine, "before_cursor_execute", note)

    def plans(tx: Connection) -> list[str]:
        return [
            f"{row[3]} <- {statement}"
            for statement in statements
            if "requests" in statement and not statement.startswith("INSERT")
            for row in tx.exec_driver_sql(
                f"EXPLAIN QUERY PLAN {statement}", (None,) * statement.count("?")
            )
        ]

    searches = [plan for plan in await db.read(plans) if "requests" in plan.split(" <- ")[0]]
    assert len(searches) >= 12
    good = ("(queue_pk=? AND id=?)", "INDEX requests_pending", "INDEX requests_locked")
    assert [plan for plan in searches if not any(part in plan for part in good)] == []


async def test_deleted_queues_are_reclaimed_in_pieces_and_others_are_kept(
    service: RequestQueueService, db: SqliteDatabase
):
    kept = await Queue.create(service, "kept")
    for name in ("one", "two"):
        queue = await Queue.create(service, *(f"{name} {number}" for number in range(5)))
        await service.delete(ACCOUNT, ById(queue.access.queue.id))
    sizes: list[int] = []
    while size := await db.write(lambda tx: repository.reclaim(tx, limit=2)):
        sizes.append(size)
        assert size <= 2
    assert sum(sizes) == 12
    assert await count(db, requests.c.id) == 1
    assert await count(db, storages.c.pk) == 1
    assert await kept.head() == ["kept"]


async def test_nothing_is_added_to_a_queue_deleted_meanwhile(
    service: RequestQueueService, db: SqliteDatabase
):
    queue = await Queue.create(service)
    await service.delete(ACCOUNT, ById(queue.access.queue.id))
    with pytest.raises(StorageNotFound):
        await queue.add("a")
    assert await count(db, requests.c.id) == 0


async def test_usage_is_counted_by_request(db: SqliteDatabase, clock: Clock):
    meter = Meter(db)
    service = RequestQueueService(db, meter, now=clock)
    queue = (await Queue.create(service)).used_by("key", run_id="run1")
    await queue.add("a", "b", "c")
    await queue.lock(2)
    await queue.update("a", is_handled=True)
    await queue.head()
    await service.list_requests(queue.access, states=frozenset(), cursor=Cursor(), limit=10)
    await meter.flush()
    assert await db.read(lambda tx: run_totals(tx, "run1")) == {
        "REQUEST_QUEUE_WRITES": 6,
        "REQUEST_QUEUE_READS": 4,
    }
    await service.close()


async def test_only_owners_are_known_and_each_token_and_run_for_itself(
    service: RequestQueueService,
):
    queue = (await Queue.create(service)).access.queue
    known, ref = KnownQueues(), ById(queue.id)
    stranger = Caller("user2", "bob")
    limited = Caller("user1", "alice", run_id="run1", is_limited=True)
    for caller in (stranger, None):
        known.add(caller, queue)
        assert known.get(caller, ref) is None
    known.add(ACCOUNT, queue)
    assert known.get(ACCOUNT, ref) is queue
    assert known.get(limited, ref) is None
    known.add(limited, queue)
    assert known.get(limited, ref) is queue
    assert known.get(Caller("user1", "alice", run_id="run2", is_limited=True), ref) is None
    assert known.get(replace(ACCOUNT, token_id="another"), ref) is None
    assert known.get(ACCOUNT, ByName(None, queue.id)) is None
