"""Item pages as HTTP responses, for the dataset endpoints and for runs that answer with their items."""

from collections.abc import AsyncIterator

from starlette.responses import Response, StreamingResponse
from starlette.types import Receive, Scope, Send

from callboard.datasets.model import Body, ItemPage


async def items_response(page: ItemPage, *, status: int = 200) -> Response:
    """Whole when it is small, streamed otherwise. What fails at the start is raised here, not in the stream."""
    try:
        first = await page.body.read()
    except BaseException:
        page.body.close()
        raise
    if not page.body.is_finished:
        return _Streamed(page, first, status=status)
    page.body.close()
    return Response(first, status, page.headers, page.content_type)


def items_head(page: ItemPage) -> Response:
    """The headers of the same response to GET. Its length is not known without making it."""
    response = Response(b"", 200, page.headers, page.content_type)
    del response.headers["content-length"]
    page.body.close()
    return response


class _Streamed(StreamingResponse):
    """Sends the rest as it is made, and lets go of what that takes however the sending ends."""

    def __init__(self, page: ItemPage, first: bytes, *, status: int) -> None:
        super().__init__(_chunks(page.body, first), status, page.headers, page.content_type)
        self._body = page.body

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        try:
            await super().__call__(scope, receive, send)
        finally:
            self._body.close()


async def _chunks(body: Body, first: bytes) -> AsyncIterator[bytes]:
    yield first
    while chunk := await body.read():
        yield chunk
