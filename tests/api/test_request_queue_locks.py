"""Locks on requests over HTTP: who gets what, who may give it back, and when it comes free."""

import asyncio
import json

import pytest

from callboard.core.clock import now, parse_iso
from tests.api.queue_client import QueueClient, request
from tests.server import Client


def secs_left(text: str) -> float:
    return (parse_iso(text) - now()).total_seconds()


async def test_locking_the_head_takes_requests_away_from_others(api: Client):
    one = await QueueClient.create(api, *"abc")
    two = one.as_client("two")
    head = await one.lock_head(60, limit=2)
    assert [item["uniqueKey"] for item in head["items"]] == ["a", "b"]
    assert all(55 < secs_left(item["lockExpiresAt"]) <= 60 for item in head["items"])
    assert (head["limit"], head["lockSecs"], head["clientKey"]) == (2, 60, "one")
    assert head["queueHasLockedRequests"] is True
    assert head["hadMultipleClients"] is False
    assert await two.head() == ["c"]
    assert await one.head() == ["c"]
    assert await two.lock() == ["c"]
    assert await two.lock() == []
    assert await two.counts() == (3, 0, 3)


async def test_locked_requests_tell_until_when(api: Client):
    queue = await QueueClient.create(api, "a", "b")
    [locked] = (await queue.lock_head(60, limit=1))["items"]
    stored = (await queue.get(locked["id"])).data
    assert stored["lockExpiresAt"] == locked["lockExpiresAt"]
    [listed] = (await queue.listed(filter="locked"))["items"]
    assert listed == stored
    assert "lockExpiresAt" not in (await queue.get(await queue.id_of("b"))).data


async def test_an_empty_head_tells_whether_others_are_still_working(api: Client):
    one = await QueueClient.create(api, "a")
    two = one.as_client("two")
    await one.lock()
    waiting = await two.lock_head()
    assert (waiting["items"], waiting["queueHasLockedRequests"]) == ([], True)
    await one.handle("a")
    finished = await two.lock_head()
    assert (finished["items"], finished["queueHasLockedRequests"]) == ([], False)


async def test_handling_a_locked_request_unlocks_it(api: Client):
    queue = await QueueClient.create(api, "a")
    await queue.lock()
    await queue.handle("a")
    assert (await queue.listed(filter="locked"))["items"] == []
    assert await queue.unlock_all() == 0


async def test_only_the_holder_prolongs_or_gives_back_a_lock(api: Client):
    one = await QueueClient.create(api, "a")
    await one.lock(lock_secs=30)
    for stranger in (one.as_client("two"), one.as_client(None)):
        for reply in (await stranger.prolong("a"), await stranger.release("a")):
            assert (reply.status, reply.error["type"]) == (400, "request-handled-or-locked")
    prolonged = await one.prolong("a", 300)
    assert prolonged.status == 200
    assert 290 < secs_left(prolonged.data["lockExpiresAt"]) <= 300
    assert (await one.release("a")).status == 204
    assert await one.as_client("two").lock() == ["a"]


async def test_a_lock_can_be_prolonged_only_while_there_is_one(api: Client):
    queue = await QueueClient.create(api, "a", "b")
    await queue.lock(1)
    await queue.handle("a")
    for name in ("a", "b"):
        reply = await queue.prolong(name)
        assert (reply.status, reply.error["type"]) == (400, "request-handled-or-locked")
    missing = await queue.call("PUT", "/requests/AAAAAAAAAAAAAAA/lock", params={"lockSecs": 5})
    assert missing.error["type"] == "record-not-found"


async def test_giving_back_a_free_request_changes_nothing(api: Client):
    queue = await QueueClient.create(api, "a", "b")
    assert (await queue.release("a", forefront=True)).status == 204
    assert (await queue.release("b", forefront=True)).status == 204
    assert await queue.head() == ["a", "b"]
    await queue.handle("a")
    assert (await queue.release("a")).error["type"] == "request-handled-or-locked"
    missing = await queue.call("DELETE", "/requests/AAAAAAAAAAAAAAA/lock")
    assert missing.error["type"] == "record-not-found"


async def test_requests_given_back_go_to_the_end_or_to_the_forefront(api: Client):
    queue = await QueueClient.create(api, *"abcd")
    assert await queue.lock(2) == ["a", "b"]
    await queue.release("a")
    await queue.release("b", forefront="true")
    assert await queue.head() == ["b", "c", "d", "a"]


async def test_a_client_gives_back_all_it_holds_at_once(api: Client):
    one = await QueueClient.create(api, *"abcde")
    two = one.as_client("two")
    await one.lock(2)
    await two.lock(2)
    assert await one.unlock_all() == 2
    assert await one.unlock_all() == 0
    assert sorted(await two.head()) == ["a", "b", "e"]


async def test_callers_without_a_key_can_give_back_what_they_locked(api: Client):
    nobody = (await QueueClient.create(api, "a", "b")).as_client(None)
    head = await nobody.lock_head()
    assert "clientKey" not in head
    assert (await nobody.prolong("a")).status == 200
    assert (await nobody.release("a")).status == 204
    assert await nobody.unlock_all() == 1


async def test_reclaiming_by_an_update_frees_the_request(api: Client):
    """How the Python SDK gives back a request it could not process."""
    queue = await QueueClient.create(api, *"abc")
    await queue.lock(2)
    await queue.update("a", retryCount=1)
    await queue.update("b", params={"forefront": True}, retryCount=1)
    assert await queue.lock() == ["b", "c", "a"]


