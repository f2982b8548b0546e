"""A server that builds and runs Actors with a container engine, from a pushed Dockerfile to a synchronous answer."""

import asyncio
import json
from collections.abc import AsyncGenerator, Callable

import pytest

from tests.actors import PRELUDE, ActorMaker
from tests.engines import ContainerEngine
from tests.server import Client, Server

pytestmark = pytest.mark.xdist_group("docker")

DOCKERFILE = """\
FROM apify/actor-python:3.11
COPY --chown=myuser:myuser . ./
CMD ["python3", "main.py"]
"""
ADDS = PRELUDE + 'set_value("OUTPUT", {"sum": sum(get_input()["numbers"]), "uid": os.getuid()})\n'
COUNTS = PRELUDE + "for n in range(8):\n    print('number', n, flush=True)\n    time.sleep(0.5)\n"


@pytest.fixture
def docker_server(
    dockerd: ContainerEngine, python_image: str, new_server: Callable[..., Server]
) -> Server:
    return new_server(executor="docker", docker_url=dockerd.url)


@pytest.fixture
async def docker_api(docker_server: Server) -> AsyncGenerator[Client]:
    async with Client(docker_server.url, docker_server.token, "admin") as client:
        yield client


async def built(api: Client, code: str) -> str:
    files = {"Dockerfile": DOCKERFILE, "main.py": code}
    return (await ActorMaker(api).built(files))["id"]


async def test_an_actor_with_a_dockerfile_answers_a_synchronous_run(docker_api: Client):
    actor_id = await built(docker_api, ADDS)
    reply = await docker_api.post(f"/v2/actors/{actor_id}/run-sync", json={"numbers": [1, 2, 3]})
    assert reply.status == 201, reply.body
    assert json.loads(reply.body) == {"sum": 6, "uid": 1000}
    build = (await docker_api.get(f"/v2/actors/{actor_id}/builds")).data["items"][0]
    whole = (await docker_api.get(f"/v2/actor-builds/{build['id']}")).data
    assert whole["stats"]["imageSizeBytes"] > 10_000_000
    log = (await docker_api.get(f"/v2/logs/{build['id']}")).body.decode()
    assert "step 1/" in log.lower()


NODE = """\
FROM apify/actor-node
COPY --chown=myuser:myuser . ./
RUN node --check main.js
CMD npm start --silent
"""
ADDS_IN_NODE = """\
const store = `${process.env.APIFY_API_BASE_URL}/v2/key-value-stores/${process.env.APIFY_DEFAULT_KEY_VALUE_STORE_ID}`
const headers = { authorization: `Bearer ${process.env.APIFY_TOKEN}`, 'content-type': 'application/json' }
const { numbers } = await (await fetch(`${store}/records/INPUT`, { headers })).json()
const body = JSON.stringify({ sum: numbers.reduce((a, b) => a + b), uid: process.getuid() })
await fetch(`${store}/records/OUTPUT`, { method: 'PUT', headers, body })
"""


@pytest.mark.usefixtures("node_image")
async def test_a_node_actor_with_a_dockerfile_answers_a_synchronous_run(docker_api: Client):
    package = '{"name": "adds", "type": "module", "scripts": {"start": "node main.js"}}'
    files = {"Dockerfile": NODE, "package.json": package, "main.js": ADDS_IN_NODE}
    actor_id = (await ActorMaker(docker_api).built(files))["id"]
    reply = await docker_api.post(f"/v2/actors/{actor_id}/run-sync", json={"numbers": [1, 2, 3]})
    assert reply.status == 201, reply.body
    assert json.loads(reply.body) == {"sum": 6, "uid": 1000}


async def test_a_run_goes_on_while_its_server_is_killed_and_is_found_again(
    docker_server: Server, docker_api: Client
):
    actor_id = await built(docker_api, COUNTS)
    run = (await docker_api.post(f"/v2/actors/{actor_id}/runs", params={"memory": 256})).data
    await docker_api.until_logged(run["id"], "number 1")
    docker_server.kill()
    await asyncio.sleep(1)  # in which the Actor prints without anybody to read
    docker_server.start()
    ended = await docker_api.get(f"/v2/actor-runs/{run['id']}", params={"waitForFinish": 30})
    assert ended.data["status"] == "SUCCEEDED"
    log = (await docker_api.get(f"/v2/logs/{run['id']}")).body.decode()
    lines = [line.partition(" ")[2] for line in log.splitlines() if " number " in line]
    assert lines == [f"number {n}" for n in range(8)]
    stamps = [line.partition(" ")[0] for line in log.splitlines() if " number " in line]
    assert stamps == sorted(set(stamps))


async def test_a_server_without_an_engine_says_so(new_server: Callable[..., Server]):
    with pytest.raises(AssertionError, match="The container engine cannot be used"):
        new_server(executor="docker", docker_url="unix:///nowhere/docker.sock")
