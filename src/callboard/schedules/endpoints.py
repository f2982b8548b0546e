"""Handlers for schedules."""

from starlette.responses import Response

from callboard.api.call import Call
from callboard.api.pagination import page_request, page_wire
from callboard.api.refs import Ref, parse_ref
from callboard.api.responses import data_response, no_content
from callboard.schedules.schemas import (
    ScheduleBody,
    log_wire,
    schedule_wire,
    short_schedule_wire,
)
from callboard.schedules.service import ScheduleService


class ScheduleEndpoints:
    def __init__(self, service: ScheduleService) -> None:
        self._service = service

    async def page(self, call: Call) -> Response:
        request = page_request(call.query)
        page = await self._service.page(call.user, request)
        return data_response(page_wire(page, request, short_schedule_wire))

    async def create(self, call: Call) -> Response:
        schedule = await self._service.create(call.user, await call.parsed(ScheduleBody))
        return data_response(
            schedule_wire(schedule),
            status=201,
            location=f"{call.base_url}/v2/schedules/{schedule.id}",
        )

    async def get(self, call: Call) -> Response:
        return data_response(schedule_wire(await self._service.get(call.user, _ref(call))))

    async def update(self, call: Call) -> Response:
        body = await call.parsed(ScheduleBody)
        return data_response(schedule_wire(await self._service.update(call.user, _ref(call), body)))

    async def delete(self, call: Call) -> Response:
        await self._service.delete(call.user, _ref(call))
        return no_content()

    async def log(self, call: Call) -> Response:
        """A bare list in the envelope."""
        entries = await self._service.log(call.user, _ref(call))
        return data_response([log_wire(entry) for entry in entries])


def _ref(call: Call) -> Ref:
    return parse_ref(call.params["scheduleId"], call.caller)
