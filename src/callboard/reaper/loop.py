"""The reaper: a round of cleaning each hour, and a small one soon after something was deleted."""

import asyncio
from collections.abc import Awaitable, Callable, Iterable
from dataclasses import dataclass, replace

import structlog
from starlette.responses import Response

from callboard.api.call import Call, Handler
from callboard.api.router import Route
from callboard.core.signals import Signals
from callboard.reaper.rounds import Rounds

log = structlog.get_logger()

DELETIONS = "deletions"
"""The topic that is signalled when something was deleted that holds more than a row."""
_HOLDERS = ("Id}", "/dataset", "/key-value-store", "/request-queue")


@dataclass(frozen=True)
class Pace:
    """In seconds."""

    first: float = 30
    """From the start of the server to the first round: it has other things to do then."""
    between: float = 3600
    """Between rounds."""
    soon: float = 2
    """From a deletion to the reclaiming, so that several are done together."""


class Reaper:
    """One per database."""

    def __init__(self, rounds: Rounds, signals: Signals, pace: Pace | None = None) -> None:
        self._rounds = rounds
        self._signals = signals
        self._pace = pace or Pace()

    async def run(self) -> None:
        """Reap until cancelled."""
        wait_secs = self._pace.first
        async with self._signals.listen(DELETIONS) as deletions:
            while True:
                await self._heed(deletions.wait, wait_secs)
                await _guarded(self._rounds.sweep)
                wait_secs = self._pace.between

    async def _heed(self, deleted: Callable[[float], Awaitable[bool]], secs: float) -> None:
        """Reclaim after each deletion until the time of the next round has come."""
        loop = asyncio.get_running_loop()
        round_at = loop.time() + secs
        while (left := round_at - loop.time()) > 0 and await deleted(left):
            await asyncio.sleep(self._pace.soon)
            await _guarded(self._rounds.reclaim)

    def waking(self, routes: Iterable[Route]) -> list[Route]:
        """The same routes, but what deletes a storage or a run wakes the reaper."""
        return [
            replace(route, handler=self._wake_after(route.handler))
            if route.method == "DELETE" and route.path.endswith(_HOLDERS)
            else route
            for route in routes
        ]

    def _wake_after(self, handler: Handler) -> Handler:
        async def handle(call: Call) -> Response:
            response = await handler(call)
            self._signals.notify(DELETIONS)
            return response

        return handle


async def _guarded(step: Callable[[], Awaitable[None]]) -> None:
    try:
        await step()
    except Exception as error:
        log.error("reaper.failed", exc_info=error)
