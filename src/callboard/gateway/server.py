"""The gateway as an ASGI app before the API: HTTP for Actors goes to them, all else to the API."""

from http import HTTPStatus

import structlog
from starlette.responses import RedirectResponse, Response
from starlette.types import ASGIApp, Receive, Scope, Send

from callboard.api.errors import InternalError, render
from callboard.core.errors import ApiError
from callboard.gateway.doors import Door, Doors
from callboard.gateway.exchange import ClientGone, Exchange
from callboard.gateway.heads import Head, host_of, incoming
from callboard.gateway.places import Kind, Place

log = structlog.get_logger()

_ANY_ORIGIN = {"Access-Control-Allow-Origin": "*"}


class Gateway:
    def __init__(self, doors: Doors, api: ASGIApp) -> None:
        self._doors = doors
        self._api = api

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        place = self._place_of(scope) if scope["type"] == "http" else None
        if place is None:
            await self._api(scope, receive, send)
        else:
            await _Visit(self._doors, place, _head(scope)).serve(scope, receive, send)

    def _place_of(self, scope: Scope) -> Place | None:
        """Asked for each call of the API, too, so it looks at nothing that it need not."""
        path: bytes = scope["raw_path"].partition(b"?")[0]
        return self._doors.place_of(host_of(scope["headers"]), path.decode("latin-1"))


class _Visit:
    """One request."""

    def __init__(self, doors: Doors, place: Place, head: Head) -> None:
        self._doors = doors
        self._place = place
        self._head = head
        self._exchange: Exchange | None = None

    async def serve(self, scope: Scope, receive: Receive, send: Send) -> None:
        try:
            answer = await self._answer(receive, send)
        except ClientGone:
            return
        except ApiError as error:
            answer = render(error)
        except Exception as error:
            log.error("gateway.failed", method=self._head.method, exc_info=error)
            answer = render(InternalError())
        if answer is not None and not (self._exchange and self._exchange.has_begun):
            answer.headers.update(_ANY_ORIGIN)
            await answer(scope, receive, send)

    async def _answer(self, receive: Receive, send: Send) -> Response | None:
        """An answer of the gateway's own, or None when the Actor has given one."""
        head = self._head
        is_standby_preflight = head.is_preflight and self._place.kind is not Kind.RUN
        if is_standby_preflight and not head.tokens():
            return _preflight(head)
        door = await self._doors.find(self._place, head)
        if head.is_navigation and (url := self._doors.own_host_url(door, head)):
            return RedirectResponse(url, HTTPStatus.TEMPORARY_REDIRECT)
        await self._pass(door, receive, send)
        return None

    async def _pass(self, door: Door, receive: Receive, send: Send) -> None:
        async with self._doors.passage(door, self._head) as passage:
            self._exchange = Exchange(
                passage.run_id,
                passage.far,
                rewrite=lambda headers: incoming(headers, door.place, is_open=door.is_standby),
                send=send,
            )
            await self._exchange.carry_out(passage.request, receive)


def _head(scope: Scope) -> Head:
    target: bytes = scope["raw_path"].partition(b"?")[0]
    if query := scope["query_string"]:
        target += b"?" + query
    client = scope.get("client")
    return Head(
        method=scope["method"],
        target=target,
        headers=scope["headers"],
        client_ip=client[0] if client else None,
        scheme=scope["scheme"],
    )


def _preflight(head: Head) -> Response:
    """Browsers ask this without a token, so no run can be chosen to say."""
    asked = head.first(b"access-control-request-headers") or b"*"
    headers = {
        "Access-Control-Allow-Methods": "*",
        "Access-Control-Allow-Headers": f"{asked.decode('latin-1')}, authorization",
        "Access-Control-Max-Age": "86400",
    }
    return Response(status_code=HTTPStatus.NO_CONTENT, headers=headers)
