"""Who may do what: others' things, things open to all, and what the tokens of runs are good for."""

import base64
import json
from collections.abc import AsyncGenerator
from dataclasses import dataclass
from typing import Any

import pytest

from callboard.core.ids import new_id
from callboard.core.vault import Vault
from tests.actors import ActorMaker
from tests.server import Client, Reply, Server

SMALL = {"memory": 128}
AD_HOC = base64.urlsafe_b64encode(
    b'[{"eventTypes": ["ACTOR.RUN.CREATED"], "requestUrl": "https://example.com/"}]'
).decode()
LIMITED = {"actorPermissionLevel": "LIMITED_PERMISSIONS"}


@dataclass
class Account:
    """An account with an Actor of each permission level, a run of each and a named dataset with an item."""

    api: Client
    full_actor_id: str
    limited_actor_id: str
    full_run: dict[str, Any]
    limited_run: dict[str, Any]
    dataset: dict[str, Any]
    task: dict[str, Any]


@pytest.fixture(scope="module")
async def account(server: Server) -> AsyncGenerator[Account]:
    username, token = await server.user()
    async with Client(server.url, token, username) as api:
        actors = ActorMaker(api)
        sleeps = "sleep 600"
        full = (await actors.shell(sleeps))["id"]
        limited = (await actors.shell(sleeps, **LIMITED))["id"]
        full_run = (await api.post(f"/v2/acts/{full}/runs", params=SMALL)).data
        limited_run = (await api.post(f"/v2/acts/{limited}/runs", params=SMALL)).data
        dataset = (await api.post("/v2/datasets", params={"name": f"d-{new_id()}"})).data
        await api.post(f"/v2/datasets/{dataset['id']}/items", json=[{"a": 1}])
        task = (
            await api.post("/v2/actor-tasks", json={"actId": full, "input": {"key": "value"}})
        ).data
        yield Account(api, full, limited, full_run, limited_run, dataset, task)
        for run in (full_run, limited_run):
            await api.post(f"/v2/actor-runs/{run['id']}/abort")


def token_of(server: Server, run: dict[str, Any]) -> str:
    """The token that the run finds in its environment."""
    vault = Vault((server.data_dir / "master.key").read_bytes())
    return f"callboard_run_{run['id']}_{vault.sign('run-token', run['id'])}"


@dataclass
class Program:
    """Speaks to the API as the program of a run does."""

    api: Client
    token: str

    async def request(self, method: str, path: str, **options: Any) -> Reply:
        return await self.api.request(method, path, token=self.token, **options)

    async def get(self, path: str, **options: Any) -> Reply:
        return await self.request("GET", path, **options)

    async def post(self, path: str, **options: Any) -> Reply:
        return await self.request("POST", path, **options)


@pytest.fixture
def limited(server: Server, account: Account) -> Program:
    return Program(account.api, token_of(server, account.limited_run))


@pytest.fixture
def full(server: Server, account: Account) -> Program:
    return Program(account.api, token_of(server, account.full_run))


def is_denied(reply: Reply) -> bool:
    return (reply.status, reply.json["error"]["type"]) == (403, "insufficient-permissions")


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("GET", ""),
        ("PUT", ""),
        ("DELETE", ""),
        ("POST", "/abort"),
        ("POST", "/reboot"),
        ("GET", "/log"),
        ("GET", "/dataset/items"),
        ("POST", "/dataset/items"),
        ("GET", "/key-value-store/keys"),
    ],
)
@pytest.mark.parametrize("is_anonymous", [False, True], ids=["other", "anonymous"])
async def test_a_run_is_nobody_elses_business(
    account: Account, other: Client, method: str, path: str, is_anonymous: bool
):
    token = None if is_anonymous else ""
    url = f"/v2/actor-runs/{account.full_run['id']}{path}"
    reply = await other.request(method, url, token=token, json={})
    if is_anonymous and reply.status == 401:
        assert reply.error["type"] == "token-not-provided"
    else:
        assert (reply.status, reply.error["type"]) == (404, "record-not-found")


async def test_lists_show_only_what_is_ones_own(account: Account, other: Client):
    for path in ("actors", "actor-runs", "actor-builds", "actor-tasks", "datasets", "webhooks"):
        assert (await other.get(f"/v2/{path}")).data["items"] == [], path


