"""Reboot, metamorph, resurrection and charging: a run whose program is started more than once."""

import asyncio
import json
import sqlite3
from collections.abc import Callable
from typing import Any

import pytest

from tests.actors import ActorMaker
from tests.receivers import Receiver
from tests.server import Client, Server

WAITS_ONCE = """
    def marks():
        keys = json.loads(call("GET", f"{STORE}/keys?limit=1000"))["data"]["items"]
        return [one["key"] for one in keys if one["key"].startswith("MARK")]

    number = len(marks()) + 1
    set_value(f"MARK-{number}", number)
    open("/tmp/local", "a").write("x")
    local = len(open("/tmp/local").read())
    print("start", number, "local", local, flush=True)
    while number < WANTED:
        time.sleep(0.05)
    set_value("OUTPUT", {"starts": number, "local": local})
"""
"""Runs until it has been started as often as wanted, then ends."""


def waits_until_start(wanted: int) -> str:
    return WAITS_ONCE.replace("WANTED", str(wanted))


async def start(api: Client, actor: dict[str, Any], **options: Any) -> dict[str, Any]:
    return (await api.post(f"/v2/actors/{actor['id']}/runs", **options)).data


async def ended(api: Client, run: dict[str, Any]) -> dict[str, Any]:
    return (await api.get(f"/v2/actor-runs/{run['id']}", params={"waitForFinish": 60})).data


async def record(api: Client, run: dict[str, Any], key: str) -> Any:
    return (await api.get(f"/v2/actor-runs/{run['id']}/key-value-store/records/{key}")).json


async def test_a_reboot_starts_the_program_anew_with_the_same_storages(
    api: Client, actors: ActorMaker
):
    run = await start(api, await actors.python(waits_until_start(2)))
    await api.until_logged(run["id"], "start 1")
    reply = await api.post(f"/v2/actor-runs/{run['id']}/reboot")
    assert (reply.data["status"], reply.data["stats"]["rebootCount"]) == ("RUNNING", 1)
    end = await ended(api, run)
    assert (end["status"], end["exitCode"], end["stats"]["rebootCount"]) == ("SUCCEEDED", 0, 1)
    assert await record(api, run, "OUTPUT") == {"starts": 2, "local": 1}
    log = (await api.get(f"/v2/logs/{run['id']}")).body.decode()
    assert log.index("start 1") < log.index("Starting again") < log.index("start 2")


async def test_many_reboots_at_once_leave_one_program(api: Client, actors: ActorMaker):
    actor = await actors.python(waits_until_start(2))
    run = await start(api, actor)
    await api.until_logged(run["id"], "start 1")
    replies = await asyncio.gather(
        *(api.post(f"/v2/actor-runs/{run['id']}/reboot") for _ in range(3))
    )
    assert {reply.status for reply in replies} <= {200, 400}
    end = await ended(api, run)
    assert end["status"] == "SUCCEEDED"
    assert end["stats"]["rebootCount"] == sum(reply.status == 200 for reply in replies)


async def test_a_finished_run_cannot_be_rebooted(api: Client, actors: ActorMaker):
    run = await ended(api, await start(api, await actors.shell("true")))
    reply = await api.post(f"/v2/actor-runs/{run['id']}/reboot")
    assert (reply.status, reply.error["type"]) == (400, "job-finished")


async def test_the_last_run_can_be_rebooted_through_its_actor_and_task(
    api: Client, actors: ActorMaker
):
    actor = await actors.python(waits_until_start(3))
    task = (await api.post("/v2/actor-tasks", json={"actId": actor["id"], "name": "again"})).data
    run = (await api.post(f"/v2/actor-tasks/{task['id']}/runs")).data
    await api.until_logged(run["id"], "start 1")
    await api.post(f"/v2/actors/{actor['id']}/runs/last/reboot")
    await api.until_logged(run["id"], "start 2 local")
    await api.post(f"/v2/actor-tasks/{task['id']}/runs/last/reboot")
    assert (await ended(api, run))["stats"]["rebootCount"] == 2


SLEEPS = "echo sleeping; exec sleep 60"

CATERPILLAR = """
    set_value("CATERPILLAR", 1)
    url = f"{API}/actor-runs/{os.environ['ACTOR_RUN_ID']}/metamorph?targetActorId="
    target = get_input()["target"]
    call("POST", url + target, json.dumps({"wings": 2}).encode())
    time.sleep(60)
"""
BUTTERFLY = """
    names = ("ACTOR_ID", "ACTOR_BUILD_ID", "ACTOR_INPUT_KEY", "ACTOR_RUN_ID", "COLOUR")
    set_value("OUTPUT", {"input": get_input(), **{name: os.environ.get(name) for name in names}})
"""


