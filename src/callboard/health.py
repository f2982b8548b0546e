"""`GET /health`: is the server alive, is it ready, and what is in force."""

from importlib.metadata import version

from starlette.responses import Response

from callboard.api.call import Call
from callboard.api.responses import json_response
from callboard.api.router import Auth, Route
from callboard.executors.base import Executor


class Health:
    """Outside the contract, and open to all: it tells nothing about users or their things."""

    def __init__(self, executor: Executor) -> None:
        self._executor = executor

    def routes(self) -> list[Route]:
        return [Route("GET", "/health", self.get, Auth.NONE)]

    async def get(self, call: Call) -> Response:
        return json_response(
            {
                "status": "ok",
                "isReady": True,
                "version": version("callboard"),
                "executor": self._executor.name,
                "sandbox": dict(self._executor.rungs()),
            }
        )
