"""What Actors with the official JavaScript SDK ask of the platform beside storages and events."""

import json

import pytest

from tests.actors import ActorMaker
from tests.e2e.sdk import SdkActors, needs_node
from tests.e2e.test_sdk_node import program
from tests.e2e.test_sdk_python_platform import PAY_PER_EVENT
from tests.receivers import listening
from tests.server import Client

pytestmark = [pytest.mark.xdist_group("sdk"), needs_node]

DECLARED = {
    "actorSpecification": 1,
    "name": "keeper",
    "version": "0.0",
    "storages": {
        "datasets": {
            "default": {"actorSpecification": 1, "fields": {}, "views": {}},
            "aside": {"actorSpecification": 1, "fields": {}, "views": {}},
        }
    },
}


async def test_an_actor_calls_others_and_hands_on_its_time(
    sdk: SdkActors, actors: ActorMaker, api: Client
) -> None:
    called = await actors.python(
        "set_value('OUTPUT', get_input())\ntime.sleep(get_input().get('sleep', 0))"
    )
    task = await api.post(
        "/v2/actor-tasks", json={"actId": called["id"], "name": "a-js-task", "input": {"a": 1}}
    )
    actor = await sdk.node(
        program(f"""
const output = async (run) => {{
    const store = await Actor.openKeyValueStore(run.defaultKeyValueStoreId);
    return store.getValue('OUTPUT');
}};
const called = await Actor.call('{called["id"]}', {{ n: 21 }}, {{ timeout: 'inherit', memory: 256 }});
const ofTask = await Actor.callTask('{task.data["id"]}', {{ b: 2 }}, {{ memory: 256 }});
const started = await Actor.start('{called["id"]}', {{ sleep: 600 }}, {{ memory: 256 }});
await Actor.abort(started.id);
const ended = await Actor.newClient().run(started.id).waitForFinish();
await Actor.setValue('OUTPUT', {{
    outputs: [await output(called), await output(ofTask)],
    timeout: called.options.timeoutSecs,
    ended: ended.status,
}});
""")
    )
    told = await sdk.record(await sdk.ran(actor, timeout=300))
    assert told["outputs"] == [{"n": 21}, {"a": 1, "b": 2}]
    assert told["ended"] == "ABORTED"
    assert told["timeout"] > 200  # this version hands seconds on as milliseconds


async def test_an_actor_reboots_itself_and_then_becomes_another(
    sdk: SdkActors, actors: ActorMaker
) -> None:
    other = await actors.python("set_value('OUTPUT', get_input())")
    actor = await sdk.node(
        program(f"""
if (!(await Actor.getValue('rebooted'))) {{
    await Actor.setValue('rebooted', true);
    await Actor.reboot();
}}
await Actor.metamorph('{other["id"]}', {{ now: 'another' }});
""")
    )
    run = await sdk.ran(actor)
    assert (run["status"], run["stats"]["rebootCount"]) == ("SUCCEEDED", 1), await sdk.log(run)
    assert await sdk.record(run) == {"now": "another"}
    assert run["metamorphs"][0]["actorId"] == other["id"]


async def test_webhooks_charges_and_messages(sdk: SdkActors) -> None:
    async with listening() as receiver:
        actor = await sdk.node(
            program(f"""
await Actor.addWebhook({{ eventTypes: ['ACTOR.RUN.SUCCEEDED'], requestUrl: '{receiver.url}' }});
await Actor.setStatusMessage('Working');
const first = await Actor.charge({{ eventName: 'page', count: 2 }});
const second = await Actor.charge({{ eventName: 'page', count: 3 }});
await Actor.setValue('OUTPUT', [first.chargedCount, second.chargedCount]);
"""),
            pricingInfos=[PAY_PER_EVENT],
        )
        run = await sdk.ran(actor, maxTotalChargeUsd=2.5)
        received = await receiver.until(1)
    assert await sdk.record(run) == [2, 3]
    assert run["chargedEventCounts"] == {"page": 5}
    assert json.loads(received[0].body)["eventData"]["actorRunId"] == run["id"]


async def test_the_proxy_and_storages_by_alias(sdk: SdkActors, api: Client) -> None:
    actor = await sdk.node(
        program("""
const aside = await Actor.openDataset({ alias: 'aside' });
await aside.pushData({ a: 1 });
const queue = await Actor.openRequestQueue();
await queue.addRequest({ url: 'https://example.com/' });
const proxies = await Actor.createProxyConfiguration();
await Actor.setValue('OUTPUT', { url: await proxies.newUrl('one'), next: (await queue.fetchNextRequest()).url });
"""),
        files={".actor/actor.json": json.dumps(DECLARED)},
    )
    run = await sdk.ran(actor)
    told = await sdk.record(run)
    assert told["next"] == "https://example.com/"
    me = (await api.get("/v2/users/me")).data
    assert told["url"].startswith(f"http://session-one:{me['proxy']['password']}@")
    aside = run["storageIds"]["datasets"]["aside"]
    assert (await api.get(f"/v2/datasets/{aside}/items")).json == [{"a": 1}]
    assert await sdk.items(run) == []
