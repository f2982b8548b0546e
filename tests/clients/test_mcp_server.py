"""The official MCP server, told only where this server is, as an assistant would use it."""

import json
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from tests.actors import ActorMaker
from tests.clients.mcp_client import McpSession, mcp_session
from tests.clients.node_tools import MCP_SERVER, environment, find_node, needs
from tests.server import Client, Server

pytestmark = [needs(MCP_SERVER), pytest.mark.xdist_group("cli")]

ADDER = """
numbers = get_input()["numbers"]
print("adding", len(numbers), "numbers")
push([{"sum": sum(numbers)}])
set_value("OUTPUT", {"sum": sum(numbers)})
"""
SCHEMA = {
    "title": "Numbers to add",
    "type": "object",
    "schemaVersion": 1,
    "properties": {
        "numbers": {
            "title": "Numbers",
            "type": "array",
            "description": "What to add up.",
            "editor": "json",
            "items": {"type": "integer"},
        }
    },
    "required": ["numbers"],
}


@pytest.fixture
async def adder(actors: ActorMaker) -> dict[str, Any]:
    """An Actor with an input schema, from which the MCP server makes a tool."""
    return await actors.python(
        ADDER, name="adder", title="Adder", files={"INPUT_SCHEMA.json": json.dumps(SCHEMA)}
    )


@asynccontextmanager
async def connected(
    api: Client, home: Path, *tools: str, token: str | None = None
) -> AsyncGenerator[McpSession]:
    variables = environment(
        home,
        home / "compiled",
        APIFY_TOKEN=token or api.token or "",
        APIFY_API_BASE_URL=api.url,
        TELEMETRY_ENABLED="false",
    )
    command = [find_node() or "node", str(MCP_SERVER), "--tools", ",".join(tools)]
    async with mcp_session(command, variables) as session:
        yield session


async def test_an_actor_is_a_tool_with_its_own_input(
    api: Client, adder: dict[str, Any], tmp_path: Path
):
    async with connected(api, tmp_path, f"{api.username}/adder") as session:
        tools = {one["name"]: one for one in (await session.request("tools/list"))["tools"]}
        name = f"{api.username}--adder"
        assert name in tools, list(tools)
        assert "numbers" in tools[name]["inputSchema"]["properties"]
        result = await session.tool(name, numbers=[1, 2, 39])
        assert not result.get("isError"), result
    [run] = (await api.get("/v2/actor-runs")).data["items"]
    assert result["structuredContent"]["runId"] == run["id"]
    assert (run["actId"], run["status"]) == (adder["id"], "SUCCEEDED")
    items = await api.get(f"/v2/datasets/{run['defaultDatasetId']}/items")
    assert items.json == [{"sum": 42}]
    assert run["meta"]["origin"] == "MCP"


async def test_a_run_is_called_and_its_results_and_log_are_read(
    api: Client, adder: dict[str, Any], tmp_path: Path
):
    async with connected(api, tmp_path, "actors", "runs", "storage") as session:
        called = await session.tool(
            "call-actor", actor=f"{api.username}/adder", input={"numbers": [3, 4]}, waitSecs=30
        )
        assert not called.get("isError"), called
        [run] = (await api.get("/v2/actor-runs")).data["items"]
        about = await session.tool("get-actor-run", runId=run["id"])
        items = await session.tool("get-dataset-items", datasetId=run["defaultDatasetId"])
        record = await session.tool(
            "get-key-value-store-record",
            keyValueStoreId=run["defaultKeyValueStoreId"],
            recordKey="OUTPUT",
        )
        log = await session.tool("get-actor-run-log", runId=run["id"])
    assert "SUCCEEDED" in str(about)
    assert items["structuredContent"]["items"] == [{"sum": 7}]
    assert '"sum":7' in str(record).replace(" ", "")
    assert "adding 2 numbers" in str(log)


async def test_actors_and_storages_are_found(api: Client, adder: dict[str, Any], tmp_path: Path):
    await api.post("/v2/datasets", params={"name": "things"})
    async with connected(api, tmp_path, "actors", "runs", "storage") as session:
        details = await session.tool("fetch-actor-details", actor=f"{api.username}/adder")
        found = await session.tool("search-actors", keywords="nothing has this name")
        datasets = await session.tool("get-dataset-list", unnamed=False)
        missing = await session.tool("get-actor-run", runId="absent")
    assert not details.get("isError") and "numbers" in str(details)
    assert not found.get("isError")
    assert "things" in str(datasets)
    assert missing["isError"]
    assert adder["title"] == "Adder"


async def test_a_token_that_only_runs_actors_is_enough(
    server: Server, api: Client, adder: dict[str, Any], tmp_path: Path
):
    async with server.accounts() as accounts:
        scopes = ["actors:read", "actors:run"]
        token = await accounts.create_token(api.username, scopes=scopes)
    async with connected(api, tmp_path, "actors", f"{api.username}/adder", token=token) as session:
        result = await session.tool(f"{api.username}--adder", numbers=[1, 2])
        assert not result.get("isError"), result
        dataset = result["structuredContent"]["storages"]["datasets"]["default"]["id"]
    items = await api.get(f"/v2/datasets/{dataset}/items")
    assert items.json == [{"sum": 3}]
