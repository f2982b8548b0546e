"""Schedules, on a real server with real runs."""

import asyncio
import sqlite3
import time
from collections.abc import AsyncGenerator, Callable
from typing import Any

import pytest

from tests.actors import ActorMaker
from tests.server import Client, Server

EACH_SECOND = "* * * * * *"


async def create(api: Client, **body: Any) -> dict[str, Any]:
    reply = await api.post("/v2/schedules", json={"cronExpression": "@yearly", **body})
    assert reply.status == 201, reply.body
    return reply.data


def run_actor(actor: dict[str, Any], **more: Any) -> dict[str, Any]:
    return {"type": "RUN_ACTOR", "actorId": actor["id"], **more}


async def first_run(api: Client, path: str) -> dict[str, Any]:
    """The first run there, waiting until it has ended."""
    async with asyncio.timeout(30):
        while (reply := await api.get(f"{path}/runs/last")).status != 200:
            await asyncio.sleep(0.1)
    return (await api.get(f"/v2/actor-runs/{reply.data['id']}", params={"waitForFinish": 60})).data


async def log(api: Client, schedule: dict[str, Any]) -> list[dict[str, str]]:
    return (await api.get(f"/v2/schedules/{schedule['id']}/log")).data


async def logged(api: Client, schedule: dict[str, Any], level: str) -> str:
    """The first message of a level, waiting for it."""
    async with asyncio.timeout(30):
        while True:
            for entry in await log(api, schedule):
                if entry["level"] == level:
                    return entry["message"]
            await asyncio.sleep(0.1)


@pytest.fixture
async def tidy(api: Client) -> AsyncGenerator[None]:
    """Leaves no schedule going."""
    yield
    for row in (await api.get("/v2/schedules")).data["items"]:
        await api.delete(f"/v2/schedules/{row['id']}")


pytestmark = pytest.mark.usefixtures("tidy")


async def test_a_schedule_is_created_read_and_deleted(api: Client, actors: ActorMaker):
    actor = await actors.create({"main.sh": ""})
    reply = await api.post(
        "/v2/schedules",
        json={
            "name": "nightly",
            "title": "Each night",
            "cronExpression": "0 3 * * *",
            "timezone": "Europe/Prague",
            "isEnabled": True,
            "isExclusive": True,
            "description": "text",
            "actions": [
                run_actor(actor, runInput={"body": "{}", "contentType": "application/json"})
            ],
        },
    )
    made = reply.data
    assert reply.headers["Location"].endswith(f"/v2/schedules/{made['id']}")
    assert made["nextRunAt"] > made["createdAt"] and made["lastRunAt"] is None
    assert made["actions"][0]["id"] and made["notifications"] == {"email": True}
    for ref in (made["id"], "nightly", f"{api.username}~nightly"):
        assert (await api.get(f"/v2/schedules/{ref}")).data == made
    assert (await api.delete(f"/v2/schedules/{made['id']}")).status == 204
    gone = await api.get(f"/v2/schedules/{made['id']}")
    assert (gone.status, gone.error["type"]) == (404, "record-not-found")


async def test_lists_show_actions_in_short(api: Client, actors: ActorMaker):
    actor = await actors.create({"main.sh": ""})
    made = await create(api, actions=[run_actor(actor, runOptions={"timeoutSecs": 5})])
    (row,) = (await api.get("/v2/schedules")).data["items"]
    assert row["id"] == made["id"]
    assert set(row["actions"][0]) == {"id", "type", "actorId"}


async def test_a_change_keeps_what_is_not_given(api: Client):
    made = await create(api, title="Before", timezone="Asia/Tokyo")
    changed = (await api.put(f"/v2/schedules/{made['id']}", json={"cronExpression": "@daily"})).data
    assert (changed["title"], changed["timezone"]) == ("Before", "Asia/Tokyo")
    assert changed["nextRunAt"] < made["nextRunAt"]
    off = (await api.put(f"/v2/schedules/{made['id']}", json={"isEnabled": False})).data
    assert off["nextRunAt"] is None


@pytest.mark.parametrize(
    ("body", "status", "kind"),
    [
        ({"cronExpression": "nonsense"}, 400, "cron-expression-invalid"),
        ({"cronExpression": None}, 400, "cron-expression-invalid"),
        ({"timezone": "Mars/Olympus"}, 400, "invalid-value"),
        ({"name": "-"}, 400, "invalid-value"),
        ({"actions": [{"type": "RUN_ACTOR", "actorId": "x"}]}, 404, "schedule-actor-not-found"),
        (
            {"actions": [{"type": "RUN_ACTOR_TASK", "actorTaskId": "x"}]},
            404,
            "schedule-actor-task-not-found",
        ),
        ({"actions": [{"type": "DANCE"}]}, 400, "invalid-request"),
    ],
)
async def test_wrong_schedules_are_refused(api: Client, body: Any, status: int, kind: str):
    reply = await api.post("/v2/schedules", json={"cronExpression": "@daily", **body})
    assert (reply.status, reply.error["type"]) == (status, kind)


