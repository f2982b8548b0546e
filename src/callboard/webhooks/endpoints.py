"""Webhook and dispatch endpoints."""

from starlette.responses import Response

from callboard.api.call import Call
from callboard.api.pagination import page_request, page_wire
from callboard.api.responses import data_response, no_content
from callboard.webhooks.model import Condition
from callboard.webhooks.schemas import (
    WebhookChange,
    WebhookCreation,
    dispatch_wire,
    webhook_short_wire,
    webhook_wire,
)
from callboard.webhooks.service import WebhookService


class WebhookEndpoints:
    def __init__(self, service: WebhookService) -> None:
        self._service = service

    async def page(self, call: Call) -> Response:
        request = page_request(call.query)
        page = await self._service.page(call.user, request)
        return data_response(page_wire(page, request, webhook_short_wire))

    async def page_of_actor(self, call: Call) -> Response:
        """`actorId` must be resolved to the id of an Actor that the caller may see."""
        return await self._page_for(call, Condition(actor_id=call.params["actorId"]))

    async def page_of_task(self, call: Call) -> Response:
        """`actorTaskId` must be resolved to the id of a task of the caller."""
        return await self._page_for(call, Condition(task_id=call.params["actorTaskId"]))

    async def _page_for(self, call: Call, condition: Condition) -> Response:
        request = page_request(call.query)
        page = await self._service.page(call.user, request, condition=condition)
        render = webhook_short_wire if condition.task_id is None else webhook_wire
        return data_response(page_wire(page, request, render))

    async def create(self, call: Call) -> Response:
        body = await call.parsed(WebhookCreation)
        webhook = await self._service.create(call.user, body.new_condition(), body.webhook())
        location = f"{call.base_url}/v2/webhooks/{webhook.id}"
        return data_response(webhook_wire(webhook), status=201, location=location)

    async def get(self, call: Call) -> Response:
        webhook = await self._service.get(call.user, call.params["webhookId"])
        return data_response(webhook_wire(webhook))

    async def update(self, call: Call) -> Response:
        body = await call.parsed(WebhookChange)
        condition = None if body.condition is None else body.condition.condition()
        webhook = await self._service.update(
            call.user, call.params["webhookId"], body.changes(), condition
        )
        return data_response(webhook_wire(webhook))

    async def delete(self, call: Call) -> Response:
        await self._service.delete(call.user, call.params["webhookId"])
        return no_content()

    async def test(self, call: Call) -> Response:
        dispatch = await self._service.test(call.user, call.params["webhookId"])
        location = f"{call.base_url}/v2/webhook-dispatches/{dispatch.id}"
        return data_response(dispatch_wire(dispatch), status=201, location=location)

    async def dispatches_of_webhook(self, call: Call) -> Response:
        return await self._dispatches(call, call.params["webhookId"])

    async def dispatches(self, call: Call) -> Response:
        return await self._dispatches(call, None)

    async def _dispatches(self, call: Call, webhook_id: str | None) -> Response:
        request = page_request(call.query)
        page = await self._service.dispatches(call.user, request, webhook_id=webhook_id)
        return data_response(page_wire(page, request, dispatch_wire))

    async def dispatch(self, call: Call) -> Response:
        dispatch = await self._service.dispatch(call.user, call.params["dispatchId"])
        return data_response(dispatch_wire(dispatch))
