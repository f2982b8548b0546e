"""`run-sync` of Actor tasks and the dataset items variants."""

import json
from typing import Any

import pytest

from tests.actors import ActorMaker
from tests.api.test_run_sync import ECHO, SMALL
from tests.server import Client

SCHEMA = {
    "title": "Closed",
    "type": "object",
    "schemaVersion": 1,
    "additionalProperties": False,
    "properties": {
        "a": {"title": "A", "type": "integer", "description": "d"},
        "b": {
            "title": "B",
            "type": "object",
            "description": "d",
            "editor": "json",
            "nullable": True,
        },
        "c": {"title": "C", "type": "integer", "description": "d", "default": 9},
    },
}


@pytest.fixture
async def task(api: Client, actors: ActorMaker) -> dict[str, Any]:
    """A task of an Actor that answers with its input."""
    actor = await actors.python(ECHO, files={".actor/INPUT_SCHEMA.json": json.dumps(SCHEMA)})
    return (
        await api.post(
            "/v2/actor-tasks",
            json={
                "actId": actor["id"],
                "name": "my-task",
                "input": {"a": 1, "b": {"x": 1, "y": 2}},
                "options": {"memoryMbytes": 128, "timeoutSecs": 50},
            },
        )
    ).data


async def test_a_get_runs_the_task_with_its_own_input(api: Client, task: dict[str, Any]):
    reply = await api.get(f"/v2/actor-tasks/{task['id']}/run-sync")
    assert (reply.status, reply.json) == (201, {"a": 1, "b": {"x": 1, "y": 2}, "c": 9})
    run = (await api.get(f"/v2/actor-tasks/{task['id']}/runs/last")).data
    assert (run["actorTaskId"], run["meta"]["origin"]) == (task["id"], "API")
    assert (run["options"]["memoryMbytes"], run["options"]["timeoutSecs"]) == (128, 50)


@pytest.mark.parametrize(
    ("override", "expected"),
    [
        ({"a": 2}, {"a": 2, "b": {"x": 1, "y": 2}, "c": 9}),
        ({"b": {"z": 3}}, {"a": 1, "b": {"z": 3}, "c": 9}),
        ({"b": None}, {"a": 1, "b": None, "c": 9}),
    ],
    ids=["one property", "an object is replaced whole", "an explicit null is kept"],
)
async def test_a_post_puts_its_properties_over_the_tasks(
    api: Client, task: dict[str, Any], override: dict[str, Any], expected: dict[str, Any]
):
    reply = await api.post("/v2/actor-tasks/~my-task/run-sync", json=override)
    assert (reply.status, reply.json) == (201, expected)


async def test_an_empty_post_is_the_plain_task(api: Client, task: dict[str, Any]):
    reply = await api.post(f"/v2/actor-tasks/{task['id']}/run-sync")
    assert reply.json == {"a": 1, "b": {"x": 1, "y": 2}, "c": 9}


async def test_an_unknown_property_is_refused_where_the_schema_says_so(
    api: Client, task: dict[str, Any]
):
    reply = await api.post(f"/v2/actor-tasks/{task['id']}/run-sync", json={"d": 1})
    assert (reply.status, reply.error["type"]) == (400, "invalid-input")
    assert "input.d is not allowed" in reply.error["message"]


@pytest.mark.parametrize("body", [b"[1]", b'{"a":', b'"x"'], ids=["array", "truncated", "string"])
async def test_a_body_that_is_no_object_is_invalid_input(
    api: Client, task: dict[str, Any], body: bytes
):
    reply = await api.post(
        f"/v2/actor-tasks/{task['id']}/run-sync",
        data=body,
        headers={"Content-Type": "application/json"},
    )
    assert (reply.status, reply.error) == (
        400,
        {
            "type": "invalid-input",
            "message": "Invalid input: The request body contains invalid data.",
        },
    )


async def test_a_missing_task_is_record_not_found(api: Client, other: Client, task: dict[str, Any]):
    expected = {"type": "record-not-found", "message": "The requested resource was not found."}
    missing = await api.get("/v2/actor-tasks/nothing/run-sync")
    assert (missing.status, missing.error) == (404, expected)
    foreign = await other.get(f"/v2/actor-tasks/{task['id']}/run-sync")
    assert (foreign.status, foreign.error) == (404, expected)


