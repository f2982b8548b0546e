"""Actor Standby: a lasting address, answered by runs that come and go with the demand."""

import asyncio
from typing import Any
from urllib.parse import urlsplit

import aiohttp

from tests.actors import ActorMaker
from tests.server import Client, Server

from .test_gateway import WEB_SERVER

ON = {"isEnabled": True, "memoryMbytes": 256}


async def standing_by(actors: ActorMaker, **settings: Any) -> dict[str, Any]:
    """An Actor in Standby mode, with its `standbyUrl`."""
    return await actors.python(WEB_SERVER, actorStandby={**ON, **settings})


async def runs_of(api: Client, actor: dict[str, Any]) -> list[dict[str, Any]]:
    return (await api.get(f"/v2/actors/{actor['id']}/runs")).data["items"]


async def stop(api: Client, actor: dict[str, Any]) -> None:
    for run in await runs_of(api, actor):
        await api.post(f"/v2/actor-runs/{run['id']}/abort")


async def test_the_first_request_starts_a_run_and_the_next_ones_use_it(
    api: Client, actors: ActorMaker
):
    actor = await standing_by(actors)
    replies = [await api.get(f"{actor['standbyUrl']}/search?q={n}") for n in range(3)]
    assert [reply.json["path"] for reply in replies] == [f"/search?q={n}" for n in range(3)]
    (run,) = await runs_of(api, actor)
    assert {reply.json["run"] for reply in replies} == {run["id"]}
    assert run["meta"]["origin"] == "STANDBY"
    environment = replies[0].json["env"]
    assert environment["APIFY_META_ORIGIN"] == "STANDBY"
    assert environment["ACTOR_STANDBY_URL"] == actor["standbyUrl"]
    assert environment["ACTOR_MEMORY_MBYTES"] == "256"
    assert (await api.get(f"/v2/actor-runs/{run['id']}")).data["options"]["timeoutSecs"] == 0
    await stop(api, actor)


async def test_an_actor_in_standby_has_a_name_below_localhost_too(api: Client, actors: ActorMaker):
    actor = await standing_by(actors)
    for label in (f"{api.username}--{actor['name']}", actor["id"].lower()):
        reply = await api.get("/here", headers={"Host": f"{label}.localhost"})
        assert reply.json["path"] == "/here"
    assert len(await runs_of(api, actor)) == 1
    await stop(api, actor)


async def test_standby_takes_a_token_in_header_or_query_and_keeps_it(
    api: Client, actors: ActorMaker
):
    actor = await standing_by(actors)
    url = actor["standbyUrl"]
    assert (await api.get(url, token=None)).error["type"] == "token-not-provided"
    assert (await api.get(url, token="wrong")).error["type"] == "invalid-token"
    assert await runs_of(api, actor) == []
    by_header = (await api.get(f"{url}/?a=1")).json
    assert "authorization" not in by_header["headers"]
    by_query = (await api.get(f"{url}/?a=1&token={api.token}", token="the-actors-own")).json
    assert by_query["path"] == by_header["path"] == "/?a=1"
    assert by_query["headers"]["authorization"] == "Bearer the-actors-own"
    await stop(api, actor)


async def test_an_actor_that_is_not_in_standby_says_how_to_change_that(
    api: Client, actors: ActorMaker
):
    actor = await actors.shell("echo hello")
    assert actor["standbyUrl"] is None
    reply = await api.get(f"/standby/actors/{actor['id']}/")
    assert (reply.status, reply.error["type"]) == (400, "standby-not-enabled")
    assert "actorStandby.isEnabled" in reply.error["message"]


async def test_others_use_public_actors_by_runs_of_their_own(
    api: Client, other: Client, actors: ActorMaker
):
    actor = await standing_by(actors)
    assert (await other.get(actor["standbyUrl"])).status == 404
    public = {"isPublic": True, "title": "Public", "categories": ["OTHER"]}
    await api.put(f"/v2/actors/{actor['id']}", json=public)
    mine, theirs = await asyncio.gather(
        api.get(actor["standbyUrl"]), other.get(actor["standbyUrl"])
    )
    (run,) = await runs_of(api, actor)
    assert mine.json["run"] == run["id"] != theirs.json["run"]
    assert (await api.get(f"/v2/actor-runs/{theirs.json['run']}")).status == 404
    await stop(api, actor)
    await other.post(f"/v2/actor-runs/{theirs.json['run']}/abort")


