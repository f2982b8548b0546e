"""Runs: start, find, wait, list, change, abort, delete."""

import asyncio
from collections.abc import AsyncGenerator
from typing import Any

import pytest

from tests.actors import ActorMaker
from tests.server import Client, Server

SMALL = {"memory": 128}


@pytest.fixture(scope="module")
async def owner(server: Server) -> AsyncGenerator[Client]:
    username, token = await server.user()
    async with Client(server.url, token, username) as client:
        yield client
        unfinished = await client.get("/v2/actor-runs", params={"status": "READY,RUNNING"})
        for run in unfinished.data["items"]:
            await client.post(f"/v2/actor-runs/{run['id']}/abort")


@pytest.fixture(scope="module")
async def quick(owner: Client) -> str:
    """An Actor that succeeds at once."""
    return (await ActorMaker(owner).shell("exit 0"))["id"]


@pytest.fixture(scope="module")
async def failing(owner: Client) -> str:
    return (await ActorMaker(owner).shell("exit 3"))["id"]


@pytest.fixture(scope="module")
async def sleeping(owner: Client) -> str:
    """An Actor that ends only when it is stopped."""
    return (await ActorMaker(owner).shell("sleep 600"))["id"]


async def start(owner: Client, actor_id: str, **params: Any) -> dict[str, Any]:
    reply = await owner.post(f"/v2/acts/{actor_id}/runs", params={**SMALL, **params})
    assert reply.status == 201
    return reply.data


async def finish(owner: Client, run: dict[str, Any]) -> dict[str, Any]:
    """The run once it is over."""
    path = f"/v2/actor-runs/{run['id']}"
    ended = (await owner.get(path, params={"waitForFinish": 60})).data
    assert ended["finishedAt"] is not None
    return ended


async def test_a_start_answers_at_once_with_the_run_and_where_it_is(owner: Client, sleeping: str):
    reply = await owner.post(f"/v2/acts/{sleeping}/runs", params={**SMALL, "timeout": 77})
    run = reply.data
    assert reply.status == 201
    assert reply.headers["Location"] == f"{owner.url}/v2/actor-runs/{run['id']}"
    assert run["status"] in ("READY", "RUNNING")
    assert run["actId"] == sleeping and run["finishedAt"] is None
    assert run["options"] | {"restartOnError": False} == {
        "build": "latest",
        "timeoutSecs": 77,
        "memoryMbytes": 128,
        "diskMbytes": 256,
        "restartOnError": False,
    }
    for kind in ("KeyValueStore", "Dataset", "RequestQueue"):
        assert len(run[f"default{kind}Id"]) == 17
    await owner.post(f"/v2/actor-runs/{run['id']}/abort")


async def test_a_start_can_wait_for_the_end(owner: Client, quick: str):
    run = await start(owner, quick, waitForFinish=60)
    assert (run["status"], run["exitCode"]) == ("SUCCEEDED", 0)
    assert run["startedAt"] <= run["finishedAt"]
    assert run["stats"]["durationMillis"] > 0


async def test_a_program_that_fails_tells_its_exit_code(owner: Client, failing: str):
    run = await start(owner, failing, waitForFinish=60)
    assert (run["status"], run["exitCode"]) == ("FAILED", 3)
    assert run["statusMessage"] == "Actor finished with exit code 3"


async def test_waiting_ends_with_the_run_or_with_the_time(owner: Client, sleeping: str):
    run = await start(owner, sleeping)
    path = f"/v2/actor-runs/{run['id']}"
    assert (await owner.get(path, params={"waitForFinish": "0.05"})).data["finishedAt"] is None
    # Python's client asks for 999999 seconds and expects no objection.
    waiting = asyncio.create_task(owner.get(path, params={"waitForFinish": 999999}))
    await owner.post(f"{path}/abort")
    async with asyncio.timeout(20):
        assert (await waiting).data["status"] == "ABORTED"


@pytest.mark.parametrize("value", ["-1", "abc", "nan"])
async def test_a_wait_that_makes_no_sense_is_refused(owner: Client, quick: str, value: str):
    run = await start(owner, quick)
    reply = await owner.get(f"/v2/actor-runs/{run['id']}", params={"waitForFinish": value})
    assert (reply.status, reply.error["type"]) == (400, "invalid-parameter")


async def test_an_unknown_run_is_of_the_type_that_clients_read_as_absent(owner: Client):
    for path in ("", "/log", "/dataset", "/key-value-store/records/OUTPUT"):
        reply = await owner.get(f"/v2/actor-runs/AAAAAAAAAAAAAAAAA{path}")
        assert (reply.status, reply.error["type"]) == (404, "record-not-found")


