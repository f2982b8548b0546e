"""SQL of request queues. No statement reads handled requests except by their id.

A request that is neither handled nor locked is in the partial index `requests_pending`, by position; a locked one is
in `requests_locked`, by the end of its lock.
"""

from collections.abc import Collection, Iterable, Sequence
from datetime import datetime
from itertools import zip_longest
from typing import Any

from sqlalchemy import (
    BindParameter,
    Connection,
    and_,
    bindparam,
    delete,
    func,
    insert,
    or_,
    select,
    update,
)

from callboard.db.prepared import Prepared, bound
from callboard.db.tables import requests, storages
from callboard.request_queues.errors import BATCH_MAX
from callboard.request_queues.model import (
    Client,
    Draft,
    HeadItem,
    Place,
    QueuedRequest,
    Slot,
    size_bytes,
)
from callboard.storages.model import StorageKind

LAPSED_AT_ONCE = 1000
"""How many locks that ran out one call takes note of, so that a call stays short whatever came before."""

_queue = storages.c
_request = requests.c
_IN_QUEUE = _request.queue_pk == bindparam("queue")
_PENDING = and_(_IN_QUEUE, _request.handled_at.is_(None), _request.locked_until.is_(None))


_IS_REQUEST = and_(_IN_QUEUE, _request.id == bindparam("request"))
_SLOT_COLUMNS = (
    _request.id,
    _request.unique_key,
    _request.position,
    _request.handled_at,
    _request.locked_until,
    _request.lock_owner,
    _request.lock_run_id,
    _request.url,
    func.length(_request.body),
)
_SLOT = Prepared(select(*_SLOT_COLUMNS).where(_IS_REQUEST))
_ASKED = [f"request_{number}" for number in range(BATCH_MAX)]
_SLOTS = Prepared(
    select(*_SLOT_COLUMNS).where(_IN_QUEUE, _request.id.in_([bindparam(name) for name in _ASKED]))
)


def slot(tx: Connection, queue_pk: int, request_id: str) -> Slot | None:
    row = _SLOT.first(tx, {"queue": queue_pk, "request": request_id})
    return None if row is None else _slot(row)


def slots(tx: Connection, queue_pk: int, ids: Collection[str]) -> dict[str, Slot]:
    """Those of the requests, BATCH_MAX at most, that are there, by id."""
    asked = dict(zip_longest(_ASKED, ids))
    return {row[0]: _slot(row) for row in _SLOTS.all(tx, {"queue": queue_pk, **asked})}


def _slot(row: Sequence[Any]) -> Slot:
    request, unique_key, position, handled_at, locked_until, owner, run_id, url, extras_bytes = row
    return Slot(
        id=request,
        unique_key=unique_key,
        handled_at=handled_at,
        place=Place(position, locked_until, owner, run_id),
        size_bytes=size_bytes(unique_key, url, extras_bytes),
    )


_INSERT = Prepared(
    insert(requests).values(
        **bound(("position", "unique_key", "url", "method", "retry_count", "handled_at", "body")),
        queue_pk=bindparam("queue"),
        id=bindparam("request"),
    )
)
_PLACE_VALUES: dict[str, BindParameter[Any]] = {
    "position": bindparam("new_position"),
    "locked_until": bindparam("new_locked_until"),
    "lock_owner": bindparam("new_lock_owner"),
    "lock_run_id": bindparam("new_lock_run_id"),
}
_PLACE = Prepared(update(requests).where(_IS_REQUEST).values(_PLACE_VALUES))
_REPLACE = Prepared(
    update(requests)
    .where(_IS_REQUEST)
    .values(
        **_PLACE_VALUES,
        url=bindparam("new_url"),
        method=bindparam("new_method"),
        retry_count=bindparam("new_retry_count"),
        handled_at=bindparam("new_handled_at"),
        body=bindparam("new_body"),
    )
)
_DELETE = Prepared(delete(requests).where(_IS_REQUEST))


def insert_all(tx: Connection, queue_pk: int, placed: Iterable[tuple[int, Draft]]) -> None:
    """Put new requests at their positions."""
    _INSERT.run_each(
        tx,
        [
            {
                "queue": queue_pk,
                "request": draft.id,
                "position": position,
                "unique_key": draft.unique_key,
                "url": draft.url,
                "method": draft.method,
                "retry_count": draft.retry_count,
                "handled_at": draft.handled_at,
                "body": draft.extras,
            }
            for position, draft in placed
        ],
    )


def replace(tx: Connection, queue_pk: int, draft: Draft, place: Place) -> None:
    """Give a request new contents and a new place."""
    _REPLACE.run(
        tx,
        {
            **_place_values(queue_pk, draft.id, place),
            "new_url": draft.url,
            "new_method": draft.method,
            "new_retry_count": draft.retry_count,
            "new_handled_at": draft.handled_at,
            "new_body": draft.extras,
        },
    )


