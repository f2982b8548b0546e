"""Locks as time passes, and who counts as their holder."""

from datetime import timedelta

import pytest
from sqlalchemy import Connection, select

from callboard.db.sqlite import SqliteDatabase
from callboard.db.tables import requests
from callboard.request_queues import repository
from callboard.request_queues.errors import RequestHandledOrLocked
from callboard.request_queues.listing import Cursor
from callboard.request_queues.model import RequestState
from callboard.request_queues.service import RequestQueueService

from .conftest import Clock, Queue


async def test_a_lock_holds_until_its_last_millisecond(service: RequestQueueService, clock: Clock):
    queue = await Queue.create(service, "a")
    await queue.lock(secs=60)
    clock.pass_secs(59.999)
    assert await queue.head() == []
    clock.pass_secs(0.001)
    assert await queue.head() == ["a"]
    assert await queue.used_by("two").lock() == ["a"]


async def test_requests_whose_locks_ran_out_come_behind_those_that_waited(
    service: RequestQueueService, clock: Clock
):
    queue = await Queue.create(service, *"abcd")
    await queue.lock(2)
    await queue.add("e")
    clock.pass_secs(60)
    assert await queue.head() == ["c", "d", "a", "b", "e"]


async def test_a_prolonged_lock_that_ran_out_puts_the_request_where_it_was_told(
    service: RequestQueueService, clock: Clock
):
    queue = await Queue.create(service, *"abcd")
    await queue.lock(2)
    await queue.prolong("a", secs=90)
    await queue.prolong("b", secs=90, forefront=True)
    clock.pass_secs(60)
    assert await queue.head() == ["c", "d"]
    clock.pass_secs(30)
    assert await queue.head() == ["b", "c", "d", "a"]


async def test_prolonging_counts_from_now_and_may_shorten(
    service: RequestQueueService, clock: Clock
):
    queue = await Queue.create(service, "a")
    await queue.lock(secs=600)
    assert await queue.prolong("a", secs=5) == clock.now + timedelta(seconds=5)
    clock.pass_secs(5)
    assert await queue.head() == ["a"]


async def test_a_holder_may_take_up_its_lock_again_while_nobody_else_did(
    service: RequestQueueService, clock: Clock
):
    one = await Queue.create(service, "a", "b")
    two = one.used_by("two")
    await one.lock(secs=1)
    clock.pass_secs(2)
    assert await two.lock(1) == ["a"]
    assert await one.head() == ["b"]
    await one.prolong("b")
    assert await two.lock() == []
    with pytest.raises(RequestHandledOrLocked):
        await one.prolong("a")


async def test_a_lock_that_was_given_back_cannot_be_taken_up_again(service: RequestQueueService):
    queue = await Queue.create(service, "a")
    await queue.lock()
    await queue.release("a")
    with pytest.raises(RequestHandledOrLocked):
        await queue.prolong("a")


async def test_a_run_holds_its_locks_whatever_its_client_key(service: RequestQueueService):
    queue = await Queue.create(service, *"abc")
    before = queue.used_by("first start", run_id="run1")
    after = queue.used_by("second start", run_id="run1")
    stranger = queue.used_by("another", run_id="run2")
    assert await before.lock(3) == ["a", "b", "c"]
    await after.prolong("a")
    await after.release("b")
    for call in (stranger.prolong, stranger.release):
        with pytest.raises(RequestHandledOrLocked):
            await call("c")
    assert await service.locking.unlock_all(stranger.access) == 0
    assert await service.locking.unlock_all(after.access) == 2


async def test_the_same_client_key_holds_locks_across_runs(service: RequestQueueService):
    queue = await Queue.create(service, "a", "b")
    assert await queue.used_by("shared", run_id="run1").lock() == ["a", "b"]
    outside = queue.used_by("shared")
    await outside.release("a")
    assert await service.locking.unlock_all(outside.access) == 1


async def test_runs_without_client_keys_do_not_hold_each_others_locks(
    service: RequestQueueService,
):
    queue = await Queue.create(service, "a")
    await queue.used_by(None, run_id="run1").lock()
    for stranger in (queue.used_by(None, run_id="run2"), queue.used_by(None)):
        with pytest.raises(RequestHandledOrLocked):
            await stranger.release("a")
        assert await service.locking.unlock_all(stranger.access) == 0
    await queue.used_by(None, run_id="run1").release("a")


async def test_locks_that_ran_out_are_not_counted_when_unlocking(
    service: RequestQueueService, clock: Clock
):
    queue = await Queue.create(service, "a", "b")
    await queue.lock(1, secs=5)
    await queue.lock(1, secs=50)
    clock.pass_secs(10)
    assert await service.locking.unlock_all(queue.access) == 1


async def test_lists_by_state_see_locks_as_of_now(service: RequestQueueService, clock: Clock):
    queue = await Queue.create(service, "a", "b")
    await queue.lock(1, secs=5)
    clock.pass_secs(10)
    for state, expected in ((RequestState.LOCKED, []), (RequestState.PENDING, ["b", "a"])):
        page = await service.list_requests(
            queue.access, states=frozenset({state}), cursor=Cursor(), limit=10
        )
        assert [item.unique_key for item in page.items] == expected


async def test_many_locks_that_ran_out_are_released_in_pieces(
    service: RequestQueueService, clock: Clock, db: SqliteDatabase, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(repository, "LAPSED_AT_ONCE", 2)
    queue = await Queue.create(service, *"abcde")
    await queue.lock(5, secs=1)
    clock.pass_secs(1)
    found = [await queue.lock(2) for _ in range(3)]
    assert found == [["a", "b"], ["c", "d"], ["e"]]


async def test_a_handled_request_keeps_nothing_of_its_lock(
    service: RequestQueueService, db: SqliteDatabase
):
    queue = await Queue.create(service, "a")
    await queue.lock()
    await queue.used_by("two").update("a", is_handled=True)
    columns = (requests.c.locked_until, requests.c.lock_owner, requests.c.lock_run_id)

    def read(tx: Connection) -> tuple[object, ...]:
        return tuple(tx.execute(select(*columns)).one())

    assert await db.read(read) == (None, None, None)
