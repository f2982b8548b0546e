"""API tokens that are good for some things only, and those that expire."""

from collections.abc import AsyncGenerator
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

import pytest

from callboard.core.ids import new_id
from callboard.core.scopes import InvalidScope, checked_scopes
from callboard.scoping import needed
from tests.actors import ActorMaker
from tests.api.test_permissions import LIMITED, picks
from tests.contract.test_routes import the_routes
from tests.server import Client, Reply, Server

SMALL = {"memory": 128}
WAITING = {**SMALL, "waitForFinish": 60}
LOOKS = """
set_value("OUTPUT", {
    "level": os.environ["ACTOR_PERMISSION_LEVEL"],
    "user": json.loads(call("GET", f"{API}/users/me"))["data"]["username"],
})
push([{"n": 1}])
"""


@dataclass
class Account:
    """An account with an Actor, a run of it, a task and a named dataset."""

    api: Client
    server: Server
    actor: dict[str, Any]
    run: dict[str, Any]
    task: dict[str, Any]
    dataset: dict[str, Any]

    async def token(self, *scopes: str) -> "Scoped":
        filled = [
            scope.format(actor=self.actor["id"], task=self.task["id"], dataset=self.dataset["id"])
            for scope in scopes
        ]
        async with self.server.accounts() as accounts:
            return Scoped(self.api, await accounts.create_token(self.api.username, scopes=filled))


@dataclass
class Scoped:
    api: Client
    token: str

    async def __call__(self, method: str, path: str, **options: Any) -> Reply:
        return await self.api.request(method, path, token=self.token, **options)


@pytest.fixture(scope="module")
async def account(server: Server) -> AsyncGenerator[Account]:
    username, token = await server.user()
    async with Client(server.url, token, username) as api:
        actor = await ActorMaker(api).python(LOOKS)
        start = f"/v2/acts/{actor['id']}/runs"
        run = (await api.post(start, params={**SMALL, "waitForFinish": 60})).data
        task = {"actId": actor["id"], "name": "small", "options": {"memoryMbytes": 128}}
        task = (await api.post("/v2/actor-tasks", json=task)).data
        dataset = (await api.post("/v2/datasets", params={"name": f"named-{new_id()}"})).data
        await api.post(f"/v2/datasets/{dataset['id']}/items", json={"a": 1})
        yield Account(api, server, actor, run, task, dataset)


def is_refused(reply: Reply) -> bool:
    return (reply.status, reply.error["type"]) == (403, "insufficient-permissions")


async def test_a_token_reads_the_one_dataset_it_is_for(account: Account):
    call = await account.token("datasets:read:{dataset}")
    for name in (account.dataset["id"], f"~{account.dataset['name']}"):
        assert (await call("GET", f"/v2/datasets/{name}/items")).json == [{"a": 1}]
    path = f"/v2/datasets/{account.dataset['id']}"
    assert "urlSigningSecretKey" not in (await call("GET", path)).data
    assert is_refused(await call("POST", f"{path}/items", json={}))
    assert is_refused(await call("DELETE", path))
    assert is_refused(await call("GET", f"/v2/datasets/{account.run['defaultDatasetId']}/items"))
    assert is_refused(await call("GET", "/v2/datasets"))
    assert is_refused(await call("POST", "/v2/datasets"))


async def test_a_token_for_all_datasets_is_for_nothing_else(account: Account):
    call = await account.token("datasets:write")
    assert (await call("GET", "/v2/datasets")).status == 200
    path = f"/v2/datasets/{account.dataset['id']}"
    assert (await call("PUT", path, json={"title": "new"})).status == 200
    for method, other in (
        ("GET", "/v2/key-value-stores"),
        ("GET", f"/v2/key-value-stores/{account.run['defaultKeyValueStoreId']}"),
        ("GET", "/v2/actor-runs"),
        ("GET", "/v2/acts"),
        ("GET", "/v2/users/me/limits"),
    ):
        reply = await call(method, other)
        assert reply.status in (401, 403), other


