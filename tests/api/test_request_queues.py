"""Request queues over HTTP: the queues themselves, and adding, reading, updating and removing requests."""

import json
from typing import Any

import brotli
import pytest

from tests.api.queue_client import QUEUES, QueueClient, request
from tests.server import Client

HANDLED_AT = "2026-01-02T03:04:05.678Z"
EVERYTHING = {
    "uniqueKey": "GET|everything",
    "url": "https://example.com/everything",
    "method": "POST",
    "retryCount": 2,
    "loadedUrl": "https://example.com/loaded",
    "payload": "a=1",
    "headers": {"X-Test": "1"},
    "userData": {"label": "DETAIL", "__crawlee": {"state": 3}, "price": 10.50},
    "noRetry": True,
    "errorMessages": ["first", "second"],
    "sessionRotationCount": 4,
    "ünïcode": "✓",
}


async def test_a_new_queue_has_what_clients_need(api: Client):
    queue = (await api.post(QUEUES)).data
    assert queue["username"] == api.username
    assert queue["hadMultipleClients"] is False
    counts = ("totalRequestCount", "handledRequestCount", "pendingRequestCount")
    assert [queue[name] for name in counts] == [0, 0, 0]
    assert queue["stats"] == {
        "readCount": 0,
        "writeCount": 0,
        "deleteCount": 0,
        "headItemReadCount": 0,
        "storageBytes": 0,
    }
    assert queue["consoleUrl"].endswith(queue["id"])
    assert (await api.get(f"{QUEUES}/{queue['id']}")).data["id"] == queue["id"]


async def test_a_named_queue_is_made_once_and_found_by_its_name(api: Client):
    first = await api.post(QUEUES, params={"name": "my-queue"})
    again = await api.post(QUEUES, params={"name": "my-queue"})
    assert (first.status, again.status) == (201, 200)
    assert first.headers["Location"] == f"{api.url}{QUEUES}/{first.data['id']}"
    added = await api.post(f"{QUEUES}/~my-queue/requests", json=request("a"))
    assert added.status == 201
    by_id = await QueueClient(api, first.data).counts()
    assert by_id == (1, 0, 1)


async def test_queues_can_be_renamed_listed_and_deleted(api: Client):
    queue = await QueueClient.create(api, "a")
    assert (await api.put(queue.path, json={"name": "renamed"})).data["name"] == "renamed"
    listed = (await api.get(QUEUES)).data
    assert [(item["name"], item["totalRequestCount"]) for item in listed["items"]] == [
        ("renamed", 1)
    ]
    assert (await api.delete(queue.path)).status == 204
    assert (await api.get(queue.path)).error["type"] == "record-not-found"


async def test_a_deleted_queue_takes_and_shows_no_requests(api: Client):
    queue = await QueueClient.create(api, "a")
    path = f"/requests/{await queue.id_of('a')}"
    await queue.lock()
    await api.delete(queue.path)
    calls: list[tuple[str, str, dict[str, Any]]] = [
        ("POST", "/requests", {"json": request("b")}),
        ("POST", "/requests", {"json": request("a")}),
        ("POST", "/requests/batch", {"json": [request("b")]}),
        ("DELETE", "/requests/batch", {"json": [{"uniqueKey": "a"}]}),
        ("POST", "/requests/unlock", {}),
        ("POST", "/head/lock", {"params": {"lockSecs": 5}}),
        ("GET", "/head", {}),
        ("GET", "/requests", {}),
        ("GET", path, {}),
        ("PUT", path, {"json": request("a")}),
        ("DELETE", path, {}),
        ("PUT", path + "/lock", {"params": {"lockSecs": 5}}),
        ("DELETE", path + "/lock", {}),
    ]
    for method, sub_path, options in calls:
        reply = await queue.call(method, sub_path, **options)
        assert (reply.status, reply.error["type"]) == (404, "record-not-found"), (method, sub_path)


