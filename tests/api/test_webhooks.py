"""Webhook endpoints over HTTP. What they are bound to is played by sets of ids: those slices lie above."""

import asyncio
import socket
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from typing import Any

import aiohttp
import pytest
import uvicorn
from aiohttp import web
from sqlalchemy import Connection

from callboard.api.app import Api
from callboard.api.rate_limits import Rate, RateLimiter, Rates
from callboard.api.router import Auth, Route, mount
from callboard.core.caller import Caller
from callboard.core.signals import Signals
from callboard.db.sqlite import SqliteDatabase
from callboard.routes import webhook_routes
from callboard.webhooks.dispatcher import Dispatcher
from callboard.webhooks.endpoints import WebhookEndpoints
from callboard.webhooks.service import DISPATCHES, WebhookService

HOOK = {
    "eventTypes": ["ACTOR.RUN.SUCCEEDED"],
    "condition": {"actorId": "actor1"},
    "requestUrl": "http://example.com/",
}
CALLERS = {
    "ann": Caller("ann", "ann"),
    "bob": Caller("bob", "bob"),
    "run": Caller("ann", "ann", run_id="run1", actor_id="actor1", is_limited=True),
}


@dataclass
class Reply:
    status: int
    body: Any
    headers: dict[str, str]

    @property
    def data(self) -> Any:
        return self.body["data"]

    @property
    def error(self) -> tuple[int, str]:
        return self.status, self.body["error"]["type"]


@dataclass
class Server:
    url: str
    session: aiohttp.ClientSession
    signals: Signals
    owned: set[tuple[str, str]] = field(default_factory=set)

    async def call(self, method: str, path: str, body: Any = None, *, by: str = "ann") -> Reply:
        headers = {"Authorization": f"Bearer {by}"}
        async with self.session.request(
            method, self.url + path, json=body, headers=headers
        ) as response:
            content = await response.read()
            parsed = await response.json() if content else None
            return Reply(response.status, parsed, dict(response.headers))

    async def create(self, *, by: str = "ann", **changes: Any) -> Any:
        reply = await self.call("POST", "/v2/webhooks", HOOK | changes, by=by)
        assert reply.status == 201, reply.body
        return reply.data


@pytest.fixture
async def server(tmp_path: Any) -> AsyncIterator[Server]:
    db, signals = SqliteDatabase(tmp_path / "callboard.db"), Signals()
    owned = {("ann", name) for name in ("actor1", "actor2", "task1", "run1", "run2")}

    def owns(_tx: Connection, user_id: str, target_id: str) -> bool:
        return (user_id, target_id) in owned

    service = WebhookService(
        db, signals, owns_actor=owns, owns_task=owns, owns_run=owns, max_webhooks=100
    )
    endpoints = WebhookEndpoints(service)
    routes = [
        *webhook_routes(endpoints),
        *mount("/v2/actors/{actorId}", [Route("GET", "/webhooks", endpoints.page_of_actor)]),
        *mount(
            "/v2/actor-tasks/{actorTaskId}", [Route("GET", "/webhooks", endpoints.page_of_task)]
        ),
    ]
    assert all(route.auth is Auth.REQUIRED for route in routes)

    async def authenticate(token: str) -> Caller | None:
        return CALLERS.get(token)

    async def no_websockets(*_: Any) -> None:
        raise AssertionError

    async def no_scopes(*_: Any) -> bool:
        raise AssertionError

    limiter = RateLimiter(Rates(dict.fromkeys(Rate, 60), 250_000), is_enforced=False)
    app = Api(
        routes,
        authenticate=authenticate,
        limiter=limiter,
        websockets=no_websockets,
        allows=no_scopes,
        answered=lambda method, status, secs: None,
    )
    dispatcher = asyncio.create_task(Dispatcher(db, signals, allow_private=True).run())
    with socket.create_server(("127.0.0.1", 0)) as listener:
        asgi = uvicorn.Server(uvicorn.Config(app, log_level="error", lifespan="off"))
        serving = asyncio.create_task(asgi.serve(sockets=[listener]))
        async with aiohttp.ClientSession() as session:
            port = listener.getsockname()[1]
            yield Server(f"http://127.0.0.1:{port}", session, signals, owned)
        asgi.should_exit = True
        dispatcher.cancel()
        await asyncio.gather(serving, dispatcher, return_exceptions=True)
    await db.close()


