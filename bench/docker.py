"""Runs and builds with a container engine, against what the engine itself takes for the same."""

import http.client
import json
import os
import socket
import subprocess
import sys
from collections.abc import Iterator, Mapping
from typing import Any

from tests.engines import Dockerd, NoEngine

from bench.builds import first_and_again, python_project
from bench.http import Client
from bench.plan import Plan
from bench.report import Goal, Result
from bench.server import Server
from bench.timing import interleaved

_FILES = {"Dockerfile": 'FROM apify/actor-python:latest\nCMD ["true"]\n'}
_MIB = 1024 * 1024


def measure(server: Server, plan: Plan) -> Iterator[Result]:
    """On a server and an engine of its own; nothing where none can be started, or in a hurry."""
    if plan.quick:
        return
    try:
        engine = Dockerd().start()
    except NoEngine as error:
        print(f"      left out: {error}")
        return
    try:
        _make_image(engine)
        with Server(executor="docker", docker_url=engine.url) as own:
            yield from _runs(own, engine, plan)
            yield first_and_again(own, plan, "Python SDK Actor with Docker", python_project())
    finally:
        engine.stop()


def _make_image(engine: Dockerd) -> None:
    subprocess.run(
        [sys.executable, "-m", "callboard", "images", "bootstrap", "--installed"],
        env={**os.environ, "CALLBOARD_DOCKER_URL": engine.url, "TMPDIR": str(engine.memory)},
        stdout=subprocess.DEVNULL,
        check=True,
    )


def _runs(server: Server, engine: Dockerd, plan: Plan) -> Iterator[Result]:
    actor_id = server.build(_FILES)
    client, docker = server.client(), _Engine(engine.url)
    image, network = docker.newest_image(), docker.network()
    run_to_end(client, actor_id)
    docker.run(image, network)
    pair = interleaved(
        plan.rounds(20),
        {
            "Callboard": lambda: run_to_end(client, actor_id),
            "Docker": lambda: docker.run(image, network),
        },
    )
    ratio = pair["Callboard"].p50 / pair["Docker"].p50
    yield Result("container by Callboard / by Docker itself", ratio, "x", Goal(1.15), pair)
    client.close()


def run_to_end(client: Client, actor_id: str) -> None:
    run = client.ask("POST", f"/v2/actors/{actor_id}/runs?memory=256&waitForFinish=60").data
    if run["status"] != "SUCCEEDED":
        raise RuntimeError(f"the run {run['status']}: {run['statusMessage']}")


class _Connection(http.client.HTTPConnection):
    def __init__(self, path: str) -> None:
        super().__init__("localhost")
        self._path = path

    def connect(self) -> None:
        self.sock = socket.socket(socket.AF_UNIX)
        self.sock.connect(self._path)


class _Engine:
    """What `docker create`, `start` and `wait` ask of an engine, with as little around it as can be."""

    def __init__(self, url: str) -> None:
        self._connection = _Connection(url.removeprefix("unix://"))

    def run(self, image: str, network: str) -> None:
        host = {
            "Init": True,
            "NetworkMode": network,
            "Memory": 256 * _MIB,
            "MemorySwap": 256 * _MIB,
            "CapDrop": ["ALL"],
        }
        config = {"Image": image, "Entrypoint": ["true"], "HostConfig": host}
        container = self._ask("POST", "/containers/create", config)["Id"]
        self._ask("POST", f"/containers/{container}/start")
        if self._ask("POST", f"/containers/{container}/wait")["StatusCode"] != 0:
            raise RuntimeError("the container failed")

    def newest_image(self) -> str:
        return self._ask("GET", "/images/json")[0]["Id"]

    def network(self) -> str:
        names = [network["Name"] for network in self._ask("GET", "/networks")]
        return next(name for name in names if name.startswith("callboard-"))

    def _ask(self, method: str, path: str, body: Mapping[str, Any] | None = None) -> Any:
        headers = {"Content-Type": "application/json"}
        content = None if body is None else json.dumps(body)
        self._connection.request(method, f"/v1.41{path}", content, headers)
        answer = self._connection.getresponse()
        text = answer.read()
        if answer.status >= 400:
            raise RuntimeError(f"{answer.status}: {text!r}")
        return json.loads(text) if text else None
