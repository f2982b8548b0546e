"""Crawlers of the Python Crawlee, run as Actors on a real site."""

import pytest

from tests.e2e.sdk import SdkActors
from tests.e2e.sites import PAGE_COUNT, serving
from tests.server import Client

pytestmark = pytest.mark.xdist_group("sdk")

CRAWLER = """
import asyncio
from apify import Actor
from crawlee.crawlers import BeautifulSoupCrawler

async def main():
    async with Actor:
        given = await Actor.get_input()
        crawler = BeautifulSoupCrawler(max_requests_per_crawl=given.get('limit'))

        @crawler.router.default_handler
        async def handle(context):
            await context.enqueue_links()
            await context.push_data({'url': context.request.url, 'title': context.soup.title.string})

        statistics = await crawler.run([given['start']])
        await Actor.set_value('OUTPUT', {
            'finished': statistics.requests_finished,
            'failed': statistics.requests_failed,
        })

asyncio.run(main())
"""


async def test_a_crawler_visits_every_page_once(sdk: SdkActors, api: Client) -> None:
    actor = await sdk.python(CRAWLER)
    async with serving() as site:
        run = await sdk.ran(actor, {"start": site.url})
    assert await sdk.record(run) == {"finished": PAGE_COUNT, "failed": 0}
    titles = sorted(item["title"] for item in await sdk.items(run))
    assert titles == sorted(f"Page {n}" for n in range(PAGE_COUNT))
    assert site.visits == {n: 2 if n == 3 else 1 for n in range(PAGE_COUNT)}
    queue = (await api.get(f"/v2/request-queues/{run['defaultRequestQueueId']}")).data
    assert queue["handledRequestCount"] == PAGE_COUNT
    assert queue["pendingRequestCount"] == 0
