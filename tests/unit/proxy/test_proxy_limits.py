"""What keeps the proxy small, whatever its clients and their sites do."""

import asyncio
import socket
from collections.abc import AsyncGenerator
from contextlib import suppress
from pathlib import Path

import pytest
from tests.proxies import basic, request, say, status_of

from callboard.db.sqlite import SqliteDatabase
from callboard.proxy import flow, server
from callboard.proxy.server import Proxy
from callboard.proxy.upstreams import Upstreams
from callboard.proxy.ways import Site, Ways
from callboard.usage.meter import Meter

SECS = 10
AUTO = basic("auto", "secret")


class HandOver(asyncio.Protocol):
    """Gives a connection to the proxy as soon as something came."""

    def __init__(self, proxy: Proxy) -> None:
        self._proxy = proxy

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport

    def data_received(self, data: bytes) -> None:
        self._proxy.take(self._transport, data)


@pytest.fixture
async def port(tmp_path: Path) -> AsyncGenerator[int]:
    """Where a proxy listens for the account whose proxy password is `secret`."""

    async def find_user(password: str) -> str | None:
        return "someone" if password == "secret" else None

    db = SqliteDatabase(tmp_path / "callboard.db")
    meter = Meter(db)
    ways = Ways(Site(1, "127.0.0.1", frozenset(), None, allow_local=True))
    proxy = Proxy(ways, Upstreams(()), meter, find_user=find_user)
    loop = asyncio.get_running_loop()
    listener = await loop.create_server(lambda: HandOver(proxy), "127.0.0.1", 0)
    yield listener.sockets[0].getsockname()[1]
    listener.close()
    await proxy.close()
    await meter.flush()
    await db.close()


class Far:
    """A server that accepts and does as it is told."""

    def __init__(self) -> None:
        self._accepted: asyncio.Queue[tuple[asyncio.StreamReader, asyncio.StreamWriter]] = (
            asyncio.Queue()
        )

    async def accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await self._accepted.put((reader, writer))

    async def next(self) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        async with asyncio.timeout(SECS):
            return await self._accepted.get()


@pytest.fixture
async def far() -> AsyncGenerator[tuple[Far, str]]:
    one = Far()
    listener = await asyncio.start_server(one.accept, "127.0.0.1", 0)
    yield one, f"127.0.0.1:{listener.sockets[0].getsockname()[1]}"
    listener.close()


async def open_tunnel(port: int, target: str) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(request(target, credentials=AUTO, method="CONNECT"))
    assert status_of(await reader.readuntil(b"\r\n\r\n")) == 200
    return reader, writer


async def test_an_account_has_so_many_connections(
    port: int, far: tuple[Far, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(server, "MAX_CONNECTIONS_PER_USER", 2)
    _, target = far
    tunnels = [await open_tunnel(port, target) for _ in range(2)]
    third = request(target, credentials=AUTO, method="CONNECT")
    assert status_of(await say(port, third)) == 429
    for reader, writer in tunnels:
        writer.close()
        (_, far_writer) = await far[0].next()
        far_writer.close()
        await reader.read()
    _, writer = await open_tunnel(port, target)
    writer.close()


async def test_a_tunnel_on_which_nothing_passes_is_closed(
    port: int, far: tuple[Far, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(flow, "IDLE_SECS", 0.2)
    reader, writer = await open_tunnel(port, far[1])
    far_reader, far_writer = await far[0].next()
    async with asyncio.timeout(SECS):
        assert await reader.read() == b""
        assert await far_reader.read() == b""
    writer.close()
    far_writer.close()


async def test_a_client_that_sends_no_head_is_closed(
    port: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(server, "HEAD_SECS", 0.2)
    assert await say(port, b"CONNECT exam") == b""


async def test_one_side_may_end_before_the_other(port: int, far: tuple[Far, str]) -> None:
    reader, writer = await open_tunnel(port, far[1])
    far_reader, far_writer = await far[0].next()
    writer.write(b"question")
    writer.write_eof()
    async with asyncio.timeout(SECS):
        assert await far_reader.read() == b"question"
        far_writer.write(b"answer")
        far_writer.close()
        assert await reader.read() == b"answer"
    writer.close()


async def test_what_a_client_does_not_read_is_not_piled_up(port: int, far: tuple[Far, str]) -> None:
    _, writer = await open_tunnel(port, far[1])
    writer.transport.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    writer.transport.pause_reading()
    _, far_writer = await far[0].next()
    sent, piece = 0, bytes(1_000_000)
    with suppress(TimeoutError):
        while sent < 200_000_000:
            async with asyncio.timeout(1):
                far_writer.write(piece)
                await far_writer.drain()
            sent += len(piece)
    assert sent < 50_000_000
    far_writer.transport.abort()
    writer.transport.abort()


async def test_a_client_that_leaves_takes_its_request_along(
    port: int, far: tuple[Far, str]
) -> None:
    _, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(request(f"http://{far[1]}/", credentials=AUTO))
    far_reader, far_writer = await far[0].next()
    await far_reader.readuntil(b"\r\n\r\n")
    writer.close()
    async with asyncio.timeout(SECS):
        assert await far_reader.read() == b""
    far_writer.close()


async def test_an_answer_may_come_before_the_whole_request(port: int, far: tuple[Far, str]) -> None:
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    head = request(
        f"http://{far[1]}/", credentials=AUTO, method="POST", **{"Content-Length": "1000000"}
    )
    writer.write(head + bytes(1000))
    far_reader, far_writer = await far[0].next()
    await far_reader.readuntil(b"\r\n\r\n")
    far_writer.write(b"HTTP/1.1 413 Too large\r\nContent-Length: 0\r\n\r\n")
    async with asyncio.timeout(SECS):
        assert status_of(await reader.read()) == 413
    writer.close()
    far_writer.close()
