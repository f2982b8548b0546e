"""OpenAPI documents: of this server, and of an Actor."""

import json
from typing import Any

import jsonschema_rs
import pytest

from tests.actors import ActorMaker
from tests.server import Client

SCHEMA = {
    "title": "Input",
    "type": "object",
    "schemaVersion": 1,
    "required": ["count"],
    "properties": {
        "count": {
            "title": "Count",
            "type": "integer",
            "description": "How many",
            "editor": "number",
            "minimum": 1,
        }
    },
}


@pytest.fixture
async def actor(actors: ActorMaker) -> dict[str, Any]:
    files = {"INPUT_SCHEMA.json": json.dumps(SCHEMA)}
    return await actors.python("", files=files, title="Counter")


async def test_the_server_describes_itself_to_anyone(api: Client):
    document = (await api.get("/v2/openapi.json", token=None)).json
    assert document["openapi"].startswith("3.1")
    assert document["servers"] == [{"url": api.url}]
    assert "post" in document["paths"]["/v2/actors/{actorId}/run-sync"]


async def test_an_actor_is_described_with_its_input(api: Client, actor: dict[str, Any]):
    path = f"/v2/actors/{actor['id']}/builds/default/openapi.json"
    document = (await api.get(path)).json
    assert document["info"]["title"] == "Counter"
    assert document["servers"] == [{"url": f"{api.url}/v2"}]
    run_sync = f"/actors/{api.username}~{actor['name']}/run-sync"
    assert "post" in document["paths"][run_sync]
    validator = jsonschema_rs.Draft7Validator(document["components"]["schemas"]["input"])
    assert validator.is_valid({"count": 1})
    assert not validator.is_valid({"count": 0}) and not validator.is_valid({})


async def test_the_described_path_runs_the_actor(api: Client, actor: dict[str, Any]):
    path = f"/v2/actors/{actor['id']}/builds/default/openapi.json"
    document = (await api.get(path)).json
    described = next(one for one in document["paths"] if one.endswith("/run-sync"))
    reply = await api.post(
        document["servers"][0]["url"] + described.replace("~", "%7E"), json={"count": 2}
    )
    assert reply.status == 201


async def test_a_build_is_described_to_who_knows_its_id(api: Client, actor: dict[str, Any]):
    build = (await api.get(f"/v2/actors/{actor['id']}/builds/default")).data
    for path in (
        f"/v2/actor-builds/{build['id']}/openapi.json",
        f"/v2/actors/{actor['id']}/builds/{build['id']}/openapi.json",
    ):
        document = (await api.get(path, token=None)).json
        assert document["info"]["x-build-id"] == build["id"]
    unknown = await api.get("/v2/actor-builds/nothing/openapi.json")
    assert (unknown.status, unknown.error["type"]) == (404, "record-not-found")
