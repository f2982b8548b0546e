"""Runs jobs as containers, which outlive the server and the engine's clients alike.

The engine holds a container to its memory, its processes and its share of the processors whether a server is there or
not. A timeout is the server's to enforce: one that passes while none runs is enforced when the next one starts.
"""

import asyncio
import os
import socket
from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import structlog

from callboard.executors.base import (
    Executor,
    Exit,
    ExitCause,
    Handle,
    LaunchSpec,
    Observer,
    Stats,
)
from callboard.executors.docker.containers import Containers
from callboard.executors.docker.engine import Engine, EngineGone, EngineRefused
from callboard.executors.docker.job import ContainerJob, millis_of
from callboard.executors.docker.network import JobNetwork, close_network, open_network
from callboard.executors.docker.records import JobFolder, JobFolders, JobRecord, now_millis
from callboard.executors.docker.shield import Shield, shield_of
from callboard.executors.launcher.logfile import open_log

log = structlog.get_logger()

FOLDER = "docker"
_CLOSE_SECS = 20.0
_UNKNOWN = Exit(ExitCause.LOST, None, 0, 0, detail="no record of this job is left")


class DockerFailed(Exception):
    """The engine cannot be used. The message is for the operator."""


@dataclass(frozen=True)
class Options:
    url: str
    """Of the engine: unix:///path or tcp://host:port."""
    api_port: int = 0
    """Port of the internal API, the one service of the host that jobs may reach."""
    allow_local_network: bool = False


