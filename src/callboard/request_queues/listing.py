"""Pages of a queue's requests, by state, with cursors that stay good while the queue changes."""

import base64
import binascii
from dataclasses import dataclass
from datetime import datetime
from typing import Annotated, Any

import msgspec
from sqlalchemy import Connection, Select, select

from callboard.core.errors import InvalidParameter
from callboard.db.tables import requests
from callboard.request_queues.model import QueuedRequest, RequestState

LIST_MAX = 10_000
PAGE_BYTES_MAX = 16 * 1024 * 1024
"""A page ends early rather than hold more than this, plus one request."""

_request = requests.c
_COLUMNS = (
    _request.id,
    _request.unique_key,
    _request.url,
    _request.method,
    _request.retry_count,
    _request.handled_at,
    _request.locked_until,
    _request.body,
    _request.position,
)


class Cursor(msgspec.Struct, rename="camel", omit_defaults=True):
    """Behind which request a page starts: by its id, by the end of its lock and its id, or by its position.

    Opaque to clients.
    """

    request_id: str | None = None
    locked_until: Annotated[datetime, msgspec.Meta(tz=True)] | None = None
    position: Annotated[int, msgspec.Meta(ge=-(2**62), le=2**62)] | None = None

    def text(self) -> str:
        return base64.urlsafe_b64encode(msgspec.json.encode(self)).decode().rstrip("=")


def read_cursor(text: str) -> Cursor:
    """Raises InvalidParameter for what this server has not given out."""
    try:
        padded = text + "=" * (-len(text) % 4)
        return msgspec.json.decode(base64.urlsafe_b64decode(padded), type=Cursor)
    except (binascii.Error, ValueError, msgspec.MsgspecError) as error:
        raise InvalidParameter('Parameter "cursor" is not a cursor of this list.') from error


@dataclass(frozen=True)
class RequestPage:
    """`next_cursor` is None on the last page."""

    items: list[QueuedRequest]
    next_cursor: Cursor | None


class _Page:
    """Gathers rows until the page is full."""

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._room_bytes = PAGE_BYTES_MAX
        self.items: list[QueuedRequest] = []
        self.last_position = 0

    @property
    def is_full(self) -> bool:
        return len(self.items) >= self._limit or self._room_bytes <= 0

    def fill(self, tx: Connection, statement: Select[*tuple[Any, ...]]) -> bool:
        """Add rows, and return whether there are more. Rows are fetched one by one: each may be large."""
        rows = tx.execute(statement.limit(self._limit - len(self.items) + 1))
        while (row := rows.fetchone()) is not None:
            if self.is_full:
                rows.close()
                return True
            *fields, self.last_position = row
            self.items.append(QueuedRequest(*fields))
            self._room_bytes -= len(row.body) + len(row.url) + len(row.unique_key)
        return False


def page(
    tx: Connection,
    queue_pk: int,
    *,
    states: frozenset[RequestState],
    cursor: Cursor,
    limit: int,
    now: datetime,
) -> RequestPage:
    """All requests by id; or the locked ones by the end of their locks and, after them, the pending ones in order.

    Locks that ran out by `now` must have been released. A request that changes its state between two pages may be
    on both or on neither.
    """
    gathered = _Page(limit)
    if not states:
        return _page_of_all(tx, queue_pk, gathered, cursor)
    with_pending = RequestState.PENDING in states
    if RequestState.LOCKED in states and not (with_pending and cursor.position is not None):
        locked = _page_of_locked(tx, queue_pk, gathered, cursor, now=now)
        if locked.next_cursor is not None or not with_pending:
            return locked
        cursor = Cursor()
    return _page_of_pending(tx, queue_pk, gathered, cursor)


def _page_of_all(tx: Connection, queue_pk: int, gathered: _Page, cursor: Cursor) -> RequestPage:
    statement = _of_queue(queue_pk).order_by(_request.id)
    if cursor.request_id is not None:
        statement = statement.where(_request.id > cursor.request_id)
    has_more = gathered.fill(tx, statement)
    last = Cursor(request_id=gathered.items[-1].id) if has_more else None
    return RequestPage(gathered.items, last)


def _page_of_locked(
    tx: Connection, queue_pk: int, gathered: _Page, cursor: Cursor, *, now: datetime
) -> RequestPage:
    # By their locks and not by id, so that the index of locked requests serves and handled ones are not looked at.
    statement = _of_queue(queue_pk).order_by(_request.locked_until, _request.id)
    statement = statement.where(_request.locked_until > now)
    if cursor.locked_until is not None and cursor.request_id is not None:
        statement = statement.where(
            _request.locked_until >= cursor.locked_until,
            (_request.locked_until > cursor.locked_until) | (_request.id > cursor.request_id),
        )
    has_more = gathered.fill(tx, statement)
    return RequestPage(gathered.items, _behind_locked(gathered) if has_more else None)


def _page_of_pending(tx: Connection, queue_pk: int, gathered: _Page, cursor: Cursor) -> RequestPage:
    statement = (
        _of_queue(queue_pk)
        .where(_request.handled_at.is_(None), _request.locked_until.is_(None))
        .order_by(_request.position)
    )
    if cursor.position is not None:
        statement = statement.where(_request.position > cursor.position)
    locked_count = len(gathered.items)
    if not gathered.fill(tx, statement):
        return RequestPage(gathered.items, None)
    if len(gathered.items) == locked_count:
        return RequestPage(gathered.items, _behind_locked(gathered))
    return RequestPage(gathered.items, Cursor(position=gathered.last_position))


def _of_queue(queue_pk: int) -> Select[*tuple[Any, ...]]:
    return select(*_COLUMNS).where(_request.queue_pk == queue_pk)


def _behind_locked(gathered: _Page) -> Cursor:
    last = gathered.items[-1]
    return Cursor(request_id=last.id, locked_until=last.locked_until)