async def test_a_task_whose_actor_is_gone_is_not_found(api: Client, task: dict[str, Any]):
    await api.delete(f"/v2/acts/{task['actId']}")
    reply = await api.get(f"/v2/actor-tasks/{task['id']}/run-sync")
    assert (reply.status, reply.error["type"]) == (404, "record-not-found")


async def test_a_task_pointing_at_a_removed_tag_says_so(api: Client, task: dict[str, Any]):
    await api.put(f"/v2/acts/{task['actId']}", json={"taggedBuilds": {"latest": None}})
    reply = await api.get(f"/v2/actor-tasks/{task['id']}/run-sync")
    assert (reply.status, reply.error["type"]) == (403, "unknown-build-tag")


@pytest.fixture
async def pusher(actors: ActorMaker) -> str:
    """An Actor that pushes three items and exits at once with the code it is given."""
    return (
        await actors.python(
            """
            push([{"n": 1, "tags": ["a", "b"], "#h": 1}, {}, {"n": 3, "tags": []}])
            sys.exit(get_input().get("exit", 0))
            """
        )
    )["id"]


async def test_items_are_all_there_when_the_run_has_ended(api: Client, pusher: str):
    reply = await api.post(f"/v2/acts/{pusher}/run-sync-get-dataset-items", params=SMALL, json={})
    assert (reply.status, len(reply.json)) == (201, 3)
    assert reply.headers["X-Apify-Pagination-Total"] == "3"
    assert reply.headers["X-Apify-Pagination-Desc"] == "false"


@pytest.mark.parametrize(
    ("params", "expected"),
    [
        ({"format": "jsonl", "clean": 1}, b'{"n":1,"tags":["a","b"]}\n{"n":3,"tags":[]}'),
        ({"format": "csv", "fields": "n", "bom": 0}, b'n\n1\n""\n3'),
        ({"fields": "n", "outputFields": "m", "limit": 1}, b'[{"m":1}]'),
        ({"fields": "n", "desc": 1, "limit": 1, "offset": 0}, b'[{"n":3}]'),
        ({"unwind": "tags", "fields": "tags", "limit": 1}, b'[{"tags":"a"},{"tags":"b"}]'),
    ],
    ids=["clean jsonl", "csv", "renamed", "descending", "unwound"],
)
async def test_items_take_every_parameter_of_a_dataset(
    api: Client, pusher: str, params: dict[str, Any], expected: bytes
):
    reply = await api.post(
        f"/v2/acts/{pusher}/run-sync-get-dataset-items", params={**SMALL, **params}, json={}
    )
    assert reply.status == 201
    assert reply.body.replace(b"\r\n", b"\n").strip().replace(b", ", b",") == expected


async def test_renaming_needs_as_many_names_and_starts_no_run(api: Client, pusher: str):
    reply = await api.post(
        f"/v2/acts/{pusher}/run-sync-get-dataset-items",
        params={"fields": "a,b", "outputFields": "c"},
        json={},
    )
    assert reply.status == 400
    assert (await api.get(f"/v2/acts/{pusher}/runs")).data["total"] == 0


async def test_items_of_a_failed_run_are_only_in_its_dataset(api: Client, pusher: str):
    reply = await api.post(
        f"/v2/acts/{pusher}/run-sync-get-dataset-items", params=SMALL, json={"exit": 1}
    )
    assert (reply.status, reply.error["type"]) == (400, "run-failed")
    items = await api.get(f"/v2/acts/{pusher}/runs/last/dataset/items")
    assert len(items.json) == 3


async def test_items_of_a_task_run_by_get_and_post(api: Client, actors: ActorMaker):
    actor = await actors.python("push(get_input())")
    task = (
        await api.post(
            "/v2/actor-tasks",
            json={"actId": actor["id"], "input": {"x": 1}, "options": {"memoryMbytes": 128}},
        )
    ).data
    path = f"/v2/actor-tasks/{task['id']}/run-sync-get-dataset-items"
    assert (await api.get(path)).json == [{"x": 1}]
    assert (await api.post(path, json={"y": 2})).json == [{"x": 1, "y": 2}]


async def test_no_items_at_all(api: Client, actors: ActorMaker):
    actor = await actors.shell("true")
    path = f"/v2/acts/{actor['id']}/run-sync-get-dataset-items"
    assert (await api.get(path, params=SMALL)).json == []
    xml = await api.get(path, params={**SMALL, "format": "xml"})
    assert (xml.status, b"<items" in xml.body) == (201, True)