async def test_a_metamorph_goes_on_as_the_other_actor_in_the_same_run(
    api: Client, actors: ActorMaker
):
    caterpillar = await actors.python(CATERPILLAR)
    variables = [{"name": "COLOUR", "value": "blue"}]
    butterfly = await actors.python(BUTTERFLY, version={"envVars": variables})
    run = await start(api, caterpillar, json={"target": butterfly["id"]})
    end = await ended(api, run)
    assert (end["status"], end["actId"], end["id"]) == ("SUCCEEDED", caterpillar["id"], run["id"])
    (entry,) = end["metamorphs"]
    assert (entry["actorId"], entry["inputKey"]) == (butterfly["id"], "INPUT-METAMORPH-1")
    assert end["stats"]["metamorph"] == 1
    assert await record(api, run, "CATERPILLAR") == 1
    assert await record(api, run, "INPUT") == {"target": butterfly["id"]}
    assert await record(api, run, "OUTPUT") == {
        "input": {"wings": 2},
        "ACTOR_ID": butterfly["id"],
        "ACTOR_BUILD_ID": entry["buildId"],
        "ACTOR_INPUT_KEY": "INPUT-METAMORPH-1",
        "ACTOR_RUN_ID": run["id"],
        "COLOUR": "blue",
    }


async def test_a_synchronous_run_is_held_through_a_metamorph(api: Client, actors: ActorMaker):
    butterfly = await actors.python(BUTTERFLY)
    caterpillar = await actors.python(CATERPILLAR)
    target = f"{api.username}~{butterfly['name']}"
    reply = await api.post(f"/v2/actors/{caterpillar['id']}/run-sync", json={"target": target})
    assert reply.status == 201
    assert reply.json["ACTOR_ID"] == butterfly["id"]
    last = (await api.get(f"/v2/actors/{caterpillar['id']}/runs/last")).data
    assert reply.json["ACTOR_RUN_ID"] == last["id"]


async def test_a_synchronous_run_is_held_through_reboots_and_restarts(
    api: Client, actors: ActorMaker
):
    code = waits_until_start(3).replace(
        "while number", "if number == 2: sys.exit(1)\n    while number"
    )
    actor = await actors.python(code)
    params = {"restartOnError": 1}
    held = asyncio.ensure_future(api.post(f"/v2/actors/{actor['id']}/run-sync", params=params))
    run = await until_there(api, actor)
    await api.until_logged(run["id"], "start 1")
    await api.post(f"/v2/actor-runs/{run['id']}/reboot")
    reply = await held
    assert (reply.status, reply.json["starts"]) == (201, 3)


async def until_there(api: Client, actor: dict[str, Any]) -> dict[str, Any]:
    """The first run of the Actor, which another request is starting."""
    while True:
        reply = await api.get(f"/v2/actors/{actor['id']}/runs/last")
        if reply.status == 200:
            return reply.data
        await asyncio.sleep(0.05)


async def test_a_metamorph_needs_a_valid_input(api: Client, actors: ActorMaker):
    schema = (
        '{"title": "T", "type": "object", "schemaVersion": 1, "required": ["n"], "properties":'
        ' {"n": {"title": "N", "type": "integer", "description": "N", "editor": "number"}}}'
    )
    target = await actors.python("", files={"INPUT_SCHEMA.json": schema})
    run = await start(api, await actors.shell(SLEEPS))
    await api.until_logged(run["id"], "sleeping")
    url = f"/v2/actor-runs/{run['id']}/metamorph"
    reply = await api.post(url, params={"targetActorId": target["id"]}, json={"n": "x"})
    assert (reply.status, reply.error["type"]) == (400, "invalid-input")
    assert (await api.post(url)).error["type"] == "parameter-required"
    unknown = await api.post(url, params={"targetActorId": "nobody~nothing"})
    assert (unknown.status, unknown.error["type"]) == (404, "record-not-found")
    await api.post(f"/v2/actor-runs/{run['id']}/abort")


