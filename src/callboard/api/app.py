"""The ASGI application: from a raw request to a handler, and from any error to the contract's envelope.

Takes what the whole API has in common: method override, CORS, OPTIONS, 404 and 405, tokens, error words.
"""

import time
from collections.abc import Awaitable, Callable, Iterable, Mapping
from typing import TypeAlias
from urllib.parse import quote

import structlog
from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response
from starlette.types import ASGIApp, Receive, Scope, Send
from structlog.contextvars import bind_contextvars

from callboard.api.call import Call
from callboard.api.errors import InternalError, InvalidToken, TokenNotProvided, render
from callboard.api.headers import first
from callboard.api.rate_limits import RateLimiter
from callboard.api.router import Auth, Rewording, Route, Router
from callboard.core.caller import Caller
from callboard.core.errors import ApiError, InsufficientPermissions
from callboard.core.ids import new_id

log = structlog.get_logger()

Allows: TypeAlias = Callable[[Caller, Route, Mapping[str, str]], Awaitable[bool]]
"""Whether the caller, whose token has scopes, may make the call."""
Answered: TypeAlias = Callable[[str, int, float], None]
"""Told of each request when its answer is sent, or cannot be: method, status, and seconds until the answer began."""
Authenticate: TypeAlias = Callable[[str], Awaitable[Caller | None]]
"""From a token to its caller, or None when it is not valid."""

_CORS = (
    (b"access-control-allow-origin", b"*"),
    (b"access-control-expose-headers", b"*, Location, X-Apify-Pagination-Total, X-RateLimit-Limit"),
)


class Api:
    """The public API as an ASGI app. Websockets go to `websockets`, by path prefix."""

    def __init__(
        self,
        routes: Iterable[Route],
        *,
        authenticate: Authenticate,
        limiter: RateLimiter,
        websockets: ASGIApp,
        allows: Allows,
        answered: Answered,
    ) -> None:
        self._answered = answered
        self._allows = allows
        self._router = Router(routes)
        self._limiter = limiter
        self._authenticate = authenticate
        self._websockets = websockets

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "websocket":
            await self._websockets(scope, receive, send)
        elif scope["type"] == "http":
            begun = time.perf_counter()
            request_id = new_id()
            # Each request has a task of its own: what it and those it starts log bears its id.
            bind_contextvars(request_id=request_id)
            response = await self._respond(Request(scope, receive))
            response.raw_headers.extend((*_CORS, (b"x-request-id", request_id.encode())))
            secs = time.perf_counter() - begun
            try:
                await response(scope, receive, send)
            finally:
                self._answered(scope["method"], response.status_code, secs)

    async def _respond(self, request: Request) -> Response:
        try:
            return await self._dispatch(request)
        except ApiError as error:
            return render(error)
        except ClientDisconnect:
            return Response(status_code=499)
        except Exception as error:
            log.error("http.failed", method=request.method, path=request.url.path, exc_info=error)
            return render(InternalError())

    async def _dispatch(self, request: Request) -> Response:
        path = _raw_path(request)
        method = request.method
        if method == "OPTIONS":
            return _options(self._router.methods(path), request)
        if method == "GET" and b"method=" in request.scope["query_string"]:
            method = (request.query_params.get("method") or method).upper()
        route, params = self._router.find(method, path)
        try:
            response = await self._answer(request, route, params)
        except ApiError as error:
            response = render(_reworded(error, route.rewording))
        response.raw_headers.append(self._limiter.header(route.rate))
        return response

    async def _answer(self, request: Request, route: Route, params: dict[str, str]) -> Response:
        # An id is nobody else's, whatever it is of. What has none is one resource by its path.
        resource = next(iter(params.values()), route.path)
        try:
            caller = await self._caller(request, route.auth)
        except InvalidToken:  # each costs a look-up
            self._limiter.count(_address(request), route.rate, resource)
            raise
        who = _address(request) if caller is None else caller.user_id
        self._limiter.count(who, route.rate, resource)
        if caller is not None and caller.scopes is not None:
            caller = await self._scoped(caller, route, params)
        return await route.handler(Call(request, params, caller))

    async def _scoped(self, caller: Caller, route: Route, params: dict[str, str]) -> Caller | None:
        """The caller, if its token is good for this; else it is nobody where nobody is needed."""
        if await self._allows(caller, route, params):
            return caller
        if route.auth is Auth.REQUIRED:
            raise InsufficientPermissions("The token has no permission for this.")
        return None

    async def _caller(self, request: Request, auth: Auth) -> Caller | None:
        if auth is Auth.NONE:
            return None
        token = _token(request)
        if token is None:
            if auth is Auth.REQUIRED:
                raise TokenNotProvided
            return None
        caller = await self._authenticate(token)
        if caller is None:
            raise InvalidToken
        return caller


def _token(request: Request) -> str | None:
    given = first(request.scope["headers"], b"authorization") or b""
    scheme, _, value = given.partition(b" ")
    if scheme.lower() == b"bearer" and (token := value.strip()):
        return token.decode("latin-1")
    return request.query_params.get("token") or None


def _address(request: Request) -> str:
    return "" if request.client is None else request.client.host


def _raw_path(request: Request) -> str:
    raw: bytes | None = request.scope.get("raw_path")
    if raw is None:
        return quote(request.scope["path"])
    return raw.split(b"?", 1)[0].decode("latin-1")


def _reworded(error: ApiError, rewording: Rewording) -> ApiError:
    replacement = rewording.get(type(error))
    return error if replacement is None else replacement(data=error.data)


def _options(methods: list[str], request: Request) -> Response:
    allowed = ",".join(methods)
    headers = {
        "Allow": allowed,
        "Access-Control-Allow-Methods": allowed,
        "Access-Control-Allow-Headers": request.headers.get("access-control-request-headers", "*"),
        "Access-Control-Max-Age": "86400",
    }
    return Response(status_code=204, headers=headers)
