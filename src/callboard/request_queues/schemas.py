"""Request queues and their requests in JSON."""

from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any, Literal, TypeVar, cast

import msgspec

from callboard.core.clock import iso, parse_iso
from callboard.core.errors import InvalidRequest
from callboard.request_queues.errors import BATCH_MAX, TooManyRequests
from callboard.request_queues.listing import RequestPage
from callboard.request_queues.model import (
    Draft,
    Head,
    HeadItem,
    LockedHead,
    QueuedRequest,
    Registration,
    Removal,
    checked_id,
)
from callboard.storages.model import Storage
from callboard.storages.schemas import base_wire

T = TypeVar("T")
Method = Literal["GET", "HEAD", "POST", "PUT", "DELETE", "CONNECT", "OPTIONS", "TRACE", "PATCH"]

_OWN_FIELDS = frozenset(
    {"id", "uniqueKey", "url", "method", "retryCount", "handledAt", "lockExpiresAt"}
)
"""Fields kept in columns, or made by the server. All others are kept as they were sent."""

_encode = msgspec.json.Encoder().encode


class RequestBody(msgspec.Struct, rename="camel"):
    """A request as the contract has it. Others of its fields may be anything."""

    unique_key: str
    url: str
    id: str | None = None
    method: Method | None = None
    retry_count: int | None = None
    loaded_url: str | None = None
    payload: str | dict[str, Any] | None = None
    headers: dict[str, Any] | None = None
    user_data: dict[str, Any] | None = None
    no_retry: bool | None = None
    error_messages: list[str] | None = None
    handled_at: str | None = None


class RemovalBody(msgspec.Struct, rename="camel"):
    id: str | None = None
    unique_key: str | None = None


def parse_draft(value: Any) -> Draft:
    """Read a request. Raises InvalidRequest, or RequestIdInvalid for an id that is not its unique key's."""
    body = _body(value)
    return _draft(body, value, checked_id(body.unique_key, body.id))


def parse_change(value: Any, known_id: str) -> Draft:
    """Read a request that has been added before. Whether its id is its unique key's is left to be found out.

    Raises InvalidRequest, or RequestIdInvalid for another id than the known one.
    """
    body = _body(value)
    if body.id is not None and body.id != known_id:
        for given in (body.id, known_id):  # one of which it cannot be
            checked_id(body.unique_key, given)
    return _draft(body, value, known_id)


def _body(value: Any) -> RequestBody:
    body = _convert(value, RequestBody)
    if not body.unique_key or not body.url:
        raise InvalidRequest("The request body is not valid: uniqueKey and url must not be empty.")
    if not 0 <= (body.retry_count or 0) < 2**31:
        raise InvalidRequest("The request body is not valid: retryCount is out of range.")
    return body


def _draft(body: RequestBody, value: Any, draft_id: str) -> Draft:
    return Draft(
        id=draft_id,
        unique_key=body.unique_key,
        url=body.url,
        method=body.method or "GET",
        retry_count=body.retry_count or 0,
        handled_at=_instant(body.handled_at),
        extras=_encode({name: value[name] for name in value if name not in _OWN_FIELDS}),
    )


def parse_drafts(value: Any) -> list[Draft]:
    """Read a batch of requests. One that is not valid fails them all: sending it again would not help."""
    return [parse_draft(item) for item in _batch(value)]


def parse_removals(value: Any) -> list[Removal]:
    """Read a batch of requests to remove, each named by its id, its unique key, or both."""
    return [_parse_removal(item) for item in _batch(value)]


def _parse_removal(value: Any) -> Removal:
    body = _convert(value, RemovalBody)
    if body.unique_key is None:
        if body.id is None:
            raise InvalidRequest("The request body is not valid: id or uniqueKey is required.")
        return Removal(body.id, None)
    return Removal(checked_id(body.unique_key, body.id), body.unique_key)


def _batch(value: Any) -> Sequence[Any]:
    if not isinstance(value, list):
        raise InvalidRequest("The request body must be a JSON array.")
    items = cast("list[Any]", value)
    if len(items) > BATCH_MAX:
        raise TooManyRequests(len(items))
    return items


def _convert(value: Any, shape: type[T]) -> T:
    try:
        return msgspec.convert(value, shape)
    except msgspec.ValidationError as error:
        raise InvalidRequest(f"The request body is not valid: {error}") from error