async def test_runs_are_listed_by_start_and_filtered(owner: Client, quick: str, failing: str):
    first, second = await start(owner, quick), await start(owner, quick)
    for run in (first, second, await start(owner, failing)):
        await finish(owner, run)
    path = f"/v2/acts/{quick}/runs"
    newest = (await owner.get(path, params={"desc": 1, "limit": 2})).data
    assert [row["id"] for row in newest["items"]] == [second["id"], first["id"]]
    assert (await owner.get(path, params={"status": "FAILED,ABORTED"})).data["total"] == 0
    failed = (await owner.get("/v2/actor-runs", params={"status": "FAILED"})).data
    assert {row["status"] for row in failed["items"]} == {"FAILED"}
    window = {"startedAfter": first["startedAt"], "startedBefore": second["startedAt"]}
    between = (await owner.get(path, params=window)).data
    assert {row["id"] for row in between["items"]} == {first["id"], second["id"]}
    assert (await owner.get(path, params={"status": "DONE"})).error["type"] == "param-not-one-of"


async def test_a_row_of_the_list_has_what_clients_need(owner: Client, quick: str):
    run = await finish(owner, await start(owner, quick))
    row = (await owner.get(f"/v2/acts/{quick}/runs", params={"desc": 1})).data["items"][0]
    same = ("id", "actId", "userId", "status", "startedAt", "finishedAt", "buildId", "meta")
    assert {name: row[name] for name in same} == {name: run[name] for name in same}
    assert row["buildNumberInt"] == 1 and row["usageTotalUsd"] == 0


async def test_an_origin_may_be_claimed_by_tools_only(owner: Client, quick: str):
    path = f"/v2/acts/{quick}/runs"
    for claimed, recorded in (("CLI", "CLI"), ("mcp", "MCP"), ("SCHEDULER", "API"), ("", "API")):
        headers = {"X-Apify-Request-Origin": claimed, "User-Agent": "tool/1"}
        run = (await owner.post(path, params=SMALL, headers=headers)).data
        assert (run["meta"]["origin"], run["meta"]["userAgent"]) == (recorded, "tool/1")
    last = (await owner.get(f"{path}/last", params={"origin": "MCP"})).data
    assert last["meta"]["origin"] == "MCP"


async def test_the_last_run_is_the_newest_that_the_filter_lets_through(
    owner: Client, actors: ActorMaker, api: Client
):
    actor = (await actors.shell("exit 3"))["id"]
    path = f"/v2/acts/{actor}/runs/last"
    missing = await api.get(path)
    assert (missing.status, missing.error["type"]) == (404, "record-not-found")
    older, newer = await start(api, actor), await start(api, actor)
    assert (await api.get(path, params={"waitForFinish": 60})).data["id"] == newer["id"]
    await finish(api, older)
    failed = (await api.get(path, params={"status": "FAILED"})).data
    assert failed["id"] == newer["id"]
    assert (await api.get(path, params={"status": "SUCCEEDED"})).status == 404
    assert (await api.get(f"{path}/dataset")).data["id"] == newer["defaultDatasetId"]


async def test_an_abort_kills_the_program_at_once(owner: Client, sleeping: str):
    run = await start(owner, sleeping)
    aborting = (await owner.post(f"/v2/actor-runs/{run['id']}/abort")).data
    assert aborting["status"] in ("ABORTING", "ABORTED")
    async with asyncio.timeout(10):
        ended = await finish(owner, run)
    assert ended["status"] == "ABORTED"


async def test_aborting_a_finished_run_changes_nothing(owner: Client, quick: str):
    run = await finish(owner, await start(owner, quick))
    reply = await owner.post(f"/v2/actor-runs/{run['id']}/abort")
    assert (reply.status, reply.data["status"]) == (200, "SUCCEEDED")
    assert reply.data["finishedAt"] == run["finishedAt"]


async def test_many_aborts_and_starts_at_once_leave_every_run_ended(owner: Client, sleeping: str):
    runs = await asyncio.gather(*(start(owner, sleeping) for _ in range(6)))
    paths = [f"/v2/actor-runs/{run['id']}/abort" for run in runs]
    async with asyncio.timeout(60):
        await asyncio.gather(*(owner.post(path) for path in paths for _ in range(2)))
        ended = await asyncio.gather(*(finish(owner, run) for run in runs))
    assert {run["status"] for run in ended} == {"ABORTED"}


