"""Runs jobs as sandboxed processes of this machine, through the launcher: a process that outlives the server.

A launcher that died has taken its jobs with it; the next one, started by the first who notices, has them on
record as lost.
"""

import asyncio
import socket
import time
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

from callboard.executors.base import (
    Executor,
    Exit,
    ExitCause,
    Handle,
    LaunchSpec,
    Observer,
    Stats,
)
from callboard.executors.launcher import protocol
from callboard.executors.launcher.client import LauncherFailed, Link
from callboard.executors.launcher.handover import fetch_socket
from callboard.executors.launcher.protocol import Options

__all__ = ["LauncherFailed", "Options", "ProcessExecutor"]

_UNKNOWN = Exit(ExitCause.LOST, None, 0, 0, detail="no record of this job is left")
_FOLDER = "launcher"


class ProcessExecutor(Executor):
    """One for a data folder, in which the launcher keeps its own, `launcher/`. For use on one event loop.

    A launcher that serves already keeps the options it was started with while it has jobs.
    """

    name = "process"

    def __init__(self, data_dir: Path, options: Options | None = None) -> None:
        self._folder = data_dir.resolve() / _FOLDER
        self.options = options or Options()
        self._observer: Observer | None = None
        self._link: Link | None = None
        self._about: Mapping[str, Any] = {}
        self._running: set[str] = set()
        self._ended: dict[str, Exit] = {}
        self._waiting: dict[str, asyncio.Future[Exit]] = {}

    async def open(self, observer: Observer) -> None:
        """Raises LauncherFailed, which says why."""
        self._observer = observer
        self._folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        self._link = Link(
            self._folder, self.options, on_list=self._take_list, on_notice=self._take_notice
        )
        await self._link.open()
        if self._about["options"] != asdict(self.options) and not self._running:
            await self._link.replace_launcher()

    async def close(self, *, stop_jobs: bool) -> None:
        if self._link and stop_jobs:
            await self._link.shut_down()
        elif self._link:
            await self._link.close()
        self._link = None

    def rungs(self) -> Mapping[str, str]:
        return self._about["rungs"]

    @property
    def notes(self) -> tuple[str, ...]:
        return tuple(self._about["notes"])

    @property
    def api_address(self) -> str:
        return self._about["api_address"]

    @property
    def gateway_address(self) -> str | None:
        return self._about["gateway_address"]

    @property
    def listen_address(self) -> str:
        """To be listened on at `Options.api_port`."""
        return self._about["listen_address"]

    def jobs(self) -> Mapping[str, Handle]:
        return {job_id: self._handle(job_id) for job_id in (*self._running, *self._ended)}

    def _handle(self, job_id: str, address: str | None = None) -> Handle:
        return {"executor": self.name, "job_id": job_id, "address": address}

    async def start(self, spec: LaunchSpec) -> Handle:
        """The handle's `address` is the job's own on this machine, None where it has none.

        Raises LauncherFailed for a spec that makes no sense.
        """
        if spec.image is not None:
            return self._refuse(
                spec, "it was built as a container image; build it again to run it without"
            )
        answer = await self._connected.ask("start", spec=protocol.spec_to_json(spec))
        if spec.job_id not in self._ended:
            self._running.add(spec.job_id)
        return self._handle(spec.job_id, answer["address"])

    def _refuse(self, spec: LaunchSpec, reason: str) -> Handle:
        at = time.time_ns() // 1_000_000
        self._note_end(spec.job_id, Exit(ExitCause.NOT_STARTED, None, at, at, detail=reason))
        return self._handle(spec.job_id)

    async def wait(self, handle: Handle) -> Exit:
        job_id: str = handle["job_id"]
        if end := self._ended.get(job_id):
            return end
        if job_id not in self._running:
            return _UNKNOWN
        if job_id not in self._waiting:
            self._waiting[job_id] = asyncio.get_running_loop().create_future()
        return await asyncio.shield(self._waiting[job_id])

    async def stop(self, handle: Handle, *, grace_secs: float = 0) -> None:
        await self._connected.ask("stop", job_id=handle["job_id"], grace_secs=grace_secs)

    async def connect(self, handle: Handle, port: int) -> socket.socket:
        connection = await fetch_socket(self._folder, handle["job_id"])
        connection.setblocking(False)
        try:
            await asyncio.get_running_loop().sock_connect(connection, ("127.0.0.1", port))
        except BaseException:
            connection.close()
            raise
        return connection

    async def forget(self, handle: Handle) -> None:
        job_id: str = handle["job_id"]
        if job_id in self._ended:
            await self._connected.ask("forget", job_id=job_id)
            self._ended.pop(job_id, None)

    @property
    def _connected(self) -> Link:
        if self._link is None:
            raise LauncherFailed("the executor is not open")
        return self._link

    def _take_list(self, about: Mapping[str, Any]) -> None:
        """The launcher's word after connecting. What it does not know was lost with an earlier launcher."""
        self._about = about
        for job_id, end in about["ended"].items():
            self._note_end(job_id, protocol.exit_from_json(end))
        gone = self._running - set(about["running"])
        for job_id in gone:
            self._note_end(job_id, _UNKNOWN)
        self._running = set(about["running"])

    def _take_notice(self, notice: Mapping[str, Any]) -> None:
        if job_id := notice.get("exited"):
            self._note_end(job_id, protocol.exit_from_json(notice["exit"]))
        if self._observer and "log_grew" in notice:
            self._observer.log_grew(notice["log_grew"])
        if self._observer and "stats" in notice:
            for job_id, stats in notice["stats"].items():
                self._observer.stats(job_id, Stats(**stats))

    def _note_end(self, job_id: str, end: Exit) -> None:
        self._running.discard(job_id)
        self._ended[job_id] = end
        if (future := self._waiting.pop(job_id, None)) and not future.done():
            future.set_result(end)
