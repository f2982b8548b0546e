"""The launcher itself: answers servers, keeps the jobs, and ends when nobody needs it any more."""

import os
import socket
import sys
from collections.abc import Callable, Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

from callboard.executors.base import Exit
from callboard.executors.launcher import protocol
from callboard.executors.launcher.cgroups import Cgroups, Group
from callboard.executors.launcher.disk import DiskWatch
from callboard.executors.launcher.hostetc import HostEtc
from callboard.executors.launcher.job import Job
from callboard.executors.launcher.ladder import probe
from callboard.executors.launcher.loop import READ, Loop, Timer
from callboard.executors.launcher.network import Network
from callboard.executors.launcher.notices import Connection, Notices
from callboard.executors.launcher.protocol import Options
from callboard.executors.launcher.records import JobFolders
from callboard.executors.launcher.slots import Slots
from callboard.executors.launcher.workplace import Site

_IDLE_SECS = 30.0
_TICK_SECS = 1.0
_CLEAN_SECS = 0.5
_SYNC_SECS = 1.0
_DELETE = 'exec rm -rf -- "$@"'
_DELETE_ALL = f'unshare --map-root-user -- rm -rf -- "$@" 2>/dev/null || {_DELETE}'
"""Not only root could delete what jobs and overlays have closed: so can root of a user namespace."""


