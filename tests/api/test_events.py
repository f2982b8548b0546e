"""The events websocket of a run: real figures, word of an abort, and nobody else's ears."""

import asyncio
import json
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from typing import Any

import aiohttp
import pytest

from callboard.core.vault import Vault
from tests.actors import ActorMaker
from tests.server import Client, Server

BUSY = """
data = bytearray(40 * 2**20)
end = time.time() + 600
while time.time() < end:
    sum(range(20000))
    time.sleep(0.02)
"""


@pytest.fixture(scope="module")
async def owner(server: Server) -> AsyncGenerator[Client]:
    username, token = await server.user()
    async with Client(server.url, token, username) as client:
        yield client


@pytest.fixture(scope="module")
async def busy_actor(owner: Client) -> str:
    """An Actor that holds 40 MB and computes, until it is stopped."""
    return (await ActorMaker(owner).python(BUSY))["id"]


@pytest.fixture
async def run(owner: Client, busy_actor: str) -> AsyncGenerator[dict[str, Any]]:
    one = (await owner.post(f"/v2/acts/{busy_actor}/runs", params={"memory": 256})).data
    yield one
    await owner.post(f"/v2/actor-runs/{one['id']}/abort")


def token_of(server: Server, run_id: str) -> str:
    vault = Vault((server.data_dir / "master.key").read_bytes())
    return f"callboard_run_{run_id}_{vault.sign('run-token', run_id)}"


@asynccontextmanager
async def connected(
    server: Server, run_id: str, token: str
) -> AsyncGenerator[aiohttp.ClientWebSocketResponse]:
    url = f"{server.url.replace('http', 'ws')}/events/{run_id}?token={token}"
    async with (
        asyncio.timeout(30),
        aiohttp.ClientSession() as session,
        session.ws_connect(url) as socket,
    ):
        yield socket


async def events(socket: aiohttp.ClientWebSocketResponse) -> AsyncGenerator[dict[str, Any]]:
    async for message in socket:
        assert message.type is aiohttp.WSMsgType.TEXT
        yield json.loads(message.data)


async def test_a_run_hears_its_own_figures(server: Server, run: dict[str, Any]):
    async with connected(server, run["id"], token_of(server, run["id"])) as socket:
        async for event in events(socket):
            data = event.get("data", {})
            if data.get("memCurrentBytes", 0) > 40 * 2**20 and data["cpuMaxUsage"] > 1:
                break
    assert event["name"] == "systemInfo"
    assert set(data) == {
        *("memAvgBytes", "memCurrentBytes", "memMaxBytes"),
        *("cpuAvgUsage", "cpuCurrentUsage", "cpuMaxUsage"),
        *("isCpuOverloaded", "createdAt"),
    }
    assert data["memMaxBytes"] < 256 * 2**20
    assert data["isCpuOverloaded"] is False


async def test_the_run_object_shows_the_same_figures_while_it_runs(
    server: Server, owner: Client, run: dict[str, Any]
):
    async with connected(server, run["id"], token_of(server, run["id"])) as socket:
        await anext(events(socket))
    stats = (await owner.get(f"/v2/actor-runs/{run['id']}")).data["stats"]
    assert stats["memMaxBytes"] > 0
    assert stats["durationMillis"] > 0 and stats["runTimeSecs"] == stats["durationMillis"] / 1000
    assert stats["computeUnits"] > 0


async def test_a_graceful_abort_is_announced(server: Server, owner: Client, run: dict[str, Any]):
    heard: list[str] = []
    async with connected(server, run["id"], token_of(server, run["id"])) as socket:
        path = f"/v2/actor-runs/{run['id']}/abort"
        aborting = (await owner.post(path, params={"gracefully": True})).data
        assert aborting["status"] == "ABORTING"
        async for event in events(socket):
            heard.append(event["name"])
            if {"aborting", "persistState"} <= set(heard):
                break


async def test_the_socket_closes_for_good_when_the_run_ends(
    server: Server, owner: Client, run: dict[str, Any]
):
    async with connected(server, run["id"], token_of(server, run["id"])) as socket:
        await owner.post(f"/v2/actor-runs/{run['id']}/abort")
        async for _ in events(socket):
            pass
        assert socket.close_code == 1008


@pytest.mark.parametrize("whose", ["account", "other run", "wrong", "none"])
async def test_other_tokens_are_turned_away(
    server: Server, owner: Client, run: dict[str, Any], whose: str
):
    token = {
        "account": owner.token,
        "other run": token_of(server, "A" * 17),
        "wrong": token_of(server, run["id"])[:-1] + "é",
        "none": "",
    }[whose]
    async with connected(server, run["id"], token or "") as socket:
        await socket.receive()
        assert socket.close_code == 1008


async def test_a_run_cannot_pile_up_connections(server: Server, run: dict[str, Any]):
    token = token_of(server, run["id"])
    url = f"{server.url.replace('http', 'ws')}/events/{run['id']}?token={token}"
    async with asyncio.timeout(30), aiohttp.ClientSession() as session:
        sockets = [await session.ws_connect(url) for _ in range(11)]
        last = sockets[-1]
        while not last.closed:
            await last.receive()
        assert last.close_code == 1008
        assert not sockets[0].closed
        for socket in sockets:
            await socket.close()
