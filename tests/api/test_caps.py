"""How many things an account may have, and how large a version may be."""

from collections.abc import AsyncGenerator
from pathlib import Path
from typing import Any

import pytest

from tests.server import Client, Server

VERSION = {"versionNumber": "0.0", "sourceType": "SOURCE_FILES", "sourceFiles": []}


@pytest.fixture(scope="module")
async def api(tmp_path_factory: pytest.TempPathFactory) -> AsyncGenerator[Client]:
    """An account on a server that allows two of everything."""
    folder: Path = tmp_path_factory.mktemp("caps")
    caps = {f"max_{name}": "2" for name in ("actors", "tasks", "schedules", "webhooks")}
    server = Server(folder / "data", **caps).start()
    async with Client(server.url, server.token, "admin") as client:
        yield client
    server.stop()


@pytest.fixture(scope="module")
async def actor(api: Client) -> dict[str, Any]:
    return (await api.post("/v2/acts", json={"name": "first", "versions": [VERSION]})).data


@pytest.mark.parametrize(
    ("path", "error"),
    [
        ("/v2/actor-tasks", "too-many-actor-tasks"),
        ("/v2/schedules", "too-many-schedules"),
        ("/v2/webhooks", "too-many-webhooks"),
        ("/v2/acts", "too-many-actors"),
    ],
)
async def test_an_account_has_as_many_as_are_allowed(
    api: Client, actor: dict[str, Any], path: str, error: str
):
    body = {
        "actId": actor["id"],
        "cronExpression": "@daily",
        "timezone": "UTC",
        "isEnabled": True,
        "isExclusive": False,
        "actions": [],
        "eventTypes": ["ACTOR.RUN.FAILED"],
        "condition": {"actorId": actor["id"]},
        "requestUrl": "https://example.com/",
    }
    existing = (await api.get(path)).data["total"]
    made = [await api.post(path, json=body) for _ in range(3)]
    assert [reply.status for reply in made].count(201) == 2 - existing
    refused = made[-1]
    assert (refused.status, refused.error["type"]) == (403, error)
    assert (await api.get(path)).data["total"] == 2
    newest = (await api.get(path, params={"desc": 1})).data["items"][0]["id"]
    await api.delete(f"{path}/{newest}")
    assert (await api.post(path, json=body)).status == 201


async def test_limits_tell_what_is_allowed(api: Client):
    limits = (await api.get("/v2/users/me/limits")).data["limits"]
    names = ("maxActorCount", "maxActorTaskCount", "maxScheduleCount")
    assert [limits[name] for name in names] == [2, 2, 2]


async def test_what_no_program_could_be_started_with_is_refused(api: Client, actor: dict[str, Any]):
    path = f"/v2/acts/{actor['id']}/versions/0.0/env-vars"
    long = await api.post(path, json={"name": "LONG", "value": "é" * 65_600})
    assert (long.status, long.error["type"]) == (400, "invalid-value")
    for number in range(8):
        body = {"name": f"V{number}", "value": "x" * 130_000}
        assert (await api.post(path, json=body)).status == 201
    one_more = await api.post(path, json={"name": "V8", "value": "x" * 130_000})
    assert (one_more.status, one_more.error["type"]) == (400, "invalid-value")


async def test_an_actor_has_at_most_a_hundred_versions(api: Client, actor: dict[str, Any]):
    path = f"/v2/acts/{actor['id']}"
    versions = [{**VERSION, "versionNumber": f"1.{number}"} for number in range(99)]
    assert (await api.put(path, json={"versions": [VERSION, *versions]})).status == 200
    reply = await api.post(f"{path}/versions", json={**VERSION, "versionNumber": "2.0"})
    assert (reply.status, reply.error["type"]) == (400, "too-many-versions")
    assert (await api.get(f"{path}/versions")).data["total"] == 100


async def test_the_sources_of_all_versions_have_a_size_together(api: Client, actor: dict[str, Any]):
    path = f"/v2/acts/{actor['id']}"
    await api.put(path, json={"versions": [VERSION]})
    file = {"name": "a", "format": "TEXT", "content": "x" * 9_000_000}
    statuses: list[int] = []
    for number in range(8):
        body = {**VERSION, "versionNumber": f"3.{number}", "sourceFiles": [file]}
        reply = await api.post(f"{path}/versions", json=body)
        statuses.append(reply.status)
    assert statuses == [201] * 7 + [400]
    assert reply.error["type"] == "versions-size-exceeded"