class Launcher:
    """One for a folder. Call `run`; it returns when the launcher has nothing to do any more."""

    def __init__(
        self, root: Path, options: Options, *, cgroups: Cgroups, network: Network, overlay: bool
    ) -> None:
        self._options = options
        self._loop = Loop()
        self._notices = Notices(self._loop)
        self._folders = JobFolders(root)
        self._network = network
        self._groups: list[Group] = []
        ladder = probe(root, cgroups, overlay=overlay, options=options)
        self._site = Site(
            loop=self._loop,
            slots=Slots(self._loop, cgroups, network, self._groups.append, has_mounts=overlay),
            ladder=ladder,
            folders=self._folders,
            etc=HostEtc(root / "etc"),
            reporter=self,
        )
        self._disk = DiskWatch(self._loop, root)
        self._jobs: dict[str, Job] = {}
        self._ended: dict[str, Exit] = dict(self._folders.ended())
        self._cleaning_soon = False
        self._cleaner: int | None = None
        self._ticking = False
        self._idle: Timer | None = None
        self._when_done: list[Callable[[], None]] = []
        self._loop.after_reaping = self._check_jobs
        self._requests: dict[str, Callable[[Mapping[str, Any]], Mapping[str, Any]]] = {
            "start": self._start,
            "stop": self._stop,
            "forget": self._forget,
            "list": self._list,
        }
        self._clean()

    def run(self, listener: socket.socket) -> None:
        self._loop.watch(listener.fileno(), READ, lambda: self._accept(listener))
        self._loop.call_later(0, self._site.etc.current)
        self._site.slots.refill()
        self._consider_leaving()
        self._loop.run()
        self._site.slots.close()

    # Reporter

    def log_grew(self, log_id: str) -> None:
        self._notices.log_grew(log_id)

    def ended(self, job_id: str) -> None:
        job = self._jobs.pop(job_id)
        if job.end:
            self._ended[job_id] = job.end
            self._notices.flush_log(job.spec.log_id)
            self._notices.tell({"exited": job_id, "exit": protocol.exit_to_json(job.end)})
            self._loop.call_later(_SYNC_SECS, lambda: self._sync(job_id))
        self._clean_soon()
        if not self._jobs:
            self._loop.call_later(0, self._all_done)

    # servers

    def _accept(self, listener: socket.socket) -> None:
        peer, _ = listener.accept()
        connection = Connection(self._loop, peer)
        connection.on_message = lambda message: self._answer(connection, message)
        connection.on_close = lambda: self._lost(connection)
        self._notices.connections.add(connection)

    def _lost(self, connection: Connection) -> None:
        self._notices.connections.discard(connection)
        self._consider_leaving()

    def _answer(self, connection: Connection, message: dict[str, Any]) -> None:
        def reply(answer: Mapping[str, Any]) -> None:
            connection.send({"reply": message.get("n"), **answer})

        try:
            if message["do"] == "shutdown":
                self._shut_down(kill=bool(message["kill"]), reply=reply)
            elif message["do"] == "socket":
                with self._open_socket(message["job_id"]) as given:
                    connection.hand_over({"reply": message.get("n")}, given)
            else:
                reply(self._requests[message["do"]](message))
        except (KeyError, TypeError, ValueError, OSError) as error:
            reply({"error": f"{type(error).__name__}: {error}"})

    def _start(self, message: Mapping[str, Any]) -> Mapping[str, Any]:
        spec = protocol.spec_from_json(message["spec"])
        folder = self._folders.folder(spec.job_id)
        if spec.job_id not in self._jobs and spec.job_id not in self._ended:
            job = self._jobs[spec.job_id] = Job(spec, folder, self._site)
            job.start()
            self._tick_while_busy()
        running = self._jobs.get(spec.job_id)
        return {"address": running.address if running else None}

    def _stop(self, message: Mapping[str, Any]) -> Mapping[str, Any]:
        if job := self._jobs.get(message["job_id"]):
            job.stop(float(message["grace_secs"]))
        return {}

    def _forget(self, message: Mapping[str, Any]) -> Mapping[str, Any]:
        job_id = message["job_id"]
        if job_id in self._jobs:
            raise ValueError("the job is still running")
        self._folders.discard(self._folders.folder(job_id))
        self._ended.pop(job_id, None)
        self._clean_soon()
        return {}

    def _open_socket(self, job_id: str) -> socket.socket:
        if job_id not in self._jobs:
            raise ConnectionError("the job is not running")
        return self._jobs[job_id].open_socket()

    def _sync(self, job_id: str) -> None:
        """Most ends are in the server's hands by now, and their records gone: flushing them all would cost much."""
        if job_id in self._ended:
            try:
                self._folders.folder(job_id).sync_exit()
            except OSError as error:
                sys.stderr.write(f"the exit record of {job_id} is not on disk: {error}\n")

    def _list(self, _: Mapping[str, Any]) -> Mapping[str, Any]:
        network = self._network
        return {
            "running": list(self._jobs),
            "ended": {job_id: protocol.exit_to_json(end) for job_id, end in self._ended.items()},
            "rungs": {**self._site.ladder.rungs(), "network": network.rung},
            "notes": [note for note in (self._site.ladder.why, network.description) if note],
            "gateway_address": network.gateway_address,
            "listen_address": network.listen_address,
            "api_address": network.api_address,
            "options": asdict(self._options),
        }

    def _shut_down(self, *, kill: bool, reply: Callable[[Mapping[str, Any]], None]) -> None:
        if self._jobs and not kill:
            raise ValueError("jobs are still running")

        def done() -> None:
            reply({})
            self._loop.stop()

        self._when_done.append(done)
        for job in list(self._jobs.values()):
            job.stop(0)
        if not self._jobs:
            self._all_done()

    # what happens by itself

    def _check_jobs(self) -> None:
        for job in list(self._jobs.values()):
            job.check()

    def _all_done(self) -> None:
        if self._jobs:
            return
        for call in self._when_done:
            call()
        self._consider_leaving()

    def _consider_leaving(self) -> None:
        """With no job and no server for a while there is nobody to be here for."""
        if self._idle:
            self._idle.cancel()
            self._idle = None
        if not self._jobs and not self._notices.connections:
            self._idle = self._loop.call_later(_IDLE_SECS, self._leave_if_idle)

    def _leave_if_idle(self) -> None:
        if not self._jobs and not self._notices.connections:
            self._loop.stop()

    def _tick_while_busy(self) -> None:
        if self._jobs and not self._ticking:
            self._ticking = True
            self._loop.call_later(_TICK_SECS, self._tick)

    def _tick(self) -> None:
        self._ticking = False
        self._tick_while_busy()
        samples = {job_id: job.sample() for job_id, job in list(self._jobs.items())}
        stats = {job_id: asdict(sample) for job_id, sample in samples.items() if sample}
        if stats:
            self._notices.tell({"stats": stats}, may_be_missed=True)
        self._groups[:] = [group for group in self._groups if not group.remove()]
        self._disk.tick(job.allotment for job in list(self._jobs.values()))

    def _clean_soon(self) -> None:
        if not self._cleaning_soon:
            self._cleaning_soon = True
            self._loop.call_later(_CLEAN_SECS, self._clean)

    def _clean(self) -> None:
        """Delete what was thrown away, in another process: it may be a great many files."""
        self._cleaning_soon = False
        if self._cleaner is not None or not (paths := self._folders.trash()):
            return
        env = {"PATH": os.defpath}
        argv = [
            "/bin/sh",
            "-c",
            _DELETE if os.geteuid() == 0 else _DELETE_ALL,
            "clean",
            *paths[:500],
        ]
        self._cleaner = os.posix_spawn(argv[0], argv, env, setsid=True)
        self._loop.on_exit(self._cleaner, self._cleaned)

    def _cleaned(self, status: int) -> None:
        self._cleaner = None
        if status:
            sys.stderr.write("could not delete everything in the trash folder\n")
        else:
            self._clean()
