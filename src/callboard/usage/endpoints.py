"""Handlers for an account's limits and usage."""

from starlette.responses import Response

from callboard.api.call import Call
from callboard.api.responses import data_response, json_response
from callboard.core import clock
from callboard.usage.schemas import LimitsChange, limits_wire, monthly_wire, total
from callboard.usage.service import UsageService


class UsageEndpoints:
    def __init__(self, service: UsageService) -> None:
        self._service = service

    async def limits(self, call: Call) -> Response:
        cycle, limits, holdings, days = await self._service.limits(call.user)
        return data_response(limits_wire(cycle, limits, holdings, total(days)))

    async def change_limits(self, call: Call) -> Response:
        """An empty object, without an envelope."""
        await self._service.change_limits(call.user, await call.parsed(LimitsChange))
        return json_response({}, status=201)

    async def monthly(self, call: Call) -> Response:
        at = call.query.instant("date") or clock.now()
        return data_response(monthly_wire(*await self._service.monthly(call.user, at)))