async def test_a_run_opened_to_all_is_read_with_its_storages_and_changed_by_nobody(
    account: Account, other: Client
):
    run = (await account.api.post(f"/v2/acts/{account.full_actor_id}/runs", params=SMALL)).data
    path, dataset = f"/v2/actor-runs/{run['id']}", f"/v2/datasets/{run['defaultDatasetId']}"
    await account.api.put(path, json={"generalAccess": "ANYONE_WITH_ID_CAN_READ"})
    for url in (path, f"{path}/log", f"{path}/dataset/items", f"{dataset}/items", dataset):
        assert (await other.get(url, token=None)).status == 200, url
    assert (await other.post(f"{path}/abort")).status == 404
    assert (await other.post(f"{dataset}/items", json={})).status == 403
    await account.api.put(path, json={"generalAccess": "RESTRICTED"})
    assert (await other.get(f"{dataset}/items", token=None)).status == 403
    await account.api.post(f"{path}/abort")


async def test_a_build_shows_neither_sources_nor_variables_to_who_knows_its_id(
    account: Account, actors: ActorMaker, other: Client
):
    variables = [{"name": "OPEN", "value": "in-plain-sight"}]
    actor = await actors.create(
        {"Dockerfile": "FROM debian\nRUN sleep 2\n", "main.sh": "echo"},
        version={"envVars": variables},
    )
    build = await actors.build(actor["id"], waitForFinish=0)
    for _ in range(2):
        shown = await other.get(f"/v2/actor-builds/{build['id']}", token=None)
        assert shown.data["actVersion"]["versionNumber"] == "0.0"
        assert b"sleep 2" not in shown.body and b"in-plain-sight" not in shown.body
        await other.get(f"/v2/actor-builds/{build['id']}", params={"waitForFinish": 20})


async def test_the_token_of_a_run_acts_for_the_account(account: Account, full: Program):
    assert (await full.get("/v2/users/me")).data["username"] == account.api.username
    assert (await full.get(f"/v2/datasets/{account.dataset['id']}/items")).json == [{"a": 1}]
    assert (await full.get(f"/v2/actor-runs/{account.limited_run['id']}")).status == 200


async def test_the_token_of_a_run_is_worth_nothing_once_the_run_is_over(
    server: Server, account: Account
):
    run = (await account.api.post(f"/v2/acts/{account.full_actor_id}/runs", params=SMALL)).data
    program = Program(account.api, token_of(server, run))
    assert (await program.get("/v2/users/me")).status == 200
    path = f"/v2/actor-runs/{run['id']}"
    await account.api.post(f"{path}/abort")
    await account.api.get(path, params={"waitForFinish": 20})
    assert (await program.get("/v2/users/me")).error["type"] == "invalid-token"


@pytest.mark.parametrize(
    "token",
    ["callboard_run_{id}_wrong", "callboard_run_{id}_é", "callboard_run_{id}", "callboard_run_"],
)
async def test_a_forged_token_of_a_run_is_not_valid(account: Account, token: str):
    forged = token.format(id=account.full_run["id"])
    reply = await account.api.get("/v2/users/me", params={"token": forged}, token=None)
    assert (reply.status, reply.error["type"]) == (401, "invalid-token")