async def test_others_can_neither_read_nor_change_a_queue(api: Client, other: Client):
    queue = await QueueClient.create(api, "a")
    for method, path in (("GET", "/head"), ("POST", "/requests"), ("GET", "/requests")):
        reply = await QueueClient(other, queue.created).call(method, path, json=request("b"))
        assert (reply.status, reply.error["type"]) == (403, "insufficient-permissions")
    assert (await queue.call("GET", "/head", token=None)).status == 403
    assert await queue.counts() == (1, 0, 1)


async def test_a_queue_open_to_anyone_with_its_id_can_be_read_but_not_changed(
    api: Client, other: Client
):
    queue = await QueueClient.create(api, "a")
    await api.put(queue.path, json={"generalAccess": "ANYONE_WITH_ID_CAN_READ"})
    stranger = QueueClient(other, queue.created)
    assert await stranger.head() == ["a"]
    assert (await queue.call("GET", "/requests", token=None)).data["items"][0]["uniqueKey"] == "a"
    assert (await stranger.add_one(request("b"))).status == 403
    await api.put(queue.path, json={"generalAccess": "RESTRICTED"})
    assert (await stranger.call("GET", "/head")).status == 403


async def test_adding_tells_whether_the_request_was_there(api: Client):
    queue = await QueueClient.create(api)
    first = await queue.add_one(request("a"))
    again = await queue.add_one(request("a", userData={"other": 1}))
    assert (first.status, again.status) == (201, 201)
    assert first.data == {
        "requestId": "ypeBEsobvcr6wjG",
        "wasAlreadyPresent": False,
        "wasAlreadyHandled": False,
    }
    assert again.data == {**first.data, "wasAlreadyPresent": True}
    await queue.handle("a")
    assert (await queue.add_one(request("a"))).data == {
        **again.data,
        "wasAlreadyHandled": True,
    }
    assert await queue.counts() == (1, 1, 0)


async def test_a_request_comes_back_as_it_was_sent(api: Client):
    queue = await QueueClient.create(api)
    request_id = (await queue.add_one(EVERYTHING)).data["requestId"]
    assert (await queue.get(request_id)).data == {"id": request_id, **EVERYTHING}
    assert (await queue.listed())["items"] == [{"id": request_id, **EVERYTHING}]


async def test_what_a_request_leaves_out_has_its_default(api: Client):
    queue = await QueueClient.create(api)
    sparse = {**request("a"), "method": None, "retryCount": None, "handledAt": None, "id": None}
    request_id = (await queue.add_one(sparse)).data["requestId"]
    expected = {"id": request_id, **request("a"), "method": "GET", "retryCount": 0}
    assert (await queue.get(request_id)).data == expected


async def test_a_compressed_body_is_understood(api: Client):
    queue = await QueueClient.create(api)
    body = brotli.compress(json.dumps([request("a")]).encode())
    headers = {"Content-Type": "application/json", "Content-Encoding": "br"}
    reply = await queue.call("POST", "/requests/batch", data=body, headers=headers)
    assert reply.status == 201
    assert await queue.head() == ["a"]


@pytest.mark.parametrize(
    "body",
    [
        pytest.param([], id="array"),
        pytest.param({"url": "https://example.com"}, id="no unique key"),
        pytest.param({"uniqueKey": "a"}, id="no url"),
        pytest.param(request("a", uniqueKey=""), id="empty unique key"),
        pytest.param(request("a", url=""), id="empty url"),
        pytest.param(request("a", url=5), id="url of another type"),
        pytest.param(request("a", method="get"), id="unknown method"),
        pytest.param(request("a", retryCount=-1), id="negative retry count"),
        pytest.param(request("a", retryCount=2**70), id="huge retry count"),
        pytest.param(request("a", handledAt="yesterday"), id="no date"),
        pytest.param(request("a", handledAt="0001-01-01T00:00:00+23:00"), id="date out of range"),
        pytest.param(request("a", userData="text"), id="user data of another type"),
        pytest.param(request("a", errorMessages=[1]), id="error message of another type"),
    ],
)
async def test_a_request_that_is_not_valid_is_refused(api: Client, body: Any):
    queue = await QueueClient.create(api)
    reply = await queue.add_one(body)
    assert (reply.status, reply.error["type"]) == (400, "invalid-request")
    batch = await queue.add_batch([request("b"), body])
    assert (batch.status, batch.error["type"]) == (400, "invalid-request")
    assert await queue.counts() == (0, 0, 0)