def _instant(text: str | None) -> datetime | None:
    if text is None:
        return None
    try:
        instant = parse_iso(text)
    except (ValueError, OverflowError) as error:
        raise InvalidRequest("The request body is not valid: handledAt is not a date.") from error
    return instant.replace(microsecond=instant.microsecond // 1000 * 1000)


def queue_wire(queue: Storage, *, console_url: str) -> dict[str, Any]:
    return base_wire(queue, console_url=console_url) | {
        "totalRequestCount": queue.total_request_count,
        "handledRequestCount": queue.handled_request_count,
        "pendingRequestCount": queue.pending_request_count,
        "hadMultipleClients": queue.had_multiple_clients,
        "stats": {
            "readCount": queue.read_count,
            "writeCount": queue.write_count,
            "deleteCount": queue.delete_count,
            "headItemReadCount": queue.head_item_read_count,
            "storageBytes": queue.storage_bytes,
        },
    }


def queue_row_wire(
    wire: dict[str, Any], queue: Storage, *, retention: timedelta | None
) -> dict[str, Any]:
    """A queue in a list: with when it will be removed if nobody uses it, and a name that is always a text.

    The Python client cannot read a list with a name that is null.
    """
    row = wire | {"name": queue.name or ""}
    if retention is not None and queue.name is None:
        row["expireAt"] = iso(queue.accessed_at + retention)
    return row


def request_wire(request: QueuedRequest, *, now: datetime) -> msgspec.Raw:
    """A request with all that was sent."""
    own = _item_wire(request)
    if request.handled_at is not None:
        own["handledAt"] = iso(request.handled_at)
    if request.locked_until is not None and request.locked_until > now:
        own["lockExpiresAt"] = iso(request.locked_until)
    head = _encode(own)
    # Both are JSON objects: joining their texts spares decoding what was sent.
    return msgspec.Raw(head if request.extras == b"{}" else head[:-1] + b"," + request.extras[1:])


def page_wire(page: RequestPage, *, now: datetime, given: Mapping[str, Any]) -> dict[str, Any]:
    """A page of requests, with the parameters that were given."""
    wire = {**given, "items": [request_wire(request, now=now) for request in page.items]}
    if page.next_cursor is not None:
        wire["nextCursor"] = page.next_cursor.text()
    return wire


def registration_wire(registration: Registration) -> dict[str, Any]:
    return {
        "requestId": registration.id,
        "wasAlreadyPresent": registration.was_already_present,
        "wasAlreadyHandled": registration.was_already_handled,
    }


def added_wire(registrations: Sequence[Registration]) -> dict[str, Any]:
    """A batch goes in as a whole, so none of it is ever left to be sent again."""
    return {
        "processedRequests": [
            {"uniqueKey": registration.unique_key} | registration_wire(registration)
            for registration in registrations
        ],
        "unprocessedRequests": [],
    }


def removed_wire(removals: Sequence[Removal]) -> dict[str, Any]:
    return {
        "processedRequests": [
            {"id": removal.id}
            | ({} if removal.unique_key is None else {"uniqueKey": removal.unique_key})
            for removal in removals
        ],
        "unprocessedRequests": [],
    }


def head_wire(head: Head, *, limit: int) -> dict[str, Any]:
    return {
        "limit": limit,
        "queueModifiedAt": iso(head.queue_modified_at),
        "hadMultipleClients": head.had_multiple_clients,
        "items": [_item_wire(item) for item in head.items],
    }


def locked_head_wire(
    head: LockedHead, *, limit: int, lock_secs: float, client_key: str | None
) -> dict[str, Any]:
    wire = head_wire(head, limit=limit)
    expires_at = iso(head.locked_until)
    for item in wire["items"]:
        item["lockExpiresAt"] = expires_at
    wire |= {
        "lockSecs": int(lock_secs) if lock_secs == int(lock_secs) else lock_secs,
        "queueHasLockedRequests": head.has_locked_requests,
    }
    return wire if client_key is None else wire | {"clientKey": client_key}


def _item_wire(item: HeadItem | QueuedRequest) -> dict[str, Any]:
    return {
        "id": item.id,
        "uniqueKey": item.unique_key,
        "url": item.url,
        "method": item.method,
        "retryCount": item.retry_count,
    }