def move(tx: Connection, queue_pk: int, places: Iterable[tuple[str, Place]]) -> None:
    """Give requests new places."""
    _PLACE.run_each(tx, [_place_values(queue_pk, request, place) for request, place in places])


def _place_values(queue_pk: int, request: str, place: Place) -> dict[str, Any]:
    return {
        "queue": queue_pk,
        "request": request,
        "new_position": place.position,
        "new_locked_until": place.locked_until,
        "new_lock_owner": place.lock_owner,
        "new_lock_run_id": place.lock_run_id,
    }


def delete_all(tx: Connection, queue_pk: int, ids: Iterable[str]) -> None:
    _DELETE.run_each(tx, [{"queue": queue_pk, "request": request} for request in ids])


_HELD_BY = and_(
    _IN_QUEUE,
    _request.locked_until > bindparam("now", type_=_request.locked_until.type),
    or_(_request.lock_owner == bindparam("owner"), _request.lock_run_id == bindparam("run")),
)
_UNLOCK_HELD = (
    update(requests).where(_HELD_BY).values(locked_until=None, lock_owner=None, lock_run_id=None)
)


def unlock_held_by(tx: Connection, queue_pk: int, client: Client, *, now: datetime) -> int:
    """End all locks of the client and return how many there were."""
    return tx.execute(
        _UNLOCK_HELD,
        {"queue": queue_pk, "now": now, "owner": client.lock_owner, "run": client.run_id},
    ).rowcount


_LAPSED = and_(
    _IN_QUEUE, _request.locked_until <= bindparam("now", type_=_request.locked_until.type)
)
_ANY_LAPSED = Prepared(select(_request.id).where(_LAPSED).limit(1))
_RELEASE_LAPSED = Prepared(
    update(requests)
    .where(
        _IN_QUEUE, _request.id.in_(select(_request.id).where(_LAPSED).limit(bindparam("at_once")))
    )
    .values(locked_until=None)
)
_ANY_LOCKED = Prepared(
    select(_request.id)
    .where(_IN_QUEUE, _request.locked_until > bindparam("now", type_=_request.locked_until.type))
    .limit(1)
)


def has_lapsed_locks(tx: Connection, queue_pk: int, *, now: datetime) -> bool:
    return _ANY_LAPSED.first(tx, {"queue": queue_pk, "now": now}) is not None


def has_locks(tx: Connection, queue_pk: int, *, now: datetime) -> bool:
    return _ANY_LOCKED.first(tx, {"queue": queue_pk, "now": now}) is not None


def release_lapsed_locks(tx: Connection, queue_pk: int, *, now: datetime) -> None:
    """Let requests whose locks ran out back into the head, up to LAPSED_AT_ONCE of them."""
    if not has_lapsed_locks(tx, queue_pk, now=now):
        return  # Looking is quicker than changing nothing.
    _RELEASE_LAPSED.run(tx, {"queue": queue_pk, "now": now, "at_once": LAPSED_AT_ONCE})


_HEAD = Prepared(
    select(_request.id, _request.unique_key, _request.url, _request.method, _request.retry_count)
    .where(_PENDING)
    .order_by(_request.position)
    .limit(bindparam("count"))
)


def head(tx: Connection, queue_pk: int, *, limit: int) -> list[HeadItem]:
    """The first pending requests."""
    return [HeadItem(*row) for row in _HEAD.all(tx, {"queue": queue_pk, "count": limit})]


_FULL_COLUMNS = (
    _request.id,
    _request.unique_key,
    _request.url,
    _request.method,
    _request.retry_count,
    _request.handled_at,
    _request.locked_until,
    _request.body,
)
_FULL = Prepared(
    select(*_FULL_COLUMNS)
    .join(storages, _queue.pk == _request.queue_pk)
    .where(_IS_REQUEST, _queue.deleted_at.is_(None))
)


def get(tx: Connection, queue_pk: int, request_id: str) -> QueuedRequest | None:
    """None also when the queue has been deleted."""
    row = _FULL.first(tx, {"queue": queue_pk, "request": request_id})
    return None if row is None else QueuedRequest(*row)


def reclaim(tx: Connection, *, limit: int) -> int:
    """Delete up to `limit` requests of deleted queues, then those queues themselves, and return how many rows.

    Zero means that nothing is left to do. Repeating it after a crash goes on where it stopped.
    """
    queue_pk = tx.execute(
        select(_queue.pk)
        .where(_queue.deleted_at.is_not(None), _queue.kind == StorageKind.REQUEST_QUEUE)
        .limit(1)
    ).scalar()
    if queue_pk is None:
        return 0
    some = select(_request.id).where(_request.queue_pk == queue_pk).limit(limit)
    deleted = tx.execute(
        delete(requests).where(_request.queue_pk == queue_pk, _request.id.in_(some))
    ).rowcount
    if deleted < limit:
        tx.execute(delete(storages).where(_queue.pk == queue_pk))
        deleted += 1
    return deleted