async def test_broken_json_is_refused(api: Client):
    queue = await QueueClient.create(api)
    for body in (b"", b"{", b'{"url": "\xff"}', b"[" * 100_000):
        headers = {"Content-Type": "application/json"}
        reply = await queue.call("POST", "/requests", data=body, headers=headers)
        assert (reply.status, reply.error["type"]) == (400, "invalid-request")


async def test_an_id_must_be_that_of_the_unique_key(api: Client):
    queue = await QueueClient.create(api, "a")
    right, wrong = await queue.id_of("a"), "AAAAAAAAAAAAAAA"
    assert (await queue.add_one(request("a", id=right))).status == 201
    replies = [
        await queue.add_one(request("a", id=wrong)),
        await queue.call("PUT", f"/requests/{wrong}", json=request("a")),
        await queue.call("PUT", f"/requests/{right}", json=request("a", id=wrong)),
        await queue.call("PUT", f"/requests/{right}", json=request("b")),
        await queue.call("DELETE", "/requests/batch", json=[{"id": wrong, "uniqueKey": "a"}]),
    ]
    assert {(reply.status, reply.error["type"]) for reply in replies} == {
        (400, "request-id-invalid")
    }
    assert await queue.head() == ["a"]


async def test_requests_come_out_as_they_went_in_and_forefront_ones_first(api: Client):
    queue = await QueueClient.create(api, "a", "b")
    await queue.add_one(request("c"), forefront="true")
    await queue.add("d", "e", forefront="1")
    await queue.add("f", forefront="false")
    assert await queue.head() == ["e", "d", "c", "a", "b", "f"]
    assert await queue.head(limit=2) == ["e", "d"]


async def test_adding_what_is_there_does_not_move_it(api: Client):
    queue = await QueueClient.create(api, "a", "b")
    [again] = await queue.add("b", forefront=True)
    assert again["wasAlreadyPresent"] is True
    assert await queue.head() == ["a", "b"]


async def test_a_batch_tells_about_each_of_its_requests(api: Client):
    queue = await QueueClient.create(api, "old", "done")
    await queue.handle("done")
    reply = await queue.add_batch([request(name) for name in ("old", "new", "done", "new")])
    assert reply.status == 201
    assert reply.data["unprocessedRequests"] == []
    told = [
        (item["uniqueKey"], item["wasAlreadyPresent"], item["wasAlreadyHandled"])
        for item in reply.data["processedRequests"]
    ]
    assert told == [
        ("old", True, False),
        ("new", False, False),
        ("done", True, True),
        ("new", True, False),
    ]
    assert await queue.counts() == (3, 1, 2)


async def test_a_batch_holds_25_requests_at_most(api: Client):
    queue = await QueueClient.create(api)
    names = [f"r{number}" for number in range(26)]
    for method in ("POST", "DELETE"):
        body = [request(name) for name in names]
        reply = await queue.call(method, "/requests/batch", json=body)
        assert (reply.status, reply.error["type"]) == (400, "too-many-requests")
    assert await queue.counts() == (0, 0, 0)
    await queue.add(*names[:25])
    assert await queue.head() == names[:25]
    assert (await queue.add_batch([])).data == {"processedRequests": [], "unprocessedRequests": []}
    assert (await queue.add_batch({"a": 1})).error["type"] == "invalid-request"


