"""Handlers for key-value stores, wherever they are mounted."""

from starlette.responses import Response, StreamingResponse

from callboard.api.body import content_coding
from callboard.api.call import Call
from callboard.api.pagination import MAX_LIMIT
from callboard.api.responses import data_response, json_response, no_content
from callboard.key_value_stores.archive import archive_of
from callboard.key_value_stores.errors import NoSuchRecord
from callboard.key_value_stores.model import KeyRange, check_key
from callboard.key_value_stores.responses import record_response
from callboard.key_value_stores.schemas import keys_wire, record_url, store_wire
from callboard.key_value_stores.service import KeyValueStoreService
from callboard.storages.endpoints import StorageEndpoints
from callboard.storages.service import Need


class KeyValueStoreEndpoints(StorageEndpoints):
    def __init__(self, service: KeyValueStoreService) -> None:
        super().__init__(service, param="storeId", path="key-value-stores", render=store_wire)
        self._stores = service

    async def list_keys(self, call: Call) -> Response:
        """A limit of zero or above the maximum gives the maximum, as in all lists."""
        store = await self.find(call, Need.READ)
        start = call.query.text("exclusiveStartKey")
        limit = min(call.query.integer("limit") or MAX_LIMIT, MAX_LIMIT)
        page = await self._stores.list_keys(
            store,
            KeyRange(after=start, prefix=call.query.text("prefix") or ""),
            limit=limit,
            collection=call.query.text("collection"),
            caller=call.caller,
        )
        return data_response(keys_wire(page, store, call, limit=limit, start=start))

    async def download_records(self, call: Call) -> Response:
        store = await self.find(call, Need.READ)
        records = self._stores.records(
            store,
            KeyRange(prefix=call.query.text("prefix") or ""),
            collection=call.query.text("collection"),
            caller=call.caller,
        )
        headers = {"Content-Disposition": f'attachment; filename="{store.name or store.id}.zip"'}
        return StreamingResponse(archive_of(records), headers=headers, media_type="application/zip")

    async def get_record(self, call: Call) -> Response:
        """GET and HEAD."""
        key = check_key(call.params["recordKey"])
        record = await self._stores.find_record(
            call.caller,
            self.ref(call),
            key,
            signature=call.query.text("signature"),
            is_granted=call.params["storeId"] in call.readable_ids,
        )
        if record is None:
            raise NoSuchRecord
        return await record_response(call.request, record, attachment=call.query.flag("attachment"))

    async def set_record(self, call: Call) -> Response:
        """The body as sent, still compressed if it came so: this is what readers get."""
        key = check_key(call.params["recordKey"])
        store = await self.find(call, Need.WRITE)
        coding = content_coding(call.request)
        await self._stores.set_record(
            call.caller,
            store,
            key,
            await call.raw_body(),
            content_type=call.content_type,
            content_encoding=coding,
        )
        return json_response({}, status=201, headers={"Location": record_url(store, key, call)})

    async def delete_record(self, call: Call) -> Response:
        key = check_key(call.params["recordKey"])
        store = await self.find(call, Need.WRITE)
        await self._stores.delete_record(call.caller, store, key)
        return no_content()
