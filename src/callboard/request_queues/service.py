"""Adding, reading, updating and removing the requests of a queue. `locking.py` is about who holds them.

A request is known by its unique key: adding it again changes nothing. Every operation is one transaction, in which
the queue's counters change together with its requests, and which fails when the queue has been deleted meanwhile.
"""

from collections.abc import Callable, Sequence
from datetime import datetime
from typing import TypeVar

from sqlalchemy import Connection

from callboard.core import clock
from callboard.db.base import Database
from callboard.request_queues import listing, repository
from callboard.request_queues.errors import RequestNotFound
from callboard.request_queues.listing import Cursor, RequestPage
from callboard.request_queues.locking import RequestLocking
from callboard.request_queues.model import (
    Access,
    Client,
    Draft,
    Head,
    Place,
    QueuedRequest,
    Registration,
    Removal,
    RequestState,
    Slot,
    checked_id,
)
from callboard.request_queues.state import QueueState, change, note_client, read_state, take
from callboard.storages.model import StorageKind
from callboard.storages.service import StorageService
from callboard.usage.meter import Meter, Service

T = TypeVar("T")


class RequestQueueService(StorageService):
    """Request queues. `now` tells the time that locks are compared with."""

    def __init__(
        self, db: Database, meter: Meter, *, now: Callable[[], datetime] = clock.now
    ) -> None:
        super().__init__(db, StorageKind.REQUEST_QUEUE)
        self._meter = meter
        self._now = now
        self.locking = RequestLocking(db, meter, now=now)

    async def add_requests(
        self, access: Access, drafts: Sequence[Draft], *, forefront: bool
    ) -> list[Registration]:
        """Add those that are not there yet, and return for each what there was.

        With `forefront` each one in turn goes before all others, so the last one comes out first.
        """
        pk, at = access.queue.pk, self._now()

        def unit(tx: Connection) -> tuple[list[Registration], bool]:
            present = repository.slots(tx, pk, [draft.id for draft in drafts])
            new: dict[str, Draft] = {}
            for draft in drafts:
                if draft.id not in present:
                    new.setdefault(draft.id, draft)
            if new:
                _insert(tx, pk, access.client, list(new.values()), forefront=forefront, at=at)
            else:
                note_client(tx, pk, access.client)
            return _registrations(drafts, present, new), bool(new)

        registrations, has_changed = await self._db.write(unit)
        self._meter.count(access.caller, Service.REQUEST_QUEUE_WRITES, len(drafts))
        if not has_changed:
            self.touch(access.queue, write_count=len(drafts))
        return registrations

    async def update_request(
        self, access: Access, draft: Draft, *, forefront: bool
    ) -> Registration:
        """Replace a request, or add it. One that is not handled goes to an end of the queue and is unlocked.

        While another client holds it, its contents change but neither its place nor its lock. Marking it as handled
        always works. Raises RequestIdInvalid for an id that is not its unique key's.
        """
        pk, client, at = access.queue.pk, access.client, self._now()

        def unit(tx: Connection) -> Registration:
            slot = repository.slot(tx, pk, draft.id)
            if slot is None or slot.unique_key != draft.unique_key:
                # Of what is there already, this was found out when it was added.
                checked_id(draft.unique_key, draft.id)
            if slot is None:
                _insert(tx, pk, client, [draft], forefront=forefront, at=at)
                return Registration(draft.id, draft.unique_key, False, False)
            _replace(tx, pk, client, slot, draft, forefront=forefront, at=at)
            return Registration(draft.id, draft.unique_key, True, slot.is_handled)

        registration = await self._db.write(unit)
        self._meter.count(access.caller, Service.REQUEST_QUEUE_WRITES)
        return registration

    async def get_request(self, access: Access, request_id: str) -> QueuedRequest:
        """Raises RequestNotFound."""
        request = await self._db.read(lambda tx: repository.get(tx, access.queue.pk, request_id))
        if request is None:
            raise RequestNotFound
        self._count_reads(access, 1)
        return request

    async def delete_request(self, access: Access, request_id: str) -> None:
        """Raises RequestNotFound."""
        if not await self._remove(access, [request_id]):
            raise RequestNotFound

    async def delete_requests(self, access: Access, removals: Sequence[Removal]) -> list[Removal]:
        """Remove those that are there. Returns all with the unique keys that are known."""
        slots = await self._remove(access, [removal.id for removal in removals])
        return [
            Removal(removal.id, slots[removal.id].unique_key) if removal.id in slots else removal
            for removal in removals
        ]

    async def _remove(self, access: Access, ids: Sequence[str]) -> dict[str, Slot]:
        pk, at = access.queue.pk, self._now()

        def unit(tx: Connection) -> dict[str, Slot]:
            slots = repository.slots(tx, pk, ids)
            if not slots:
                note_client(tx, pk, access.client)
                return slots
            change(
                tx,
                pk,
                access.client,
                at=at,
                total=-len(slots),
                handled=-sum(slot.is_handled for slot in slots.values()),
                bytes=-sum(slot.size_bytes for slot in slots.values()),
                deletes=len(slots),
            )
            repository.delete_all(tx, pk, slots)
            return slots

        slots = await self._db.write(unit)
        self._meter.count(access.caller, Service.REQUEST_QUEUE_WRITES, len(ids))
        return slots

    async def get_head(self, access: Access, *, limit: int) -> Head:
        """The first `limit` requests that are neither handled nor locked."""
        state, items = await self._read_fresh(
            access, lambda tx, _: repository.head(tx, access.queue.pk, limit=limit)
        )
        self._count_reads(access, 1, head_item_read_count=len(items))
        return Head(items, state.modified_at, state.had_multiple_clients)

    async def list_requests(
        self, access: Access, *, states: frozenset[RequestState], cursor: Cursor, limit: int
    ) -> RequestPage:
        """A page of all requests, or of those in one of `states`."""
        _, page = await self._read_fresh(
            access,
            lambda tx, now: listing.page(
                tx, access.queue.pk, states=states, cursor=cursor, limit=limit, now=now
            ),
        )
        self._count_reads(access, max(1, len(page.items)))
        return page

    async def _read_fresh(
        self, access: Access, unit: Callable[[Connection, datetime], T]
    ) -> tuple[QueueState, T]:
        """Read with locks that ran out released and the client noted. Writes only when there is something new."""
        pk, client, now = access.queue.pk, access.client, self._now()

        def read(tx: Connection) -> tuple[QueueState, bool, T]:
            state = read_state(tx, pk)
            is_stale = state.is_news(client) or repository.has_lapsed_locks(tx, pk, now=now)
            return state, is_stale, unit(tx, now)

        def catch_up(tx: Connection) -> None:
            repository.release_lapsed_locks(tx, pk, now=now)
            note_client(tx, pk, client)

        state, is_stale, value = await self._db.read(read)
        if is_stale:
            await self._db.write(catch_up)
            state, _, value = await self._db.read(read)
        return state, value

    def _count_reads(self, access: Access, count: int, **increments: int) -> None:
        self._meter.count(access.caller, Service.REQUEST_QUEUE_READS, count)
        self.touch(access.queue, read_count=count, **increments)