async def test_a_handled_request_leaves_the_head_and_clearing_it_brings_it_back(api: Client):
    queue = await QueueClient.create(api, "a", "b")
    handled = await queue.update("a", handledAt="2026-01-02T04:04:05.678901+01:00")
    assert handled.status == 200
    assert handled.data == {
        "requestId": await queue.id_of("a"),
        "wasAlreadyPresent": True,
        "wasAlreadyHandled": False,
    }
    assert await queue.head() == ["b"]
    assert await queue.counts() == (2, 1, 1)
    assert (await queue.get(await queue.id_of("a"))).data["handledAt"] == HANDLED_AT
    cleared = await queue.update("a")
    assert cleared.data["wasAlreadyHandled"] is True
    assert await queue.head() == ["b", "a"]
    assert await queue.counts() == (2, 0, 2)
    assert "handledAt" not in (await queue.get(await queue.id_of("a"))).data


async def test_handling_a_request_twice_counts_once(api: Client):
    queue = await QueueClient.create(api, "a")
    await queue.handle("a")
    again = await queue.update("a", handledAt=HANDLED_AT)
    assert again.data["wasAlreadyHandled"] is True
    assert await queue.counts() == (1, 1, 0)


async def test_an_update_replaces_the_request_and_puts_it_to_an_end(api: Client):
    queue = await QueueClient.create(api, "a", "b", "c")
    await queue.update("a", retryCount=1, errorMessages=["timed out"])
    assert await queue.head() == ["b", "c", "a"]
    await queue.update("c", params={"forefront": "true"}, userData={"x": 1})
    assert await queue.head() == ["c", "b", "a"]
    stored = (await queue.get(await queue.id_of("a"))).data
    assert (stored["retryCount"], stored["errorMessages"]) == (1, ["timed out"])
    await queue.update("a")
    assert "errorMessages" not in (await queue.get(await queue.id_of("a"))).data


async def test_updating_a_request_that_is_not_there_adds_it(api: Client):
    queue = await QueueClient.create(api)
    request_id = (await queue.add_one(request("a"))).data["requestId"]
    await queue.call("DELETE", f"/requests/{request_id}")
    body = request("a", handledAt=HANDLED_AT)
    reply = await queue.call("PUT", f"/requests/{request_id}", json=body)
    assert reply.data == {
        "requestId": request_id,
        "wasAlreadyPresent": False,
        "wasAlreadyHandled": False,
    }
    assert await queue.counts() == (1, 1, 0)
    assert await queue.head() == []


async def test_requests_are_removed_one_by_one(api: Client):
    queue = await QueueClient.create(api, "a", "b")
    await queue.handle("b")
    for name in ("a", "b"):
        path = f"/requests/{await queue.id_of(name)}"
        assert (await queue.call("DELETE", path)).status == 204
        assert (await queue.call("DELETE", path)).error["type"] == "record-not-found"
    assert await queue.counts() == (0, 0, 0)
    info = await queue.info()
    assert (info["stats"]["deleteCount"], info["stats"]["storageBytes"]) == (2, 0)
    assert [item["wasAlreadyPresent"] for item in await queue.add("a", "b")] == [False, False]


async def test_requests_are_removed_in_batches_by_id_or_unique_key(api: Client):
    queue = await QueueClient.create(api, "a", "b", "c", "d")
    await queue.handle("a")
    ids = await queue.ids()
    body = [
        {"id": ids["a"]},
        {"uniqueKey": "b"},
        {"id": ids["c"], "uniqueKey": "c"},
        {"uniqueKey": "never there"},
    ]
    reply = await queue.call("DELETE", "/requests/batch", json=body)
    assert reply.status == 200
    assert reply.data["unprocessedRequests"] == []
    removed = [item["uniqueKey"] for item in reply.data["processedRequests"]]
    assert removed == ["a", "b", "c", "never there"]
    assert await queue.counts() == (1, 0, 1)
    assert await queue.head() == ["d"]
    bad = await queue.call("DELETE", "/requests/batch", json=[{}])
    assert bad.error["type"] == "invalid-request"


