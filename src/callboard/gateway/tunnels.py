"""Requests that change to another protocol, such as websockets: once the Actor agrees, bytes pass as they are.

So any subprotocol and any extension works, frames of any size pass, and closing codes arrive as they were sent.
"""

import asyncio
from contextlib import suppress
from http import HTTPStatus

import h11
import structlog

from callboard.api.errors import InternalError, render
from callboard.core.errors import ApiError
from callboard.gateway.doors import Door, Doors, Passage
from callboard.gateway.errors import BrokenAnswer, NoAnswerInTime
from callboard.gateway.exchange import FIRST_RESPONSE_SECS, checked
from callboard.gateway.heads import Head, Headers, incoming, without_hops
from callboard.gateway.places import Place
from callboard.proxy.front import UpgradeRequest
from callboard.proxy.ways import Streams
from callboard.proxy.wire import READ_BYTES

log = structlog.get_logger()


class Tunnels:
    """Serves connections handed to it, until `close`. For one event loop."""

    def __init__(self, doors: Doors) -> None:
        self._doors = doors
        self._serving: set[asyncio.Task[None]] = set()

    def take(self, transport: asyncio.Transport, request: UpgradeRequest) -> bool:
        """Serve the connection, if the request on it is for an Actor."""
        head = Head(
            method=request.method,
            target=request.target,
            headers=request.headers,
            client_ip=request.client_ip,
            scheme=request.scheme,
        )
        place = self._doors.place_of(head.host, head.path)
        if place is None:
            return False
        task = asyncio.create_task(self._serve(_streams(transport), place, head), name="tunnel")
        self._serving.add(task)
        task.add_done_callback(self._serving.discard)
        return True

    async def close(self) -> None:
        """End all connections."""
        for task in self._serving:
            task.cancel()
        await asyncio.gather(*self._serving, return_exceptions=True)

    async def _serve(self, client: Streams, place: Place, head: Head) -> None:
        try:
            await self._pass(client, place, head)
        except ApiError as error:
            _write_error(client[1], error)
        except (OSError, h11.ProtocolError):
            pass  # One side is gone.
        except Exception as error:
            log.error("gateway.tunnel_failed", exc_info=error)
            _write_error(client[1], InternalError())
        finally:
            client[1].close()

    async def _pass(self, client: Streams, place: Place, head: Head) -> None:
        door = await self._doors.find(place, head)
        upgrade = head.first(b"upgrade")
        async with self._doors.passage(door, head, upgrade=upgrade) as passage:
            answer = await _answer_to(passage)
            if isinstance(answer, h11.InformationalResponse):
                headers = without_hops(answer.headers.raw_items(), keep=_OF_UPGRADE)
                _write_head(client[1], answer.status_code, headers)
                client[1].write(passage.far.take_rest())
                await _relay(client, (passage.far.reader, passage.far.writer))
            else:
                await _pass_refusal(client[1], door, passage, answer)


_OF_UPGRADE = frozenset({b"connection", b"upgrade"})


async def _answer_to(passage: Passage) -> h11.InformationalResponse | h11.Response:
    """The Actor's word on the change: 101, or an answer of the usual kind. Raises ApiError."""
    try:
        async with asyncio.timeout(FIRST_RESPONSE_SECS):
            await passage.far.send(passage.request)
            await passage.far.send(h11.EndOfMessage())
            while True:
                event = checked(await passage.far.receive(), passage.run_id)
                if isinstance(event, h11.Response) or (
                    isinstance(event, h11.InformationalResponse)
                    and event.status_code == HTTPStatus.SWITCHING_PROTOCOLS
                ):
                    return event
    except TimeoutError as error:
        raise NoAnswerInTime(passage.run_id, FIRST_RESPONSE_SECS) from error
    except (OSError, h11.RemoteProtocolError) as error:
        raise BrokenAnswer(passage.run_id, str(error)) from error


async def _pass_refusal(
    client: asyncio.StreamWriter, door: Door, passage: Passage, answer: h11.Response
) -> None:
    """The connection ends with it: nothing else may reach the Actor on it."""
    headers = incoming(answer.headers.raw_items(), door.place, is_open=door.is_standby)
    _write_head(client, answer.status_code, [*headers, (b"connection", b"close")])
    while isinstance(event := await passage.far.receive(), h11.Data):
        client.write(bytes(event.data))
        await client.drain()


def _streams(transport: asyncio.Transport) -> Streams:
    loop = asyncio.get_running_loop()
    reader = asyncio.StreamReader(limit=READ_BYTES, loop=loop)
    protocol = asyncio.StreamReaderProtocol(reader, loop=loop)
    transport.set_protocol(protocol)
    protocol.connection_made(transport)
    return reader, asyncio.StreamWriter(transport, protocol, reader, loop)


async def _relay(one: Streams, other: Streams) -> None:
    """Pass on both ways until one side has ended: neither protocol has use for half a connection."""
    pumps = [
        asyncio.ensure_future(_pump(one[0], other[1])),
        asyncio.ensure_future(_pump(other[0], one[1])),
    ]
    try:
        await asyncio.wait(pumps, return_when=asyncio.FIRST_COMPLETED)
    finally:
        for pump in pumps:
            pump.cancel()
        await asyncio.gather(*pumps, return_exceptions=True)


async def _pump(source: asyncio.StreamReader, sink: asyncio.StreamWriter) -> None:
    while data := await source.read(READ_BYTES):
        sink.write(data)
        await sink.drain()


def _write_head(client: asyncio.StreamWriter, status: int, headers: Headers) -> None:
    reason = HTTPStatus(status).phrase if status in set(HTTPStatus) else ""
    lines = [f"HTTP/1.1 {status} {reason}".encode()]
    lines += [name + b": " + value for name, value in headers]
    client.write(b"\r\n".join([*lines, b"", b""]))


def _write_error(client: asyncio.StreamWriter, error: ApiError) -> None:
    answer = render(error)
    with suppress(OSError):  # whoever asked may be gone
        _write_head(client, answer.status_code, [*answer.raw_headers, (b"connection", b"close")])
        client.write(bytes(answer.body))
