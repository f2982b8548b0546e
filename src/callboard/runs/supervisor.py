"""Carries runs from READY to their end: admission, start, wait, start again, end. Survives a restart of the server.

What a run's next step is stands in its row, never only in memory. After a crash every unfinished run is driven from
its row again; the executor finds the job that is already there, or starts the one that never was.
"""

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import replace

import structlog
from sqlalchemy import Connection

from callboard.core import clock
from callboard.core.clock import to_millis
from callboard.core.jobs import JobStatus
from callboard.core.signals import Signals
from callboard.db.base import Database
from callboard.executors.base import Exit, ExitCause, LaunchSpec
from callboard.jobs.admission import MemoryBudget
from callboard.jobs.launches import Launches
from callboard.jobs.observer import JobObserver, job_name
from callboard.jobs.recording import record
from callboard.logs.service import LogService, job_topic
from callboard.runs import repository
from callboard.runs.ending import end_run, outcome
from callboard.runs.launch import RunLauncher
from callboard.runs.model import Run
from callboard.runs.web_port import free_port
from callboard.usage.meter import Meter, Service, store_run
from callboard.webhooks.service import wake_dispatcher

log = structlog.get_logger()

GRACE_SECS = 30.0
_RESTARTABLE = frozenset(
    {ExitCause.EXITED, ExitCause.OUT_OF_MEMORY, ExitCause.OUT_OF_DISK, ExitCause.LOST}
)


class RunSupervisor:
    def __init__(
        self,
        db: Database,
        launches: Launches,
        launcher: RunLauncher,
        budget: MemoryBudget,
        signals: Signals,
        observer: JobObserver,
        logs: LogService,
        meter: Meter,
        *,
        forget_run: Sequence[Callable[[str], None]],
        rungs: Callable[[], dict[str, str]],
    ) -> None:
        self._db = db
        self._launches = launches
        self._launcher = launcher
        self._budget = budget
        self._signals = signals
        self._observer = observer
        self._logs = logs
        self._meter = meter
        self._forgetting = forget_run
        self._rungs = rungs
        self._driving: dict[str, asyncio.Task[None]] = {}
        self._grace_timers: dict[str, asyncio.TimerHandle] = {}
        self._stopping: set[asyncio.Task[None]] = set()

    async def recover(self) -> None:
        """Take up every run that an earlier server left unfinished, in the order they came."""
        for run in await self._db.read(repository.unfinished):
            self.submit(run)

    async def unfinished_jobs(self) -> set[str]:
        """Ids of the jobs that recovering will look for."""
        runs = await self._db.read(repository.unfinished)
        return {job_name(run.id, run.attempts.started) for run in runs}

    def submit(self, run: Run) -> None:
        """Drive the run in the background."""
        before = self._driving.get(run.id)
        task = asyncio.create_task(self._drive_after(before, run), name=f"run {run.id}")
        self._driving[run.id] = task
        task.add_done_callback(lambda _: self._let_go(run.id, task))

    def is_driving(self, run_id: str) -> bool:
        """Whether the run is under way here, so that its end will be signalled."""
        return run_id in self._driving

    def _let_go(self, run_id: str, task: "asyncio.Task[None]") -> None:
        """However driving it ended: nothing is kept of a run that nobody drives."""
        if self._driving.get(run_id) is not task:
            return
        del self._driving[run_id]
        if timer := self._grace_timers.pop(run_id, None):
            timer.cancel()
        self._forget_run(run_id)
        self._observer.forget(run_id)
        self.wake(run_id)

    def _forget_run(self, run_id: str) -> None:
        for forget in self._forgetting:
            forget(run_id)

    async def _drive_after(self, before: "asyncio.Task[None] | None", run: Run) -> None:
        """A run that is resurrected may still be on its way to the end it had."""
        if before is not None:
            await asyncio.wait([before])
        await self._drive(run)

    async def close(self) -> None:
        """Let go of all runs. Their jobs are the executor's to stop or to keep."""
        for timer in self._grace_timers.values():
            timer.cancel()
        tasks = list(self._driving.values())
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, *self._stopping, return_exceptions=True)

    async def abort_all(self, message: str) -> None:
        """End every unfinished run, because the server is being stopped for good."""

        def unit(tx: Connection) -> list[Run]:
            runs = repository.unfinished(tx)
            for run in runs:
                end_run(tx, run, JobStatus.ABORTED, message)
            return runs

        for run in await self._db.write(unit):
            self.wake(run.id)

    def wake(self, run_id: str) -> None:
        """Let everyone who waits for the run look at it again."""
        self._signals.notify(job_topic(run_id))
        wake_dispatcher(self._signals)

    def cancel_waiting(self, run_id: str) -> None:
        """Take a run that was ended while READY out of the queue."""
        if task := self._driving.get(run_id):
            task.cancel()

    async def stop_attempt(self, run: Run) -> None:
        """Kill the program that the run has now. What comes then stands in the row."""
        if run.id in self._driving:
            await self._launches.stop(job_name(run.id, run.attempts.started))

    def stop_later(self, run: Run, after_secs: float = GRACE_SECS) -> None:
        """Kill it after a grace in which it may end by itself."""
        loop = asyncio.get_running_loop()
        self._grace_timers[run.id] = loop.call_later(after_secs, self._stop_in_background, run)

    def _stop_in_background(self, run: Run) -> None:
        task = asyncio.ensure_future(self.stop_attempt(run))
        self._stopping.add(task)
        task.add_done_callback(self._stopping.discard)

    async def _drive(self, run: Run) -> None:
        try:
            is_running = run.status is not JobStatus.READY
            async with self._budget.reserve(run.memory_mbytes, is_running=is_running):
                await self._carry_out(run)
        except Exception as error:
            log.error("run.failed_to_run", run_id=run.id, exc_info=error)
            await self._give_up(run.id)

    async def _give_up(self, run_id: str) -> None:
        """End a run that cannot be carried out. No program of it stays behind."""
        message = "The server failed to carry out the run; its log tells why."
        run = await record(
            self._db, lambda tx: _fail_unfinished(tx, run_id, message), owner_id=run_id
        )
        if run is not None:
            await self._launches.drop(job_name(run_id, run.attempts.started))

    async def _carry_out(self, run: Run) -> None:
        """Run attempts until the row says that there is no newer one."""
        current: Run | None = run
        if run.status is JobStatus.READY:
            current = await self._db.write(lambda tx: _begin(tx, run.id, self._rungs()))
        elif run.attempts.started < run.attempts.number:
            # An earlier server went down between asking for a new start and ending the old one.
            current = replace(run, attempts=replace(run.attempts, number=run.attempts.started))
            await self.stop_attempt(run)
        while current is not None:
            spec, cannot = await self._launcher.prepare(current)
            if spec is None:
                end = _not_started(cannot)
            else:
                end = await self._attempt(current, spec)
            current = await self._ended(current, end)

    async def _attempt(self, run: Run, spec: LaunchSpec) -> Exit:
        if run.status is JobStatus.ABORTING:
            await self._launches.stop(spec.job_id)
        return await self._launches.run(spec)

    async def _ended(self, run: Run, end: Exit) -> Run | None:
        """Record the end of an attempt. Returns the run when another attempt is to be made."""
        used = self._meter.take_run(run.id)
        after = await record(
            self._db, lambda tx: _after_attempt(tx, run, end, used), owner_id=run.id
        )
        # Its rights have ended, or are those of another Actor now.
        self._forget_run(run.id)
        if after is None or after.status.is_terminal:
            self.wake(run.id)  # who waits for the run need not wait for the cleaning up
        await self._launches.forget(job_name(run.id, run.attempts.number))
        if after is None:
            return None
        if after.status.is_terminal:
            compute_units = after.stats["computeUnits"] - after.attempts.compute_units
            self._meter.add(run.user_id, None, Service.ACTOR_COMPUTE_UNITS, compute_units)
            log.info("run.finished", run_id=run.id, status=after.status, exit_code=after.exit_code)
            return None
        self._logs.append(run.id, _why_again(run, after))
        return after


