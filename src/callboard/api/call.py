"""One API request as handlers see it."""

import re
from collections.abc import Awaitable, Callable
from functools import lru_cache
from typing import Any, TypeAlias, TypeVar, cast
from urllib.parse import parse_qsl

from starlette.datastructures import URL
from starlette.requests import Request
from starlette.responses import Response

from callboard.api import body
from callboard.api.errors import TokenNotProvided
from callboard.api.params import Query
from callboard.core.caller import Caller
from callboard.core.errors import InvalidRequest

S = TypeVar("S")

_WORKFLOW_KEY = re.compile(r"[\w.-]{1,100}", re.ASCII)
"""Groups runs that belong together: SDKs hand on the one they were given."""
_CLAIMABLE_ORIGINS = frozenset({"CLI", "CI", "MCP", "WEB", "DEVELOPMENT", "TEST"})


class Call:
    """A request with its path parameters decoded and its caller known (None: anonymous)."""

    def __init__(self, request: Request, params: dict[str, str], caller: Caller | None) -> None:
        self.request = request
        self.params = params
        self.caller = caller
        self._query: Query | None = None
        self.readable_ids: set[str] = set()
        """Storages that the path itself entitles to read, such as those of a run open to anyone."""

    @property
    def query(self) -> Query:
        if self._query is None:
            raw: bytes = self.request.scope["query_string"]
            # Most calls have none, and taking that apart costs as much.
            pairs = parse_qsl(raw.decode("latin-1"), keep_blank_values=True) if raw else ()
            self._query = Query(dict(pairs))
        return self._query

    @property
    def user(self) -> Caller:
        """The caller. Raises TokenNotProvided for an anonymous one."""
        if self.caller is None:
            raise TokenNotProvided
        return self.caller

    @property
    def content_type(self) -> str | None:
        return self.request.headers.get("content-type")

    @property
    def client_ip(self) -> str | None:
        return self.request.client.host if self.request.client else None

    @property
    def user_agent(self) -> str | None:
        return self.request.headers.get("user-agent")

    @property
    def meta(self) -> dict[str, Any]:
        """How a run or build came to be, for its `meta`: origin, address and program of the client."""
        claimed = self.request.headers.get("x-apify-request-origin", "").upper()
        origin = claimed if claimed in _CLAIMABLE_ORIGINS else "API"
        if self.caller is not None and self.caller.run_id is not None:
            origin = "ACTOR"
        meta = {"origin": origin, "clientIp": self.client_ip, "userAgent": self.user_agent}
        workflow = self.request.headers.get("x-apify-workflow-key")
        if workflow is not None and _WORKFLOW_KEY.fullmatch(workflow):
            meta["workflowKey"] = workflow
        return meta

    @property
    def base_url(self) -> str:
        """Scheme and host as the client addressed this server, without a trailing slash."""
        scope = self.request.scope
        host = self.request.headers.get("host")
        return _base_url(scope.get("scheme", "http"), host, scope.get("server"))

    async def raw_body(self) -> bytes:
        """The body as sent, still in its Content-Encoding."""
        return await body.read_raw(self.request)

    async def body(self) -> bytes:
        """The body, inflated."""
        coding = body.content_coding(self.request)
        return await body.inflate(await body.read_raw(self.request), coding)

    async def json(self) -> Any:
        return body.parse_json(await self.body())

    async def json_object(self) -> dict[str, Any]:
        """A JSON object; an empty body is an empty one."""
        content = await self.body()
        value: Any = body.parse_json(content) if content.strip() else {}
        if not isinstance(value, dict):
            raise InvalidRequest("The request body must be a JSON object.")
        return cast("dict[str, Any]", value)

    async def parsed(self, shape: type[S]) -> S:
        """The JSON body as `shape`; an empty body is an empty object."""
        return body.parse_as(await self.body(), shape)


@lru_cache(64)
def _base_url(scheme: str, host: str | None, server: tuple[str, int | None] | None) -> str:
    """Clients say the same thousands of times, and checking it costs more than most calls. Hosts may be long."""
    headers = [] if host is None else [(b"host", host.encode("latin-1"))]
    url = URL(scope={"scheme": scheme, "server": server, "path": "/", "headers": headers})
    return f"{url.scheme}://{url.netloc}"


Handler: TypeAlias = Callable[[Call], Awaitable[Response]]
