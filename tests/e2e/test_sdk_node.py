"""Actors with the official JavaScript SDK and Crawlee, run for real."""

import json

import pytest

from tests.e2e.sdk import SdkActors, needs_node
from tests.e2e.sites import PAGE_COUNT, serving
from tests.server import Client

pytestmark = [pytest.mark.xdist_group("sdk"), needs_node]

SCHEMA = {
    "title": "Input",
    "type": "object",
    "schemaVersion": 1,
    "properties": {
        "missing": {"title": "M", "type": "integer", "description": "-", "default": 7},
        "secret": {
            "title": "S",
            "type": "string",
            "description": "-",
            "editor": "textfield",
            "isSecret": True,
        },
    },
}


def program(body: str) -> str:
    return (
        f"import {{ Actor, log }} from 'apify';\nawait Actor.init();\n{body}\nawait Actor.exit();\n"
    )


async def test_input_and_storages(sdk: SdkActors) -> None:
    actor = await sdk.node(
        program("""
const input = await Actor.getInput();
await Actor.pushData(Array.from({ length: 500 }, (_, n) => ({ n })));
await Actor.setValue('page', '<p>text</p>', { contentType: 'text/html' });
const named = await Actor.openKeyValueStore('kept');
await named.setValue('count', ((await named.getValue('count')) ?? 0) + 1);
const env = Actor.getEnv();
await Actor.setValue('OUTPUT', {
    input,
    page: await Actor.getValue('page'),
    count: await named.getValue('count'),
    home: Actor.isAtHome(),
    run: env.actorRunId,
    memory: env.memoryMbytes,
});
await Actor.setStatusMessage('All found', { isStatusMessageTerminal: true });
"""),
        files={".actor/INPUT_SCHEMA.json": json.dumps(SCHEMA)},
    )
    run = await sdk.ran(actor, {"secret": "not for everyone"})
    assert await sdk.record(run) == {
        "input": {"missing": 7, "secret": "not for everyone"},
        "page": "<p>text</p>",
        "count": 1,
        "home": True,
        "run": run["id"],
        "memory": 4096,
    }
    assert len(await sdk.items(run)) == 500
    assert (run["status"], run["statusMessage"]) == ("SUCCEEDED", "All found")


async def test_events_arrive_and_a_graceful_abort_is_heard(sdk: SdkActors, api: Client) -> None:
    actor = await sdk.node(
        program("""
const figures = await new Promise((resolve) => {
    // The first may be of a moment before Node.js had loaded anything.
    Actor.on('systemInfo', (seen) => seen.memCurrentBytes > 20 * 1024 * 1024 && resolve(seen));
});
Actor.on('aborting', () => Actor.setValue('OUTPUT', figures));
console.log('waiting for the abort');
await new Promise(() => {});
""")
    )
    run = await sdk.start(actor)
    await sdk.api.until_logged(run["id"], "waiting for the abort")
    await api.post(f"/v2/actor-runs/{run['id']}/abort", params={"gracefully": True})
    ended = (await api.get(f"/v2/actor-runs/{run['id']}", params={"waitForFinish": 60})).data
    assert ended["status"] == "ABORTED"
    figures = await sdk.record(ended)
    assert figures["memCurrentBytes"] > 20 * 1024 * 1024
    assert figures["isCpuOverloaded"] is False


@pytest.mark.parametrize(
    ("code", "status", "exit_code", "message"),
    [
        (program("await Actor.exit('Done early');"), "SUCCEEDED", 0, "Done early"),
        (program("await Actor.fail('No luck', { exitCode: 5 });"), "FAILED", 5, "No luck"),
        (
            "import { Actor } from 'apify';\nawait Actor.main(async () => { throw new Error('no'); });",
            "FAILED",
            91,
            None,
        ),
    ],
    ids=["exit", "fail", "exception"],
)
async def test_a_run_ends_as_its_program_does(
    sdk: SdkActors, code: str, status: str, exit_code: int, message: str | None
) -> None:
    run = await sdk.ran(await sdk.node(code))
    assert (run["status"], run["exitCode"]) == (status, exit_code), await sdk.log(run)
    if message is not None:
        assert run["statusMessage"] == message


async def test_a_crawler_visits_every_page_once(sdk: SdkActors, api: Client) -> None:
    actor = await sdk.node("""
import { Actor } from 'apify';
import { CheerioCrawler } from 'crawlee';

await Actor.init();
const { start } = await Actor.getInput();
const crawler = new CheerioCrawler({
    async requestHandler({ request, $, enqueueLinks, pushData }) {
        await enqueueLinks();
        await pushData({ url: request.url, title: $('title').text() });
    },
});
const { requestsFinished, requestsFailed } = await crawler.run([start]);
await Actor.setValue('OUTPUT', { requestsFinished, requestsFailed });
await Actor.exit();
""")
    async with serving() as site:
        run = await sdk.ran(actor, {"start": site.url})
    assert await sdk.record(run) == {"requestsFinished": PAGE_COUNT, "requestsFailed": 0}
    titles = sorted(item["title"] for item in await sdk.items(run))
    assert titles == sorted(f"Page {n}" for n in range(PAGE_COUNT))
    assert site.visits == {n: 2 if n == 3 else 1 for n in range(PAGE_COUNT)}
    queue = (await api.get(f"/v2/request-queues/{run['defaultRequestQueueId']}")).data
    assert (queue["handledRequestCount"], queue["pendingRequestCount"]) == (PAGE_COUNT, 0)