async def test_a_run_metamorphs_ten_times_at_most(api: Client, actors: ActorMaker):
    actor = await actors.shell(SLEEPS)
    run = await start(api, actor)
    await api.until_logged(run["id"], "sleeping")
    url = f"/v2/actor-runs/{run['id']}/metamorph"
    for _ in range(10):
        reply = await api.post(url, params={"targetActorId": actor["id"]})
    assert len(reply.data["metamorphs"]) == 10
    reply = await api.post(url, params={"targetActorId": actor["id"]})
    assert (reply.status, reply.error["type"]) == (400, "max-metamorphs-exceeded")
    await api.post(f"/v2/actor-runs/{run['id']}/abort")
    assert (await ended(api, run))["status"] == "ABORTED"


async def test_a_limited_run_cannot_become_one_with_full_permissions(
    api: Client, actors: ActorMaker
):
    target = await actors.shell("true", actorPermissionLevel="FULL_PERMISSIONS")
    run = await start(api, await actors.shell(SLEEPS, actorPermissionLevel="LIMITED_PERMISSIONS"))
    await api.until_logged(run["id"], "sleeping")
    reply = await api.post(
        f"/v2/actor-runs/{run['id']}/metamorph", params={"targetActorId": target["id"]}
    )
    assert (reply.status, reply.error["type"]) == (403, "insufficient-permissions")
    await api.post(f"/v2/actor-runs/{run['id']}/abort")


async def test_a_failed_run_is_resurrected_with_its_storages(api: Client, actors: ActorMaker):
    code = waits_until_start(1).replace(
        "while number", "if number == 1: sys.exit(3)\n    while number"
    )
    actor = await actors.python(code)
    before = await ended(api, await start(api, actor))
    assert (before["status"], before["exitCode"]) == ("FAILED", 3)
    params = {"timeout": 50, "memory": 256, "restartOnError": "true", "maxTotalChargeUsd": 2}
    again = (await api.post(f"/v2/actor-runs/{before['id']}/resurrect", params=params)).data
    assert again["status"] in ("READY", "RUNNING")
    assert again["finishedAt"] is None and again["exitCode"] is None
    end = await ended(api, before)
    assert (end["status"], end["id"], end["buildId"]) == (
        "SUCCEEDED",
        before["id"],
        before["buildId"],
    )
    assert end["startedAt"] == before["startedAt"]
    assert end["stats"]["resurrectCount"] == 1
    assert end["stats"]["durationMillis"] > before["stats"]["durationMillis"]
    assert end["stats"]["computeUnits"] > before["stats"]["computeUnits"]
    options = {"timeoutSecs": 50, "memoryMbytes": 256, "diskMbytes": 512, "restartOnError": True}
    assert options.items() <= end["options"].items()
    assert (await record(api, end, "OUTPUT"))["starts"] == 2


async def test_the_timeout_starts_anew_with_a_resurrection(api: Client, actors: ActorMaker):
    code = "set_value('OUTPUT', os.environ['ACTOR_TIMEOUT_AT'])\ntime.sleep(60)"
    actor = await actors.python(code)
    run = await ended(api, await start(api, actor, params={"timeout": 1}))
    assert run["status"] == "TIMED-OUT"
    first = await record(api, run, "OUTPUT")
    await api.post(f"/v2/actor-runs/{run['id']}/resurrect", params={"timeout": 2})
    end = await ended(api, run)
    assert end["status"] == "TIMED-OUT"
    assert end["stats"]["runTimeSecs"] >= 3
    assert await record(api, run, "OUTPUT") > first


async def test_only_a_finished_run_can_be_resurrected(api: Client, actors: ActorMaker):
    run = await start(api, await actors.shell(SLEEPS))
    reply = await api.post(f"/v2/actor-runs/{run['id']}/resurrect")
    assert (reply.status, reply.error["type"]) == (400, "invalid-request")
    await api.post(f"/v2/actor-runs/{run['id']}/abort")
    assert (await ended(api, run))["status"] == "ABORTED"


async def test_a_resurrection_can_ask_for_another_build(api: Client, actors: ActorMaker):
    actor = await actors.shell("true")
    run = await ended(api, await start(api, actor))
    second = await actors.build(actor["id"])
    kept = (await api.post(f"/v2/actors/{actor['id']}/runs/{run['id']}/resurrect")).data
    assert kept["buildId"] == run["buildId"]
    await ended(api, run)
    params = {"build": "latest"}
    changed = (await api.post(f"/v2/actor-runs/{run['id']}/resurrect", params=params)).data
    assert (changed["buildId"], changed["buildNumber"]) == (second["id"], second["buildNumber"])
    wrong = {"build": "9.9.9"}
    await ended(api, run)
    reply = await api.post(f"/v2/actor-runs/{run['id']}/resurrect", params=wrong)
    assert reply.error["type"] == "build-not-found"