async def test_a_request_that_is_not_there_is_not_found(api: Client):
    queue = await QueueClient.create(api)
    reply = await queue.get("AAAAAAAAAAAAAAA")
    assert (reply.status, reply.error["type"]) == (404, "record-not-found")


async def test_all_requests_are_listed_page_by_page(api: Client):
    queue = await QueueClient.create(api, *"abcdefg")
    await queue.handle("c")
    await queue.lock(2)
    found: list[str] = []
    page = await queue.listed(limit=3)
    while True:
        found += [item["uniqueKey"] for item in page["items"]]
        if "nextCursor" not in page:
            break
        assert (page["limit"], len(page["items"])) == (3, 3)
        cursor = page["nextCursor"]
        page = await queue.listed(limit=3, cursor=cursor)
        assert page["cursor"] == cursor
    assert sorted(found) == list("abcdefg")


async def test_the_deprecated_start_id_goes_on_behind_a_request(api: Client):
    queue = await QueueClient.create(api, *"abcde")
    everything = [item["id"] for item in (await queue.listed())["items"]]
    page = await queue.listed(exclusiveStartId=everything[1], limit=2)
    assert [item["id"] for item in page["items"]] == everything[2:4]
    assert page["exclusiveStartId"] == everything[1]


@pytest.mark.parametrize(
    ("states", "expected"),
    [
        ("pending", ["d", "e", "f", "g"]),
        ("locked", ["a", "b"]),
        ("locked,pending", ["a", "b", "d", "e", "f", "g"]),
    ],
)
async def test_lists_are_narrowed_to_states(api: Client, states: str, expected: list[str]):
    queue = await QueueClient.create(api, *"abcdefg")
    await queue.lock(2)
    await queue.handle("c")
    for limit in (1, 2, 3, 1000):
        page = await queue.listed(limit=limit, filter=states)
        found = [item["uniqueKey"] for item in page["items"]]
        while "nextCursor" in page:
            page = await queue.listed(limit=limit, filter=states, cursor=page["nextCursor"])
            found += [item["uniqueKey"] for item in page["items"]]
        assert sorted(found) == expected, limit


@pytest.mark.parametrize(
    ("params", "error"),
    [
        ({"filter": "handled"}, "param-not-one-of"),
        ({"cursor": "%%%"}, "invalid-parameter"),
        ({"cursor": "é"}, "invalid-parameter"),
        ({"cursor": "eyJwb3NpdGlvbiI6MWU5OTl9", "filter": "pending"}, "invalid-parameter"),
        ({"exclusiveStartId": "a", "filter": "pending"}, "invalid-parameter"),
        ({"exclusiveStartId": "a", "cursor": "e30"}, "invalid-parameter"),
        ({"limit": "-1"}, "invalid-parameter"),
        ({"limit": "many"}, "invalid-parameter"),
    ],
)
async def test_list_parameters_are_checked(api: Client, params: dict[str, str], error: str):
    queue = await QueueClient.create(api, "a")
    reply = await queue.call("GET", "/requests", params=params)
    assert (reply.status, reply.error["type"]) == (400, error)


async def test_cursors_that_were_made_up_do_no_harm(api: Client):
    queue = await QueueClient.create(api, "a")
    for text in (
        "eyJsb2NrZWRVbnRpbCI6IjIwMjYtMDEtMDFUMDA6MDA6MDBaIn0",  # a lock without an id
        "eyJyZXF1ZXN0SWQiOiIifQ",
        "e30",
    ):
        for states in ("locked", "pending", "locked,pending", ""):
            params = {"cursor": text, "filter": states}
            assert (await queue.call("GET", "/requests", params=params)).status == 200


