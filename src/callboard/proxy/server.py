"""The forward proxy: HTTP and CONNECT, for accounts of this server, on the port of its API.

Crawling Actors want one, and the SDKs refuse to start without. It is written on h11, as no proxy to be had can be
part of another server: proxy.py brings processes and an event loop of its own, mitmproxy a certificate authority,
pproxy takes a client's address for its credentials once it has seen them, tiny-proxy knows CONNECT only; and none
lets the address be judged that a name has led to.
"""

import asyncio
from collections import Counter
from collections.abc import Awaitable, Callable, Generator, Iterable
from contextlib import contextmanager, suppress
from http import HTTPStatus
from typing import Final, TypeAlias

import h11
import structlog

from callboard.api.headers import first
from callboard.proxy import tunnel
from callboard.proxy.credentials import Wish, parse_credentials, parse_wish
from callboard.proxy.errors import ProxyError
from callboard.proxy.exchange import ClientGone, exchange, outgoing, outgoing_upstream
from callboard.proxy.flow import Flow
from callboard.proxy.socks import open_through_socks
from callboard.proxy.status_page import PATH, USUAL_HOST, status_page
from callboard.proxy.targets import Target, parse_absolute, parse_connect
from callboard.proxy.upstreams import Upstream, Upstreams
from callboard.proxy.ways import Streams, Ways
from callboard.proxy.wire import READ_BYTES, Wire
from callboard.usage.meter import Meter, Service

HEAD_SECS: Final = 60.0
"""How long a request may take to arrive, and a connection be kept without one."""
LINGER_SECS: Final = 2.0
MAX_CONNECTIONS_PER_USER: Final = 256
_GBYTE: Final = 10**9

log = structlog.get_logger()

FindUser: TypeAlias = Callable[[str], Awaitable[str | None]]
"""From a proxy password to the id of its account."""
_Asker: TypeAlias = tuple[str, Wish]
_Headers: TypeAlias = Iterable[tuple[bytes, bytes]]


