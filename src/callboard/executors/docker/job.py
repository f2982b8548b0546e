"""One container from its creation, or from being found again, to the record of how its program ended."""

import asyncio
import os
import re
import select
import signal
from collections.abc import Callable, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

import msgspec
import structlog

from callboard.executors.base import Exit, ExitCause, Stats
from callboard.executors.docker.container import MIB
from callboard.executors.docker.engine import Engine, EngineGone, EngineRefused, path_of
from callboard.executors.docker.figures import Figures
from callboard.executors.docker.follower import Follower
from callboard.executors.docker.memory import MemoryWatch
from callboard.executors.docker.moments import moment
from callboard.executors.docker.records import JobFolder, JobRecord, now_millis
from callboard.executors.docker.weighing import written_bytes

log = structlog.get_logger()

_RETRY_SECS = (0.1, 0.5, 2.0, 5.0)
_MEASURE_AFTER_SECS = 0.5
_WEIGH_EVERY_SECS = 2.0
_LOG_END_SECS = 20.0
"""How long an engine may take to give the rest of the log of a container that is over."""
_ENGINE_ENDS = frozenset({137, 143, 255})
"""Exit codes of programs that an engine ends, or loses sight of, when it goes down itself."""
_NOT_FOUND = frozenset({1, 126, 127})
_FILE_TOO_LARGE = 128 + signal.SIGXFSZ
_INIT_FAILED = re.compile(r"\[FATAL +tini|ERROR \(catatonit:\d+\): failed to exec")
"""What an engine's init process says when there is no such program."""


