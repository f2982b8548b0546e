"""The handler of the Store."""

from starlette.responses import Response

from callboard.actors.pricing import PricingModel
from callboard.api.call import Call
from callboard.api.pagination import page_request, page_wire
from callboard.api.responses import data_response
from callboard.store.model import StoreFormat, StoreOrder, StoreQuery
from callboard.store.schemas import store_row_wire
from callboard.store.service import StoreService


class StoreEndpoints:
    def __init__(self, service: StoreService) -> None:
        self._service = service

    async def page(self, call: Call) -> Response:
        query = call.query
        # Read so that a wrong value is an error; here every Actor can be run.
        query.optional_flag("includeUnrunnableActors")
        wanted = StoreQuery(
            words=(query.text("search") or "").lower().split(),
            order=query.one_of("sortBy", StoreOrder) or StoreOrder.RELEVANCE,
            category=query.text("category"),
            username=query.text("username"),
            pricing_model=query.one_of("pricingModel", PricingModel),
            allows_agents=query.optional_flag("allowsAgenticUsers"),
        )
        form = query.one_of("responseFormat", StoreFormat) or StoreFormat.FULL
        request = page_request(query)
        page = await self._service.page(wanted, request)
        return data_response(
            page_wire(
                page,
                request,
                lambda found: store_row_wire(found, base_url=call.base_url, form=form),
            )
        )