class Proxy:
    """Serves connections handed to it, until `close`. For one event loop."""

    def __init__(
        self, ways: Ways, upstreams: Upstreams, meter: Meter, *, find_user: FindUser
    ) -> None:
        self._ways = ways
        self._upstreams = upstreams
        self._meter = meter
        self._find_user = find_user
        self._open: Counter[str] = Counter()
        self._serving: set[asyncio.Task[None]] = set()

    def take(self, transport: asyncio.Transport, start: bytes) -> None:
        """Serve a client on a connection on which `start` has been read already."""
        loop = asyncio.get_running_loop()
        reader = asyncio.StreamReader(limit=READ_BYTES, loop=loop)
        protocol = asyncio.StreamReaderProtocol(reader, loop=loop)
        transport.set_protocol(protocol)
        protocol.connection_made(transport)
        reader.feed_data(start)
        writer = asyncio.StreamWriter(transport, protocol, reader, loop)
        task = loop.create_task(self._serve((reader, writer)), name="proxy connection")
        self._serving.add(task)
        task.add_done_callback(self._serving.discard)

    async def close(self) -> None:
        """End all connections."""
        for task in self._serving:
            task.cancel()
        await asyncio.gather(*self._serving, return_exceptions=True)

    async def _serve(self, streams: Streams) -> None:
        client = Wire(h11.SERVER, streams)
        try:
            while await self._answer(client):
                pass
        except (OSError, ClientGone, h11.ProtocolError):
            pass  # The client is gone, or was told why it has to.
        except Exception:
            log.exception("proxy.failed")
        finally:
            client.writer.close()

    async def _answer(self, client: Wire) -> bool:
        """Answer one request. False when the connection serves no other."""
        try:
            async with asyncio.timeout(HEAD_SECS):
                request = await client.receive()
            if not isinstance(request, h11.Request):
                return False
            return await self._dispatch(client, request)
        except ProxyError as error:
            await _send_error(client, error)
        except h11.RemoteProtocolError as error:
            await _send_error(client, ProxyError(error.error_status_hint, f"{error}."))
        return False

    async def _dispatch(self, client: Wire, request: h11.Request) -> bool:
        if request.method == b"CONNECT":
            target = parse_connect(request.target)
            if not isinstance(await client.receive(), h11.EndOfMessage):
                raise ProxyError(HTTPStatus.BAD_REQUEST, "A CONNECT has no body.")
            await self._tunnel(client, target, await self._asker(request))
            return False
        if request.target == PATH:
            return await self._send_status(client, request)
        target, path = parse_absolute(request.target)
        if path == PATH and (target == USUAL_HOST or self._ways.is_own(target)):
            parse_credentials(_authorization(request))  # Some clients send them only when asked to.
            return await self._send_status(client, request)
        asker = await self._asker(request)
        await self._exchange(client, request, target, path=path, asker=asker)
        return client.is_ready_again()

    async def _asker(self, request: h11.Request) -> _Asker:
        """Whose account it is, and what they wish for. Raises ProxyError."""
        username, password = parse_credentials(_authorization(request))
        user_id = await self._find_user(password)
        if user_id is None:
            raise ProxyError(
                HTTPStatus.PROXY_AUTHENTICATION_REQUIRED,
                "The proxy password is wrong. Each account has its own, shown by users/me.",
            )
        return user_id, parse_wish(username)

    async def _send_status(self, client: Wire, request: h11.Request) -> bool:
        problem = None
        try:
            self._upstreams.choose(*await self._asker(request))
        except ProxyError as error:
            problem = error.text
        await _send(client, HTTPStatus.OK, status_page(problem), b"application/json; charset=utf-8")
        return False

    async def _tunnel(self, client: Wire, target: Target, asker: _Asker) -> None:
        upstream = self._choose(target, asker)
        with self._counted(asker[0]):
            far = await self._open_way(target, upstream)
            try:
                answer = b""
                if upstream is not None and upstream.socks_version is None:
                    answer = await tunnel.ask_upstream(far, upstream, target)
                await client.send(
                    h11.Response(status_code=200, headers=[], reason=b"Connection established")
                )
                await self._relay(client, far, asker[0], early=answer)
            finally:
                far[1].close()

    async def _relay(self, client: Wire, far: Streams, user_id: str, *, early: bytes) -> None:
        async with Flow(self._counter(user_id)) as flow:
            ahead = client.take_rest()
            flow.passed(len(early) + len(ahead))
            client.writer.write(early)
            far[1].write(ahead)
            await tunnel.relay((client.reader, client.writer), far, passed=flow.passed)

    async def _exchange(
        self, client: Wire, request: h11.Request, target: Target, *, path: bytes, asker: _Asker
    ) -> None:
        upstream = self._choose(target, asker)
        is_upstream = upstream is not None and upstream.socks_version is None
        if upstream is None or not is_upstream:
            sent = outgoing(request, target, path)
        else:
            sent = outgoing_upstream(request, target, path, upstream)
        with self._counted(asker[0]):
            far = await self._open_way(target, upstream)
            try:
                async with Flow(self._counter(asker[0])) as flow:
                    wire = Wire(h11.CLIENT, far, passed=flow.passed)
                    await exchange(client, wire, sent, is_upstream=is_upstream)
            except TimeoutError as error:
                raise ProxyError(
                    HTTPStatus.GATEWAY_TIMEOUT, f"{target.authority} does not answer."
                ) from error
            finally:
                far[1].close()

    def _choose(self, target: Target, asker: _Asker) -> Upstream | None:
        upstream = self._upstreams.choose(*asker)
        return None if upstream is None or self._ways.stays_here(target) else upstream

    async def _open_way(self, target: Target, upstream: Upstream | None) -> Streams:
        if upstream is None:
            return await self._ways.open_directly(target)
        if upstream.socks_version is not None:
            return await open_through_socks(upstream, target)
        return await self._ways.open_upstream(upstream)

    @contextmanager
    def _counted(self, user_id: str) -> Generator[None]:
        """One connection of the account's, of which there may be so many."""
        if self._open[user_id] >= MAX_CONNECTIONS_PER_USER:
            raise ProxyError(
                HTTPStatus.TOO_MANY_REQUESTS,
                f"An account may have {MAX_CONNECTIONS_PER_USER} connections through the proxy at a time.",
            )
        self._open[user_id] += 1
        try:
            yield
        finally:
            self._open[user_id] -= 1
            if not self._open[user_id]:
                del self._open[user_id]

    def _counter(self, user_id: str) -> Callable[[int], None]:
        service = Service.DATA_TRANSFER_EXTERNAL_GBYTES
        return lambda passed: self._meter.add(user_id, None, service, passed / _GBYTE)


def _authorization(request: h11.Request) -> bytes | None:
    return first(request.headers, b"proxy-authorization")


async def _send_error(client: Wire, error: ProxyError) -> None:
    if not client.can_answer:
        return
    headers: _Headers = ()
    if error.status == HTTPStatus.PROXY_AUTHENTICATION_REQUIRED:
        headers = ((b"Proxy-Authenticate", b'Basic realm="Callboard"'),)
    body = f"{error.text}\n".encode()
    await _send(
        client, error.status, body, b"text/plain; charset=utf-8", more=headers, reason=error.reason
    )


async def _send(
    client: Wire,
    status: int,
    body: bytes,
    content_type: bytes,
    *,
    more: _Headers = (),
    reason: str = "OK",
) -> None:
    """A whole answer of the proxy's own. The connection ends with it, as the request may be half read."""
    headers = [
        (b"Content-Type", content_type),
        (b"Content-Length", str(len(body)).encode()),
        (b"Connection", b"close"),
        *more,
    ]
    with suppress(OSError):  # whoever asked may be gone
        await client.send(h11.Response(status_code=status, headers=headers, reason=reason.encode()))
        await client.send(h11.Data(data=body))
        await client.send(h11.EndOfMessage())
        await client.hang_up(within_secs=LINGER_SECS)
