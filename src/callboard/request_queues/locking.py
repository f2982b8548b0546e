"""Locks on requests: how several clients and runs share one queue without ever working on the same request.

A lock is an instant in its request's row. It ends by itself when that instant has passed: nothing waits for it, and
a crash of this server or of the holder changes nothing about it. A request whose lock ended without being handled
comes out again behind those that were in the queue when it was locked.
"""

from collections.abc import Callable
from datetime import datetime, timedelta

from sqlalchemy import Connection

from callboard.db.base import Database
from callboard.request_queues import repository
from callboard.request_queues.errors import RequestHandledOrLocked, RequestNotFound
from callboard.request_queues.model import Access, HeadItem, LockedHead, Place, Slot
from callboard.request_queues.state import QueueState, change, note_client, take
from callboard.usage.meter import Meter, Service


class RequestLocking:
    """Takes, prolongs and ends locks. A lock belongs to the client key that took it and to the run, if one did."""

    def __init__(self, db: Database, meter: Meter, *, now: Callable[[], datetime]) -> None:
        self._db = db
        self._meter = meter
        self._now = now

    async def lock_head(self, access: Access, *, limit: int, duration: timedelta) -> LockedHead:
        """Take the first `limit` requests that are neither handled nor locked. No two calls get the same one."""
        pk, now = access.queue.pk, self._now()
        until = now + duration

        def unit(tx: Connection) -> LockedHead:
            repository.release_lapsed_locks(tx, pk, now=now)
            items = repository.head(tx, pk, limit=limit)
            state = _lock(tx, access, items, at=now, until=until)
            return LockedHead(
                items=items,
                queue_modified_at=state.modified_at,
                had_multiple_clients=state.had_multiple_clients,
                locked_until=until,
                has_locked_requests=bool(items) or repository.has_locks(tx, pk, now=now),
            )

        head = await self._db.write(unit)
        self._count(access, len(head.items))
        return head

    async def prolong(
        self, access: Access, request_id: str, *, duration: timedelta, forefront: bool
    ) -> datetime:
        """Hold a request until `duration` from now, and return that instant.

        `forefront` tells to which end of the queue it goes should it not be handled by then. A lock that ran out can
        still be prolonged while nobody else took the request. Raises RequestNotFound or RequestHandledOrLocked.
        """
        now = self._now()
        until = now + duration

        def unit(tx: Connection) -> None:
            slot = _slot(tx, access, request_id)
            if slot.is_handled or not access.client.was_last_to_lock(slot.place):
                raise RequestHandledOrLocked
            position = _take_position(tx, access, at=now, forefront=forefront)
            place = access.client.lock(position, until=until)
            repository.move(tx, access.queue.pk, [(request_id, place)])

        await self._db.write(unit)
        self._count(access, 1)
        return until

    async def release(self, access: Access, request_id: str, *, forefront: bool) -> None:
        """Give a request back, to the end of the queue or its head. One that nobody holds stays as it is.

        Raises RequestNotFound, or RequestHandledOrLocked also when another client holds it.
        """
        now = self._now()

        def unit(tx: Connection) -> None:
            slot = _slot(tx, access, request_id)
            if access.client.was_last_to_lock(slot.place) and not slot.is_handled:
                position = _take_position(tx, access, at=now, forefront=forefront)
                repository.move(tx, access.queue.pk, [(request_id, Place(position))])
            elif slot.is_handled or slot.place.is_locked(now):
                raise RequestHandledOrLocked
            else:
                note_client(tx, access.queue.pk, access.client)

        await self._db.write(unit)
        self._count(access, 1)

    async def unlock_all(self, access: Access) -> int:
        """Give back all that the client key or the run holds, and return how many requests that were."""
        pk, now = access.queue.pk, self._now()

        def unit(tx: Connection) -> int:
            count = repository.unlock_held_by(tx, pk, access.client, now=now)
            if count:
                change(tx, pk, access.client, at=now, writes=count)
            else:
                note_client(tx, pk, access.client)
            return count

        count = await self._db.write(unit)
        self._count(access, count)
        return count

    def _count(self, access: Access, writes: int) -> None:
        self._meter.count(access.caller, Service.REQUEST_QUEUE_WRITES, max(1, writes))


def _lock(
    tx: Connection, access: Access, items: list[HeadItem], *, at: datetime, until: datetime
) -> QueueState:
    pk, client, count = access.queue.pk, access.client, len(items)
    if not items:
        return note_client(tx, pk, client)
    state = take(tx, pk, client, at=at, writes=count, head_items=count, at_tail=count)
    positions = state.taken(count, forefront=False)
    repository.move(
        tx,
        pk,
        [
            (item.id, client.lock(position, until=until))
            for item, position in zip(items, positions, strict=True)
        ],
    )
    return state


def _slot(tx: Connection, access: Access, request_id: str) -> Slot:
    slot = repository.slot(tx, access.queue.pk, request_id)
    if slot is None:
        raise RequestNotFound
    return slot


def _take_position(tx: Connection, access: Access, *, at: datetime, forefront: bool) -> int:
    end = "at_head" if forefront else "at_tail"
    state = take(tx, access.queue.pk, access.client, at=at, writes=1, **{end: 1})
    return state.taken(1, forefront=forefront)[0]
