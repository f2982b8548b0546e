"""Handlers for logs, by their own id and under runs and builds."""

from starlette.responses import Response, StreamingResponse

from callboard.api.call import Call
from callboard.logs.service import LogService

_TEXT = "text/plain; charset=utf-8"


class LogEndpoints:
    def __init__(self, service: LogService) -> None:
        self._service = service

    async def get(self, call: Call) -> Response:
        """`stream=1` stays open until the run or build ends; `raw=1` keeps terminal colours."""
        log_id = call.params["buildOrRunId"]
        await self._service.require(call.caller, log_id)
        raw = call.query.flag("raw")
        if call.query.flag("stream"):
            body = self._service.follow(call.caller, log_id, raw=raw)
        else:
            body = self._service.whole(log_id, raw=raw)
        headers = {"X-Content-Type-Options": "nosniff"}
        if call.query.flag("download"):
            headers["Content-Disposition"] = f'attachment; filename="{log_id}.log"'
        return StreamingResponse(body, headers=headers, media_type=_TEXT)
