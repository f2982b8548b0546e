"""SQL of request queues. No statement reads handled requests except by their id.

A request that is neither handled nor locked is in the partial index `requests_pending`, by position; a locked one is
in `requests_locked`, by the end of its lock. Statements are built once: they run thousands of times a second.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import (
    BindParameter,
    Connection,
    Row,
    and_,
    bindparam,
    case,
    delete,
    false,
    func,
    insert,
    or_,
    select,
    true,
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
from callboard.storages.errors import StorageNotFound
from callboard.storages.model import StorageKind

LAPSED_AT_ONCE = 1000
"""How many locks that ran out one call takes note of, so that a call stays short whatever came before."""

_queue = storages.c
_request = requests.c
_IN_QUEUE = _request.queue_pk == bindparam("queue")
_PENDING = and_(_IN_QUEUE, _request.handled_at.is_(None), _request.locked_until.is_(None))


@dataclass(frozen=True)
class QueueState:
    """The changing part of a queue. Its requests stand from `head_position` to before `tail_position`."""

    modified_at: datetime
    had_multiple_clients: bool
    first_client_key: str | None
    head_position: int
    tail_position: int

    def taken(self, count: int, *, forefront: bool) -> range:
        """The positions that a change has just taken, in the order in which requests go there."""
        if forefront:
            return range(self.head_position + count - 1, self.head_position - 1, -1)
        return range(self.tail_position - count, self.tail_position)

    def is_news(self, client: Client) -> bool:
        """Whether a call by this client changes what is known about the queue's clients."""
        return not self.had_multiple_clients and (
            client.key is None or client.key != self.first_client_key
        )


_STATE_COLUMNS = (
    _queue.modified_at,
    _queue.had_multiple_clients,
    _queue.first_client_key,
    _queue.head_position,
    _queue.tail_position,
)
_IS_QUEUE = and_(_queue.pk == bindparam("queue"), _queue.deleted_at.is_(None))
_STATE = select(*_STATE_COLUMNS).where(_IS_QUEUE)
_CLIENT_VALUES = {
    "first_client_key": func.coalesce(_queue.first_client_key, bindparam("client")),
    "had_multiple_clients": case(
        (
            or_(
                _queue.had_multiple_clients,
                and_(_queue.first_client_key.is_not(None), bindparam("nameless") == 1),
                _queue.first_client_key != bindparam("client"),
            ),
            true(),
        ),
        else_=false(),
    ),
}
_NOTE_CLIENT = update(storages).where(_IS_QUEUE).values(_CLIENT_VALUES).returning(*_STATE_COLUMNS)
_CHANGE = (
    update(storages)
    .where(_IS_QUEUE)
    .values(
        **_CLIENT_VALUES,
        modified_at=bindparam("at", type_=_queue.modified_at.type),
        accessed_at=bindparam("at", type_=_queue.modified_at.type),
        total_request_count=_queue.total_request_count + bindparam("total"),
        handled_request_count=_queue.handled_request_count + bindparam("handled"),
        storage_bytes=_queue.storage_bytes + bindparam("bytes"),
        write_count=_queue.write_count + bindparam("writes"),
        delete_count=_queue.delete_count + bindparam("deletes"),
        head_item_read_count=_queue.head_item_read_count + bindparam("head_items"),
        head_position=_queue.head_position - bindparam("at_head"),
        tail_position=_queue.tail_position + bindparam("at_tail"),
    )
    .returning(*_STATE_COLUMNS)
)
_NO_CHANGE = dict.fromkeys(
    ("total", "handled", "bytes", "writes", "deletes", "head_items", "at_head", "at_tail"), 0
)


def state(tx: Connection, queue_pk: int) -> QueueState:
    """Raises StorageNotFound when the queue has been deleted, as all that need its state do."""
    return _state(tx.execute(_STATE, {"queue": queue_pk}).first())


def note_client(tx: Connection, queue_pk: int, client: Client) -> QueueState:
    """The state with the client noted. Writes only when that is news."""
    known = state(tx, queue_pk)
    if not known.is_news(client):
        return known
    return _state(tx.execute(_NOTE_CLIENT, {"queue": queue_pk, **_client_values(client)}).first())


def change(
    tx: Connection, queue_pk: int, client: Client, *, at: datetime, **amounts: int
) -> QueueState:
    """Add to the queue's counters, take positions and note the client: what every writing call does to its queue.

    Counters are `total`, `handled`, `bytes`, `writes`, `deletes` and `head_items`. `at_head` and `at_tail` are how
    many positions to take there; `QueueState.taken` tells which they are.
    """
    values = {"queue": queue_pk, "at": at, **_NO_CHANGE, **amounts, **_client_values(client)}
    return _state(tx.execute(_CHANGE, values).first())


def _client_values(client: Client) -> dict[str, Any]:
    return {"client": client.key or "", "nameless": int(client.key is None)}


def _state(row: Row[*tuple[Any, ...]] | None) -> QueueState:
    if row is None:
        raise StorageNotFound(StorageKind.REQUEST_QUEUE)
    return QueueState(*row)


_SLOT = select(
    _request.id,
    _request.unique_key,
    _request.position,
    _request.handled_at,
    _request.locked_until,
    _request.lock_owner,
    _request.lock_run_id,
    _request.url,
    func.length(_request.body),
).where(_IN_QUEUE, _request.id.in_(bindparam("ids", expanding=True)))


def slots(tx: Connection, queue_pk: int, ids: Iterable[str]) -> dict[str, Slot]:
    """Those of the requests that are there, by id."""
    rows = tx.execute(_SLOT, {"queue": queue_pk, "ids": list(ids)})
    return {row[0]: _slot(row) for row in rows}


def slot(tx: Connection, queue_pk: int, request_id: str) -> Slot | None:
    return slots(tx, queue_pk, [request_id]).get(request_id)


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
_IS_REQUEST = and_(_IN_QUEUE, _request.id == bindparam("request"))
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
_FULL = select(*_FULL_COLUMNS).where(_IS_REQUEST)


def get(tx: Connection, queue_pk: int, request_id: str) -> QueuedRequest | None:
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