async def test_a_graceful_abort_lets_the_program_end_by_itself(owner: Client):
    actor = (await ActorMaker(owner).python("time.sleep(1.5)"))["id"]
    run = await start(owner, actor)
    path = f"/v2/actor-runs/{run['id']}"
    async with asyncio.timeout(20):
        while (await owner.get(path)).data["status"] == "READY":
            await asyncio.sleep(0.02)
        aborting = (await owner.post(f"{path}/abort", params={"gracefully": "1"})).data
        assert (aborting["status"], aborting["finishedAt"]) == ("ABORTING", None)
        ended = await finish(owner, run)
    assert (ended["status"], ended["exitCode"]) == ("ABORTED", 0)


async def test_a_graceful_abort_can_be_hastened(owner: Client, sleeping: str):
    run = await start(owner, sleeping)
    path = f"/v2/actor-runs/{run['id']}/abort"
    await owner.post(path, params={"gracefully": True})
    await owner.post(path)
    async with asyncio.timeout(10):
        assert (await finish(owner, run))["status"] == "ABORTED"


async def test_the_program_reports_what_it_does(owner: Client):
    code = """
    run = f"{API}/actor-runs/{os.environ['ACTOR_RUN_ID']}"
    def say(**values): call("PUT", run, json.dumps(values).encode())
    say(statusMessage="going")
    say(statusMessage="done for good", isStatusMessageTerminal=True)
    say(statusMessage="too late")
    sys.exit(5)
    """
    actor = (await ActorMaker(owner).python(code))["id"]
    run = await start(owner, actor, waitForFinish=60)
    assert (run["status"], run["exitCode"]) == ("FAILED", 5)
    assert (run["statusMessage"], run["isStatusMessageTerminal"]) == ("done for good", True)


async def test_a_message_cannot_be_terminal_without_a_message(owner: Client, quick: str):
    run = await start(owner, quick)
    path = f"/v2/actor-runs/{run['id']}"
    reply = await owner.put(path, json={"isStatusMessageTerminal": True})
    assert (reply.status, reply.error["type"]) == (400, "cannot-set-is-status-message-terminal")


async def test_general_access_takes_only_what_runs_have(owner: Client, quick: str):
    path = f"/v2/actor-runs/{(await start(owner, quick))['id']}"
    for wrong in ("EVERYBODY", "ANYONE_WITH_NAME_CAN_READ"):
        reply = await owner.put(path, json={"generalAccess": wrong})
        assert (reply.status, reply.error["type"]) == (400, "invalid-value")
    changed = await owner.put(path, json={"generalAccess": "RESTRICTED", "runId": "ignored"})
    assert changed.data["generalAccess"] == "RESTRICTED"


async def test_anonymous_readers_of_an_open_run_see_no_costs(owner: Client, quick: str):
    path = f"/v2/actor-runs/{(await start(owner, quick))['id']}"
    await owner.put(path, json={"generalAccess": "ANYONE_WITH_ID_CAN_READ"})
    shown, whole = await owner.get(path, token=None), await owner.get(path)
    assert set(whole.data) - set(shown.data) == {"usageTotalUsd", "usageUsd"}


async def test_a_finished_run_is_deleted_with_its_storages(owner: Client, quick: str):
    run = await finish(owner, await start(owner, quick))
    path = f"/v2/actor-runs/{run['id']}"
    assert (await owner.delete(path)).status == 204
    for gone in (path, f"/v2/logs/{run['id']}", f"/v2/datasets/{run['defaultDatasetId']}"):
        assert (await owner.get(gone)).error["type"] == "record-not-found", gone


async def test_a_named_default_storage_outlives_its_run(owner: Client, quick: str):
    run = await finish(owner, await start(owner, quick))
    dataset = f"/v2/datasets/{run['defaultDatasetId']}"
    await owner.put(dataset, json={"name": "kept-of-a-run"})
    await owner.delete(f"/v2/actor-runs/{run['id']}")
    assert (await owner.get(dataset)).status == 200


async def test_lists_tell_how_many_runs_there_are(api: Client, actors: ActorMaker):
    """Of an account, an Actor and a task, each counted by itself."""
    actor = await actors.shell("exit 0")
    other = await actors.shell("exit 0")
    task = (await api.post("/v2/actor-tasks", json={"actId": actor["id"], "name": "count"})).data
    runs = [await start(api, actor["id"]) for _ in range(2)]
    await start(api, other["id"])
    await api.post(f"/v2/actor-tasks/{task['id']}/runs", params=SMALL)
    await finish(api, runs[0])
    await api.delete(f"/v2/actor-runs/{runs[0]['id']}")
    lists = (
        "actor-runs",
        f"acts/{actor['id']}/runs",
        f"acts/{other['id']}/runs",
        f"actor-tasks/{task['id']}/runs",
    )
    totals = [(await api.get(f"/v2/{path}", params={"limit": 1})).data["total"] for path in lists]
    assert totals == [3, 2, 1, 1]


