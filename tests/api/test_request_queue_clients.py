"""Request queues through the official Python client and SDK, whose replies are checked by their own models."""

from collections.abc import AsyncGenerator
from datetime import UTC, datetime, timedelta
from typing import Any, Literal

import pytest
from apify import Configuration
from apify.storage_clients._apify import ApifyRequestQueueClient
from apify_client import ApifyClientAsync
from apify_client.errors import ApifyApiError
from crawlee import Request

from tests.server import Client, Server


@pytest.fixture
def apify(api: Client) -> ApifyClientAsync:
    return ApifyClientAsync(api.token, api_url=api.url)


def page_request(number: int, **fields: Any) -> dict[str, Any]:
    url = f"https://example.com/{number}"
    return {"uniqueKey": url, "url": url, "userData": {"number": number}, **fields}


async def test_the_client_makes_changes_and_deletes_queues(apify: ApifyClientAsync):
    made = await apify.request_queues().get_or_create(name="from-the-client")
    client = apify.request_queue(made.id)
    renamed = await client.update(name="renamed")
    assert renamed.name == "renamed"
    unnamed = await apify.request_queues().get_or_create()
    listed = await apify.request_queues().list(unnamed=True)
    assert [queue.id for queue in listed.items] == [made.id, unnamed.id]
    await client.delete()
    assert await client.get() is None


async def test_the_client_adds_locks_handles_and_removes_requests(apify: ApifyClientAsync):
    queue = await apify.request_queues().get_or_create()
    client = apify.request_queue(queue.id, client_key="worker")
    added = await client.batch_add_requests([page_request(number) for number in range(60)])
    assert (len(added.processed_requests), added.unprocessed_requests) == (60, [])
    assert (await client.add_request(page_request(0))).was_already_present
    minute = timedelta(minutes=1)
    head = await client.list_and_lock_head(lock_duration=minute, limit=3)
    first, second, third = head.items
    prolonged = await client.prolong_request_lock(first.id, lock_duration=minute, forefront=True)
    assert prolonged is not None
    assert prolonged.lock_expires_at > first.lock_expires_at
    stored = await client.get_request(first.id)
    assert stored is not None
    assert stored.model_extra is not None and "lockExpiresAt" in stored.model_extra
    stored.handled_at = datetime.now(UTC)
    assert not (await client.update_request(stored)).was_already_handled
    await client.delete_request_lock(second.id, forefront=True)
    assert (await client.list_head(limit=1)).items[0].id == second.id
    assert (await client.unlock_requests()).unlocked_count == 1
    await client.delete_request(third.id)
    assert await client.get_request(third.id) is None
    removed = await client.batch_delete_requests(
        [{"id": second.id}, {"uniqueKey": page_request(9)["url"]}]
    )
    assert len(removed.processed_requests) == 2
    info = await client.get()
    assert info is not None
    assert (info.total_request_count, info.handled_request_count) == (57, 1)


async def test_the_client_walks_through_all_pages(apify: ApifyClientAsync):
    queue = await apify.request_queues().get_or_create()
    client = apify.request_queue(queue.id, client_key="worker")
    await client.batch_add_requests([page_request(number) for number in range(60)])
    seen: list[str] = []
    page = await client.list_requests(limit=25)
    while True:
        seen += [item.unique_key for item in page.items]
        if page.next_cursor is None:
            break
        page = await client.list_requests(limit=25, cursor=page.next_cursor)
    assert sorted(seen) == sorted(page_request(number)["url"] for number in range(60))
    pending = await client.list_requests(limit=100, filter=["pending"])
    assert sorted(item.unique_key for item in pending.items) == sorted(seen)


async def test_the_client_tells_what_went_wrong(apify: ApifyClientAsync):
    queue = await apify.request_queues().get_or_create()
    one, two = (apify.request_queue(queue.id, client_key=key) for key in ("one", "two"))
    added = await one.add_request(page_request(1))
    await one.list_and_lock_head(lock_duration=timedelta(minutes=1))
    with pytest.raises(ApifyApiError) as caught:
        await two.prolong_request_lock(added.request_id, lock_duration=timedelta(minutes=1))
    assert caught.value.type == "request-handled-or-locked"


@pytest.fixture(params=["single", "shared"])
async def sdk_queue(
    request: pytest.FixtureRequest, api: Client, server: Server
) -> AsyncGenerator[ApifyRequestQueueClient]:
    """A queue as crawlers in an Actor use it, for one process alone or shared by several."""
    access: Literal["single", "shared"] = request.param
    configuration = Configuration(
        token=api.token, api_base_url=server.url, api_public_base_url=server.url, is_at_home=True
    )
    queue = await ApifyRequestQueueClient.open(
        id=None, name="crawl", alias=None, configuration=configuration, access=access
    )
    yield queue
    await queue.drop()


async def test_the_sdk_crawls_until_the_queue_is_finished(sdk_queue: ApifyRequestQueueClient):
    """Pages link to others, known ones among them; some fail once and are taken up again."""
    await sdk_queue.add_batch_of_requests([Request.from_url("https://example.com/1")])
    handled: list[int] = []
    while not await sdk_queue.is_finished():
        request = await sdk_queue.fetch_next_request()
        assert request is not None
        number = int(request.url.rsplit("/", 1)[1])
        if number % 5 == 0 and request.retry_count == 0:
            request.retry_count += 1
            await sdk_queue.reclaim_request(request, forefront=number % 2 == 0)
            continue
        links = [link for link in (2 * number, 2 * number + 1, number - 1) if 0 < link <= 30]
        await sdk_queue.add_batch_of_requests(
            [Request.from_url(f"https://example.com/{link}") for link in links]
        )
        await sdk_queue.mark_request_as_handled(request)
        handled.append(number)
    assert sorted(handled) == list(range(1, 31))
    metadata = await sdk_queue.get_metadata()
    assert (metadata.total_request_count, metadata.handled_request_count) == (30, 30)
    assert metadata.had_multiple_clients is False


async def test_the_sdk_keeps_the_order_with_forefront_requests(sdk_queue: ApifyRequestQueueClient):
    def requests(*numbers: int) -> list[Request]:
        return [Request.from_url(f"https://example.com/{number}") for number in numbers]

    await sdk_queue.add_batch_of_requests(requests(1, 2, 3))
    await sdk_queue.add_batch_of_requests(requests(4), forefront=True)
    seen: list[str] = []
    while request := await sdk_queue.fetch_next_request():
        seen.append(request.url[-1])
        await sdk_queue.mark_request_as_handled(request)
    assert seen == ["4", "1", "2", "3"]
