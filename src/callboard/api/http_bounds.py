"""HTTP as the server speaks it, with bounds on what a client may send before anybody has looked at it.

The parser below bounds neither the length of a head nor the time it takes: without this, one client could fill the
memory with a single header, and a thousand that never finish a request could hold a thousand connections for ever.
"""

import asyncio
from typing import Any, Final, cast

from uvicorn.protocols.http.httptools_impl import (
    STATUS_LINE,
    HttpToolsProtocol,
    RequestResponseCycle,
)

from callboard.api.errors import HeadTooLarge, MalformedRequest, UrlTooLong, render
from callboard.core.errors import ApiError

URL_MAX_BYTES: Final = 64 * 1024
"""Ad-hoc webhooks with their templates travel in the query."""
HEAD_MAX_BYTES: Final = 96 * 1024
"""Of the URL and all headers."""
HEAD_SECS: Final = 30.0
"""From the first byte of a head, or the connection, to its last."""
BODY_SILENCE_SECS: Final = 60.0
"""Within a body. Slow is allowed, standing still is not."""


class BoundedHttp(HttpToolsProtocol):
    """Refuses what is too long with 414 or 431, and hangs up on who takes too long."""

    def __init__(self, *args: Any, **options: Any) -> None:
        super().__init__(*args, **options)
        self._head_bytes = 0
        self._is_in_head = False
        self._is_in_body = False
        self._refusal: ApiError | None = None
        self._deadline: float | None = None
        self._timer: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override] - as uvicorn's own
        super().connection_made(transport)
        self._limit_time(HEAD_SECS)

    def connection_lost(self, exc: Exception | None) -> None:
        if self._timer is not None:
            self._timer.cancel()
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        was_in_head = self._is_in_head
        self._head_bytes += len(data)
        super().data_received(data)
        if self._is_in_head:
            if self._head_bytes > HEAD_MAX_BYTES:
                self._refuse(HeadTooLarge())
            elif not was_in_head:
                self._limit_time(HEAD_SECS)
        else:
            self._head_bytes = 0
            if self._is_in_body:
                self._limit_time(BODY_SILENCE_SECS)
            else:
                self._deadline = None

    def on_message_begin(self) -> None:
        self._is_in_head = True
        super().on_message_begin()

    def on_headers_complete(self) -> None:
        if self._head_bytes > URL_MAX_BYTES:
            self._check_lengths()
        self._is_in_head, self._is_in_body = False, True
        super().on_headers_complete()

    def on_message_complete(self) -> None:
        self._is_in_body = False
        super().on_message_complete()

    def _check_lengths(self) -> None:
        """What came at once may be longer than what comes in pieces gets to be. An exception ends the parsing."""
        if len(self.url) > URL_MAX_BYTES:
            self._refusal = UrlTooLong()
        elif len(self.url) + sum(len(name) + len(value) for name, value in self.headers) > (
            HEAD_MAX_BYTES
        ):
            self._refusal = HeadTooLarge()
        if self._refusal is not None:
            raise self._refusal

    def send_400_response(self, msg: str) -> None:
        """Called when the parser gives up."""
        self._refuse(self._refusal or MalformedRequest(msg))

    def _refuse(self, error: ApiError) -> None:
        if self.transport.is_closing():
            return
        # There is none before the first request, whatever its type says.
        cycle = cast("RequestResponseCycle | None", self.cycle)
        if cycle is None or cycle.response_complete:
            response = render(error)
            response.headers["connection"] = "close"
            head = b"".join(name + b": " + value + b"\r\n" for name, value in response.raw_headers)
            self.transport.write(
                STATUS_LINE[response.status_code] + head + b"\r\n" + bytes(response.body)
            )
        # Else an answer to an earlier request is under way, which this must not get into.
        self.transport.close()

    def _limit_time(self, secs: float) -> None:
        self._deadline = self.loop.time() + secs
        if self._timer is None:
            self._timer = self.loop.call_later(secs, self._look_at_time)

    def _look_at_time(self) -> None:
        """Deadlines move with every piece that comes; the timer only looks whether there is one that has passed."""
        self._timer = None
        if self._deadline is None or self.transport.is_closing():
            return
        if self.transport.get_protocol() is not self:
            return  # Another took over the connection.
        if self.flow.read_paused:
            self._limit_time(BODY_SILENCE_SECS)  # It is not the client who keeps us waiting.
            return
        left = self._deadline - self.loop.time()
        if left <= 0:
            self.transport.close()
        else:
            self._timer = self.loop.call_later(left, self._look_at_time)
