"""An HTTP server in the test's own process that takes down what it is sent."""

import asyncio
from typing import Any, Self

from aiohttp import web


class Receiver:
    """Answers every POST with 200 and keeps its JSON body, in order."""

    def __init__(self) -> None:
        self._bodies: asyncio.Queue[Any] = asyncio.Queue()
        self._runner: web.AppRunner | None = None
        self.url = ""

    async def __aenter__(self) -> Self:
        app = web.Application()
        app.router.add_post("/", self._take)
        self._runner = web.AppRunner(app)
        await self._runner.setup()
        site = web.TCPSite(self._runner, "127.0.0.1", 0)
        await site.start()
        host, port = self._runner.addresses[0][:2]
        self.url = f"http://{host}:{port}/"
        return self

    async def __aexit__(self, *_: object) -> None:
        assert self._runner is not None
        await self._runner.cleanup()

    async def _take(self, request: web.Request) -> web.Response:
        self._bodies.put_nowait(await request.json())
        return web.Response()

    @property
    def waiting(self) -> int:
        return self._bodies.qsize()

    async def next(self) -> Any:
        """The next body, waiting for it for some seconds."""
        async with asyncio.timeout(20):
            return await self._bodies.get()