async def test_a_running_run_cannot_be_deleted(owner: Client, sleeping: str):
    run = await start(owner, sleeping)
    path = f"/v2/actor-runs/{run['id']}"
    reply = await owner.delete(path)
    assert (reply.status, reply.error["type"]) == (400, "cannot-remove-running-run")
    await owner.post(f"{path}/abort")


async def test_a_timeout_of_ages_is_no_error(owner: Client, quick: str):
    run = await start(owner, quick, timeout="1e300", waitForFinish=60)
    assert run["status"] == "SUCCEEDED"
    task = {"actId": quick, "options": {"timeoutSecs": 10**15}}
    task_id = (await owner.post("/v2/actor-tasks", json=task)).data["id"]
    started = await owner.post(
        f"/v2/actor-tasks/{task_id}/runs", params={**SMALL, "waitForFinish": 60}
    )
    assert started.data["status"] == "SUCCEEDED"


async def test_a_run_of_more_memory_than_there_is_is_refused(new_server: Any):
    server = new_server(memory_limit_mbytes="256")
    async with Client(server.url, server.token, "admin") as api:
        actor = (await ActorMaker(api).shell("exit 0"))["id"]
        reply = await api.post(f"/v2/acts/{actor}/runs", params={"memory": 512})
        assert (reply.status, reply.error["type"]) == (402, "actor-memory-limit-exceeded")
        assert (await api.get("/v2/actor-runs")).data["total"] == 0


async def test_a_build_is_not_deleted_under_a_run_that_uses_it(owner: Client):
    actors = ActorMaker(owner)
    actor = (await actors.shell("sleep 600"))["id"]
    run = await start(owner, actor)
    await actors.build(actor)  # takes the tag, so that the older build is not the default one
    path = f"/v2/actor-builds/{run['buildId']}"
    refused = await owner.delete(path)
    assert (refused.status, refused.error["type"]) == (403, "deleting-unfinished-build")
    await owner.post(f"/v2/actor-runs/{run['id']}/abort")
    await finish(owner, run)
    assert (await owner.delete(path)).status == 204


async def test_a_run_is_found_under_its_own_actor_only(api: Client, actors: ActorMaker):
    actor, stranger = [await actors.shell("true") for _ in range(2)]
    start = f"/v2/acts/{actor['id']}/runs"
    run = (await api.post(start, params={"memory": 128, "waitForFinish": 30})).data
    for own in (actor["id"], f"~{actor['name']}", f"{api.username}~{actor['name']}", actor["name"]):
        assert (await api.get(f"/v2/acts/{own}/runs/{run['id']}")).data["id"] == run["id"]
    for wrong in (stranger["id"], f"~{stranger['name']}", "nobody~nothing"):
        one = f"/v2/acts/{wrong}/runs/{run['id']}"
        for method, path in (
            ("GET", one),
            ("POST", f"{one}/abort"),
            ("POST", f"{one}/resurrect"),
            ("POST", f"{one}/metamorph?targetActorId={actor['id']}"),
        ):
            reply = await api.request(method, path)
            assert (reply.status, reply.error["type"]) == (404, "record-not-found"), path


async def test_a_build_is_found_under_its_own_actor_only(api: Client, actors: ActorMaker):
    actor, stranger = [await actors.shell("true") for _ in range(2)]
    build = (await api.get(f"/v2/acts/{actor['id']}/builds")).data["items"][0]["id"]
    for own in (actor["id"], f"~{actor['name']}"):
        assert (await api.get(f"/v2/acts/{own}/builds/{build}")).data["id"] == build
    named = f"/v2/acts/{api.username}~{actor['name']}/builds/{build}"
    assert (await api.get(named, token=None)).data["id"] == build
    one = f"/v2/acts/{stranger['id']}/builds/{build}"
    for method, path in (("GET", one), ("POST", f"{one}/abort"), ("GET", f"{one}/openapi.json")):
        reply = await api.request(method, path)
        assert (reply.status, reply.error["type"]) == (404, "record-not-found"), path


async def test_runs_of_one_workflow_know_its_key(api: Client, actors: ActorMaker):
    actor = await actors.python('set_value("OUTPUT", os.environ.get("APIFY_WORKFLOW_KEY"))')
    path = f"/v2/acts/{actor['id']}/run-sync"
    for sent, known in (("nightly.7", "nightly.7"), ("no key\tat all", None)):
        headers = {"X-Apify-Workflow-Key": sent}
        reply = await api.post(path, params={"memory": 128}, headers=headers)
        assert reply.json == known