async def test_a_new_webhook_is_returned_whole(server: Server) -> None:
    options = {
        "payloadTemplate": '{"a": {{userId}}}',
        "headersTemplate": '{"A": "b"}',
        "description": "tells me",
        "ignoreSslErrors": True,
        "doNotRetry": True,
        "shouldInterpolateStrings": True,
    }
    reply = await server.call("POST", "/v2/webhooks", HOOK | options)
    assert reply.status == 201
    assert reply.headers["Location"] == f"{server.url}/v2/webhooks/{reply.data['id']}"
    expected = HOOK | options | {"userId": "ann", "isAdHoc": False, "isEnabled": True}
    assert expected.items() <= reply.data.items()
    assert reply.data["lastDispatch"] is None and reply.data["stats"] == {"totalDispatches": 0}
    got = await server.call("GET", f"/v2/webhooks/{reply.data['id']}")
    assert got.data == reply.data


async def test_optional_fields_may_be_null(server: Server) -> None:
    names = ("payloadTemplate", "headersTemplate", "description", "idempotencyKey", "isAdHoc")
    names += ("ignoreSslErrors", "doNotRetry", "shouldInterpolateStrings")
    created = await server.create(**dict.fromkeys(names))
    assert created["ignoreSslErrors"] is False and created["payloadTemplate"] is None


@pytest.mark.parametrize(
    ("changes", "error"),
    [
        pytest.param({"eventTypes": []}, "invalid-value", id="no events"),
        pytest.param({"eventTypes": ["ACTOR.RUN"]}, "invalid-request", id="unknown event"),
        pytest.param({"condition": {}}, "invalid-value", id="no condition"),
        pytest.param(
            {"condition": {"actorId": "actor1", "actorTaskId": "task1"}},
            "invalid-value",
            id="two conditions",
        ),
        pytest.param({"requestUrl": "mailto:a@b.c"}, "invalid-value", id="no web address"),
        pytest.param({"requestUrl": None}, "invalid-request", id="no URL"),
        pytest.param({"payloadTemplate": "{{secret}}"}, "invalid-value", id="unknown variable"),
        pytest.param({"payloadTemplate": "{"}, "invalid-value", id="payload is not JSON"),
        pytest.param({"headersTemplate": "[]"}, "invalid-value", id="headers are no object"),
        pytest.param({"isAdHoc": True}, "invalid-value", id="ad hoc without a run"),
        pytest.param({"idempotencyKey": "k" * 300}, "invalid-idempotency-key", id="long key"),
    ],
)
async def test_a_webhook_that_cannot_work_is_refused(
    server: Server, changes: dict[str, Any], error: str
) -> None:
    reply = await server.call("POST", "/v2/webhooks", HOOK | changes)
    assert reply.error == (400, error)
    assert (await server.call("GET", "/v2/webhooks")).data["total"] == 0


@pytest.mark.parametrize("name", ["actorId", "actorTaskId", "actorRunId"])
async def test_what_a_condition_names_must_be_the_callers(server: Server, name: str) -> None:
    value = {"actorId": "actor1", "actorTaskId": "task1", "actorRunId": "run1"}[name]
    reply = await server.call("POST", "/v2/webhooks", HOOK | {"condition": {name: value}}, by="bob")
    assert reply.error == (404, "record-not-found")
    assert (await server.create(condition={name: value}))["condition"] == {name: value}


async def test_the_same_idempotency_key_gives_the_first_webhook(server: Server) -> None:
    first = await server.create(idempotencyKey="once")
    second = await server.create(idempotencyKey="once", requestUrl="http://other.example/")
    assert second == first
    server.owned.add(("bob", "actor1"))
    assert (await server.create(idempotencyKey="once", by="bob"))["id"] != first["id"]


