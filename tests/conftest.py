"""Fixtures for tests that talk to a live server. Each test worker has one server, each test an account of its own."""

import os
import shutil
import subprocess
import sys
from collections.abc import AsyncGenerator, Callable, Generator
from pathlib import Path
from typing import Any

import pytest

from tests.actors import ActorMaker
from tests.engines import ContainerEngine, Dockerd, NoEngine, Podman
from tests.receivers import Receiver, listening
from tests.scheduling import FileGroupScheduling
from tests.server import Client, Server


@pytest.fixture(scope="session")
def server(tmp_path_factory: pytest.TempPathFactory) -> Generator[Server]:
    """The server that most tests share. Actors may reach the machine's own services, where test sites are."""
    running = Server(
        tmp_path_factory.mktemp("server") / "data",
        allow_local_network="1",
        sync_wait_secs="60",
        memory_limit_mbytes="65536",
    ).start()
    yield running
    running.stop()


@pytest.fixture
def new_server(tmp_path: Path) -> Generator[Callable[..., Server]]:
    """Makes servers of a test's own, for tests that kill them or need other settings."""
    made: list[Server] = []

    def make(**settings: Any) -> Server:
        made.append(Server(tmp_path / f"data{len(made)}", **settings).start())
        return made[-1]

    yield make
    for one in made:
        one.stop()


@pytest.fixture
async def api(server: Server) -> AsyncGenerator[Client]:
    """A client with a fresh account."""
    username, token = await server.user()
    async with Client(server.url, token, username) as client:
        yield client


@pytest.fixture
async def other(server: Server) -> AsyncGenerator[Client]:
    """A client with another fresh account."""
    username, token = await server.user()
    async with Client(server.url, token, username) as client:
        yield client


@pytest.fixture
def actors(api: Client) -> ActorMaker:
    """Makes built Actors for the account of `api`."""
    return ActorMaker(api)


@pytest.fixture
async def receiver() -> AsyncGenerator[Receiver]:
    """Where webhooks of a test can be sent."""
    async with listening() as one:
        yield one


@pytest.fixture(scope="session")
def dockerd() -> Generator[ContainerEngine]:
    """A container engine with nothing in it."""
    yield from _started(Dockerd())


@pytest.fixture(scope="session")
def podman() -> Generator[ContainerEngine]:
    """Another engine, which speaks the first one's language."""
    yield from _started(Podman())


def _started(engine: ContainerEngine) -> Generator[ContainerEngine]:
    try:
        engine.start()
    except NoEngine as error:
        pytest.skip(str(error))
    yield engine
    engine.stop()


@pytest.fixture(scope="session")
def python_image(dockerd: ContainerEngine) -> str:
    return _bootstrapped(dockerd, "python")


@pytest.fixture(scope="session")
def podman_python_image(podman: ContainerEngine) -> str:
    return _bootstrapped(podman, "python")


@pytest.fixture(scope="session")
def node_image(dockerd: ContainerEngine) -> str:
    """Without the SDK, which takes a minute to install."""
    return _bootstrapped(dockerd, "node", "--no-sdk")


def _bootstrapped(engine: ContainerEngine, language: str, *options: str) -> str:
    """`apify/actor-python` and the like, made from packages as on a machine without a registry."""
    environment = {**os.environ, "CALLBOARD_DOCKER_URL": engine.url, "TMPDIR": str(engine.memory)}
    made = subprocess.run(
        [
            sys.executable,
            "-m",
            "callboard",
            "images",
            "bootstrap",
            language,
            "--installed",
            *options,
        ],
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )
    if "is not installed" in made.stderr:
        pytest.skip(made.stderr.strip())
    assert made.returncode == 0, made.stdout + made.stderr
    return f"apify/actor-{language}:latest"


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> FileGroupScheduling | None:
    return FileGroupScheduling(config, log) if config.getoption("dist") == "loadgroup" else None


def pytest_report_header() -> list[str]:
    missing = [
        program
        for program in ("bwrap", "node", "npm", "nft", "dockerd", "podman")
        if shutil.which(program, path=f"{os.environ.get('PATH', '')}:/usr/sbin:/sbin") is None
    ]
    return (
        [f"not here, so tests that need them are left out: {', '.join(missing)}"] if missing else []
    )
