"""SQL of request queues. No statement reads handled requests except by their id.

A request that is neither handled nor locked is in the partial index `requests_pending`, by position; a locked one is
in `requests_locked`, by the end of its lock. Statements are built once: they run thousands of times a second.
"""

from collections.abc import Collection, Iterable
from datetime import datetime
from typing import Any

from sqlalchemy import (
    BindParameter,
    Connection,
    Row,
    and_,
    bindparam,
    delete,
    func,
    insert,
    or_,
    select,
    update,
)

from callboard.db.tables import requests, storages
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
_SLOT = select(*_SLOT_COLUMNS).where(_IS_REQUEST)
_SLOTS = select(*_SLOT_COLUMNS).where(
    _IN_QUEUE, _request.id.in_(bindparam("requests", expanding=True))
)


def slot(tx: Connection, queue_pk: int, request_id: str) -> Slot | None:
    row = tx.execute(_SLOT, {"queue": queue_pk, "request": request_id}).first()
    return None if row is None else _slot(row)


def slots(tx: Connection, queue_pk: int, ids: Collection[str]) -> dict[str, Slot]:
    """Those of the requests that are there, by id."""
    rows = tx.execute(_SLOTS, {"queue": queue_pk, "requests": list(ids)})
    return {row[0]: _slot(row) for row in rows}


def _slot(row: Row[*tuple[Any, ...]]) -> Slot:
    request, unique_key, position, handled_at, locked_until, owner, run_id, url, extras_bytes = row
    return Slot(
        id=request,
        unique_key=unique_key,
        handled_at=handled_at,
        place=Place(position, locked_until, owner, run_id),
        size_bytes=size_bytes(unique_key, url, extras_bytes),
    )


_INSERT = insert(requests)
_PLACE_VALUES: dict[str, BindParameter[Any]] = {
    "position": bindparam("new_position"),
    "locked_until": bindparam("new_locked_until"),
    "lock_owner": bindparam("new_lock_owner"),
    "lock_run_id": bindparam("new_lock_run_id"),
}
_PLACE = update(requests).where(_IS_REQUEST).values(_PLACE_VALUES)
_REPLACE = (
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
_DELETE = delete(requests).where(_IS_REQUEST)


def insert_all(tx: Connection, queue_pk: int, placed: Iterable[tuple[int, Draft]]) -> None:
    """Put new requests at their positions."""
    tx.execute(
        _INSERT,
        [
            {
                "queue_pk": queue_pk,
                "id": draft.id,
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
    tx.execute(
        _REPLACE,
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
    tx.execute(_PLACE, [_place_values(queue_pk, request, place) for request, place in places])


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
    tx.execute(_DELETE, [{"queue": queue_pk, "request": request} for request in ids])


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
_ANY_LAPSED = select(_request.id).where(_LAPSED).limit(1)
_RELEASE_LAPSED = (
    update(requests)
    .where(
        _IN_QUEUE, _request.id.in_(select(_request.id).where(_LAPSED).limit(bindparam("at_once")))
    )
    .values(locked_until=None)
)
_ANY_LOCKED = (
    select(_request.id)
    .where(_IN_QUEUE, _request.locked_until > bindparam("now", type_=_request.locked_until.type))
    .limit(1)
)


def has_lapsed_locks(tx: Connection, queue_pk: int, *, now: datetime) -> bool:
    return tx.execute(_ANY_LAPSED, {"queue": queue_pk, "now": now}).first() is not None


def has_locks(tx: Connection, queue_pk: int, *, now: datetime) -> bool:
    return tx.execute(_ANY_LOCKED, {"queue": queue_pk, "now": now}).first() is not None


def release_lapsed_locks(tx: Connection, queue_pk: int, *, now: datetime) -> None:
    """Let requests whose locks ran out back into the head, up to LAPSED_AT_ONCE of them."""
    tx.execute(_RELEASE_LAPSED, {"queue": queue_pk, "now": now, "at_once": LAPSED_AT_ONCE})


_HEAD = (
    select(_request.id, _request.unique_key, _request.url, _request.method, _request.retry_count)
    .where(_PENDING)
    .order_by(_request.position)
    .limit(bindparam("count"))
)


def head(tx: Connection, queue_pk: int, *, limit: int) -> list[HeadItem]:
    """The first pending requests."""
    return [HeadItem(*row) for row in tx.execute(_HEAD, {"queue": queue_pk, "count": limit})]


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
_FULL = (
    select(*_FULL_COLUMNS)
    .join(storages, _queue.pk == _request.queue_pk)
    .where(_IS_REQUEST, _queue.deleted_at.is_(None))
)


def get(tx: Connection, queue_pk: int, request_id: str) -> QueuedRequest | None:
    """None also when the queue has been deleted."""
    row = tx.execute(_FULL, {"queue": queue_pk, "request": request_id}).first()
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
