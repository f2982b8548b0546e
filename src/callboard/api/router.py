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


_Table: TypeAlias = dict[str, tuple[Route, tuple[str, ...]]]
"""By method, the routes of one path with the names of its parameters."""


class _Node:
    def __init__(self) -> None:
        self.children: dict[str, _Node] = {}
        self.param: _Node | None = None
        self.rest: _Node | None = None
        self.routes: _Table = {}


class Router:
    """Finds the route of a request. Fixed segments win over parameters. Two equal rows are an error."""

    def __init__(self, routes: Iterable[Route]) -> None:
        self._root = _Node()
        for route in routes:
            self._add(route)

    def _add(self, route: Route) -> None:
        node, names = self._root, list[str]()
        for segment in route.path.strip("/").split("/"):
            if segment.endswith("...}"):
                names.append(segment[1:-4])
                node.rest = node = node.rest or _Node()
            elif segment.startswith("{"):
                names.append(segment[1:-1])
                node.param = node = node.param or _Node()
            else:
                node = node.children.setdefault(segment, _Node())
        if route.method in node.routes:
            raise ValueError(f"{route.method} {route.path} stands twice in the route table")
        node.routes[route.method] = (route, tuple(names))

    def find(self, method: str, raw_path: str) -> tuple[Route, dict[str, str]]:
        """The route and its decoded parameters. Raises PageNotFound or MethodNotAllowed."""
        table, values = self._match(raw_path)
        if method not in table:
            raise MethodNotAllowed(allowed_methods(table))
        route, names = table[method]
        return route, dict(zip(names, values, strict=True))

    def methods(self, raw_path: str) -> list[str]:
        """What a path answers to, OPTIONS first. Raises PageNotFound."""
        return allowed_methods(self._match(raw_path)[0])

    def _match(self, raw_path: str) -> tuple[_Table, list[str]]:
        """What is at the path, and the decoded values of its parameters. Raises PageNotFound."""
        segments = raw_path.strip("/").split("/")
        if "%" in raw_path:
            segments = [unquote(segment) for segment in segments]
        # Left to try, the best last: a node, how many segments lead to it, and those that were parameters.
        ways: list[tuple[_Node, int, list[str]]] = [(self._root, 0, [])]
        while ways:
            node, passed, values = ways.pop()
            for segment in segments[passed:]:
                if node.rest is not None:
                    rest = "/".join(segments[passed:])
                    ways.append((node.rest, len(segments), [*values, rest]))
                passed += 1
                child = node.children.get(segment)
                if node.param is None or not segment:
                    following = child
                elif child is None:
                    following, values = node.param, [*values, segment]
                else:
                    ways.append((node.param, passed, [*values, segment]))
                    following = child
                if following is None:
                    break
                node = following
            else:
                if node.routes:
                    return node.routes, values
        raise PageNotFound


def allowed_methods(table: Mapping[str, object]) -> list[str]:
    order = ("GET", "POST", "PUT", "DELETE", "HEAD", "PATCH")
    return ["OPTIONS", *sorted(table, key=order.index)]