async def test_reclaiming_by_an_update_and_giving_back_works_too(api: Client):
    """How the JavaScript SDK does it."""
    queue = await QueueClient.create(api, *"abc")
    await queue.lock(1)
    await queue.update("a", params={"forefront": True}, retryCount=1)
    assert (await queue.release("a", forefront=True)).status == 204
    assert await queue.lock() == ["a", "b", "c"]


async def test_an_update_by_another_client_leaves_place_and_lock(api: Client):
    one = await QueueClient.create(api, "a", "b")
    two = one.as_client("two")
    await one.lock(1)
    await two.update("a", userData={"seen": True})
    assert await two.lock() == ["b"]
    assert (await two.release("a")).status == 400
    stored = (await two.get(await two.id_of("a"))).data
    assert stored["userData"] == {"seen": True}
    assert secs_left(stored["lockExpiresAt"]) > 50
    await two.handle("a")
    assert await two.counts() == (2, 1, 1)


@pytest.mark.parametrize(
    ("lock_secs", "error"),
    [
        ("", "parameter-required"),
        ("0", "invalid-parameter"),
        ("-5", "invalid-parameter"),
        ("soon", "invalid-parameter"),
        ("nan", "invalid-parameter"),
        ("1e300", "invalid-parameter"),
    ],
)
async def test_lock_secs_are_checked(api: Client, lock_secs: str, error: str):
    queue = await QueueClient.create(api, "a")
    path = f"/requests/{await queue.id_of('a')}/lock"
    params = {"lockSecs": lock_secs}
    for reply in (
        await queue.call("POST", "/head/lock", params=params),
        await queue.call("PUT", path, params=params),
    ):
        assert (reply.status, reply.error["type"]) == (400, error)
    assert await queue.head() == ["a"]


async def test_lock_secs_may_be_a_fraction(api: Client):
    queue = await QueueClient.create(api, "a")
    assert (await queue.lock_head(60.5))["lockSecs"] == 60.5


async def test_a_lock_that_ran_out_frees_its_request(api: Client):
    one = await QueueClient.create(api, "a", "b")
    two = one.as_client("two")
    [item] = (await one.lock_head(1, limit=1))["items"]
    assert await two.lock(1) == ["b"]
    await asyncio.sleep(secs_left(item["lockExpiresAt"]) + 0.01)
    assert await two.head() == ["a"]
    assert await two.lock() == ["a"]
    assert (await one.prolong("a")).error["type"] == "request-handled-or-locked"


async def test_clients_that_lock_at_once_never_get_the_same_request(api: Client):
    queue = await QueueClient.create(api)
    names = [f"r{number:03}" for number in range(200)]
    for start in range(0, 200, 25):
        await queue.add(*names[start : start + 25])

    async def work(key: str) -> list[str]:
        client, got = queue.as_client(key), list[str]()
        while locked := await client.lock(7):
            got += locked
        return got

    gathered = await asyncio.gather(*(work(f"worker {number}") for number in range(8)))
    assert sorted(name for got in gathered for name in got) == names
    assert sum(1 for got in gathered if got) > 1


async def test_clients_that_add_at_once_add_each_request_once(api: Client):
    queue = await QueueClient.create(api)
    names = [f"r{number}" for number in range(25)]
    replies = await asyncio.gather(*(queue.add(*names) for _ in range(12)))
    new = [item for reply in replies for item in reply if not item["wasAlreadyPresent"]]
    assert len(new) == 25
    assert await queue.counts() == (25, 0, 25)


async def test_clients_that_handle_the_same_request_at_once_count_once(api: Client):
    queue = await QueueClient.create(api, "a")
    body = json.dumps(request("a", handledAt="2026-01-01T00:00:00.000Z"))
    path, headers = f"/requests/{await queue.id_of('a')}", {"Content-Type": "application/json"}
    replies = await asyncio.gather(
        *(queue.call("PUT", path, data=body, headers=headers) for _ in range(10))
    )
    assert [reply.data["wasAlreadyHandled"] for reply in replies].count(False) == 1
    assert await queue.counts() == (1, 1, 0)


async def test_a_crawl_by_several_workers_ends_with_every_page_handled_once(api: Client):
    """Each page links to two more, workers find the same links, and every seventh page fails once."""
    queue = await QueueClient.create(api, "p1")
    done: list[str] = []

    async def work(key: str) -> None:
        client = queue.as_client(key)
        while True:
            head = await client.lock_head(60, limit=3)
            if not head["items"] and not head["queueHasLockedRequests"]:
                return
            for item in head["items"]:
                number = int(item["uniqueKey"][1:])
                if number % 7 == 0 and item["retryCount"] == 0:
                    await client.update(item["uniqueKey"], retryCount=1)
                    continue
                links = [f"p{link}" for link in (2 * number, 2 * number + 1, number) if link <= 60]
                if links:
                    await client.add(*links)
                await client.handle(item["uniqueKey"])
                done.append(item["uniqueKey"])

    await asyncio.gather(*(work(f"worker {number}") for number in range(3)))
    assert sorted(done) == sorted(f"p{number}" for number in range(1, 61))
    assert await queue.counts() == (60, 60, 0)