async def test_what_a_token_creates_is_its_own(account: Account):
    call = await account.token("datasets:create")
    made = await call("POST", "/v2/datasets", params={"name": f"made-{new_id()}"})
    path = f"/v2/datasets/{made.data['id']}"
    assert (await call("POST", f"{path}/items", json={"b": 2})).status == 201
    assert (await call("GET", f"{path}/items")).json == [{"b": 2}]
    again = await call("POST", "/v2/datasets", params={"name": made.data["name"]})
    assert again.data["id"] == made.data["id"]
    stranger = await account.token("datasets:create")
    assert is_refused(await stranger("GET", f"{path}/items"))
    taken = await stranger("POST", "/v2/datasets", params={"name": made.data["name"]})
    assert is_refused(taken) and "urlSigningSecretKey" not in taken.body.decode()


async def test_a_token_runs_an_actor_and_uses_what_comes_of_it(account: Account):
    call = await account.token("actors:run:{actor}")
    path = f"/v2/acts/{account.actor['id']}"
    output = await call("POST", f"{path}/run-sync", params=SMALL)
    assert output.json == {"level": "LIMITED_PERMISSIONS", "user": account.api.username}
    run = (await call("POST", f"{path}/runs", params={**SMALL, "waitForFinish": 60})).data
    for own in (
        f"/v2/actor-runs/{run['id']}",
        f"{path}/runs/{run['id']}",
        f"/v2/logs/{run['id']}",
        f"/v2/datasets/{run['defaultDatasetId']}/items",
        f"/v2/actor-runs/{run['id']}/key-value-store/records/OUTPUT",
    ):
        assert (await call("GET", own)).status == 200, own
    earlier = account.run
    for other in (f"/v2/actor-runs/{earlier['id']}", f"/v2/logs/{earlier['id']}"):
        assert (await call("GET", other)).status in (401, 404), other
    assert is_refused(await call("GET", f"{path}/runs"))
    assert is_refused(await call("GET", f"{path}/runs/last"))


async def test_runs_of_a_scoped_token_get_no_more_than_it_has(account: Account):
    call = await account.token("actors:run", "actor-runs:write")
    path = f"/v2/acts/{account.actor['id']}/runs"
    forced = await call("POST", path, params={"forcePermissionLevel": "FULL_PERMISSIONS"})
    assert is_refused(forced)
    webhooks = "W3siZXZlbnRUeXBlcyI6WyJBQ1RPUi5SVU4uQ1JFQVRFRCJdLCJyZXF1ZXN0VXJsIjoiaHR0cHM6Ly9leGFtcGxlLmNvbS8ifV0="
    assert is_refused(await call("POST", path, params={"webhooks": webhooks}))
    target = {"targetActorId": account.actor["id"]}
    morph = f"/v2/actor-runs/{account.run['id']}/metamorph"
    assert is_refused(await call("POST", morph, params=target))


async def test_a_token_runs_a_task(account: Account):
    call = await account.token("actor-tasks:run:{task}")
    path = f"/v2/actor-tasks/{account.task['id']}"
    assert (await call("GET", f"{path}/run-sync")).json["level"] == "LIMITED_PERMISSIONS"
    assert is_refused(await call("GET", path))
    assert is_refused(await call("PUT", f"{path}/input", json={}))
    assert is_refused(await call("POST", f"/v2/acts/{account.actor['id']}/runs", params=SMALL))


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("POST", "/v2/acts"),
        ("PUT", "/v2/acts/{actor}"),
        ("DELETE", "/v2/acts/{actor}"),
        ("POST", "/v2/acts/{actor}/versions"),
        ("PUT", "/v2/acts/{actor}/versions/0.0"),
        ("POST", "/v2/acts/{actor}/builds?version=0.0"),
        ("POST", "/v2/actor-tasks"),
        ("POST", "/v2/webhooks"),
        ("POST", "/v2/schedules"),
        ("PUT", "/v2/users/me/limits"),
        ("GET", "/v2/users/me/usage/monthly"),
    ],
)
async def test_no_scope_opens_what_would_act_for_the_account(
    account: Account, method: str, path: str
):
    call = await account.token("actors:run", "actors:read", "actor-runs:write", "webhooks:read")
    assert is_refused(await call(method, path.format(actor=account.actor["id"]), json={}))