async def test_a_limited_run_uses_its_own_storages_and_those_it_creates(
    account: Account, limited: Program
):
    own = account.limited_run
    items = f"/v2/datasets/{own['defaultDatasetId']}/items"
    assert (await limited.post(items, json={"a": 1})).status == 201
    record = f"/v2/key-value-stores/{own['defaultKeyValueStoreId']}/records/A"
    assert (await limited.request("PUT", record, json=1)).status == 201
    created = (await limited.post("/v2/datasets", params={"name": f"own-{new_id()}"})).data
    assert (await limited.post(f"/v2/datasets/{created['id']}/items", json={})).status == 201
    run = f"/v2/actor-runs/{own['id']}"
    assert (await limited.request("PUT", run, json={"statusMessage": "going"})).status == 200


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("GET", "/v2/datasets/{dataset}/items"),
        ("POST", "/v2/datasets/{dataset}/items"),
        ("POST", "/v2/datasets?name={dataset_name}"),
        ("GET", "/v2/actor-runs/{full_run}"),
        ("GET", "/v2/actor-runs/{full_run}/log"),
        ("GET", "/v2/logs/{full_run}"),
        ("GET", "/v2/actor-runs/{full_run}/dataset/items"),
        ("POST", "/v2/actor-runs/{full_run}/abort"),
        ("DELETE", "/v2/actor-runs/{limited_run}"),
        ("GET", "/v2/actor-runs"),
        ("GET", "/v2/acts/{full_actor}/runs"),
        ("GET", "/v2/acts/{full_actor}/runs/last"),
        ("POST", "/v2/acts/{full_actor}/runs?memory=128"),
        ("POST", "/v2/acts/{limited_actor}/runs?memory=128&forcePermissionLevel=FULL_PERMISSIONS"),
        ("POST", "/v2/acts/{limited_actor}/runs?memory=128&webhooks={webhooks}"),
        ("POST", "/v2/actor-tasks/{task}/runs?memory=128"),
        ("GET", "/v2/acts/{full_actor}/versions"),
        ("GET", "/v2/acts/{full_actor}/versions/0.0"),
        ("GET", "/v2/acts/{full_actor}/versions/0.0/env-vars"),
        ("GET", "/v2/acts"),
        ("POST", "/v2/acts"),
        ("DELETE", "/v2/acts/{full_actor}"),
        ("POST", "/v2/acts/{full_actor}/builds?version=0.0"),
        ("GET", "/v2/actor-builds"),
        ("POST", "/v2/actor-builds/{build}/abort"),
        ("DELETE", "/v2/actor-builds/{build}"),
        ("GET", "/v2/actor-tasks"),
        ("GET", "/v2/actor-tasks/{task}"),
        ("GET", "/v2/actor-tasks/{task}/input"),
        ("DELETE", "/v2/actor-tasks/{task}"),
    ],
)
async def test_a_limited_run_does_not_act_for_the_account(
    account: Account, limited: Program, method: str, path: str
):
    url = path.format(
        dataset=account.dataset["id"],
        dataset_name=account.dataset["name"],
        full_run=account.full_run["id"],
        limited_run=account.limited_run["id"],
        full_actor=account.full_actor_id,
        limited_actor=account.limited_actor_id,
        build=account.full_run["buildId"],
        task=account.task["id"],
        webhooks=AD_HOC,
    )
    body = {} if method == "GET" else {"json": {}}
    assert is_denied(await limited.request(method, url, **body))


async def test_a_limited_run_reaches_what_earlier_runs_made_but_not_what_they_were_given(
    server: Server, account: Account
):
    start = f"/v2/acts/{account.limited_actor_id}/runs"
    first, second = [(await account.api.post(start, params=SMALL)).data for _ in range(2)]
    earlier, later = [Program(account.api, token_of(server, run)) for run in (first, second)]
    made = (await earlier.post("/v2/datasets", params={"name": f"made-{new_id()}"})).data
    unnamed = (await earlier.post("/v2/key-value-stores")).data
    assert (await later.post(f"/v2/datasets/{made['id']}/items", json={})).status == 201
    assert (await later.get(f"/v2/key-value-stores/{unnamed['id']}")).status == 200
    for path in (
        f"/v2/datasets/{first['defaultDatasetId']}",
        f"/v2/key-value-stores/{first['defaultKeyValueStoreId']}/records/INPUT",
        f"/v2/request-queues/{first['defaultRequestQueueId']}",
    ):
        assert is_denied(await later.get(path)), path
        assert is_denied(await later.request("DELETE", path)), path
    listed = (await later.get("/v2/datasets", params={"unnamed": 1})).data["items"]
    ids = {row["id"] for row in listed}
    assert made["id"] in ids and first["defaultDatasetId"] not in ids
    for run in (first, second):
        await account.api.post(f"/v2/actor-runs/{run['id']}/abort")


