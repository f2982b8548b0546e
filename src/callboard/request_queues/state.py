"""What every call changes on its queue's row: counters, free positions at both ends, and who has called.

Positions only ever grow at the ends, so that adding to either end of a queue costs the same whatever its length.
"""

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

import msgspec
from sqlalchemy import (
    Connection,
    and_,
    bindparam,
    case,
    false,
    func,
    or_,
    select,
    true,
    update,
)

from callboard.db.prepared import Prepared
from callboard.db.tables import storages
from callboard.request_queues.model import Client
from callboard.storages.errors import StorageNotFound
from callboard.storages.model import StorageKind

_queue = storages.c


class QueueState(msgspec.Struct, frozen=True):
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
_STATE = Prepared(select(*_STATE_COLUMNS).where(_IS_QUEUE))
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
_NOTE_CLIENT = Prepared(
    update(storages).where(_IS_QUEUE).values(_CLIENT_VALUES).returning(*_STATE_COLUMNS)
)
_CHANGED = (
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
)
_CHANGE = Prepared(_CHANGED)
_TAKE = Prepared(_CHANGED.returning(*_STATE_COLUMNS))
_NO_CHANGE = dict.fromkeys(
    ("total", "handled", "bytes", "writes", "deletes", "head_items", "at_head", "at_tail"), 0
)


def read_state(tx: Connection, queue_pk: int) -> QueueState:
    """Raises StorageNotFound when the queue has been deleted, as all that need its state do."""
    return _state(_STATE.first(tx, {"queue": queue_pk}))


def note_client(tx: Connection, queue_pk: int, client: Client) -> QueueState:
    """The state with the client noted. Writes only when that is news."""
    known = read_state(tx, queue_pk)
    if not known.is_news(client):
        return known
    return _state(_NOTE_CLIENT.first(tx, {"queue": queue_pk, **_client_values(client)}))


def change(tx: Connection, queue_pk: int, client: Client, *, at: datetime, **amounts: int) -> None:
    """Add to the queue's counters and note the client: what every writing call does to its queue.

    Counters are `total`, `handled`, `bytes`, `writes`, `deletes` and `head_items`.
    """
    if not _CHANGE.run(tx, _changes(queue_pk, client, at, amounts)):
        raise StorageNotFound(StorageKind.REQUEST_QUEUE)


def take(
    tx: Connection, queue_pk: int, client: Client, *, at: datetime, **amounts: int
) -> QueueState:
    """The same for a call that takes positions, `at_head` or `at_tail` so many; `QueueState.taken` tells which."""
    return _state(_TAKE.first(tx, _changes(queue_pk, client, at, amounts)))


def _changes(
    queue_pk: int, client: Client, at: datetime, amounts: Mapping[str, int]
) -> dict[str, Any]:
    return {"queue": queue_pk, "at": at, **_NO_CHANGE, **amounts, **_client_values(client)}


def _client_values(client: Client) -> dict[str, Any]:
    return {"client": client.key or "", "nameless": int(client.key is None)}


def _state(row: Sequence[Any] | None) -> QueueState:
    if row is None:
        raise StorageNotFound(StorageKind.REQUEST_QUEUE)
    return QueueState(*row)