async def test_a_resurrection_is_told_to_webhooks(
    api: Client, actors: ActorMaker, receiver: Receiver
):
    actor = await actors.shell("true")
    run = await ended(api, await start(api, actor))
    await api.post(
        "/v2/webhooks",
        json={
            "eventTypes": ["ACTOR.RUN.RESURRECTED"],
            "condition": {"actorId": actor["id"]},
            "requestUrl": receiver.url,
        },
    )
    await api.post(f"/v2/actor-runs/{run['id']}/resurrect")
    await receiver.until(1)
    message = json.loads(receiver.received[0].body)
    assert message["eventType"] == "ACTOR.RUN.RESURRECTED"
    assert message["resource"]["id"] == run["id"]


EVENTS = {
    name: {"eventTitle": name, "eventDescription": name, "eventPriceUsd": price}
    for name, price in {
        "page": 0.5,
        "apify-actor-start": 0.1,
        "apify-default-dataset-item": 0.01,
    }.items()
}
PRICING = [{"pricingModel": "PAY_PER_EVENT", "pricingPerEvent": {"actorChargeEvents": EVENTS}}]


async def paid_run(api: Client, actors: ActorMaker, code: str, **params: Any) -> dict[str, Any]:
    actor = await actors.python(code, pricingInfos=PRICING)
    return await start(api, actor, params=params)


async def test_charges_are_counted_once_for_each_key(api: Client, actors: ActorMaker):
    code = """
    url = f"{API}/actor-runs/{os.environ['ACTOR_RUN_ID']}/charge"
    for key in ("a", "a", "b"):
        body = json.dumps({"eventName": "page", "count": 2}).encode()
        assert json.loads(call("POST", url, body, **{"idempotency-key": key})) == {}
    push([{"n": 1}, {"n": 2}])
    """
    end = await ended(api, await paid_run(api, actors, code, memory=2048))
    assert end["status"] == "SUCCEEDED"
    assert end["chargedEventCounts"] == {
        "page": 4,
        "apify-actor-start": 2,
        "apify-default-dataset-item": 2,
    }
    assert end["pricingInfo"]["pricingModel"] == "PAY_PER_EVENT"


async def test_items_are_charged_as_they_are_pushed(api: Client, actors: ActorMaker):
    code = """
    def charged():
        return json.loads(call("GET", f"{API}/actor-runs/{os.environ['ACTOR_RUN_ID']}"))["data"]["chargedEventCounts"]
    push([{"n": 1}, {"n": 2}])
    first = charged()
    push({"n": 3})
    set_value("OUTPUT", [first, charged()])
    """
    end = await ended(api, await paid_run(api, actors, code, memory=128))
    record = f"/v2/key-value-stores/{end['defaultKeyValueStoreId']}/records/OUTPUT"
    items = [counts["apify-default-dataset-item"] for counts in (await api.get(record)).json]
    assert items == [2, 3]
    assert end["chargedEventCounts"]["apify-default-dataset-item"] == 3
    # Others may push into it later; what the run has charged stays.
    await api.post(f"/v2/datasets/{end['defaultDatasetId']}/items", json={})
    later = (await api.get(f"/v2/actor-runs/{end['id']}")).data
    assert later["chargedEventCounts"] == end["chargedEventCounts"]


async def test_a_run_whose_items_cost_more_than_its_cap_is_aborted(api: Client, actors: ActorMaker):
    code = """
    for number in range(1000):
        push({"n": number})
        time.sleep(0.05)
    """
    # The start is 0.1, each item 0.01: twenty are within.
    run = await paid_run(api, actors, code, memory=128, maxTotalChargeUsd=0.3)
    await api.until_logged(run["id"], "maxTotalChargeUsd of 0.3")
    async with asyncio.timeout(10):  # the log tells of it before the run does
        while (await api.get(f"/v2/actor-runs/{run['id']}")).data["status"] != "ABORTING":
            await asyncio.sleep(0.05)
    await api.post(f"/v2/actor-runs/{run['id']}/abort")
    end = await ended(api, run)
    assert 21 <= end["chargedEventCounts"]["apify-default-dataset-item"] < 1000