async def test_names_are_taken_once(api: Client):
    await create(api, name="only-one")
    body = {"name": "only-one", "cronExpression": "@daily"}
    reply = await api.post("/v2/schedules", json=body)
    assert (reply.status, reply.error["type"]) == (409, "schedule-name-not-unique")


async def test_schedules_of_others_are_not_found(api: Client, other: Client):
    made = await create(api)
    for method in ("GET", "PUT", "DELETE"):
        reply = await other.request(method, f"/v2/schedules/{made['id']}", json={})
        assert reply.error["type"] == "record-not-found"


async def test_an_actor_is_run_when_it_is_due(api: Client, actors: ActorMaker):
    actor = await actors.python("set_value('OUTPUT', get_input())")
    action = run_actor(
        actor,
        runInput={"body": '{"a": 1}', "contentType": "application/json"},
        runOptions={"timeoutSecs": 55, "memoryMbytes": 256},
    )
    made = await create(api, cronExpression=EACH_SECOND, actions=[action])
    run = await first_run(api, f"/v2/actors/{actor['id']}")
    assert run["status"] == "SUCCEEDED"
    assert (run["meta"]["origin"], run["meta"]["scheduleId"]) == ("SCHEDULER", made["id"])
    assert run["meta"]["scheduledAt"] == made["nextRunAt"]
    assert (run["options"]["timeoutSecs"], run["options"]["memoryMbytes"]) == (55, 256)
    output = await api.get(f"/v2/actor-runs/{run['id']}/key-value-store/records/OUTPUT")
    assert output.json == {"a": 1}
    assert run["id"] in await logged(api, made, "INFO")
    after = (await api.get(f"/v2/schedules/{made['id']}")).data
    assert after["lastRunAt"] == made["nextRunAt"]


async def test_a_task_is_run_with_the_schedules_input_over_its_own(api: Client, actors: ActorMaker):
    actor = await actors.python("set_value('OUTPUT', get_input())")
    body = {"actId": actor["id"], "name": "scheduled", "input": {"a": 1, "b": 2}}
    task = (await api.post("/v2/actor-tasks", json=body)).data
    action = {"type": "RUN_ACTOR_TASK", "actorTaskId": task["id"], "input": {"b": 3}}
    await create(api, cronExpression=EACH_SECOND, actions=[action])
    run = await first_run(api, f"/v2/actor-tasks/{task['id']}")
    assert run["actorTaskId"] == task["id"]
    output = await api.get(f"/v2/actor-runs/{run['id']}/key-value-store/records/OUTPUT")
    assert output.json == {"a": 1, "b": 3}


async def test_what_cannot_be_started_is_told_in_the_log(api: Client, actors: ActorMaker):
    actor = await actors.create({"main.sh": ""})
    made = await create(api, cronExpression=EACH_SECOND, actions=[run_actor(actor)])
    assert "unknown-build-tag" in await logged(api, made, "ERROR")


async def test_an_exclusive_schedule_waits_for_its_earlier_run(api: Client, actors: ActorMaker):
    actor = await actors.shell("exec sleep 60")
    made = await create(
        api, cronExpression=EACH_SECOND, isExclusive=True, actions=[run_actor(actor)]
    )
    assert "has not ended" in await logged(api, made, "WARN")
    runs = (await api.get(f"/v2/actors/{actor['id']}/runs")).data
    assert runs["total"] == 1
    await api.post(f"/v2/actors/{actor['id']}/runs/last/abort")


async def test_a_disabled_schedule_starts_nothing(api: Client, actors: ActorMaker):
    actor = await actors.shell("true")
    quiet = await actors.shell("true")
    await create(api, cronExpression=EACH_SECOND, isEnabled=False, actions=[run_actor(quiet)])
    await create(api, cronExpression=EACH_SECOND, actions=[run_actor(actor)])
    await first_run(api, f"/v2/actors/{actor['id']}")
    assert (await api.get(f"/v2/actors/{quiet['id']}/runs")).data["total"] == 0


@pytest.mark.parametrize(("policy", "count"), [("once", 1), ("skip", 0)])
async def test_what_was_missed_is_made_up_for_once_or_skipped(
    new_server: Callable[..., Server], policy: str, count: int
):
    server = new_server(missed_schedules=policy)
    async with Client(server.url, server.token, "admin") as api:
        actor = await ActorMaker(api).shell("true")
        made = await create(api, actions=[run_actor(actor)])
        server.kill()
        with sqlite3.connect(server.data_dir / "callboard.db") as db:
            db.execute("UPDATE schedules SET next_run_at = ?", ((time.time() - 3600) * 1000 // 1,))
        server.start()
        await logged(api, made, "INFO" if count else "WARN")
        assert (await api.get(f"/v2/actors/{actor['id']}/runs")).data["total"] == count
        after = (await api.get(f"/v2/schedules/{made['id']}")).data
        assert after["nextRunAt"] == made["nextRunAt"]