async def test_the_101st_webhook_is_refused(server: Server) -> None:
    await asyncio.gather(*(server.create() for _ in range(100)))
    await server.create(condition={"actorRunId": "run1"})
    reply = await server.call("POST", "/v2/webhooks", HOOK)
    assert reply.error == (403, "too-many-webhooks")


async def test_an_update_changes_what_it_names(server: Server) -> None:
    created = await server.create(description="old", payloadTemplate='{"a": 1}')
    change = {
        "eventTypes": ["ACTOR.BUILD.FAILED"],
        "condition": {"actorTaskId": "task1"},
        "isEnabled": False,
        "description": None,
    }
    reply = await server.call("PUT", f"/v2/webhooks/{created['id']}", change)
    assert reply.status == 200
    unchanged = {
        name: created[name] for name in ("id", "requestUrl", "createdAt", "payloadTemplate")
    }
    assert (change | unchanged).items() <= reply.data.items()
    assert reply.data["modifiedAt"] >= created["modifiedAt"]


@pytest.mark.parametrize(
    ("change", "status"),
    [
        pytest.param({"requestUrl": "nowhere"}, 400, id="bad URL"),
        pytest.param({"shouldInterpolateStrings": True}, 400, id="makes the old template wrong"),
        pytest.param({"condition": {"actorId": "actor9"}}, 404, id="not the caller's"),
        pytest.param({"eventTypes": []}, 400, id="no events"),
    ],
)
async def test_a_bad_update_changes_nothing(
    server: Server, change: dict[str, Any], status: int
) -> None:
    created = await server.create(payloadTemplate='["{{what}}"]')
    path = f"/v2/webhooks/{created['id']}"
    assert (await server.call("PUT", path, change)).status == status
    assert (await server.call("GET", path)).data == created


async def test_a_deleted_webhook_is_gone(server: Server) -> None:
    path = f"/v2/webhooks/{(await server.create())['id']}"
    assert (await server.call("DELETE", path)).status == 204
    for method, suffix in (("GET", ""), ("PUT", ""), ("DELETE", ""), ("POST", "/test")):
        reply = await server.call(method, path + suffix, {} if method == "PUT" else None)
        assert reply.error == (404, "record-not-found")
    assert (await server.call("GET", path + "/dispatches")).error == (404, "record-not-found")


async def test_webhooks_of_others_do_not_exist(server: Server) -> None:
    path = f"/v2/webhooks/{(await server.create())['id']}"
    for method, suffix in (("GET", ""), ("PUT", ""), ("DELETE", ""), ("POST", "/test")):
        reply = await server.call(method, path + suffix, {} if method == "PUT" else None, by="bob")
        assert reply.error == (404, "record-not-found")
    assert (await server.call("GET", "/v2/webhooks", by="bob")).data["items"] == []


async def test_lists_are_paged_and_leave_out_templates(server: Server) -> None:
    ids = [(await server.create(headersTemplate='{"A": "secret"}'))["id"] for _ in range(3)]
    listed = (await server.call("GET", "/v2/webhooks?offset=1&limit=1")).data
    assert [item["id"] for item in listed["items"]] == ids[1:2]
    assert (listed["total"], listed["count"], listed["desc"]) == (3, 1, False)
    assert "headersTemplate" not in listed["items"][0]
    newest = (await server.call("GET", "/v2/webhooks?desc=1&limit=1")).data
    assert [item["id"] for item in newest["items"]] == ids[2:]


async def test_lists_of_an_actor_and_a_task_have_theirs_only(server: Server) -> None:
    of_actor = await server.create()
    of_task = await server.create(condition={"actorTaskId": "task1"}, description="mine")
    await server.create(condition={"actorId": "actor2"})
    listed = (await server.call("GET", "/v2/actors/actor1/webhooks")).data
    assert [item["id"] for item in listed["items"]] == [of_actor["id"]]
    listed = (await server.call("GET", "/v2/actor-tasks/task1/webhooks")).data
    assert listed["items"] == [of_task]
    listed = (await server.call("GET", "/v2/actors/actor1/webhooks", by="bob")).data
    assert listed["total"] == 0