async def test_a_limited_run_sees_no_secret_of_storages_that_are_not_its_own(
    account: Account, limited: Program
):
    listed = await limited.get("/v2/datasets", params={"unnamed": "1"})
    ids = {row["id"] for row in listed.data["items"]}
    assert account.limited_run["defaultDatasetId"] in ids
    assert not ids & {account.dataset["id"], account.full_run["defaultDatasetId"]}


async def test_a_limited_run_sees_an_actor_without_its_sources(account: Account, limited: Program):
    reply = await limited.get(f"/v2/acts/{account.full_actor_id}")
    assert (reply.status, reply.data["versions"]) == (200, [])


async def test_a_limited_run_starts_limited_actors_and_reads_their_results(
    account: Account, actors: ActorMaker, limited: Program, server: Server
):
    code = """
    push([{"got": get_input()}])
    set_value("OUTPUT", {"done": True})
    """
    helper = await ActorMaker(account.api).python(code, **LIMITED)
    start = f"/v2/acts/{helper['id']}"
    run = (await limited.post(f"{start}/runs", params={**SMALL, "waitForFinish": 30}, json={})).data
    assert (run["status"], run["meta"]["origin"]) == ("SUCCEEDED", "ACTOR")
    dataset = f"/v2/datasets/{run['defaultDatasetId']}/items"
    assert (await limited.get(dataset)).json == [{"got": {}}]
    assert is_denied(await limited.post(dataset, json={}))
    store = f"/v2/key-value-stores/{run['defaultKeyValueStoreId']}/records/OUTPUT"
    assert (await limited.get(store)).json == {"done": True}
    assert (await limited.get(f"/v2/logs/{run['id']}")).status == 200
    in_sync = await limited.post(f"{start}/run-sync", params=SMALL, json={})
    assert (in_sync.status, in_sync.json) == (201, {"done": True})


def picks(**permissions: list[str]) -> dict[str, str]:
    """An input schema with a field for each dataset or datasets that may be picked."""
    fields = {
        name: {
            "title": name,
            "type": "array" if name == "several" else "string",
            "description": "-",
            "editor": "resourcePicker",
            "resourceType": "dataset",
            "resourcePermissions": allowed,
        }
        for name, allowed in permissions.items()
    }
    schema = {"title": "T", "type": "object", "schemaVersion": 1, "properties": fields}
    return {"INPUT_SCHEMA.json": json.dumps(schema)}


async def test_a_limited_run_uses_the_storages_that_its_input_picks(
    server: Server, account: Account
):
    files = picks(reads=["READ"], writes=["READ", "WRITE"], several=["READ"])
    actor = await ActorMaker(account.api).python("time.sleep(60)", files=files, **LIMITED)
    sets = [(await account.api.post("/v2/datasets")).data["id"] for _ in range(4)]
    named = account.dataset
    picked = {"reads": f"~{named['name']}", "writes": sets[0], "several": sets[1:3]}
    start = f"/v2/acts/{actor['id']}/runs"
    run = (await account.api.post(start, params=SMALL, json=picked)).data
    program = Program(account.api, token_of(server, run))
    for readable in (named["id"], *sets[:3]):
        assert (await program.get(f"/v2/datasets/{readable}/items")).status == 200
    assert (await program.post(f"/v2/datasets/{sets[0]}/items", json={})).status == 201
    for path in (f"/v2/datasets/{named['id']}/items", f"/v2/datasets/{sets[1]}/items"):
        assert is_denied(await program.post(path, json={}))
    assert is_denied(await program.get(f"/v2/datasets/{sets[3]}"))
    shown = (await program.get(f"/v2/datasets/{sets[1]}")).data
    assert "urlSigningSecretKey" not in shown and "signature" not in shown["itemsPublicUrl"]
    # What it has it may hand on to runs that it starts, and no more.
    handed = {"reads": sets[0], "writes": named["id"], "several": [sets[3]]}
    child = (await program.post(start, params=SMALL, json=handed)).data
    started = Program(account.api, token_of(server, child))
    assert (await started.get(f"/v2/datasets/{sets[0]}/items")).status == 200
    for path in (f"/v2/datasets/{named['id']}", f"/v2/datasets/{sets[3]}"):
        assert is_denied(await started.get(path))
    for one in (run, child):
        await account.api.post(f"/v2/actor-runs/{one['id']}/abort")
