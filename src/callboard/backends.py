"""What the settings choose for building and running Actors, as one set whose parts fit together."""

import os
from collections.abc import Mapping
from contextlib import AsyncExitStack
from dataclasses import dataclass
from pathlib import Path

from callboard.builders.base import Builder
from callboard.builders.docker.builder import DockerBuilder
from callboard.builders.docker.place import Place
from callboard.builders.process.builder import ProcessBuilder
from callboard.config import Settings
from callboard.executors.base import Executor, Observer
from callboard.executors.docker import executor as docker
from callboard.executors.docker.engine import default_url
from callboard.executors.docker.network import network_name
from callboard.executors.docker.records import instance_of
from callboard.executors.process import Options, ProcessExecutor


@dataclass(frozen=True)
class Backends:
    """`builds` starts the builder's driver, which is always a process of this machine."""

    runs: Executor
    builds: Executor
    builder: Builder

    @property
    def executors(self) -> tuple[Executor, ...]:
        return (self.builds,) if self.builds is self.runs else (self.builds, self.runs)

    async def open(self, observer: Observer) -> None:
        """All or none. Raises LauncherFailed, DockerFailed."""
        async with AsyncExitStack() as stack:
            for executor in self.executors:
                await executor.open(observer)
                stack.push_async_callback(executor.close, stop_jobs=False)
            stack.pop_all()

    async def close(self, *, stop_jobs: bool) -> None:
        """What runs goes first: builds may be on its network."""
        async with AsyncExitStack() as stack:
            for executor in reversed(self.executors):
                stack.push_async_callback(executor.close, stop_jobs=stop_jobs)


def choose(
    settings: Settings, data_dir: Path, *, api_port: int, environ: Mapping[str, str] = os.environ
) -> Backends:
    """None of them is open yet."""
    process = ProcessExecutor(
        data_dir,
        Options(
            api_port=api_port,
            allow_local_network=settings.allow_local_network,
            allow_unsandboxed=settings.allow_unsandboxed,
        ),
    )
    if settings.executor == "process":
        return Backends(process, process, ProcessBuilder())
    url = settings.docker_url or default_url(environ)
    options = docker.Options(url, api_port, settings.allow_local_network)
    instance = instance_of(data_dir / docker.FOLDER)
    place = Place(url, network_name(instance), instance)
    return Backends(docker.DockerExecutor(data_dir, options), process, DockerBuilder(place))