async def test_a_task_answers_with_its_own_settings(api: Client, actors: ActorMaker):
    actor = await standing_by(actors)
    body = {"actId": actor["id"], "name": "on-call", "actorStandby": {"memoryMbytes": 512}}
    task = (await api.post("/v2/actor-tasks", json={**body, "input": {"word": "task"}})).data
    assert task["standbyUrl"].endswith(f"/standby/tasks/{api.username}~on-call")
    reply = await api.get(task["standbyUrl"])
    assert reply.json["env"]["ACTOR_MEMORY_MBYTES"] == "512"
    run = (await api.get(f"/v2/actor-runs/{reply.json['run']}")).data
    assert run["actorTaskId"] == task["id"]
    record = await api.get(f"/v2/key-value-stores/{run['defaultKeyValueStoreId']}/records/INPUT")
    assert record.json == {"word": "task"}
    named = await api.get("/", headers={"Host": f"{api.username}--on-call.localhost"})
    assert named.json["run"] == run["id"]
    await stop(api, actor)


async def test_an_actor_can_forbid_tasks_to_change_its_settings(api: Client, actors: ActorMaker):
    actor = await standing_by(actors, disableStandbyFieldsOverride=True)
    body = {"actId": actor["id"], "name": "off", "actorStandby": {"isEnabled": False}}
    task = (await api.post("/v2/actor-tasks", json=body)).data
    assert task["standbyUrl"] is not None
    await api.put(
        f"/v2/actors/{actor['id']}", json={"actorStandby": {"disableStandbyFieldsOverride": False}}
    )
    assert (await api.get(f"/v2/actor-tasks/{task['id']}")).data["standbyUrl"] is None


async def test_more_requests_than_a_run_may_have_start_more_runs(api: Client, actors: ActorMaker):
    actor = await standing_by(actors, maxRequestsPerActorRun=2, desiredRequestsPerActorRun=2)
    replies = await asyncio.gather(*(api.get(f"{actor['standbyUrl']}/slow") for _ in range(6)))
    assert [reply.status for reply in replies] == [200] * 6
    assert max(reply.json["most"] for reply in replies) == 2
    assert len({reply.json["run"] for reply in replies}) > 1
    await stop(api, actor)


async def test_another_run_is_started_before_all_are_full(api: Client, actors: ActorMaker):
    actor = await standing_by(actors, maxRequestsPerActorRun=50, desiredRequestsPerActorRun=1)
    await api.get(actor["standbyUrl"])
    await asyncio.gather(*(api.get(f"{actor['standbyUrl']}/slow") for _ in range(2)))
    assert len(await runs_of(api, actor)) == 2
    await stop(api, actor)


async def test_an_idle_run_is_ended(api: Client, actors: ActorMaker):
    actor = await standing_by(actors, idleTimeoutSecs=1)
    run_id = (await api.get(actor["standbyUrl"])).json["run"]
    async with asyncio.timeout(20):
        while (run := (await api.get(f"/v2/actor-runs/{run_id}")).data)["status"] == "RUNNING":
            await asyncio.sleep(0.1)
    assert run["status"] == "ABORTING"
    second = (await api.get(actor["standbyUrl"])).json["run"]
    assert second != run_id
    await stop(api, actor)
    ended = (await api.get(f"/v2/actor-runs/{run_id}?waitForFinish=30")).data
    assert ended["status"] == "ABORTED"
    assert ended["statusMessage"] == "The standby run was idle for 1 seconds"


async def test_a_run_that_ends_before_it_serves_is_told_of(api: Client, actors: ActorMaker):
    actor = await actors.shell("exit 3", actorStandby=ON)
    reply = await api.get(actor["standbyUrl"])
    (run,) = await runs_of(api, actor)
    assert (reply.status, reply.error["type"]) == (502, "standby-run-failed")
    assert run["id"] in reply.error["message"]


async def test_a_run_that_dies_is_replaced(api: Client, actors: ActorMaker):
    actor = await standing_by(actors)
    first = (await api.get(actor["standbyUrl"])).json["run"]
    assert (await api.get(f"{actor['standbyUrl']}/exit")).status == 502
    await api.get(f"/v2/actor-runs/{first}", params={"waitForFinish": 30})
    assert (await api.get(actor["standbyUrl"])).json["run"] != first
    await stop(api, actor)


async def test_requests_go_to_runs_of_the_newest_build(api: Client, actors: ActorMaker):
    actor = await standing_by(actors)
    old = (await api.get(actor["standbyUrl"])).json
    await actors.build(actor["id"])
    new = (await api.get(actor["standbyUrl"])).json
    assert (old["env"]["ACTOR_BUILD_NUMBER"], new["env"]["ACTOR_BUILD_NUMBER"]) == (
        "0.0.1",
        "0.0.2",
    )
    run = (await api.get(f"/v2/actor-runs/{old['run']}")).data
    assert run["status"] in ("ABORTING", "ABORTED")
    await stop(api, actor)


