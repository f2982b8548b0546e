"""Handlers for what makes a run start again, and for charging. Wherever a run is mounted, its id is in the path."""

import msgspec
from starlette.responses import Response

from callboard.api.call import Call
from callboard.api.refs import parse_ref
from callboard.api.responses import data_response, json_response
from callboard.runs.changes import Charge, RunChanges
from callboard.runs.endpoints import RunEndpoints, sent_input
from callboard.runs.options import options_from_query


class ChargeBody(msgspec.Struct, rename="camel"):
    event_name: str
    count: int = 1


class RunChangeEndpoints:
    def __init__(self, changes: RunChanges, runs: RunEndpoints) -> None:
        self._changes = changes
        self._runs = runs

    async def reboot(self, call: Call) -> Response:
        run = await self._changes.reboot(call.user, call.params["runId"])
        return data_response(self._runs.wire(run))

    async def metamorph(self, call: Call) -> Response:
        run = await self._changes.metamorph(
            call.user,
            call.params["runId"],
            parse_ref(call.query.required_text("targetActorId"), call.caller),
            build=call.query.text("build"),
            sent=await sent_input(call),
        )
        return data_response(self._runs.wire(run))

    async def resurrect(self, call: Call) -> Response:
        run = await self._changes.resurrect(
            call.user, call.params["runId"], options_from_query(call.query)
        )
        return data_response(self._runs.wire(run))

    async def charge(self, call: Call) -> Response:
        body = await call.parsed(ChargeBody)
        key = call.request.headers.get("idempotency-key")
        await self._changes.charge(
            call.user, call.params["runId"], Charge(body.event_name, body.count, key or None)
        )
        return json_response({}, status=201)
