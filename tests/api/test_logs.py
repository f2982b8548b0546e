"""Logs of runs and builds: whole, as they grow, with and without colours."""

import asyncio
import re
from collections.abc import AsyncGenerator
from typing import Any

import aiohttp
import pytest

from tests.actors import ActorMaker
from tests.server import Client, Server

LINE = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z .*")


@pytest.fixture(scope="module")
async def owner(server: Server) -> AsyncGenerator[Client]:
    username, token = await server.user()
    async with Client(server.url, token, username) as client:
        yield client


@pytest.fixture(scope="module")
async def coloured(owner: Client) -> dict[str, Any]:
    """A finished run whose log has a line in red."""
    actor = await ActorMaker(owner).shell("printf '\\033[31mred\\033[0m\\nplain\\n'; echo err >&2")
    params = {"memory": 128, "waitForFinish": 60}
    return (await owner.post(f"/v2/acts/{actor['id']}/runs", params=params)).data


def words(log: str) -> list[str]:
    return [line.partition(" ")[2] for line in log.splitlines()]


async def test_each_line_begins_with_its_time(owner: Client, coloured: dict[str, Any]):
    reply = await owner.get(f"/v2/logs/{coloured['id']}")
    assert reply.headers["Content-Type"] == "text/plain; charset=utf-8"
    assert reply.headers["X-Content-Type-Options"] == "nosniff"
    lines = reply.body.decode().splitlines()
    assert all(LINE.fullmatch(line) for line in lines)
    assert [word for word in words(reply.body.decode()) if not word.startswith("ACTOR:")] == [
        "red",
        "plain",
        "err",
    ]


async def test_raw_keeps_the_colours(owner: Client, coloured: dict[str, Any]):
    reply = await owner.get(f"/v2/logs/{coloured['id']}", params={"raw": "1"})
    assert b"\x1b[31mred\x1b[0m" in reply.body


async def test_a_download_has_a_file_name(owner: Client, coloured: dict[str, Any]):
    reply = await owner.get(f"/v2/logs/{coloured['id']}", params={"download": "true"})
    assert reply.headers["Content-Disposition"] == f'attachment; filename="{coloured["id"]}.log"'


async def test_the_same_log_is_found_under_the_run_and_its_actor(
    owner: Client, coloured: dict[str, Any]
):
    whole = (await owner.get(f"/v2/logs/{coloured['id']}")).body
    for path in (f"actor-runs/{coloured['id']}", f"acts/{coloured['actId']}/runs/last"):
        assert (await owner.get(f"/v2/{path}/log")).body == whole
    build = f"/v2/actor-builds/{coloured['buildId']}/log"
    assert (await owner.get(build)).body == (
        await owner.get(f"/v2/logs/{coloured['buildId']}")
    ).body


@pytest.mark.parametrize(
    "log_id", ["AAAAAAAAAAAAAAAAA", "..%2f..%2fmaster", "%2Fetc%2Fpasswd", "%00", "*", "a" * 3000]
)
async def test_other_names_than_those_of_runs_and_builds_find_nothing(owner: Client, log_id: str):
    url = aiohttp.client.URL(f"{owner.url}/v2/logs/{log_id}", encoded=True)
    async with aiohttp.ClientSession() as session:
        headers = {"Authorization": f"Bearer {owner.token}"}
        async with session.get(url, headers=headers) as reply:
            assert reply.status == 404
            assert (await reply.json())["error"]["type"] == "record-not-found"


async def test_a_stream_shows_lines_as_they_come_and_ends_with_the_run(owner: Client):
    script = "echo first; while [ ! -e /tmp/go ]; do sleep 0.1; test $((i+=1)) -gt 4 && break; done; echo last"
    actor = await ActorMaker(owner).shell(script)
    run = (await owner.post(f"/v2/acts/{actor['id']}/runs", params={"memory": 128})).data
    chunks: list[str] = []
    was_running = False
    async with asyncio.timeout(30), aiohttp.ClientSession() as session:
        headers = {"Authorization": f"Bearer {owner.token}"}
        url = f"{owner.url}/v2/logs/{run['id']}?stream=1"
        async with session.get(url, headers=headers) as reply:
            async for chunk in reply.content.iter_any():
                chunks.append(chunk.decode())
                if "first" in chunk.decode():
                    state = (await owner.get(f"/v2/actor-runs/{run['id']}")).data
                    was_running = state["finishedAt"] is None
    assert was_running
    assert [word for word in words("".join(chunks)) if word in ("first", "last")] == [
        "first",
        "last",
    ]
    assert (await owner.get(f"/v2/actor-runs/{run['id']}")).data["status"] == "SUCCEEDED"


async def test_the_stream_of_a_finished_run_ends_at_once(owner: Client, coloured: dict[str, Any]):
    path = f"/v2/logs/{coloured['id']}"
    async with asyncio.timeout(5):
        streamed = (await owner.get(path, params={"stream": "true"})).body
    assert streamed == (await owner.get(path)).body


async def test_a_reader_who_leaves_the_stream_stops_nothing(owner: Client):
    actor = await ActorMaker(owner).shell("for i in 1 2 3 4 5; do echo $i; sleep 0.1; done")
    run = (await owner.post(f"/v2/acts/{actor['id']}/runs", params={"memory": 128})).data
    headers = {"Authorization": f"Bearer {owner.token}"}
    async with aiohttp.ClientSession() as session:
        url = f"{owner.url}/v2/logs/{run['id']}?stream=1"
        async with session.get(url, headers=headers) as reply:
            await reply.content.readany()
    ended = await owner.get(f"/v2/actor-runs/{run['id']}", params={"waitForFinish": 30})
    assert ended.data["status"] == "SUCCEEDED"
    assert words((await owner.get(f"/v2/logs/{run['id']}")).body.decode())[-5:] == list("12345")


async def test_secrets_of_the_environment_do_not_reach_the_log(owner: Client):
    variables = [{"name": "PASSWORD", "value": "hunter2-and-more", "isSecret": True}]
    actor = await ActorMaker(owner).shell(
        'echo "password $PASSWORD token $APIFY_TOKEN"', version={"envVars": variables}
    )
    params = {"memory": 128, "waitForFinish": 60}
    run = (await owner.post(f"/v2/acts/{actor['id']}/runs", params=params)).data
    log = (await owner.get(f"/v2/logs/{run['id']}", params={"raw": 1})).body.decode()
    assert "password ***" in log
    assert "hunter2" not in log and "callboard_run_" not in log