class ContainerJob:
    """A job whose container exists. `run` drives it to its end, whatever state it is found in.

    `noted` is why an earlier server was ending it, if one was. `ends_logs` is for an engine that ends a log which is
    followed when the container is over, and with all that is in it. Podman at times ends none, and leaves lines out.
    """

    def __init__(
        self,
        engine: Engine,
        folder: JobFolder,
        record: JobRecord,
        container_id: str,
        *,
        noted: ExitCause | None,
        ends_logs: bool,
        grew: Callable[[], None],
        measured: Callable[[Stats], None],
    ) -> None:
        self.record = record
        self.container_id = container_id
        self.address: str | None = None
        self._engine = engine
        self._folder = folder
        self._grew, self._measured = grew, measured
        self._timers: list[asyncio.TimerHandle] = []
        self._killing: set[asyncio.Task[None]] = set()
        self._figures: Figures | None = None
        self._ran_out_of_memory = False
        self._engine_was_gone = False
        self._noted, self._ends_logs = noted, ends_logs
        self._volumes: list[str] = []
        self._process: int | None = None
        """A descriptor of the container's first one, where this process sees it."""
        self._memory = MemoryWatch(self.ran_out_of_memory)

    async def look(self) -> Mapping[str, Any]:
        """The engine's view of the container. Raises EngineRefused when it is gone."""
        seen = await self._engine.ask("GET", path_of("containers", self.container_id, "json"))
        for network in seen["NetworkSettings"]["Networks"].values():
            self.address = network.get("IPAddress") or None
        mounts: list[Mapping[str, Any]] = seen.get("Mounts") or []
        self._volumes = [mount["Source"] for mount in mounts if mount["Type"] == "volume"]
        return seen

    def watch_process(self, state: Mapping[str, Any]) -> None:
        """For an engine that tells too little. The container's first process must be there, or over."""
        with suppress(OSError):  # over already: its end is seen without
            process = os.pidfd_open(int(state["Pid"]) or -1)
            if self._memory.begin(int(state["Pid"]), self.container_id):
                self._process = process
            else:
                os.close(process)

    async def run(self, started_at_millis: int) -> Exit:
        """Follow a started container to its end. Every step is done again when the engine goes away meanwhile."""
        self._figures = Figures(started_at_millis / 1000)
        await self._count_down(started_at_millis)
        follower = await asyncio.to_thread(
            Follower,
            self._folder.path,
            Path(self.record.log_path),
            self.record.secrets,
            self._grew,
        )
        measuring = asyncio.create_task(self._measure(self._figures))
        weighing = asyncio.create_task(self._weigh())
        copying = asyncio.create_task(self._copy_log(follower))
        try:
            state = await self._until_over()
            await self._rest_of_log(copying, follower, is_there=state is not None)
            end = self._judged(state, started_at_millis, follower.last_line)
            await follower.close(self._last_words(end.cause))
        finally:
            for task in (measuring, weighing, copying):
                task.cancel()
            await asyncio.gather(measuring, weighing, copying, return_exceptions=True)
            await follower.release()
            self.let_go()
        return end

    async def end_by(self, cause: ExitCause, *, grace_secs: float = 0) -> None:
        """Have it end for that reason: at once, or after a SIGTERM and some time to obey."""
        # The first one counts, also where there is no room to write it down.
        self._noted = self._noted or cause
        try:
            await asyncio.to_thread(self._folder.note_cause, self._noted)
        except OSError as error:
            log.error("container.cause_not_recorded", job_id=self.record.job_id, error=str(error))
        if grace_secs <= 0:
            await self._signal("SIGKILL")
            return
        await self._signal("SIGTERM")
        loop = asyncio.get_running_loop()
        self._timers.append(loop.call_later(grace_secs, self._kill_later, cause))

    def ran_out_of_memory(self) -> None:
        """The kernel has killed a process of it: so end the others."""
        if not self._ran_out_of_memory:
            self._ran_out_of_memory = True
            self._kill_later(ExitCause.OUT_OF_MEMORY)

    async def _count_down(self, started_at_millis: int) -> None:
        """The timeout counts from the start. What no server was there to enforce is done now."""
        if self.record.timeout_secs is None:
            return
        # The engine's clock is not ours, and both may have been set since.
        noted = await asyncio.to_thread(self._folder.started)
        passed = noted.passed_millis() if noted else now_millis() - started_at_millis
        left = self.record.timeout_secs - passed / 1000
        loop = asyncio.get_running_loop()
        self._timers.append(loop.call_later(max(left, 0), self._kill_later, ExitCause.TIMEOUT))

    def _kill_later(self, cause: ExitCause) -> None:
        task = asyncio.ensure_future(self.end_by(cause))
        self._killing.add(task)
        task.add_done_callback(self._killing.discard)

    async def _signal(self, name: str) -> None:
        path = path_of("containers", self.container_id, "kill")
        for secs in (*_RETRY_SECS, None):
            try:
                await self._engine.ask("POST", path, params={"signal": name})
            except (EngineGone, EngineRefused) as error:
                if isinstance(error, EngineRefused) and await self._is_over(error):
                    return
                if secs is None:
                    log.error("container.not_killed", job_id=self.record.job_id, error=str(error))
                    return
                await asyncio.sleep(secs)
            else:
                return

    async def _is_over(self, refusal: EngineRefused) -> bool:
        """Docker refuses to signal what is over by a status of its own, Podman in words only."""
        if refusal.is_missing or refusal.is_conflict:
            return True
        try:
            return not (await self.look())["State"]["Running"]
        except (EngineGone, EngineRefused):
            return False

    async def _until_over(self) -> Mapping[str, Any] | None:
        """The container's last state; None when it is gone."""
        path = path_of("containers", self.container_id, "wait")
        failures = 0
        while True:
            try:
                async with self._engine.answer("POST", path) as answer:
                    async for _ in self._engine.chunks(answer, 4096):
                        pass
                state = (await self.look())["State"]
                if not state["Running"]:
                    return state
            except EngineRefused as error:
                if error.is_missing:
                    return None
                raise
            except EngineGone:
                self._engine_was_gone = True
                await asyncio.sleep(_RETRY_SECS[min(failures, len(_RETRY_SECS) - 1)])
                failures += 1

    async def _copy_log(self, follower: Follower) -> None:
        """Copy while the container runs. An engine that goes away is followed again when it is back."""
        for secs in (*_RETRY_SECS, *(5.0,) * 1000):
            try:
                await follower.follow(self._engine, self.container_id, until=self._is_ending)
            except EngineGone:
                await asyncio.sleep(secs)
            except EngineRefused:
                return
            else:
                return

    async def _is_ending(self) -> bool:
        """Whether the log that is followed may have gaps from now on: Podman's has, once the program is over."""
        if self._ends_logs:
            return False
        if self._process is None:
            return not (await self.look())["State"]["Running"]
        over = select.poll()
        over.register(self._process, select.POLLIN)
        return bool(over.poll(0))

    async def _rest_of_log(
        self, copying: "asyncio.Task[None]", follower: Follower, *, is_there: bool
    ) -> None:
        """The container is over: all it has printed can be had without waiting."""
        if not (is_there and self._ends_logs):
            copying.cancel()
        await asyncio.wait([copying], timeout=_LOG_END_SECS)
        copying.cancel()
        await asyncio.gather(copying, return_exceptions=True)
        if is_there:
            await self._catch_up(follower)

    async def _catch_up(self, follower: Follower) -> None:
        """A connection that breaks costs no lines."""
        for secs in (0.0, *_RETRY_SECS):
            await asyncio.sleep(secs)
            try:
                await follower.catch_up(self._engine, self.container_id)
            except EngineGone:
                continue
            except EngineRefused:
                return
            return

    async def _measure(self, figures: Figures) -> None:
        """Once a second. Not at once: most of what is over by then is not worth the engine's work."""
        await asyncio.sleep(_MEASURE_AFTER_SECS)
        path = path_of("containers", self.container_id, "stats")
        while True:
            # Asked again as long as the job goes on.
            with suppress(EngineGone, EngineRefused, msgspec.DecodeError):
                async with self._engine.answer("GET", path, params={"stream": "1"}) as answer:
                    async for line in self._engine.lines(answer):
                        stats = figures.add(msgspec.json.decode(line)) if line.strip() else None
                        if stats is not None:
                            self._measured(stats)
            await asyncio.sleep(1)

    async def _weigh(self) -> None:
        """Hold it to its disk space, where the engine does not: look what it has written now and then."""
        while self.record.weighs or self._volumes:
            await asyncio.sleep(_WEIGH_EVERY_SECS)
            # Also when there is no process to be had for it: the next look is as good.
            with suppress(EngineGone, EngineRefused, OSError):
                written = await written_bytes(self._engine, self.container_id, self._volumes)
                if written > self.record.disk_mbytes * MIB:
                    await self.end_by(ExitCause.OUT_OF_DISK)

    def _judged(
        self, state: Mapping[str, Any] | None, started_at_millis: int, last_line: str
    ) -> Exit:
        stats = self._figures.final() if self._figures else Stats()
        if state is None:
            detail = "its container was removed by somebody else"
            return Exit(
                ExitCause.LOST, None, started_at_millis, now_millis(), stats=stats, detail=detail
            )
        code = int(state["ExitCode"])
        cause = self._cause(state, code)
        detail = "the container engine went down" if cause is ExitCause.LOST else ""
        if cause is ExitCause.EXITED and code in _NOT_FOUND and _INIT_FAILED.match(last_line):
            cause, detail = ExitCause.NOT_STARTED, f"{self.record.program}: {last_line}"
        finished = max(millis_of(state["FinishedAt"]), started_at_millis)
        return Exit(cause, code, started_at_millis, finished, stats=stats, detail=detail)

    def _cause(self, state: Mapping[str, Any], code: int) -> ExitCause:
        if self._noted is not None:
            return self._noted
        if code == _FILE_TOO_LARGE:
            return ExitCause.OUT_OF_DISK
        if state.get("OOMKilled") or self._ran_out_of_memory:
            return ExitCause.OUT_OF_MEMORY
        if self._engine_was_gone and code in _ENGINE_ENDS:
            return ExitCause.LOST
        return ExitCause.EXITED

    def _last_words(self, cause: ExitCause) -> str:
        """A limit that ended the job names itself in its log."""
        if cause is ExitCause.OUT_OF_MEMORY:
            return f"Memory limit of {self.record.memory_mbytes} MB exceeded, the job was stopped."
        if cause is ExitCause.OUT_OF_DISK:
            return f"Disk limit of {self.record.disk_mbytes} MB exceeded, the job was stopped."
        if cause is ExitCause.TIMEOUT:
            return f"The job reached its timeout of {self.record.timeout_secs:g} s, stopping it."
        return ""

    def let_go(self) -> None:
        """Look no more at it. It goes on."""
        self._memory.end()
        if self._process is not None:
            os.close(self._process)
            self._process = None
        for timer in self._timers:
            timer.cancel()
        for task in self._killing:
            task.cancel()


def millis_of(text: str) -> int:
    """The engine's time in milliseconds; now for a moment that it does not know."""
    known = moment(text)
    return known.millis if known else now_millis()
