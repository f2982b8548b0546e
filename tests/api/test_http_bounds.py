"""What a client may send before anybody looks at it: how long, and how slowly."""

import asyncio
import json
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager, suppress
from pathlib import Path

import pytest
import uvicorn
from starlette.requests import Request
from starlette.responses import PlainTextResponse
from starlette.types import Receive, Scope, Send

from callboard.api import http_bounds
from callboard.api.http_bounds import HEAD_MAX_BYTES, URL_MAX_BYTES, BoundedHttp
from tests.server import Client, Server

LINE = b"GET /v2/users/me HTTP/1.1\r\nHost: a\r\n"


async def exchange(port: int, *pieces: bytes, ends: bool = False) -> tuple[int, bytes]:
    """Status and body of the answer to what is sent, the connection then being closed by the server."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    try:
        for piece in pieces:
            writer.write(piece)
            await writer.drain()
        async with asyncio.timeout(20):
            answer = await reader.read() if ends else await reader.readuntil(b"}}")
    finally:
        writer.close()
    head, _, body = answer.partition(b"\r\n\r\n")
    return int(head.split()[1]), body


def error_of(answer: tuple[int, bytes]) -> tuple[int, str]:
    return answer[0], json.loads(answer[1])["error"]["type"]


async def test_a_url_has_a_length(server: Server, api: Client):
    assert (await api.get(f"/v2/users/me?a={'x' * 60_000}")).status == 200
    url = b"/v2/users/me?a=" + b"x" * URL_MAX_BYTES
    answer = await exchange(server.port, b"GET " + url + b" HTTP/1.1\r\nHost: a\r\n\r\n")
    assert error_of(answer) == (414, "request-too-large")


@pytest.mark.parametrize("at_once", [True, False], ids=["at once", "in pieces"])
async def test_headers_have_a_length_together(server: Server, at_once: bool):
    headers = [f"X-{number}: {'x' * 1000}\r\n".encode() for number in range(100)]
    pieces = [b"".join([LINE, *headers, b"\r\n"])] if at_once else [LINE, *headers]
    assert error_of(await exchange(server.port, *pieces)) == (431, "request-too-large")


async def test_one_header_without_an_end_is_cut_off(server: Server):
    pieces = [b"x" * 10_000] * (HEAD_MAX_BYTES // 10_000 + 1)
    answer = await exchange(server.port, LINE + b"X-Long: ", *pieces)
    assert error_of(answer) == (431, "request-too-large")


async def test_what_is_no_http_is_refused_in_the_usual_form(server: Server):
    answer = await exchange(server.port, b"GET /v2/users/me HTTP/1.1\r\nno header at all\r\n\r\n")
    assert error_of(answer) == (400, "invalid-request")


async def echo(scope: Scope, receive: Receive, send: Send) -> None:
    body = await Request(scope, receive).body()
    await PlainTextResponse(body)(scope, receive, send)


@asynccontextmanager
async def serving(tmp_path: Path) -> AsyncGenerator[int]:
    config = uvicorn.Config(echo, http=BoundedHttp, lifespan="off", log_config=None, port=0)
    running = uvicorn.Server(config)
    config.load()
    loop = asyncio.get_running_loop()
    listening = await loop.create_server(
        lambda: BoundedHttp(config, running.server_state, {}), "127.0.0.1", 0
    )
    yield listening.sockets[0].getsockname()[1]
    listening.close()


async def is_hung_up(port: int, *pieces: bytes, pause: float = 0) -> bool:
    """Whether the server closes the connection without an answer."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    with suppress(ConnectionError):
        for piece in pieces:
            writer.write(piece)
            await writer.drain()
            await asyncio.sleep(pause)
    answer = b""
    with suppress(ConnectionError):
        async with asyncio.timeout(20):
            answer = await reader.read()
    writer.close()
    return answer == b""


@pytest.fixture
async def port(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> AsyncGenerator[int]:
    """Of a server in a hurry."""
    monkeypatch.setattr(http_bounds, "HEAD_SECS", 0.3)
    monkeypatch.setattr(http_bounds, "BODY_SILENCE_SECS", 0.5)
    async with serving(tmp_path) as one:
        yield one


@pytest.mark.parametrize(
    "pieces",
    [
        [],
        [b"G"],
        [LINE],
        [b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 10\r\n\r\nhalf"],
        [b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n4\r\nhalf\r\n"],
    ],
    ids=["nothing", "a letter", "half a head", "half a body", "an endless body"],
)
async def test_the_server_hangs_up_on_who_stops_in_the_middle(port: int, pieces: list[bytes]):
    assert await is_hung_up(port, *pieces)


async def test_a_head_that_comes_drop_by_drop_is_too_slow_all_the_same(port: int):
    drops = [LINE, *[b"X-A: b\r\n"] * 12]
    assert await is_hung_up(port, *drops, pause=0.05)


async def test_a_body_may_be_slow_as_long_as_it_moves(port: int):
    head = b"POST / HTTP/1.1\r\nHost: a\r\nConnection: close\r\nContent-Length: 10\r\n\r\n"
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(head)
    for letter in b"0123456789":
        writer.write(bytes([letter]))
        await asyncio.sleep(0.1)
    async with asyncio.timeout(20):
        assert (await reader.read()).endswith(b"0123456789")
    writer.close()


async def test_time_between_requests_is_not_counted(port: int):
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    for _ in range(2):
        writer.write(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n")
        async with asyncio.timeout(20):
            assert b" 200 " in await reader.readuntil(b"\r\n\r\n")
        await asyncio.sleep(0.8)
    writer.close()
