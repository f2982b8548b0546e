"""HTTP servers that stand in for the outside world: they answer as told and remember what came."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

from aiohttp import web

Answer = Callable[[web.Request], Any]


@dataclass
class Received:
    path: str
    headers: dict[str, str]
    body: bytes


@dataclass
class Receiver:
    """Answers with what stands in `answers`, the last one for ever, and remembers what came."""

    url: str = ""
    answers: list[Answer] = field(default_factory=list)
    received: list[Received] = field(default_factory=list)
    _changed: asyncio.Condition = field(default_factory=asyncio.Condition)

    async def handle(self, request: web.Request) -> web.StreamResponse:
        headers = {name.lower(): value for name, value in request.headers.items()}
        seen = Received(request.path_qs, headers, await request.read())
        async with self._changed:
            self.received.append(seen)
            self._changed.notify_all()
        answer = self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]
        response = answer(request)
        return await response if asyncio.iscoroutine(response) else response

    async def until(self, count: int) -> list[Received]:
        async with asyncio.timeout(10), self._changed:
            await self._changed.wait_for(lambda: len(self.received) >= count)
            return self.received


def answer(status: int, text: str = "", **headers: str) -> Answer:
    return lambda _request: web.Response(status=status, text=text, headers=headers)


async def never(_request: web.Request) -> web.Response:
    await asyncio.Event().wait()
    return web.Response()


@asynccontextmanager
async def listening(*answers: Answer, **site_options: Any) -> AsyncIterator[Receiver]:
    receiver = Receiver(answers=list(answers) or [answer(200, "thanks")])
    app = web.Application()
    app.router.add_route("*", "/{tail:.*}", receiver.handle)
    runner = web.AppRunner(app, shutdown_timeout=0.1)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0, **site_options)
    await site.start()
    scheme = "https" if site_options else "http"
    receiver.url = f"{scheme}://127.0.0.1:{runner.addresses[0][1]}"
    try:
        yield receiver
    finally:
        await runner.cleanup()
