"""Handlers of request queues."""

import asyncio
from datetime import timedelta
from typing import Any

from starlette.responses import Response

from callboard.api.call import Call
from callboard.api.params import ParameterRequired
from callboard.api.responses import data_response, no_content
from callboard.core import clock
from callboard.core.errors import InvalidParameter
from callboard.request_queues import schemas
from callboard.request_queues.errors import BATCH_MAX, InvalidClientKey
from callboard.request_queues.known import KnownQueues
from callboard.request_queues.listing import LIST_MAX, Cursor, read_cursor
from callboard.request_queues.model import Access, Client, RequestState
from callboard.request_queues.service import RequestQueueService
from callboard.storages.endpoints import StorageEndpoints
from callboard.storages.model import Storage
from callboard.storages.service import Need

HEAD_MAX = 1000
CLIENT_KEY_MAX = 32
LOCK_SECS_MAX = 366 * 24 * 3600
_RENDERED_OFF_LOOP_FROM = 500


class RequestQueueEndpoints(StorageEndpoints):
    """`retention` is how long unnamed queues are kept when nobody uses them; None: for ever."""

    def __init__(self, service: RequestQueueService, *, retention: timedelta | None = None) -> None:
        super().__init__(service, param="queueId", path="request-queues", render=_render)
        self._queues = service
        self._retention = retention
        self._known = KnownQueues()

    def row(self, storage: Storage, call: Call) -> dict[str, Any]:
        return schemas.queue_row_wire(_render(storage, call), storage, retention=self._retention)

    async def get_head(self, call: Call) -> Response:
        access = await self._access(call, Need.READ)
        limit = _limit(call, maximum=HEAD_MAX)
        head = await self._queues.get_head(access, limit=limit)
        return data_response(schemas.head_wire(head, limit=limit))

    async def lock_head(self, call: Call) -> Response:
        access = await self._access(call, Need.WRITE)
        limit, lock_secs = _limit(call, maximum=BATCH_MAX), _lock_secs(call)
        head = await self._queues.locking.lock_head(
            access, limit=limit, duration=timedelta(seconds=lock_secs)
        )
        wire = schemas.locked_head_wire(
            head, limit=limit, lock_secs=lock_secs, client_key=access.client.key
        )
        return data_response(wire, status=201)

    async def list_requests(self, call: Call) -> Response:
        access = await self._access(call, Need.READ)
        states, cursor = _list_position(call)
        limit = _limit(call, maximum=LIST_MAX)
        page = await self._queues.list_requests(access, states=states, cursor=cursor, limit=limit)
        given: dict[str, Any] = {"limit": limit}
        for name in ("cursor", "exclusiveStartId"):
            if name in call.query:
                given[name] = call.query.text(name)
        now = clock.now()
        if len(page.items) < _RENDERED_OFF_LOOP_FROM:
            return data_response(schemas.page_wire(page, now=now, given=given))
        return await asyncio.to_thread(
            lambda: data_response(schemas.page_wire(page, now=now, given=given))
        )

    async def add_request(self, call: Call) -> Response:
        access = await self._access(call, Need.WRITE)
        draft = schemas.parse_draft(await call.json())
        [registration] = await self._queues.add_requests(
            access, [draft], forefront=_forefront(call)
        )
        return data_response(schemas.registration_wire(registration), status=201)

    async def add_requests(self, call: Call) -> Response:
        access = await self._access(call, Need.WRITE)
        drafts = schemas.parse_drafts(await call.json())
        registrations = await self._queues.add_requests(access, drafts, forefront=_forefront(call))
        return data_response(schemas.added_wire(registrations), status=201)

    async def delete_requests(self, call: Call) -> Response:
        access = await self._access(call, Need.WRITE)
        removals = schemas.parse_removals(await call.json())
        removed = await self._queues.delete_requests(access, removals)
        return data_response(schemas.removed_wire(removed))

    async def unlock_requests(self, call: Call) -> Response:
        access = await self._access(call, Need.WRITE)
        return data_response({"unlockedCount": await self._queues.locking.unlock_all(access)})

    async def get_request(self, call: Call) -> Response:
        access = await self._access(call, Need.READ)
        request = await self._queues.get_request(access, call.params["requestId"])
        return data_response(schemas.request_wire(request, now=clock.now()))

    async def update_request(self, call: Call) -> Response:
        access = await self._access(call, Need.WRITE)
        draft = schemas.parse_change(await call.json(), call.params["requestId"])
        registration = await self._queues.update_request(access, draft, forefront=_forefront(call))
        return data_response(schemas.registration_wire(registration))

    async def delete_request(self, call: Call) -> Response:
        access = await self._access(call, Need.WRITE)
        await self._queues.delete_request(access, call.params["requestId"])
        return no_content()

    async def prolong_lock(self, call: Call) -> Response:
        access = await self._access(call, Need.WRITE)
        until = await self._queues.locking.prolong(
            access,
            call.params["requestId"],
            duration=timedelta(seconds=_lock_secs(call)),
            forefront=_forefront(call),
        )
        return data_response({"lockExpiresAt": clock.iso(until)})

    async def delete_lock(self, call: Call) -> Response:
        access = await self._access(call, Need.WRITE)
        await self._queues.locking.release(
            access, call.params["requestId"], forefront=_forefront(call)
        )
        return no_content()

    async def _access(self, call: Call, need: Need) -> Access:
        key = call.query.raw("clientKey")
        if key is not None and not 1 <= len(key) <= CLIENT_KEY_MAX:
            raise InvalidClientKey
        queue = self._known.get(call.caller, self.ref(call))
        if queue is None:
            queue = await self.find(call, need)
            if need is Need.WRITE:  # who may write may read, but not the other way round
                self._known.add(call.caller, queue)
        run_id = None if call.caller is None else call.caller.run_id
        return Access(queue, call.caller, Client(key, run_id))


def _render(queue: Storage, call: Call) -> dict[str, Any]:
    console_url = f"{call.base_url}/console/storage/request-queues/{queue.id}"
    return schemas.queue_wire(queue, console_url=console_url)


def _limit(call: Call, *, maximum: int) -> int:
    """The limit, or the maximum for none, for zero, and for more."""
    return min(call.query.integer("limit") or maximum, maximum)


def _lock_secs(call: Call) -> float:
    lock_secs = call.query.number("lockSecs", minimum=1)
    if lock_secs is None:
        raise ParameterRequired('Parameter "lockSecs" is required.')
    if lock_secs > LOCK_SECS_MAX:
        raise InvalidParameter(f'Parameter "lockSecs" must be at most {LOCK_SECS_MAX}.')
    return lock_secs


def _forefront(call: Call) -> bool:
    return call.query.flag("forefront")


def _list_position(call: Call) -> tuple[frozenset[RequestState], Cursor]:
    states = frozenset(call.query.some_of("filter", RequestState) or ())
    start_id, cursor = call.query.text("exclusiveStartId"), call.query.text("cursor")
    if start_id is not None and (states or cursor is not None):
        raise InvalidParameter(
            'Parameter "exclusiveStartId" cannot be combined with "filter" or "cursor".'
        )
    return states, read_cursor(cursor) if cursor is not None else Cursor(request_id=start_id)
