"""The route table compiled to a tree: finding a handler costs one dictionary look-up a path segment."""

from collections.abc import Awaitable, Callable, Iterable, Mapping
from dataclasses import dataclass, field, replace
from enum import Enum
from typing import TypeAlias
from urllib.parse import unquote

from starlette.responses import Response

from callboard.api.call import Call, Handler
from callboard.api.errors import MethodNotAllowed, PageNotFound
from callboard.api.rate_limits import Rate
from callboard.core.errors import ApiError

Rewording: TypeAlias = Mapping[type[ApiError], type[ApiError]]
"""Errors that one endpoint reports under another type and wording than the rest of the API."""


class Auth(Enum):
    REQUIRED = "required"
    OPTIONAL = "optional"
    """The handler decides by what is asked for; a token that is given must be valid."""
    NONE = "none"
    """Open to all: a token is not looked at."""


@dataclass(frozen=True)
class Route:
    """One method of one path. `{name}` takes a segment, a final `{name...}` the rest with its slashes."""

    method: str
    path: str
    handler: Handler
    auth: Auth = Auth.REQUIRED
    rewording: Rewording = field(default_factory=dict[type[ApiError], type[ApiError]])
    rate: Rate = Rate.USUAL


def mount(
    prefix: str,
    routes: Iterable[Route],
    *,
    resolve: Callable[[Call], Awaitable[None]] | None = None,
    auth: Auth | None = None,
) -> list[Route]:
    """The same handlers under another prefix. `resolve` first turns the prefix's parameters into theirs."""
    return [
        replace(
            route,
            path=prefix + route.path,
            handler=route.handler if resolve is None else _resolved(route.handler, resolve),
            auth=auth or route.auth,
        )
        for route in routes
    ]


def _resolved(handler: Handler, resolve: Callable[[Call], Awaitable[None]]) -> Handler:
    async def resolved(call: Call) -> Response:
        await resolve(call)
        return await handler(call)

    return resolved


class _Node:
    def __init__(self) -> None:
        self.children: dict[str, _Node] = {}
        self.param: _Node | None = None
        self.rest: dict[str, tuple[Route, tuple[str, ...]]] = {}
        self.routes: dict[str, tuple[Route, tuple[str, ...]]] = {}


class Router:
    """Finds the route of a request. Fixed segments win over parameters. Two equal rows are an error."""

    def __init__(self, routes: Iterable[Route]) -> None:
        self._root = _Node()
        for route in routes:
            self._add(route)

    def _add(self, route: Route) -> None:
        node, names = self._root, list[str]()
        segments = route.path.strip("/").split("/")
        for segment in segments:
            if segment.endswith("...}"):
                names.append(segment[1:-4])
                table = node.rest
                break
            if segment.startswith("{"):
                names.append(segment[1:-1])
                node.param = node.param or _Node()
                node = node.param
            else:
                node = node.children.setdefault(segment, _Node())
        else:
            table = node.routes
        if route.method in table:
            raise ValueError(f"{route.method} {route.path} stands twice in the route table")
        table[route.method] = (route, tuple(names))

    def find(self, method: str, raw_path: str) -> tuple[Route, dict[str, str]]:
        """The route and its decoded parameters. Raises PageNotFound or MethodNotAllowed."""
        table, values = self._match(self._root, raw_path.strip("/").split("/"), [])
        if not table:
            raise PageNotFound
        if method not in table:
            raise MethodNotAllowed(allowed_methods(table))
        route, names = table[method]
        return route, {name: unquote(value) for name, value in zip(names, values, strict=True)}

    def methods(self, raw_path: str) -> list[str]:
        """What a path answers to, OPTIONS first. Raises PageNotFound."""
        table, _ = self._match(self._root, raw_path.strip("/").split("/"), [])
        if not table:
            raise PageNotFound
        return allowed_methods(table)

    def _match(
        self, node: _Node, segments: list[str], values: list[str]
    ) -> tuple[dict[str, tuple[Route, tuple[str, ...]]], list[str]]:
        if not segments:
            return node.routes, values
        head, tail = segments[0], segments[1:]
        child = node.children.get(unquote(head))
        if child is not None:
            found = self._match(child, tail, values)
            if found[0]:
                return found
        if node.param is not None and head:
            found = self._match(node.param, tail, [*values, head])
            if found[0]:
                return found
        if node.rest:
            return node.rest, [*values, "/".join(segments)]
        return {}, values


def allowed_methods(table: Mapping[str, object]) -> list[str]:
    order = ("GET", "POST", "PUT", "DELETE", "HEAD", "PATCH")
    return ["OPTIONS", *sorted(table, key=order.index)]
