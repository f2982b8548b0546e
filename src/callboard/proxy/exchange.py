"""A plain request and its response, passed on piece by piece over a connection of their own.

Headers keep their order, names and values, as sites may look at them; only those that concern one connection
are taken out, among them the credentials for the proxy.
"""

import asyncio
from collections.abc import Iterable
from http import HTTPStatus

import h11

from callboard.proxy.errors import BROKEN, CONNECTION_RESET, UPSTREAM_CREDENTIALS, ProxyError
from callboard.proxy.targets import Target
from callboard.proxy.upstreams import Upstream
from callboard.proxy.wire import OF_ONE_CONNECTION, Wire

_CLOSE = (b"Connection", b"close")
_Headers = list[tuple[bytes, bytes]]


class ClientGone(Exception):
    """The client left before it had its response."""


def outgoing(request: h11.Request, target: Target, path: bytes) -> h11.Request:
    """The request as the target's own server gets it."""
    return _outgoing(request, target, path, extra=())


def outgoing_upstream(
    request: h11.Request, target: Target, path: bytes, upstream: Upstream
) -> h11.Request:
    """The request as an upstream proxy gets it."""
    url = b"http://" + _host(target) + path
    credentials = upstream.authorization
    extra = [] if credentials is None else [(b"Proxy-Authorization", credentials)]
    return _outgoing(request, target, url, extra=extra)


async def exchange(client: Wire, far: Wire, request: h11.Request, *, is_upstream: bool) -> None:
    """Send `request` and the body that the client sends, pass on the response. Raises ProxyError or ClientGone."""
    await _is_sent(far, request)
    sending = asyncio.create_task(_pass_request_body(client, far))
    receiving = asyncio.create_task(_pass_response(far, client, is_upstream=is_upstream))
    both = {sending, receiving}
    try:
        done, _ = await asyncio.wait(both, return_when=asyncio.FIRST_COMPLETED)
        # The sending one never ends before the other but by an exception.
        (receiving if receiving in done else sending).result()
    finally:
        for task in both:
            task.cancel()
        await asyncio.gather(*both, return_exceptions=True)


async def _pass_request_body(client: Wire, far: Wire) -> None:
    is_read = True
    while not isinstance(event := await client.receive(), h11.EndOfMessage):
        if not isinstance(event, h11.Data):
            raise ClientGone
        is_read = is_read and await _is_sent(far, event)
    if is_read:
        await _is_sent(far, h11.EndOfMessage())
    await client.until_closed()
    raise ClientGone


async def _is_sent(far: Wire, event: h11.Event) -> bool:
    """A server may close for reading once it knows its answer, which counts."""
    try:
        await far.send(event)
    except OSError:
        return False
    return True


async def _pass_response(far: Wire, client: Wire, *, is_upstream: bool) -> None:
    while not isinstance(event := await _next_of_response(far), h11.EndOfMessage):
        if isinstance(event, h11.Response):
            if is_upstream and event.status_code == HTTPStatus.PROXY_AUTHENTICATION_REQUIRED:
                raise ProxyError(
                    UPSTREAM_CREDENTIALS, "The upstream proxy refuses this server's credentials."
                )
            await _pass(client, _response(event))
        elif isinstance(event, h11.Data):
            await _pass(client, h11.Data(data=event.data))
        elif client.speaks_http_1_1:
            await _pass(client, event)
    await _pass(client, h11.EndOfMessage())


async def _next_of_response(
    far: Wire,
) -> h11.InformationalResponse | h11.Response | h11.Data | h11.EndOfMessage:
    try:
        event = await far.receive()
    except h11.RemoteProtocolError as error:
        if far.has_ended:
            raise _no_answer() from error
        raise ProxyError(BROKEN, f"The answer makes no sense: {error}.") from error
    except OSError as error:
        raise ProxyError(CONNECTION_RESET, "The connection broke.") from error
    if isinstance(event, h11.InformationalResponse | h11.Response | h11.Data | h11.EndOfMessage):
        return event
    raise _no_answer()


def _no_answer() -> ProxyError:
    return ProxyError(CONNECTION_RESET, "The connection was closed without a whole answer.")


async def _pass(client: Wire, event: h11.Event) -> None:
    try:
        await client.send(event)
    except OSError as error:
        raise ClientGone from error


def _outgoing(
    request: h11.Request, target: Target, url: bytes, *, extra: Iterable[tuple[bytes, bytes]]
) -> h11.Request:
    headers = _of_the_message(request.headers.raw_items())
    kept = [(name, value) for name, value in headers if name.lower() != b"host"]
    return h11.Request(
        method=request.method,
        target=url,
        headers=[(b"Host", _host(target)), *kept, *extra, _CLOSE],
    )


def _response(response: h11.Response) -> h11.Response:
    headers = _of_the_message(response.headers.raw_items())
    return h11.Response(status_code=response.status_code, reason=response.reason, headers=headers)


def _of_the_message(headers: _Headers) -> _Headers:
    """Without what concerns one connection, by itself or by being named in a Connection header."""
    dropped = set(OF_ONE_CONNECTION)
    for name, value in headers:
        if name.lower() == b"connection":
            dropped.update(token.strip().lower() for token in value.split(b","))
    dropped -= {b"content-length", b"transfer-encoding"}  # They say where the body ends.
    return [(name, value) for name, value in headers if name.lower() not in dropped]


def _host(target: Target) -> bytes:
    return target.authority.removesuffix(":80").encode()
