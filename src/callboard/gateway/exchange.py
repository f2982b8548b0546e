"""One request passed to an Actor and its answer passed back, piece by piece in both directions at once.

Nothing is kept beyond a piece: who reads slowly slows down who sends. A client that leaves ends the connection to the
Actor, which is how the Actor hears of it; an Actor that breaks off ends the client's, so that half an answer does not
look like a whole one.
"""

import asyncio
from collections.abc import Awaitable, Callable

import h11
from starlette.types import Receive, Send

from callboard.gateway.errors import BrokenAnswer, NoAnswerInTime
from callboard.gateway.heads import Headers
from callboard.proxy.wire import Wire

FIRST_RESPONSE_SECS = 300.0
"""How long an Actor may take to begin an answer, from the last piece of the request on."""
_STATUS_MAX = 599


class ClientGone(Exception):
    """The client left before it had its answer."""


class Exchange:
    """`rewrite` makes the headers of the answer. `far` is a connection of the request's own."""

    def __init__(
        self, run_id: str, far: Wire, *, rewrite: Callable[[Headers], Headers], send: Send
    ) -> None:
        self._run_id = run_id
        self._far = far
        self._rewrite = rewrite
        self._send = send
        self.has_begun = False
        """Whether the client has got a part of the answer."""

    async def carry_out(self, request: h11.Request, receive: Receive) -> None:
        """Raises ApiError, ClientGone."""
        timeout = asyncio.timeout(FIRST_RESPONSE_SECS)

        def passed() -> None:
            if not self.has_begun and not timeout.expired():
                timeout.reschedule(asyncio.get_running_loop().time() + FIRST_RESPONSE_SECS)

        try:
            async with timeout:
                await self._is_sent(request)
                await _first_of(
                    self._pass_answer(lambda: timeout.reschedule(None)),
                    self._pass_body(receive, passed),
                )
        except TimeoutError as error:
            raise NoAnswerInTime(self._run_id, FIRST_RESPONSE_SECS) from error

    async def _pass_body(self, receive: Receive, passed: Callable[[], None]) -> None:
        """Goes on until the client leaves."""
        is_read = True
        while True:
            message = await receive()
            if message["type"] == "http.disconnect":
                raise ClientGone
            if is_read and (body := message.get("body")):
                is_read = await self._is_sent(h11.Data(data=body))
                passed()
            if is_read and not message.get("more_body"):
                is_read = await self._is_sent(h11.EndOfMessage())

    async def _is_sent(self, event: h11.Event) -> bool:
        """A server may close for reading once it knows its answer, which counts."""
        try:
            await self._far.send(event)
        except (OSError, h11.LocalProtocolError):
            return False
        return True

    async def _pass_answer(self, began: Callable[[], None]) -> None:
        while not isinstance(event := await self._next(), h11.EndOfMessage):
            if isinstance(event, h11.Response):
                began()
                await self._start(event)
            elif isinstance(event, h11.Data):
                await self._pass({"body": bytes(event.data), "more_body": True})
        await self._pass({"body": b"", "more_body": False})

    async def _start(self, response: h11.Response) -> None:
        if response.status_code > _STATUS_MAX:
            raise BrokenAnswer(self._run_id, f"its status is {response.status_code}")
        self.has_begun = True
        headers = self._rewrite(response.headers.raw_items())
        await self._send(
            {"type": "http.response.start", "status": response.status_code, "headers": headers}
        )

    async def _pass(self, message: dict[str, object]) -> None:
        try:
            await self._send({"type": "http.response.body", **message})
        except OSError as error:
            raise ClientGone from error

    async def _next(self) -> h11.Event | type[h11.PAUSED] | type[h11.NEED_DATA]:
        try:
            return checked(await self._far.receive(), self._run_id)
        except h11.RemoteProtocolError as error:
            raise BrokenAnswer(self._run_id, str(error)) from error
        except OSError as error:
            raise BrokenAnswer(self._run_id, "the connection broke") from error


def checked(event: object, run_id: str) -> h11.Event:
    """An event that belongs to an answer. Raises BrokenAnswer."""
    if isinstance(event, h11.InformationalResponse | h11.Response | h11.Data | h11.EndOfMessage):
        return event
    raise BrokenAnswer(run_id, "the connection was closed")


async def _first_of(answering: Awaitable[None], sending: Awaitable[None]) -> None:
    """Until the answer is whole. The sending one never ends before it but by an exception."""
    both = [asyncio.ensure_future(answering), asyncio.ensure_future(sending)]
    try:
        done, _ = await asyncio.wait(both, return_when=asyncio.FIRST_COMPLETED)
        (both[0] if both[0] in done else both[1]).result()
    finally:
        for task in both:
            task.cancel()
        await asyncio.gather(*both, return_exceptions=True)
