"""CONNECT: bytes passed on both ways, as they are."""

import asyncio
from http import HTTPStatus

import h11

from callboard.proxy.errors import NO_UPSTREAM, UPSTREAM_CREDENTIALS, ProxyError
from callboard.proxy.targets import Target
from callboard.proxy.upstreams import Upstream
from callboard.proxy.ways import CONNECT_SECS, Streams
from callboard.proxy.wire import READ_BYTES, Passed, Wire


async def ask_upstream(streams: Streams, upstream: Upstream, target: Target) -> bytes:
    """Have an upstream proxy open a tunnel. Returns what it sent through it already. Raises ProxyError."""
    headers = [(b"Host", target.authority.encode())]
    if upstream.authorization is not None:
        headers.append((b"Proxy-Authorization", upstream.authorization))
    request = h11.Request(method="CONNECT", target=target.authority.encode(), headers=headers)
    wire = Wire(h11.CLIENT, streams)
    try:
        async with asyncio.timeout(CONNECT_SECS):
            await wire.send(request)
            await wire.send(h11.EndOfMessage())
            answer = await wire.receive()
    except (OSError, h11.RemoteProtocolError) as error:
        raise ProxyError(NO_UPSTREAM, "The upstream proxy does not answer.") from error
    status = answer.status_code if isinstance(answer, h11.Response) else 0
    if status == HTTPStatus.PROXY_AUTHENTICATION_REQUIRED:
        raise ProxyError(
            UPSTREAM_CREDENTIALS, "The upstream proxy refuses this server's credentials."
        )
    if not 200 <= status < 300:
        raise ProxyError(NO_UPSTREAM, f"The upstream proxy answered with status {status}.")
    return wire.take_rest()


async def relay(one: Streams, other: Streams, *, passed: Passed) -> None:
    """Pass on both ways until both sides have ended or one breaks. Who has ended may still listen."""
    try:
        async with asyncio.TaskGroup() as group:
            group.create_task(_pump(one[0], other[1], passed))
            group.create_task(_pump(other[0], one[1], passed))
    except* OSError:
        pass  # A side broke: so does the tunnel.


async def _pump(source: asyncio.StreamReader, sink: asyncio.StreamWriter, passed: Passed) -> None:
    while data := await source.read(READ_BYTES):
        passed(len(data))
        sink.write(data)
        await sink.drain()
    if not sink.is_closing() and sink.can_write_eof():
        sink.write_eof()