class DockerExecutor(Executor):
    """One for a data folder, in which it keeps its own, `docker/`. For use on one event loop."""

    name = "docker"

    def __init__(self, data_dir: Path, options: Options) -> None:
        self.options = options
        self._folders = JobFolders(data_dir.resolve() / FOLDER)
        self._observer: Observer | None = None
        self._starting: dict[str, asyncio.Task[None]] = {}
        self._jobs: dict[str, ContainerJob] = {}
        self._driving: dict[str, asyncio.Task[Exit]] = {}
        self._ended: dict[str, Exit] = {}
        self._removing: set[asyncio.Task[None]] = set()
        self._watching: asyncio.Task[None] | None = None

    async def open(self, observer: Observer) -> None:
        """Raises DockerFailed."""
        self._observer = observer
        try:
            self._engine = Engine(self.options.url)
        except ValueError as error:
            raise DockerFailed(f"{self.options.url} is no address of a container engine") from error
        try:
            await self._set_up()
        except (EngineGone, EngineRefused) as error:
            await self._let_go()
            await self._engine.__aexit__()
            raise DockerFailed(_explained(error)) from error
        self._watching = asyncio.create_task(
            self._containers.watch_memory(self._ran_out_of_memory), name="container events"
        )

    async def _set_up(self) -> None:
        self._folders.open()
        instance = self._folders.instance()
        self._shield: Shield = await shield_of(self._engine)
        self._network: JobNetwork = await open_network(
            self._engine,
            instance,
            api_port=self.options.api_port,
            allow_local=self.options.allow_local_network,
            makes_bridge=self._is_podman_here,
        )
        host = self._network.gateway if self.options.allow_local_network else None
        self._containers = Containers(self._engine, instance, self._network.name, host)
        await self._take_up()

    @property
    def _is_podman_here(self) -> bool:
        """Whether it is Podman whose bridges and control groups this process sees."""
        podman = self._shield.podman
        return podman is not None and not podman.is_rootless and self._engine.is_here

    async def close(self, *, stop_jobs: bool) -> None:
        if self._watching is None:
            return
        if stop_jobs:
            await asyncio.gather(*(self.stop(self._handle(job_id)) for job_id in self._running()))
            if driving := list(self._driving.values()):  # an engine that is down ends nothing
                await asyncio.wait(driving, timeout=_CLOSE_SECS)
        await self._let_go()
        if stop_jobs:
            await self._remove_everything()
        await self._engine.__aexit__()

    async def _let_go(self) -> None:
        """End what goes on here; the containers go on."""
        going_on: list[asyncio.Task[Any]] = [*self._starting.values(), *self._driving.values()]
        going_on += [] if self._watching is None else [self._watching]
        for task in going_on:
            task.cancel()
        await asyncio.gather(*going_on, *self._removing, return_exceptions=True)
        for job in self._jobs.values():
            job.let_go()
        self._watching = None

    async def _remove_everything(self) -> None:
        """Containers of ended jobs go, too; their records stay until they are forgotten."""
        try:
            for container in await self._containers.all():
                await self._containers.remove(container.id)
            await close_network(self._engine, self._folders.instance())
        except (EngineGone, EngineRefused) as error:
            log.warning("containers.not_removed", error=str(error))

    def rungs(self) -> Mapping[str, str]:
        return {**self._shield.rungs, "network": self._network.rung}

    @property
    def notes(self) -> tuple[str, ...]:
        return (*self._shield.notes, *self._network.notes)

    @property
    def api_address(self) -> str:
        return f"{self._network.gateway}:{self.options.api_port}"

    @property
    def listen_address(self) -> str:
        return self._network.gateway

    @property
    def gateway_address(self) -> str | None:
        return self._network.gateway

    def jobs(self) -> Mapping[str, Handle]:
        return {job_id: self._handle(job_id) for job_id in (*self._running(), *self._ended)}

    def _running(self) -> list[str]:
        return [job_id for job_id in self._jobs if job_id not in self._ended]

    def _handle(self, job_id: str) -> Handle:
        job = self._jobs.get(job_id)
        return {"executor": self.name, "job_id": job_id, "address": job.address if job else None}

    async def start(self, spec: LaunchSpec) -> Handle:
        """The handle's `address` is the container's own in the network of the jobs."""
        if spec.job_id not in self._ended and spec.job_id not in self._driving:
            starting = self._starting.get(spec.job_id)
            if starting is None:
                starting = asyncio.create_task(self._start(spec), name=f"start {spec.job_id}")
                self._starting[spec.job_id] = starting
            await asyncio.shield(starting)
        return self._handle(spec.job_id)

    async def _start(self, spec: LaunchSpec) -> None:
        folder = self._folders.folder(spec.job_id)
        try:
            await asyncio.to_thread(_begin_log, spec.log_path)
            record = JobRecord.of(spec, weighs=not self._shield.can_limit_disk)
            await asyncio.to_thread(folder.create, record)
            container_id = await self._containers.create(spec, self._shield)
            job = self._job(folder, record, container_id, noted=None)
            await self._containers.fill(container_id, spec)
            await asyncio.to_thread(folder.note_start)
            if self._is_podman_here:
                await self._containers.prepare(container_id)
                job.watch_process((await job.look())["State"])
            await self._containers.start(container_id)
            self._drive(job, folder, millis_of((await job.look())["State"]["StartedAt"]))
        except (EngineGone, EngineRefused, OSError, ValueError) as error:
            await self._not_started(spec, folder, str(error))
        finally:
            del self._starting[spec.job_id]

    async def _not_started(self, spec: LaunchSpec, folder: JobFolder, detail: str) -> None:
        job = self._jobs.pop(spec.job_id, None)
        at = now_millis()
        end = Exit(ExitCause.NOT_STARTED, None, at, at, detail=detail)
        await self._note_end(spec.job_id, folder, end)
        if job is not None:
            job.let_go()
            self._remove_later(job.container_id)

    def _job(
        self, folder: JobFolder, record: JobRecord, container_id: str, *, noted: ExitCause | None
    ) -> ContainerJob:
        job = ContainerJob(
            self._engine,
            folder,
            record,
            container_id,
            noted=noted,
            ends_logs=self._shield.podman is None,
            grew=partial(self._grew, record.log_id),
            measured=partial(self._measured, record.job_id),
        )
        self._jobs[record.job_id] = job
        return job

    def _grew(self, log_id: str) -> None:
        if self._observer:
            self._observer.log_grew(log_id)

    def _measured(self, job_id: str, stats: Stats) -> None:
        if self._observer:
            self._observer.stats(job_id, stats)

    def _drive(self, job: ContainerJob, folder: JobFolder, started_at_millis: int) -> None:
        driving = asyncio.create_task(self._to_the_end(job, folder, started_at_millis))
        self._driving[job.record.job_id] = driving

    async def _to_the_end(
        self, job: ContainerJob, folder: JobFolder, started_at_millis: int
    ) -> Exit:
        job_id = job.record.job_id
        try:
            end = await job.run(started_at_millis)
        except (EngineRefused, OSError) as error:
            log.error("container.not_followed", job_id=job_id, error=str(error))
            end = Exit(ExitCause.LOST, None, started_at_millis, now_millis(), detail=str(error))
        await self._note_end(job_id, folder, end)
        return end

    async def _note_end(self, job_id: str, folder: JobFolder, end: Exit) -> None:
        """Without disk space the end is known for as long as this server lives."""
        try:
            await asyncio.to_thread(folder.save_exit, end)
        except OSError as error:
            log.error("container.end_not_recorded", job_id=job_id, error=str(error))
        self._ended[job_id] = end

    async def wait(self, handle: Handle) -> Exit:
        job_id: str = handle["job_id"]
        if end := self._ended.get(job_id):
            return end
        driving = self._driving.get(job_id)
        return await asyncio.shield(driving) if driving else _UNKNOWN

    async def stop(self, handle: Handle, *, grace_secs: float = 0) -> None:
        job_id: str = handle["job_id"]
        job = self._jobs.get(job_id)
        if job is not None and job_id not in self._ended:
            await job.end_by(ExitCause.STOPPED, grace_secs=grace_secs)

    async def connect(self, handle: Handle, port: int) -> socket.socket:
        job = self._jobs.get(handle["job_id"])
        if job is None or job.address is None or handle["job_id"] in self._ended:
            raise ConnectionError("the job is not running")
        connection = socket.socket()
        connection.setblocking(False)
        try:
            await asyncio.get_running_loop().sock_connect(connection, (job.address, port))
        except BaseException:
            connection.close()
            raise
        return connection

    async def forget(self, handle: Handle) -> None:
        """The container is removed in the background; what a crash leaves of it, at the next start."""
        job_id: str = handle["job_id"]
        if job_id not in self._ended:
            return
        await asyncio.to_thread(self._folders.folder(job_id).remove)
        del self._ended[job_id]
        self._driving.pop(job_id, None)
        job = self._jobs.pop(job_id, None)
        if job is not None:
            self._remove_later(job.container_id)

    def _remove_later(self, container_id: str) -> None:
        task = asyncio.create_task(self._remove(container_id))
        self._removing.add(task)
        task.add_done_callback(self._removing.discard)

    async def _remove(self, container_id: str) -> None:
        try:
            await self._containers.remove(container_id)
        except (EngineGone, EngineRefused) as error:
            log.warning("container.not_removed", container=container_id, error=str(error))

    def _ran_out_of_memory(self, job_id: str) -> None:
        job = self._jobs.get(job_id)
        if job is not None and job_id not in self._ended:
            job.ran_out_of_memory()

    async def _take_up(self) -> None:
        """Find the jobs of earlier servers: what has ended, what runs, what nobody has a record of."""
        found = {container.job_id: container for container in await self._containers.all()}
        for folder in await asyncio.to_thread(list, self._folders.all()):
            record = await asyncio.to_thread(folder.load)
            if record is None:
                await asyncio.to_thread(folder.remove)
                continue
            if end := await asyncio.to_thread(folder.load_exit):
                self._ended[record.job_id] = end
                continue
            container = found.pop(record.job_id, None)
            if container is None:
                await self._lost(folder, record)
            elif container.was_started:
                await self._adopt(folder, record, container.id)
            else:  # whoever wanted it starts it again, or drops it
                await self._containers.remove(container.id)
                await asyncio.to_thread(folder.remove)
        for container in found.values():
            await self._containers.remove(container.id)

    async def _adopt(self, folder: JobFolder, record: JobRecord, container_id: str) -> None:
        noted = await asyncio.to_thread(folder.cause)
        job = self._job(folder, record, container_id, noted=noted)
        state: Mapping[str, Any] = (await job.look())["State"]
        if self._is_podman_here:
            job.watch_process(state)
        self._drive(job, folder, millis_of(state["StartedAt"]))

    async def _lost(self, folder: JobFolder, record: JobRecord) -> None:
        """Its container was removed, or never made: then a start will make it."""
        if folder.was_started():
            detail = "its container was removed while no server was there"
            at = record.noted_at_millis
            await self._note_end(
                record.job_id, folder, Exit(ExitCause.LOST, None, at, now_millis(), detail=detail)
            )
        else:
            await asyncio.to_thread(folder.remove)


def _begin_log(path: Path) -> None:
    """A job has a log from the beginning, also one that prints nothing."""
    os.close(open_log(path))


def _explained(error: EngineGone | EngineRefused) -> str:
    return f"{error}. Is it running, and may this user speak to it?"
