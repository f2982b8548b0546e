"""Webhooks from one end to the other: an Actor runs on a live server, a receiver hears of it."""

import asyncio
import base64
import json
from typing import Any

from tests.actors import ActorMaker
from tests.receivers import Receiver
from tests.server import Client


def encoded(*webhooks: dict[str, Any]) -> str:
    return base64.b64encode(json.dumps(webhooks).encode()).decode()


def payloads(receiver: Receiver) -> dict[str, Any]:
    """By event type, what came. Fails when an event came twice."""
    parsed = [json.loads(received.body) for received in receiver.received]
    by_type = {payload["eventType"]: payload for payload in parsed}
    assert len(by_type) == len(parsed)
    return by_type


async def test_ad_hoc_webhooks_of_a_synchronous_run_hear_of_its_start_and_end(
    api: Client, actors: ActorMaker, receiver: Receiver
) -> None:
    actor = await actors.shell("exit 0")
    events = ["ACTOR.RUN.CREATED", "ACTOR.RUN.SUCCEEDED", "ACTOR.RUN.FAILED"]
    webhooks = encoded({"eventTypes": events, "requestUrl": receiver.url})
    reply = await api.post(f"/v2/acts/{actor['id']}/run-sync", params={"webhooks": webhooks})
    assert reply.status == 201
    await receiver.until(2)
    heard = payloads(receiver)
    run = (await api.get(f"/v2/acts/{actor['id']}/runs/last")).data
    assert set(heard) == {"ACTOR.RUN.CREATED", "ACTOR.RUN.SUCCEEDED"}
    assert heard["ACTOR.RUN.CREATED"]["resource"]["status"] == "READY"
    end = heard["ACTOR.RUN.SUCCEEDED"]
    assert end["eventData"] == {"actorId": actor["id"], "actorRunId": run["id"]}
    for name in ("id", "status", "finishedAt", "exitCode", "buildNumber", "options"):
        assert end["resource"][name] == run[name]


async def test_a_webhook_on_an_actor_hears_of_failed_runs_and_builds(
    api: Client, actors: ActorMaker, receiver: Receiver
) -> None:
    actor = await actors.shell("exit 3")
    webhook = {
        "eventTypes": ["ACTOR.RUN.FAILED", "ACTOR.BUILD.SUCCEEDED"],
        "condition": {"actorId": actor["id"]},
        "requestUrl": receiver.url,
    }
    created = (await api.post("/v2/webhooks", json=webhook)).data
    await api.post(f"/v2/acts/{actor['id']}/runs", params={"waitForFinish": 60})
    await receiver.until(1)
    assert (await actors.build(actor["id"]))["status"] == "SUCCEEDED"
    await receiver.until(2)
    heard = payloads(receiver)
    assert heard["ACTOR.RUN.FAILED"]["resource"]["exitCode"] == 3
    assert heard["ACTOR.BUILD.SUCCEEDED"]["resource"]["buildNumber"] == "0.0.2"
    listed = (await api.get(f"/v2/acts/{actor['id']}/webhooks")).data
    assert [item["id"] for item in listed["items"]] == [created["id"]]


async def test_a_webhook_on_a_task_hears_of_the_tasks_runs_only(
    api: Client, actors: ActorMaker, receiver: Receiver
) -> None:
    actor = await actors.shell("exit 0")
    task = (await api.post("/v2/actor-tasks", json={"actId": actor["id"], "name": "mine"})).data
    webhook = {
        "eventTypes": ["ACTOR.RUN.SUCCEEDED"],
        "condition": {"actorTaskId": task["id"]},
        "requestUrl": receiver.url,
    }
    created = (await api.post("/v2/webhooks", json=webhook)).data
    await api.post(f"/v2/acts/{actor['id']}/run-sync")
    await api.post(f"/v2/actor-tasks/{task['id']}/run-sync")
    await receiver.until(1)
    [received] = receiver.received
    assert json.loads(received.body)["eventData"]["actorTaskId"] == task["id"]
    listed = (await api.get("/v2/actor-tasks/mine/webhooks")).data
    assert [item["id"] for item in listed["items"]] == [created["id"]]


async def test_an_actor_can_ask_to_be_heard_of_itself(
    actors: ActorMaker, api: Client, receiver: Receiver
) -> None:
    code = f"""
    webhook = {{
        "isAdHoc": True,
        "eventTypes": ["ACTOR.RUN.SUCCEEDED"],
        "condition": {{"actorRunId": os.environ["ACTOR_RUN_ID"]}},
        "requestUrl": "{receiver.url}",
        "idempotencyKey": os.environ["ACTOR_RUN_ID"],
    }}
    for _ in range(2):
        call("POST", API + "/webhooks", json.dumps(webhook).encode())
    """
    actor = await actors.python(code)
    reply = await api.post(f"/v2/acts/{actor['id']}/run-sync")
    assert reply.status == 201, reply.body
    await receiver.until(1)
    assert len(payloads(receiver)) == 1


async def test_a_run_with_bad_webhooks_is_not_started(api: Client, actors: ActorMaker) -> None:
    actor = await actors.shell("exit 0")
    for path in ("runs", "run-sync", "run-sync-get-dataset-items"):
        reply = await api.post(f"/v2/acts/{actor['id']}/{path}", params={"webhooks": "%%%"})
        assert (reply.status, reply.error["type"]) == (400, "invalid-value")
    assert (await api.get(f"/v2/acts/{actor['id']}/runs")).data["total"] == 0


async def test_a_webhook_to_this_server_acts_for_its_owner(api: Client, actors: ActorMaker):
    actor, called = await actors.shell("true"), await actors.shell("true")
    task = (await api.post("/v2/actor-tasks", json={"actId": called["id"]})).data
    await api.post(
        "/v2/webhooks",
        json={
            "eventTypes": ["ACTOR.RUN.SUCCEEDED"],
            "condition": {"actorId": actor["id"]},
            "requestUrl": f"{api.url}/v2/actor-tasks/{task['id']}/runs?memory=128",
        },
    )
    await api.post(f"/v2/acts/{actor['id']}/run-sync", params={"memory": 128})
    async with asyncio.timeout(30):
        while (await api.get(f"/v2/actor-tasks/{task['id']}/runs")).data["total"] == 0:
            await asyncio.sleep(0.1)
