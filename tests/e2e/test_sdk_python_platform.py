"""What Actors with the official Python SDK ask of the platform beside storages and events."""

import json
from typing import Any

import pytest

from tests.actors import ActorMaker
from tests.e2e.sdk import SdkActors, python_program
from tests.receivers import listening
from tests.server import Client

pytestmark = pytest.mark.xdist_group("sdk")

PAY_PER_EVENT: dict[str, Any] = {
    "pricingModel": "PAY_PER_EVENT",
    "pricingPerEvent": {
        "actorChargeEvents": {
            "page": {"eventTitle": "A page", "eventDescription": "-", "eventPriceUsd": 0.5}
        }
    },
    "apifyMarginPercentage": 0,
    "createdAt": "2026-01-01T00:00:00.000Z",
    "startedAt": "2026-01-01T00:00:00.000Z",
}


async def test_an_actor_calls_a_task_and_aborts_a_run(
    sdk: SdkActors, actors: ActorMaker, api: Client
) -> None:
    called = await actors.python(
        "set_value('OUTPUT', get_input())\ntime.sleep(get_input()['sleep'])"
    )
    task = await api.post(
        "/v2/actor-tasks",
        json={"actId": called["id"], "name": "a-task", "input": {"a": 1, "sleep": 0}},
    )
    actor = await sdk.python(
        python_program(f"""
first = await Actor.call_task('{task.data["id"]}', {{'b': 2}})
store = await Actor.open_key_value_store(id=first.default_key_value_store_id)
second = await Actor.start('{called["id"]}', {{'sleep': 600}})
await Actor.abort(second.id)
ended = await Actor.apify_client.run(second.id).wait_for_finish()
await Actor.set_value('OUTPUT', [await store.get_value('OUTPUT'), ended.status])
""")
    )
    run = await sdk.ran(actor)
    assert await sdk.record(run) == [{"a": 1, "b": 2, "sleep": 0}, "ABORTED"]


async def test_an_actor_hands_on_the_time_it_has_left(sdk: SdkActors, actors: ActorMaker) -> None:
    called = await actors.python("pass")
    actor = await sdk.python(
        python_program(f"""
await asyncio.sleep(1)  # what is left is rounded up to whole seconds
run = await Actor.start('{called["id"]}', timeout='inherit', memory_mbytes=128)
await Actor.set_value('OUTPUT', run.options.timeout_secs)
""")
    )
    assert 200 < await sdk.record(await sdk.ran(actor, timeout=300)) < 300


async def test_an_actor_reboots_itself_and_then_becomes_another(
    sdk: SdkActors, actors: ActorMaker
) -> None:
    other = await actors.python("set_value('OUTPUT', get_input())")
    actor = await sdk.python(
        python_program(f"""
if not await Actor.get_value('rebooted'):
    await Actor.set_value('rebooted', True)
    await Actor.reboot()
await Actor.metamorph('{other["id"]}', {{'now': 'another'}})
""")
    )
    run = await sdk.ran(actor)
    assert (run["status"], run["stats"]["rebootCount"]) == ("SUCCEEDED", 1), await sdk.log(run)
    assert await sdk.record(run) == {"now": "another"}
    assert run["metamorphs"][0]["actorId"] == other["id"]


async def test_an_actor_hangs_a_webhook_on_its_own_run(sdk: SdkActors) -> None:
    async with listening() as receiver:
        actor = await sdk.python(
            python_program(f"""
from apify import Webhook
await Actor.add_webhook(Webhook(event_types=['ACTOR.RUN.SUCCEEDED'], request_url='{receiver.url}'))
""")
        )
        run = await sdk.ran(actor)
        received = await receiver.until(1)
    message = json.loads(received[0].body)
    assert message["eventData"]["actorRunId"] == run["id"]
    assert message["resource"]["status"] == "SUCCEEDED"


async def test_charging_stops_at_the_limit(sdk: SdkActors) -> None:
    actor = await sdk.python(
        python_program("""
first = await Actor.charge('page', count=2)
second = await Actor.charge('page', count=5)
await Actor.set_value('OUTPUT', [first.charged_count, second.charged_count])
"""),
        pricingInfos=[PAY_PER_EVENT],
    )
    run = await sdk.ran(actor, maxTotalChargeUsd=2)
    assert await sdk.record(run) == [2, 2]
    assert run["chargedEventCounts"] == {"page": 4}


async def test_pages_are_fetched_through_the_proxy(sdk: SdkActors) -> None:
    actor = await sdk.python(
        python_program("""
import urllib.request
target = (await Actor.get_input())['url']
proxies = await Actor.create_proxy_configuration()
url = await proxies.new_url('one_session')
opener = urllib.request.build_opener(urllib.request.ProxyHandler({'http': url}))
reply = await asyncio.to_thread(opener.open, target)
await Actor.set_value('OUTPUT', {'body': reply.read().decode()})
""")
    )
    async with listening() as receiver:
        target = receiver.url.replace("127.0.0.1", "host.callboard.internal") + "/page"
        run = await sdk.ran(actor, {"url": target})
        assert await sdk.record(run) == {"body": "thanks"}
        assert [one.path for one in receiver.received] == ["/page"]


async def test_a_public_link_to_a_record_opens_it(sdk: SdkActors, api: Client) -> None:
    actor = await sdk.python(
        python_program("""
await Actor.set_value('page', {'open': True})
store = await Actor.open_key_value_store()
await Actor.set_value('OUTPUT', {'url': await store.get_public_url('page')})
""")
    )
    url = (await sdk.record(await sdk.ran(actor)))["url"]
    reply = await api.get(url, token=None)
    assert (reply.status, reply.json) == (200, {"open": True})


async def test_a_shared_queue_is_worked_off_by_two_runs(sdk: SdkActors, api: Client) -> None:
    actor = await sdk.python(
        python_program("""
from apify.storage_clients import ApifyStorageClient
from crawlee.storages import RequestQueue
queue = await RequestQueue.open(
    name='shared', storage_client=ApifyStorageClient(request_queue_access='shared')
)
await queue.add_requests([f'https://example.com/{n}' for n in range(40)])
seen = []
while (request := await queue.fetch_next_request()) is not None:
    seen.append(request.url)
    await asyncio.sleep(0.01)
    await queue.mark_request_as_handled(request)
await Actor.set_value('OUTPUT', seen)
""")
    )
    runs = [await sdk.start(actor) for _ in range(2)]
    ended = [
        (await api.get(f"/v2/actor-runs/{run['id']}", params={"waitForFinish": 60})).data
        for run in runs
    ]
    seen = [url for run in ended for url in await sdk.record(run)]
    assert sorted(seen) == sorted(f"https://example.com/{n}" for n in range(40))


async def test_dropped_storages_are_gone(sdk: SdkActors, api: Client) -> None:
    actor = await sdk.python(
        python_program("""
for kind in (Actor.open_dataset, Actor.open_key_value_store, Actor.open_request_queue):
    await (await kind(name='short-lived')).drop()
""")
    )
    run = await sdk.ran(actor)
    assert run["status"] == "SUCCEEDED", await sdk.log(run)
    for kind in ("datasets", "key-value-stores", "request-queues"):
        assert (await api.get(f"/v2/{kind}/{api.username}~short-lived")).status == 404
