"""Handlers for datasets."""

from typing import Any

from starlette.responses import Response

from callboard.api.call import Call
from callboard.api.pagination import page_request, page_wire
from callboard.api.responses import data_response, json_response
from callboard.datasets.item_query import parse_item_query
from callboard.datasets.responses import items_head, items_response
from callboard.datasets.schemas import dataset_row_wire, dataset_wire, statistics_wire
from callboard.datasets.service import DatasetService
from callboard.storages.endpoints import StorageEndpoints
from callboard.storages.model import Ownership, Storage
from callboard.storages.service import Need


class DatasetEndpoints(StorageEndpoints):
    def __init__(self, service: DatasetService) -> None:
        super().__init__(service, param="datasetId", path="datasets", render=_render)
        self._datasets = service

    async def page(self, call: Call) -> Response:
        request = page_request(call.query)
        unnamed = call.query.flag("unnamed")
        page = await self._datasets.page(
            call.user, request, unnamed=unnamed, ownership=call.query.one_of("ownership", Ownership)
        )
        return data_response(
            page_wire(
                page,
                request,
                lambda dataset: dataset_row_wire(dataset, base_url=call.base_url),
                unnamed=unnamed,
            )
        )

    async def list_items(self, call: Call) -> Response:
        """Items in any format; for HEAD the headers only."""
        query = parse_item_query(call.query)
        dataset = await self.find(call, Need.READ)
        page = self._datasets.read_items(dataset, query, caller=call.caller)
        if call.request.method == "HEAD":
            return items_head(page)
        return await items_response(page)

    async def push_items(self, call: Call) -> Response:
        ref = self.ref(call)
        await self._datasets.push(call.user, ref, await call.body())
        location = f"{call.base_url}/v2/datasets/{call.params[self._param]}/items"
        return json_response({}, status=201, headers={"Location": location})

    async def statistics(self, call: Call) -> Response:
        dataset = await self.find(call, Need.READ)
        fields = await self._datasets.statistics(dataset, caller=call.caller)
        return data_response(statistics_wire(fields))


def _render(dataset: Storage, call: Call) -> dict[str, Any]:
    return dataset_wire(dataset, base_url=call.base_url, caller=call.caller)