async def test_a_cap_below_what_the_actor_asks_for_is_refused(api: Client, actors: ActorMaker):
    pricing = [{**PRICING[0], "minimalMaxTotalChargeUsd": 0.5}]
    actor = await actors.shell("true", pricingInfos=pricing)
    path = f"/v2/acts/{actor['id']}/runs"
    low = await api.post(path, params={"maxTotalChargeUsd": 0.4})
    assert (low.status, low.error["type"]) == (400, "max-total-charge-usd-below-minimum")
    assert (await api.post(path, params={"maxTotalChargeUsd": 0.5})).status == 201


async def test_large_caps_reach_the_actor_as_they_are(api: Client, actors: ActorMaker):
    code = """
    names = ("ACTOR_MAX_PAID_DATASET_ITEMS", "ACTOR_MAX_TOTAL_CHARGE_USD")
    set_value("OUTPUT", [os.environ[name] for name in names])
    """
    actor = await actors.python(code)
    caps = {"memory": 128, "maxItems": 12_345_678, "maxTotalChargeUsd": 1_234_567.25}
    reply = await api.post(f"/v2/acts/{actor['id']}/run-sync", params=caps)
    assert reply.json == ["12345678", "1234567.25"]


async def test_what_cannot_be_charged_is_refused(api: Client, actors: ActorMaker):
    run = await paid_run(api, actors, "time.sleep(60)")
    url = f"/v2/actor-runs/{run['id']}/charge"
    for body, kind in (
        ({"eventName": "apify-actor-start"}, "cannot-charge-apify-event"),
        ({"eventName": "unheard-of"}, "invalid-value"),
        ({"eventName": "page", "count": 0}, "invalid-value"),
        ({"count": 1}, "invalid-request"),
    ):
        reply = await api.post(url, json=body)
        assert (reply.status, reply.error["type"]) == (400, kind)
    await api.post(f"/v2/actor-runs/{run['id']}/abort")
    await ended(api, run)
    assert (await api.post(url, json={"eventName": "page"})).error["type"] == "job-finished"


async def test_a_run_without_events_cannot_charge(api: Client, actors: ActorMaker):
    run = await start(api, await actors.shell(SLEEPS))
    reply = await api.post(f"/v2/actor-runs/{run['id']}/charge", json={"eventName": "page"})
    assert reply.error["type"] == "cannot-charge-non-pay-per-event-actor"
    await api.post(f"/v2/actor-runs/{run['id']}/abort")


async def test_a_run_that_charges_more_than_its_cap_is_aborted(api: Client, actors: ActorMaker):
    code = """
    url = f"{API}/actor-runs/{os.environ['ACTOR_RUN_ID']}/charge"
    for count in (1, 1):
        call("POST", url, json.dumps({"eventName": "page", "count": count}).encode())
        print("charged", count, flush=True)
    """
    at_cap = await ended(api, await paid_run(api, actors, code, maxTotalChargeUsd=1.1))
    assert at_cap["status"] == "SUCCEEDED"
    over = await ended(api, await paid_run(api, actors, code, maxTotalChargeUsd=1))
    assert over["status"] == "ABORTED"
    assert over["chargedEventCounts"]["page"] == 2
    log = (await api.get(f"/v2/logs/{over['id']}")).body.decode()
    assert "maxTotalChargeUsd of 1." in log


@pytest.mark.parametrize("verb", ["reboot", "metamorph", "resurrect", "charge"])
async def test_runs_of_others_are_not_found(
    api: Client, other: Client, actors: ActorMaker, verb: str
):
    run = await ended(api, await start(api, await actors.shell("true")))
    reply = await other.post(
        f"/v2/actor-runs/{run['id']}/{verb}",
        params={"targetActorId": run["actId"]},
        json={"eventName": "page"},
    )
    assert (reply.status, reply.error["type"]) == (404, "record-not-found")


async def test_a_start_asked_for_before_a_crash_is_made_after_it(
    new_server: Callable[..., Server],
):
    server = new_server()
    async with Client(server.url, server.token, "admin") as api:
        actor = await ActorMaker(api).python(waits_until_start(2))
        run = await start(api, actor)
        await api.until_logged(run["id"], "start 1")
        server.kill()
        # As the server leaves it that commits a reboot and dies before it stops the program.
        with sqlite3.connect(server.data_dir / "callboard.db") as db:
            asked = "UPDATE runs SET attempts = json_set(attempts, '$.number', 2) WHERE id = ?"
            assert db.execute(asked, (run["id"],)).rowcount == 1
        server.start()
        assert (await ended(api, run))["status"] == "SUCCEEDED"
        assert (await record(api, run, "OUTPUT"))["starts"] == 2
