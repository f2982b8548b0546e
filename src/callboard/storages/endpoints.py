"""The five operations that every kind of storage has, as handlers for one kind."""

from collections.abc import Callable
from typing import Any, TypeAlias

import msgspec
from msgspec import UNSET
from starlette.responses import Response

from callboard.api.call import Call
from callboard.api.pagination import page_request, page_wire
from callboard.api.refs import Ref, parse_ref
from callboard.api.responses import data_response, no_content
from callboard.storages.model import Ownership, Storage
from callboard.storages.schemas import StorageChange, StorageCreation
from callboard.storages.service import Need, StorageService

Render: TypeAlias = Callable[[Storage, Call], dict[str, Any]]


class StorageEndpoints:
    """Handlers of one kind. `param` names the path parameter, `render` makes the wire object."""

    def __init__(self, service: StorageService, *, param: str, path: str, render: Render) -> None:
        self._service = service
        self._param = param
        self._path = path
        self._render = render

    def ref(self, call: Call) -> Ref:
        return parse_ref(call.params[self._param], call.caller)

    async def find(self, call: Call, need: Need, *, record_key: str | None = None) -> Storage:
        """The storage that the path names, if the caller may."""
        return await self._service.find(
            call.caller,
            self.ref(call),
            need,
            signature=call.query.text("signature"),
            record_key=record_key,
            is_granted=call.params[self._param] in call.readable_ids,
        )

    async def page(self, call: Call) -> Response:
        request = page_request(call.query)
        unnamed = call.query.flag("unnamed")
        page = await self._service.page(
            call.user, request, unnamed=unnamed, ownership=call.query.one_of("ownership", Ownership)
        )
        return data_response(
            page_wire(page, request, lambda storage: self.row(storage, call), unnamed=unnamed)
        )

    def row(self, storage: Storage, call: Call) -> dict[str, Any]:
        """A storage in a list. The official Python client takes no list in which a name is null."""
        return {**self._render(storage, call), "name": storage.name or ""}

    async def create(self, call: Call) -> Response:
        body = await call.parsed(StorageCreation)
        storage, is_new = await self._service.get_or_create(
            call.user, name=call.query.text("name"), title=body.title, schema=body.schema
        )
        return data_response(
            self._render(storage, call),
            status=201 if is_new else 200,
            location=f"{call.base_url}/v2/{self._path}/{storage.id}" if is_new else None,
        )

    async def get(self, call: Call) -> Response:
        return data_response(self._render(await self.find(call, Need.READ), call))

    async def update(self, call: Call) -> Response:
        body = await call.parsed(StorageChange)
        changes = {
            field: value
            for field, value in msgspec.structs.asdict(body).items()
            if value is not UNSET
        }
        storage = await self._service.update(call.caller, self.ref(call), changes)
        return data_response(self._render(storage, call))

    async def delete(self, call: Call) -> Response:
        await self._service.delete(call.caller, self.ref(call))
        return no_content()
