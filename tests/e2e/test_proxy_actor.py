"""Actors that go out through the proxy."""

import urllib.parse
from collections.abc import AsyncGenerator

import pytest

from tests.actors import ActorMaker
from tests.e2e.sdk import SdkActors, needs_node
from tests.e2e.sites import PAGE_COUNT, Site, serving
from tests.server import Client

pytestmark = pytest.mark.xdist_group("sdk")

CRAWLER = """
import asyncio
from apify import Actor
from crawlee.crawlers import BeautifulSoupCrawler

async def main():
    async with Actor:
        given = await Actor.get_input()
        proxies = await Actor.create_proxy_configuration(actor_proxy_input=given['proxy'])
        crawler = BeautifulSoupCrawler(proxy_configuration=proxies)

        @crawler.router.default_handler
        async def handle(context):
            await context.enqueue_links()
            await context.push_data({'title': context.soup.title.string, 'proxy': context.proxy_info.hostname})

        statistics = await crawler.run([given['start']])
        await Actor.set_value('OUTPUT', statistics.requests_finished)

asyncio.run(main())
"""
NODE = """
import { Actor } from 'apify';
import { gotScraping } from 'crawlee';
await Actor.init();
const { start } = await Actor.getInput();
const proxies = await Actor.createProxyConfiguration();
const proxyUrl = await proxies.newUrl('one');
const { body } = await gotScraping({ url: start, proxyUrl });
await Actor.setValue('OUTPUT', body.match(/<title>(.*)<.title>/)[1]);
await Actor.exit();
"""
PLAIN = """
host, port = os.environ["APIFY_PROXY_HOSTNAME"], os.environ["APIFY_PROXY_PORT"]
password = os.environ["APIFY_PROXY_PASSWORD"]
print("the password is", password)
proxy = f"http://auto:{password}@{host}:{port}"
opener = urllib.request.build_opener(urllib.request.ProxyHandler({"http": proxy}))
status = opener.open(os.environ["APIFY_PROXY_STATUS_URL"] + "/?format=json").read()
page = opener.open(get_input()["start"]).read()
set_value("OUTPUT", {"status": json.loads(status), "page": page.decode()})
"""


@pytest.fixture
async def web() -> AsyncGenerator[Site]:
    """A site on the host's own loopback: from inside of a run only the proxy gets there."""
    async with serving() as site:
        port = urllib.parse.urlsplit(site.url).port
        site.url = f"http://127.0.0.1:{port}/page/0"
        yield site


async def test_a_crawler_of_the_python_sdk_goes_through_the_proxy(
    sdk: SdkActors, web: Site
) -> None:
    actor = await sdk.python(CRAWLER)
    given = {"start": web.url, "proxy": {"useApifyProxy": True}}
    run = await sdk.ran(actor, given)
    assert await sdk.record(run) == PAGE_COUNT
    items = await sdk.items(run)
    assert sorted(item["title"] for item in items) == sorted(f"Page {n}" for n in range(PAGE_COUNT))
    assert all(item["proxy"] for item in items)
    assert web.visits.keys() == set(range(PAGE_COUNT))


async def test_the_python_sdk_hears_that_a_group_is_missing(sdk: SdkActors, web: Site) -> None:
    actor = await sdk.python(CRAWLER)
    proxy = {"useApifyProxy": True, "apifyProxyGroups": ["RESIDENTIAL"]}
    run = await sdk.ran(actor, {"start": web.url, "proxy": proxy})
    assert run["status"] == "FAILED"
    assert "This server has no proxy of group RESIDENTIAL." in await sdk.log(run)
    assert not web.visits


@needs_node
async def test_the_javascript_sdk_goes_through_the_proxy(sdk: SdkActors, web: Site) -> None:
    actor = await sdk.node(NODE)
    run = await sdk.ran(actor, {"start": web.url})
    assert await sdk.record(run) == "Page 0"


async def test_a_program_without_an_sdk_goes_through_the_proxy(
    api: Client, actors: ActorMaker, web: Site
) -> None:
    actor = await actors.python(PLAIN)
    reply = await api.post(f"/v2/actors/{actor['id']}/run-sync", json={"start": web.url})
    assert reply.status == 201, reply.body
    assert reply.json["status"]["connected"] is True
    assert "<title>Page 0</title>" in reply.json["page"]
    log = (await api.get(f"/v2/actors/{actor['id']}/runs/last/log")).body.decode()
    assert "the password is ***" in log
    password = (await api.get("/v2/users/me")).data["proxy"]["password"]
    assert password not in log
