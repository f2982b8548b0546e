"""The ASGI application: errors in the contract's envelope, whatever a handler does, and nothing secret in the log."""

import json
from collections.abc import AsyncGenerator, Mapping
from typing import Any

import pytest
import structlog
from starlette.responses import Response
from starlette.types import Message, Receive, Scope, Send
from structlog.contextvars import merge_contextvars

from callboard.api.app import Api
from callboard.api.call import Call
from callboard.api.rate_limits import Rate, RateLimiter, Rates
from callboard.api.responses import data_response
from callboard.api.router import Auth, Route
from callboard.core.caller import Caller
from callboard.core.errors import ApiError, RecordNotFound

ANN = Caller("ann", "ann")


async def nothing(scope: Scope, receive: Receive, send: Send) -> None: ...


class Teapot(ApiError):
    status, type = 418, "teapot"
    message = "Short and stout."


async def tells(call: Call) -> Response:
    return data_response({"caller": call.caller and call.caller.username, **call.params})


async def breaks(call: Call) -> Response:
    raise RuntimeError("the reason")


async def misses(call: Call) -> Response:
    raise RecordNotFound(data={"a": 1})


async def reads(call: Call) -> Response:
    return data_response(len(await call.body()))


async def ann_only(token: str) -> Caller | None:
    return ANN if token == "good" else None


async def nobody(caller: Caller, route: Route, params: Mapping[str, str]) -> bool:
    return False


ANSWERED: list[tuple[str, int]] = []
LIMITER = RateLimiter(Rates(dict.fromkeys(Rate, 60), 250_000), is_enforced=False)
API = Api(
    [
        Route("GET", "/required", tells),
        Route("GET", "/optional", tells, Auth.OPTIONAL),
        Route("GET", "/open", tells, Auth.NONE),
        Route("GET", "/named/{name}", tells, Auth.NONE),
        Route("GET", "/breaks", breaks, Auth.NONE),
        Route("GET", "/misses", misses, Auth.NONE, {RecordNotFound: Teapot}),
        Route("POST", "/reads", reads, Auth.NONE),
    ],
    authenticate=ann_only,
    limiter=LIMITER,
    allows=nobody,
    websockets=nothing,
    answered=lambda method, status, secs: ANSWERED.append((method, status)),
)


async def call(path: str, *, method: str = "GET", query: str = "", **headers: str) -> Any:
    """Status and JSON of the answer."""
    return await exchange(path, [b""], method=method, query=query, **headers)


async def exchange(
    path: str, chunks: list[bytes | None], *, method: str = "GET", query: str = "", **headers: str
) -> Any:
    """The same with a body in pieces; None is a client that leaves."""
    sent: list[Message] = []

    async def incoming() -> AsyncGenerator[Message]:
        for number, chunk in enumerate(chunks, 1):
            if chunk is None:
                yield {"type": "http.disconnect"}
            else:
                yield {"type": "http.request", "body": chunk, "more_body": number < len(chunks)}
        yield {"type": "http.disconnect"}

    messages = incoming()

    async def send(message: Message) -> None:
        sent.append(message)

    scope: Scope = {
        "type": "http",
        "method": method,
        "path": path,
        "raw_path": path.encode(),
        "query_string": query.encode(),
        "headers": [(name.lower().encode(), value.encode()) for name, value in headers.items()],
        "scheme": "http",
        "server": ("test", 80),
        "client": ("127.0.0.1", 1),
    }
    await API(scope, lambda: anext(messages), send)
    body = b"".join(message.get("body", b"") for message in sent[1:])
    return sent[0]["status"], json.loads(body) if body else None


@pytest.mark.parametrize(
    ("path", "token", "answer"),
    [
        ("/required", "good", "ann"),
        ("/required", "", "token-not-provided"),
        ("/required", "bad", "invalid-token"),
        ("/optional", "good", "ann"),
        ("/optional", "", None),
        ("/optional", "bad", "invalid-token"),
        ("/open", "bad", None),
    ],
)
async def test_each_route_asks_for_as_much_as_it_says(path: str, token: str, answer: str | None):
    for options in ({"authorization": f"Bearer {token}"}, {"query": f"token={token}"}):
        status, body = await call(path, **options)
        told = body["data"]["caller"] if status == 200 else body["error"]["type"]
        assert told == answer


async def test_a_header_of_another_scheme_is_no_token():
    status, _ = await call("/required", authorization="Basic Z29vZA==")
    assert status == 401


async def test_each_answer_is_told_of():
    ANSWERED.clear()
    await call("/open")
    await call("/nowhere", method="DELETE")
    assert ANSWERED == [("GET", 200), ("DELETE", 404)]


async def test_a_failing_handler_is_a_500_that_tells_clients_nothing():
    with structlog.testing.capture_logs([merge_contextvars]) as logs:
        status, body = await call("/breaks", query="token=s3cr3t")
    assert (status, body["error"]["type"]) == (500, "internal-server-error")
    assert "the reason" not in json.dumps(body)
    [entry] = logs
    assert entry["path"] == "/breaks" and entry["request_id"]
    assert "s3cr3t" not in str(entry)


async def test_an_endpoint_may_word_an_error_in_its_own_way():
    error = {"type": "teapot", "message": "Short and stout.", "data": {"a": 1}}
    assert await call("/misses") == (418, {"error": error})


async def test_a_client_that_leaves_in_the_middle_of_its_body_breaks_nothing():
    with structlog.testing.capture_logs() as logs:
        status, _ = await exchange("/reads", [b"half", None], method="POST")
    assert (status, logs) == (499, [])


async def test_parameters_are_decoded_whatever_bytes_they_hold():
    for raw, decoded in (("a%20b", "a b"), ("%C3%A9", "é"), ("%FF", "\ufffd"), ("%00", "\0")):
        assert (await call(f"/named/{raw}"))[1]["data"]["name"] == decoded


@pytest.mark.parametrize("query", ["method=%00", "method=" + "A" * 10_000, "method=OPTIONS"])
async def test_a_strange_method_in_the_query_is_not_allowed(query: str):
    status, body = await call("/open", query=query)
    assert (status, body["error"]["type"]) == (405, "method-not-allowed")