async def test_limits_above_the_maximum_give_the_maximum(api: Client):
    queue = await QueueClient.create(api, "a")
    assert (await queue.listed(limit=20_000))["limit"] == 10_000
    assert (await queue.listed())["limit"] == 10_000
    assert (await queue.call("GET", "/head", params={"limit": 5000})).data["limit"] == 1000
    assert (await queue.call("GET", "/head")).data["limit"] == 1000
    assert (await queue.lock_head(limit=100))["limit"] == 25


async def test_a_page_of_large_requests_ends_early(api: Client):
    queue = await QueueClient.create(api)
    for number in range(5):
        await queue.add_one(request(f"large {number}", payload="x" * 5_000_000))
    first = await queue.listed()
    assert len(first["items"]) == 4
    rest = await queue.listed(cursor=first["nextCursor"])
    assert len(rest["items"]) == 1
    assert "nextCursor" not in rest


async def test_a_head_tells_what_workers_need(api: Client):
    queue = await QueueClient.create(api)
    await queue.add_one(EVERYTHING)
    head = (await queue.call("GET", "/head", params={"limit": 10})).data
    info = await queue.info()
    assert head == {
        "limit": 10,
        "queueModifiedAt": info["modifiedAt"],
        "hadMultipleClients": False,
        "items": [
            {
                "id": (await queue.ids())["GET|everything"],
                "uniqueKey": "GET|everything",
                "url": "https://example.com/everything",
                "method": "POST",
                "retryCount": 2,
            }
        ],
    }


async def test_a_queue_knows_when_several_clients_used_it(api: Client):
    queue = await QueueClient.create(api, "a", "b")
    await queue.handle("a")
    await queue.head()
    assert (await queue.info())["hadMultipleClients"] is False
    head = (await queue.as_client("two").call("GET", "/head")).data
    assert head["hadMultipleClients"] is True
    assert (await queue.call("GET", "/head")).data["hadMultipleClients"] is True
    assert (await queue.info())["hadMultipleClients"] is True


async def test_calls_without_a_client_key_are_new_clients_each(api: Client):
    queue = (await QueueClient.create(api)).as_client(None)
    await queue.add("a")
    assert (await queue.info())["hadMultipleClients"] is False
    await queue.add("a")
    assert (await queue.info())["hadMultipleClients"] is True


async def test_getting_a_request_or_the_queue_is_not_using_it(api: Client):
    queue = await QueueClient.create(api, "a")
    nobody = queue.as_client(None)
    await nobody.get((await queue.ids())["a"])
    await nobody.info()
    assert (await queue.info())["hadMultipleClients"] is False


@pytest.mark.parametrize("key", ["", "x" * 33])
async def test_client_keys_have_1_to_32_characters(api: Client, key: str):
    queue = (await QueueClient.create(api, "a")).as_client(key)
    for method, path in (("GET", "/head"), ("GET", "/requests"), ("POST", "/requests/unlock")):
        reply = await queue.call(method, path)
        assert (reply.status, reply.error["type"]) == (400, "invalid-client-key")
    assert await queue.as_client("x" * 32).head() == ["a"]


async def test_writes_and_bytes_are_counted_at_once(api: Client):
    queue = await QueueClient.create(api, "a", "b")
    await queue.handle("a")
    await queue.lock()
    stats = (await queue.info())["stats"]
    bytes_of_one = len("a") + len("https://example.com/a") + len("{}")
    assert (stats["writeCount"], stats["storageBytes"]) == (4, 2 * bytes_of_one)
    assert stats["headItemReadCount"] == 1


async def test_changes_and_locks_modify_the_queue_and_reads_do_not(api: Client):
    queue = await QueueClient.create(api, "a")
    times = [(await queue.info())["modifiedAt"]]
    await queue.head()
    await queue.add("a")
    assert (await queue.info())["modifiedAt"] == times[0]
    await queue.lock()
    times.append((await queue.info())["modifiedAt"])
    await queue.release("a")
    times.append((await queue.info())["modifiedAt"])
    assert times == sorted(set(times))
