"""A small web site for crawlers, on this machine."""

from collections import Counter
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

from aiohttp import web

PAGE_COUNT = 15
_HOST = "host.callboard.internal"
"""By this name runs reach this machine, where the server lets them."""


@dataclass
class Site:
    """Page n links to pages 2n+1 and 2n+2, and back to the first one. Page 3 fails when it is first asked for."""

    url: str = ""
    visits: Counter[int] = field(default_factory=Counter[int])

    async def handle(self, request: web.Request) -> web.Response:
        number = int(request.match_info["number"])
        self.visits[number] += 1
        if number == 3 and self.visits[3] == 1:
            return web.Response(status=503, text="try again")
        links = "".join(
            f'<a href="/page/{n}">page {n}</a>'
            for n in (0, 2 * number + 1, 2 * number + 2)
            if n < PAGE_COUNT
        )
        page = f"<html><head><title>Page {number}</title></head><body>{links}</body></html>"
        return web.Response(text=page, content_type="text/html")


@asynccontextmanager
async def serving() -> AsyncGenerator[Site]:
    site = Site()
    app = web.Application()
    app.router.add_get(r"/page/{number:\d+}", site.handle)
    runner = web.AppRunner(app, shutdown_timeout=0.1)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    site.url = f"http://{_HOST}:{runner.addresses[0][1]}/page/0"
    try:
        yield site
    finally:
        await runner.cleanup()