def _insert(
    tx: Connection,
    pk: int,
    client: Client,
    drafts: Sequence[Draft],
    *,
    forefront: bool,
    at: datetime,
) -> None:
    count = len(drafts)
    state = take(
        tx,
        pk,
        client,
        at=at,
        total=count,
        handled=sum(draft.is_handled for draft in drafts),
        bytes=sum(draft.size_bytes for draft in drafts),
        writes=count,
        **{"at_head" if forefront else "at_tail": count},
    )
    positions = state.taken(count, forefront=forefront)
    repository.insert_all(tx, pk, zip(positions, drafts, strict=True))


def _replace(
    tx: Connection,
    pk: int,
    client: Client,
    slot: Slot,
    draft: Draft,
    *,
    forefront: bool,
    at: datetime,
) -> None:
    amounts = {
        "handled": int(draft.is_handled) - int(slot.is_handled),
        "bytes": draft.size_bytes - slot.size_bytes,
        "writes": 1,
    }
    if draft.is_handled:
        change(tx, pk, client, at=at, **amounts)
        place = Place(slot.place.position)
    elif slot.place.is_locked(at) and not client.was_last_to_lock(slot.place):
        change(tx, pk, client, at=at, **amounts)
        place = slot.place
    else:
        state = take(tx, pk, client, at=at, **amounts, **{"at_head" if forefront else "at_tail": 1})
        place = Place(state.taken(1, forefront=forefront)[0])
    repository.replace(tx, pk, draft, place)


def _registrations(
    drafts: Sequence[Draft], present: dict[str, Slot], new: dict[str, Draft]
) -> list[Registration]:
    registrations: list[Registration] = []
    for draft in drafts:
        is_new = new.get(draft.id) is draft
        known = present.get(draft.id) or new[draft.id]
        was_handled = not is_new and known.is_handled
        registrations.append(Registration(draft.id, draft.unique_key, not is_new, was_handled))
    return registrations