async def test_actor_json_turns_standby_on_unless_it_was_turned_off(
    api: Client, actors: ActorMaker
):
    definition = '{"actorSpecification": 1, "name": "a", "version": "0.0", "usesStandbyMode": true}'
    files = {".actor/actor.json": definition, "main.sh": "echo"}
    for standby, expected in ((None, True), ({"isEnabled": False}, False)):
        actor = await actors.built(files, **({"actorStandby": standby} if standby else {}))
        shown = (await api.get(f"/v2/actors/{actor['id']}")).data
        assert shown["actorStandby"]["isEnabled"] is expected
        assert (shown["standbyUrl"] is not None) is expected


async def test_settings_are_merged_and_checked(api: Client, actors: ActorMaker):
    actor = await actors.create({"main.sh": "echo"}, actorStandby={"idleTimeoutSecs": 7})
    changed = await api.put(f"/v2/actors/{actor['id']}", json={"actorStandby": {"isEnabled": True}})
    assert changed.data["actorStandby"] == {"idleTimeoutSecs": 7, "isEnabled": True}
    for wrong in ({"maxRequestsPerActorRun": 0}, {"idleTimeoutSecs": 10**9}, {"memoryMbytes": 300}):
        reply = await api.put(f"/v2/actors/{actor['id']}", json={"actorStandby": wrong})
        assert (reply.status, reply.error["type"]) == (400, "invalid-value")


async def test_pages_of_other_origins_may_ask(api: Client, actors: ActorMaker):
    actor = await standing_by(actors)
    asked = {"Origin": "http://a.example", "Access-Control-Request-Method": "POST"}
    preflight = await api.request("OPTIONS", actor["standbyUrl"], token=None, headers=asked)
    assert preflight.status == 204
    assert preflight.headers["Access-Control-Allow-Origin"] == "*"
    assert "authorization" in preflight.headers["Access-Control-Allow-Headers"]
    assert await runs_of(api, actor) == []
    reply = await api.get(actor["standbyUrl"])
    assert reply.headers["Access-Control-Allow-Origin"] == "*"
    await stop(api, actor)


async def test_websockets_reach_actors_in_standby(api: Client, actors: ActorMaker):
    actor = await standing_by(actors)
    async with aiohttp.ClientSession() as session:
        url = f"{actor['standbyUrl']}/ws?token={api.token}"
        async with session.ws_connect(url) as ws:
            await ws.send_str("hello")
            assert await ws.receive_str() == "hello"
    await stop(api, actor)


async def test_limited_runs_use_limited_actors_only(api: Client, actors: ActorMaker):
    for level, status in (("FULL_PERMISSIONS", 403), ("LIMITED_PERMISSIONS", 200)):
        actor = await actors.python(WEB_SERVER, actorStandby=ON, actorPermissionLevel=level)
        path = urlsplit(actor["standbyUrl"]).path
        code = f'''
        url = API.removesuffix("/v2") + "{path}"
        try:
            call("GET", url)
            print("got 200")
        except urllib.request.HTTPError as error:
            print("got", error.code)
        '''
        asking = await actors.python(code, actorPermissionLevel="LIMITED_PERMISSIONS")
        run = (await api.post(f"/v2/actors/{asking['id']}/runs")).data
        await api.until_logged(run["id"], f"got {status}")
        await stop(api, actor)


async def test_tokens_with_scopes_reach_what_they_may_run(
    server: Server, api: Client, actors: ActorMaker
):
    limited = {"actorPermissionLevel": "LIMITED_PERMISSIONS"}
    actor = await actors.python(WEB_SERVER, actorStandby=ON, **limited)
    async with server.accounts() as accounts:
        good = await accounts.create_token(api.username, scopes=[f"actors:run:{actor['id']}"])
        other = await accounts.create_token(
            api.username, scopes=["actors:run:another", "datasets:read"]
        )
    assert (await api.get(actor["standbyUrl"], token=good)).status == 200
    assert (await api.get(actor["standbyUrl"], token=other)).status == 403
    await api.put(f"/v2/actors/{actor['id']}", json={"actorPermissionLevel": "FULL_PERMISSIONS"})
    assert (await api.get(actor["standbyUrl"], token=good)).status == 403
    await stop(api, actor)


async def test_a_restarted_server_finds_its_standby_runs_again(new_server: Any):
    server = new_server()
    async with Client(server.url, server.token, "admin") as api:
        actor = await standing_by(ActorMaker(api), idleTimeoutSecs=600)
        first = (await api.get(actor["standbyUrl"])).json["run"]
    server.kill()
    server.start()
    async with Client(server.url, server.token, "admin") as api:
        assert (await api.get(actor["standbyUrl"])).json["run"] == first
        assert len(await runs_of(api, actor)) == 1