async def test_a_scoped_token_sees_who_it_belongs_to_but_no_password(account: Account):
    call = await account.token("datasets:read")
    me = (await call("GET", "/v2/users/me")).data
    assert me["username"] == account.api.username
    assert "proxy" not in me


async def test_what_is_open_to_anyone_is_open_to_a_scoped_token_too(account: Account):
    call = await account.token("webhooks:read")
    path = f"/v2/datasets/{account.run['defaultDatasetId']}"
    assert is_refused(await call("GET", path))
    await account.api.put(path, json={"generalAccess": "ANYONE_WITH_ID_CAN_READ"})
    shown = await call("GET", path)
    assert shown.status == 200 and "urlSigningSecretKey" not in shown.data


async def test_what_a_tokens_own_runs_left_may_be_the_input_of_its_next(account: Account):
    actor = await ActorMaker(account.api).python(
        """
        path = f"{API}/datasets/{get_input()['reads']}/items"
        set_value("OUTPUT", json.loads(call("GET", path)))
        """,
        files=picks(reads=["READ"]),
        **LIMITED,
    )
    call = await account.token("actors:run")
    ran = await call("POST", f"/v2/acts/{account.actor['id']}/runs", params=WAITING)
    path = f"/v2/acts/{actor['id']}/run-sync"
    for dataset, status in ((ran.data["defaultDatasetId"], 201), (account.dataset["id"], 400)):
        reply = await call("POST", path, params=SMALL, json={"reads": dataset})
        assert reply.status == status


async def test_webhooks_are_read_by_a_permission_of_their_own(account: Account):
    """They hold the credentials of whom they call."""
    paths = (
        f"/v2/acts/{account.actor['id']}/webhooks",
        f"/v2/actor-tasks/{account.task['id']}/webhooks",
    )
    others = await account.token("actors:read", "actor-tasks:read")
    webhooks = await account.token("webhooks:read")
    for path in paths:
        assert is_refused(await others("GET", path))
        assert (await webhooks("GET", path)).status == 200


async def test_a_token_expires(account: Account):
    async with account.server.accounts() as accounts:
        username = account.api.username
        gone = await accounts.create_token(username, lifetime=timedelta(seconds=-1))
        lasting = await accounts.create_token(username, lifetime=timedelta(days=1))
    assert (await account.api.get("/v2/users/me", token=gone)).error["type"] == "invalid-token"
    assert (await account.api.get("/v2/users/me", token=lasting)).status == 200


@pytest.mark.parametrize(
    "text",
    [
        *("", "datasets", "datasets:", "datasets:run", "actors:write", "webhooks:create"),
        *("x:read", "datasets:read:", "datasets:read:a/b", "datasets:create:abc", "DATASETS:read"),
    ],
)
def test_a_permission_that_there_is_not_is_refused(text: str):
    with pytest.raises(InvalidScope):
        checked_scopes([text])


def test_every_route_of_actors_is_thought_of():
    """Those that no scope opens are these, and no others by accident."""
    closed = {
        f"{route.method} {route.path}"
        for route in the_routes()
        if needed(route) is None and not route.path.startswith("/v2/acts")
    }
    assert {line for line in closed if "/actors/" in line and "metamorph" not in line} == {
        f"{method} /v2/actors/{{actorId}}{path}"
        for method, path in (
            ("PUT", ""),
            ("DELETE", ""),
            ("POST", "/versions"),
            ("PUT", "/versions/{versionNumber}"),
            ("POST", "/versions/{versionNumber}"),
            ("DELETE", "/versions/{versionNumber}"),
            ("POST", "/versions/{versionNumber}/env-vars"),
            ("PUT", "/versions/{versionNumber}/env-vars/{envVarName}"),
            ("POST", "/versions/{versionNumber}/env-vars/{envVarName}"),
            ("DELETE", "/versions/{versionNumber}/env-vars/{envVarName}"),
            ("POST", "/builds"),
            ("POST", "/builds/{buildId}/abort"),
        )
    }