def _begin(tx: Connection, run_id: str, rungs: dict[str, str]) -> Run | None:
    """READY to RUNNING. None when the run was aborted meanwhile."""
    run = repository.by_id(tx, run_id)
    if run is None or run.status.is_terminal:
        return None
    if run.status is not JobStatus.READY:
        return run
    attempts = replace(
        run.attempts,
        started=run.attempts.number,
        running_since=clock.mark(),
        web_server_port=free_port() if rungs.get("network") == "host" else None,
    )
    repository.change(tx, run_id, status=JobStatus.RUNNING, attempts=attempts, sandbox=rungs)
    return replace(run, status=JobStatus.RUNNING, attempts=attempts, sandbox=rungs)


def _after_attempt(tx: Connection, before: Run, end: Exit, used: dict[str, float]) -> Run | None:
    """What becomes of the run after an attempt ended. Reporting the same end twice changes nothing."""
    run = repository.by_id(tx, before.id)
    if run is None:
        return None
    store_run(tx, run.id, used)
    if run.status.is_terminal:
        return run
    if run.attempts.number > before.attempts.number and run.status is JobStatus.RUNNING:
        attempts = replace(run.attempts, started=run.attempts.number)
        repository.change(tx, run.id, attempts=attempts)
        return replace(run, attempts=attempts)
    status, message = outcome(run, end)
    now = to_millis(clock.now())
    if (
        status is JobStatus.FAILED
        and run.restarts_on_error
        and end.cause in _RESTARTABLE
        and run.may_restart(now)
    ):
        return _restarted(tx, run, now)
    return end_run(tx, run, status, message, end=end)


def _restarted(tx: Connection, run: Run, now_millis: int) -> Run:
    attempts = replace(
        run.attempts,
        number=run.attempts.number + 1,
        started=run.attempts.number + 1,
        restarted_at_millis=(*run.attempts.restarted_at_millis, now_millis),
    )
    stats = {**run.stats, "restartCount": run.stats.get("restartCount", 0) + 1}
    repository.change(tx, run.id, attempts=attempts, stats=stats)
    return replace(run, attempts=attempts, stats=stats)


def _why_again(before: Run, after: Run) -> str:
    if after.metamorphs and after.metamorphs != before.metamorphs:
        actor_id, build_id = after.program
        return f"Going on as Actor {actor_id}, build {build_id}."
    return f"Starting again (start {after.attempts.number})."


def _fail_unfinished(tx: Connection, run_id: str, message: str) -> Run | None:
    run = repository.by_id(tx, run_id)
    if run is None or run.status.is_terminal:
        return run
    return end_run(tx, run, JobStatus.FAILED, message)


def _not_started(detail: str) -> Exit:
    at = to_millis(clock.now())
    return Exit(ExitCause.NOT_STARTED, None, at, at, detail=detail)
