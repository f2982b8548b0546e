"""Request queues by the official Python client."""

from datetime import timedelta
from typing import Any

import pytest
from apify_client.errors import NotFoundError

from tests.clients.python_client import done, every

HALF_MINUTE = timedelta(seconds=30)


def request(n: int, **fields: Any) -> dict[str, Any]:
    return {"url": f"https://example.com/{n}", "unique_key": f"key-{n}", **fields}


async def fresh(client: Any, count: int = 0, client_key: str | None = None) -> Any:
    """A client of a fresh queue with `count` requests."""
    made = await done(client.request_queues().get_or_create())
    queue = client.request_queue(made.id, client_key=client_key)
    if count:
        await done(queue.batch_add_requests([request(n) for n in range(count)]))
    return queue


async def test_a_queue_is_created_once_renamed_and_deleted(client: Any) -> None:
    queues = client.request_queues()
    first = await done(queues.get_or_create(name="kept"))
    assert (await done(queues.get_or_create(name="kept"))).id == first.id
    renamed = await done(client.request_queue(first.id).update(name="other", title="Titled"))
    assert (renamed.name, renamed.title) == ("other", "Titled")
    assert [row.id for row in (await done(queues.list())).items] == [first.id]
    assert [row.id for row in await every(queues.iterate(desc=True))] == [first.id]
    await done(client.request_queue(first.id).delete())
    assert await done(client.request_queue(first.id).get()) is None


async def test_a_request_is_added_once(client: Any) -> None:
    queue = await fresh(client)
    added = await done(queue.add_request(request(1, user_data={"label": "A"})))
    assert (added.was_already_present, added.was_already_handled) == (False, False)
    again = await done(queue.add_request(request(1)))
    assert (again.request_id, again.was_already_present) == (added.request_id, True)
    kept = await done(queue.get_request(added.request_id))
    assert str(kept.url) == "https://example.com/1"
    assert kept.user_data.model_dump()["label"] == "A"
    assert await done(queue.get_request("absent")) is None


async def test_the_head_is_first_in_first_out_with_a_forefront(client: Any) -> None:
    queue = await fresh(client, 2, client_key="only-client")
    await done(queue.add_request(request(9), forefront=True))
    head = await done(queue.list_head(limit=5))
    assert [item.unique_key for item in head.items] == ["key-9", "key-0", "key-1"]
    assert (head.limit, head.had_multiple_clients) == (5, False)


async def test_a_handled_request_leaves_the_head(client: Any) -> None:
    queue = await fresh(client, 2)
    first = (await done(queue.list_head())).items[0]
    handled = await done(
        queue.update_request(
            {**request(0), "id": first.id, "handled_at": "2026-01-01T00:00:00.000Z"}
        )
    )
    assert handled.was_already_handled is False
    assert [item.unique_key for item in (await done(queue.list_head())).items] == ["key-1"]
    counts = await done(queue.get())
    assert (counts.total_request_count, counts.handled_request_count) == (2, 1)
    assert counts.pending_request_count == 1


async def test_many_requests_are_added_and_deleted_in_batches(client: Any) -> None:
    queue = await fresh(client)
    result = await done(queue.batch_add_requests([request(n) for n in range(60)]))
    assert (len(result.processed_requests), result.unprocessed_requests) == (60, [])
    deleted = await done(
        queue.batch_delete_requests([{"unique_key": f"key-{n}"} for n in range(10)])
    )
    assert len(deleted.processed_requests) == 10
    assert (await done(queue.get())).total_request_count == 50


async def test_requests_are_listed_and_iterated(client: Any) -> None:
    queue = await fresh(client, 7)
    page = await done(queue.list_requests(limit=3))
    assert (len(page.items), page.limit) == (3, 3)
    second = await done(queue.list_requests(limit=3, cursor=page.next_cursor))
    assert not {row.id for row in page.items} & {row.id for row in second.items}
    assert len(await every(queue.iterate_requests(chunk_size=2))) == 7
    assert len(await every(queue.iterate_requests(limit=5, chunk_size=2))) == 5


async def test_a_request_is_deleted(client: Any) -> None:
    queue = await fresh(client, 1)
    found = (await done(queue.list_head())).items[0]
    await done(queue.delete_request(found.id))
    assert await done(queue.get_request(found.id)) is None


async def test_a_locked_request_is_for_one_client_only(client: Any) -> None:
    queue = await fresh(client, 3, client_key="first-client")
    other = client.request_queue((await done(queue.get())).id, client_key="second-client")
    mine = await done(queue.list_and_lock_head(limit=2, lock_duration=HALF_MINUTE))
    theirs = await done(other.list_and_lock_head(limit=3, lock_duration=HALF_MINUTE))
    assert [item.unique_key for item in mine.items] == ["key-0", "key-1"]
    assert [item.unique_key for item in theirs.items] == ["key-2"]
    assert (mine.lock_secs, theirs.had_multiple_clients) == (30, True)
    locked = await done(queue.list_requests(filter=["locked"]))
    assert len(locked.items) == 3


async def test_a_lock_is_prolonged_and_given_up(client: Any) -> None:
    queue = await fresh(client, 2, client_key="first-client")
    locked = await done(queue.list_and_lock_head(limit=2, lock_duration=HALF_MINUTE))
    first, second = locked.items
    longer = await done(queue.prolong_request_lock(first.id, lock_duration=HALF_MINUTE * 4))
    assert longer.lock_expires_at > first.lock_expires_at
    await done(queue.delete_request_lock(second.id, forefront=True))
    again = await done(queue.list_and_lock_head(limit=2, lock_duration=HALF_MINUTE))
    assert [item.id for item in again.items] == [second.id]


async def test_all_locks_of_a_client_are_given_up_at_once(client: Any) -> None:
    queue = await fresh(client, 3, client_key="first-client")
    await done(queue.list_and_lock_head(limit=3, lock_duration=HALF_MINUTE))
    assert (await done(queue.unlock_requests())).unlocked_count == 3
    again = await done(queue.list_and_lock_head(limit=3, lock_duration=HALF_MINUTE))
    assert len(again.items) == 3


async def test_what_is_absent_is_none_or_an_error(client: Any) -> None:
    queue = client.request_queue("absent")
    assert await done(queue.get()) is None
    await done(queue.delete())
    with pytest.raises(NotFoundError):
        await done(queue.add_request(request(1)))
    with pytest.raises(NotFoundError):
        await done(queue.list_head())
