"""Actors in Standby mode with the official SDKs, and an MCP server written as an Actor."""

import json
from typing import Any

import pytest

from tests.actors import ActorMaker
from tests.e2e.sdk import SdkActors, needs_node, python_program
from tests.server import Client

pytestmark = pytest.mark.xdist_group("sdk")

PYTHON = python_program("""
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

class Handler(BaseHTTPRequestHandler):
    def do_GET(self):
        is_probe = "x-apify-container-server-readiness-probe" in self.headers
        print("readiness probe" if is_probe else "request", flush=True)
        self.send_response(200)
        self.end_headers()
        self.wfile.write(f"{Actor.configuration.meta_origin} {self.path}".encode())

with ThreadingHTTPServer(("", Actor.configuration.web_server_port), Handler) as server:
    async def stop(_):
        print("aborting", flush=True)
        await asyncio.to_thread(server.shutdown)
    Actor.on(Event.ABORTING, stop)
    await asyncio.to_thread(server.serve_forever)
print("ends by itself", flush=True)
""")
NODE = """
import http from 'node:http';
import { Actor } from 'apify';

await Actor.init();
http.createServer((request, response) => {
    response.end(`${Actor.config.get('metaOrigin')} ${request.url}`);
}).listen(Actor.config.get('standbyPort'));
"""
MCP = """
import os
from mcp.server.fastmcp import FastMCP

server = FastMCP("sums", host="0.0.0.0", port=int(os.environ["ACTOR_STANDBY_PORT"]), stateless_http=True)

@server.tool()
def add(a: int, b: int) -> int:
    return a + b

server.run(transport="streamable-http")
"""
MEMORY = {"isEnabled": True, "memoryMbytes": 1024}


async def test_an_actor_of_the_python_sdk_stands_by_and_ends_when_idle(
    sdk: SdkActors, api: Client
) -> None:
    standby = {**MEMORY, "idleTimeoutSecs": 2}
    actor = await sdk.python(PYTHON, actorStandby=standby)
    reply = await api.get(f"{actor['standbyUrl']}/hello?a=1")
    assert reply.body == b"STANDBY /hello?a=1"
    (run,) = (await api.get(f"/v2/actors/{actor['id']}/runs")).data["items"]
    ended = (await api.get(f"/v2/actor-runs/{run['id']}", params={"waitForFinish": 60})).data
    assert (ended["status"], ended["exitCode"]) == ("ABORTED", 0)
    assert ended["statusMessage"] == "The standby run was idle for 2 seconds"
    log = await sdk.log(run)
    words = ("readiness probe", "request", "aborting", "ends by itself")
    assert [log.count(f" {word}\n") for word in words] == [1, 1, 1, 1]


@needs_node
async def test_an_actor_of_the_javascript_sdk_stands_by(sdk: SdkActors, api: Client) -> None:
    actor = await sdk.node(NODE, actorStandby=MEMORY)
    reply = await api.get(f"{actor['standbyUrl']}/hello?a=1")
    assert reply.body == b"STANDBY /hello?a=1"
    await api.post(f"/v2/actors/{actor['id']}/runs/last/abort")


async def test_an_mcp_server_is_used_through_its_standby_url(
    actors: ActorMaker, api: Client
) -> None:
    actor = await actors.built(
        {"main.py": MCP, "requirements.txt": "mcp==1.30.0\n"}, actorStandby=MEMORY
    )

    async def ask(method: str, params: dict[str, Any]) -> Any:
        body = {"jsonrpc": "2.0", "id": 1, "method": method, "params": params}
        headers = {"Accept": "application/json, text/event-stream"}
        reply = await api.post(f"{actor['standbyUrl']}/mcp", json=body, headers=headers)
        (event,) = [line for line in reply.body.decode().splitlines() if line.startswith("data: ")]
        return json.loads(event.removeprefix("data: "))["result"]

    about = {"protocolVersion": "2025-06-18", "capabilities": {}}
    hello = await ask("initialize", {**about, "clientInfo": {"name": "test", "version": "1"}})
    assert hello["serverInfo"]["name"] == "sums"
    answer = await ask("tools/call", {"name": "add", "arguments": {"a": 40, "b": 2}})
    assert answer["content"][0]["text"] == "42"
    await api.post(f"/v2/actors/{actor['id']}/runs/last/abort")
