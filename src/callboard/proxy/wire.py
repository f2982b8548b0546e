"""HTTP/1.1 over a connection, on h11: with bounded heads, backpressure, and what passes counted."""

import asyncio
import socket
from collections.abc import Callable
from contextlib import suppress
from typing import Final, TypeAlias

import h11

READ_BYTES: Final = 65_536
MAX_HEAD_BYTES: Final = 65_536
OF_ONE_CONNECTION: Final = frozenset(
    {
        b"connection",
        b"keep-alive",
        b"proxy-authenticate",
        b"proxy-authorization",
        b"proxy-connection",
        b"te",
        b"trailer",
        b"upgrade",
    }
)
"""Headers that are not passed on."""

Event: TypeAlias = h11.Event | type[h11.NEED_DATA] | type[h11.PAUSED]
Passed: TypeAlias = Callable[[int], None]
"""Told of every piece of bytes that passes."""


async def opened(connection: socket.socket) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    """Streams over a connection, which is closed when there can be none."""
    try:
        return await asyncio.open_connection(sock=connection)
    except BaseException:
        with suppress(OSError):
            connection.close()
        raise


class Wire:
    """One side of an HTTP connection. Reading and sending may happen at the same time."""

    def __init__(
        self,
        role: type[h11.SERVER] | type[h11.CLIENT],
        streams: tuple[asyncio.StreamReader, asyncio.StreamWriter],
        *,
        passed: Passed = lambda _: None,
    ) -> None:
        self._h11 = h11.Connection(role, max_incomplete_event_size=MAX_HEAD_BYTES)
        self.reader, self.writer = streams
        self._passed = passed
        self.has_ended = False
        """Whether the other side has sent its last byte."""

    async def receive(self) -> Event:
        """The next event. Raises h11.RemoteProtocolError for what makes no sense, OSError for a broken connection."""
        while True:
            event = self._h11.next_event()
            if event is not h11.NEED_DATA:
                return event
            data = await self.reader.read(READ_BYTES)
            self.has_ended = not data
            self._passed(len(data))
            self._h11.receive_data(data)

    async def send(self, event: h11.Event) -> None:
        data = self._h11.send(event)
        if data:
            self._passed(len(data))
            self.writer.write(data)
            await self.writer.drain()

    async def until_closed(self) -> None:
        """Return when the other side is gone, between its request and the answer. It may send a little ahead."""
        while len(self._h11.trailing_data[0]) < READ_BYTES:
            data = await self.reader.read(READ_BYTES)
            if not data:
                return
            self._h11.receive_data(data)
        await asyncio.get_running_loop().create_future()

    async def hang_up(self, *, within_secs: float) -> None:
        """Say that nothing more comes, and hear the other side out: closing earlier may take the answer from it."""
        self.writer.write_eof()
        async with asyncio.timeout(within_secs):
            while await self.reader.read(READ_BYTES):
                pass

    def take_rest(self) -> bytes:
        """What came after the last event: the first bytes of another protocol."""
        return self._h11.trailing_data[0]

    @property
    def can_answer(self) -> bool:
        """Whether the response has not begun."""
        return self._h11.our_state in (h11.IDLE, h11.SEND_RESPONSE)

    @property
    def speaks_http_1_1(self) -> bool:
        return (self._h11.their_http_version or b"1.1") >= b"1.1"

    def is_ready_again(self) -> bool:
        """After an exchange, whether the connection serves another, which begins then."""
        if self._h11.our_state is h11.DONE and self._h11.their_state is h11.DONE:
            self._h11.start_next_cycle()
            return True
        return False