async def test_an_ad_hoc_webhook_is_reached_by_its_id_only(server: Server) -> None:
    created = await server.create(isAdHoc=True, condition={"actorRunId": "run1"})
    assert created["isAdHoc"] is True
    assert (await server.call("GET", f"/v2/webhooks/{created['id']}")).data == created
    assert (await server.call("GET", "/v2/webhooks")).data["total"] == 0


async def test_a_limited_run_reaches_webhooks_on_itself_only(server: Server) -> None:
    mine = await server.create(condition={"actorRunId": "run1"})
    other = await server.create()
    assert (await server.call("GET", f"/v2/webhooks/{mine['id']}", by="run")).status == 200
    denied = (403, "insufficient-permissions")
    assert (await server.call("GET", f"/v2/webhooks/{other['id']}", by="run")).error == denied
    assert (await server.call("GET", "/v2/webhooks", by="run")).error == denied
    assert (await server.call("GET", "/v2/webhook-dispatches", by="run")).error == denied
    for condition in (HOOK["condition"], {"actorRunId": "run1"}):
        hook = {**HOOK, "condition": condition}
        assert (await server.call("POST", "/v2/webhooks", hook, by="run")).error == denied
    move = {"condition": {"actorId": "actor1"}}
    moved = await server.call("PUT", f"/v2/webhooks/{mine['id']}", move, by="run")
    assert moved.error == denied


async def test_a_test_is_delivered_and_recorded(server: Server) -> None:
    arrived: asyncio.Future[Any] = asyncio.get_running_loop().create_future()

    async def handle(request: web.Request) -> web.Response:
        arrived.set_result(await request.json())
        return web.Response(text="got it")

    app = web.Application()
    app.router.add_post("/hook", handle)
    runner = web.AppRunner(app)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    created = await server.create(requestUrl=f"http://127.0.0.1:{runner.addresses[0][1]}/hook")
    reply = await server.call("POST", f"/v2/webhooks/{created['id']}/test")
    assert reply.status == 201
    payload = await asyncio.wait_for(arrived, 10)
    await runner.cleanup()

    assert payload["eventType"] == reply.data["eventType"] == "TEST"
    assert payload["eventData"]["actorId"] == "actor1"
    dispatch = await _finished(server, reply.data["id"])
    assert (dispatch["status"], dispatch["webhookId"]) == ("SUCCEEDED", created["id"])
    [call] = dispatch["calls"]
    assert (call["responseStatus"], call["responseBody"]) == (200, "got it")
    assert dispatch["webhook"] == {
        "actionType": "HTTP_REQUEST",
        "condition": {"actorId": "actor1"},
        "requestUrl": created["requestUrl"],
        "isAdHoc": False,
    }
    for path in (f"/v2/webhooks/{created['id']}/dispatches", "/v2/webhook-dispatches"):
        assert (await server.call("GET", path)).data["items"] == [dispatch]
    webhook = (await server.call("GET", f"/v2/webhooks/{created['id']}")).data
    assert webhook["lastDispatch"] == {"status": "SUCCEEDED", "finishedAt": call["finishedAt"]}
    assert webhook["stats"] == {"totalDispatches": 1}


async def _finished(server: Server, dispatch_id: str) -> Any:
    """The dispatch once its outcome is written, right after the receiver's answer."""
    async with asyncio.timeout(10), server.signals.listen(DISPATCHES) as listener:
        while True:
            dispatch = (await server.call("GET", f"/v2/webhook-dispatches/{dispatch_id}")).data
            if dispatch["status"] != "ACTIVE":
                return dispatch
            await listener.wait()


async def test_dispatches_of_others_do_not_exist(server: Server) -> None:
    created = await server.create(requestUrl="http://127.0.0.1:1/", doNotRetry=True)
    dispatch = (await server.call("POST", f"/v2/webhooks/{created['id']}/test")).data
    path = f"/v2/webhook-dispatches/{dispatch['id']}"
    assert (await server.call("GET", path)).status == 200
    assert (await server.call("GET", path, by="bob")).error == (404, "record-not-found")
    assert (await server.call("GET", "/v2/webhook-dispatches", by="bob")).data["total"] == 0
