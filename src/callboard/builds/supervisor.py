"""Carries builds from READY to their end: admission, start, wait, result. Survives a restart of the server.

Every step can be done again: after a crash the supervisor drives each unfinished build from its start, and the
executor finds the job that is already there.
"""

import asyncio
from dataclasses import replace
from datetime import datetime
from pathlib import Path
from typing import Any

import msgspec
import structlog
from sqlalchemy import Connection

from callboard.actors import repository as actor_rows
from callboard.actors.model import Actor
from callboard.actors.standby import turned_on
from callboard.actors.versions import VersionMaker
from callboard.builders.base import Builder, BuildResult, BuildSpec
from callboard.builds import repository
from callboard.builds.events import build_event
from callboard.builds.model import Build
from callboard.builds.schemas import tag_entry
from callboard.builds.sourcing import Sourcing, source_secrets
from callboard.core import clock
from callboard.core.clock import from_millis
from callboard.core.jobs import JobStatus
from callboard.core.signals import Signals
from callboard.db.base import Database
from callboard.executors.base import Exit, ExitCause, LaunchSpec, disk_mbytes
from callboard.jobs.admission import MemoryBudget
from callboard.jobs.launches import Launches
from callboard.jobs.observer import JobObserver, job_name
from callboard.jobs.recording import record
from callboard.logs.service import LogService, job_topic
from callboard.usage.meter import Service, store_account
from callboard.webhooks.model import EventType
from callboard.webhooks.service import publish, wake_dispatcher

log = structlog.get_logger()

_END_EVENT = {
    JobStatus.SUCCEEDED: EventType.BUILD_SUCCEEDED,
    JobStatus.FAILED: EventType.BUILD_FAILED,
    JobStatus.TIMED_OUT: EventType.BUILD_TIMED_OUT,
    JobStatus.ABORTED: EventType.BUILD_ABORTED,
}


class BuildSupervisor:
    def __init__(
        self,
        db: Database,
        launches: Launches,
        builder: Builder,
        budget: MemoryBudget,
        signals: Signals,
        observer: JobObserver,
        logs: LogService,
        versions: VersionMaker,
        sourcing: Sourcing,
        *,
        folder: Path,
        cache_folder: Path,
    ) -> None:
        self._db = db
        self._launches = launches
        self._builder = builder
        self._budget = budget
        self._signals = signals
        self._observer = observer
        self._logs = logs
        self._versions = versions
        self._sourcing = sourcing
        self._folder = folder
        self._cache_folder = cache_folder
        self._driving: dict[str, asyncio.Task[None]] = {}

    async def recover(self) -> None:
        """Take up every build that an earlier server left unfinished."""
        for build in await self._db.read(repository.unfinished):
            self.submit(build)

    async def unfinished_jobs(self) -> set[str]:
        """Ids of the jobs that recovering will look for."""
        return {_job_id(build.id) for build in await self._db.read(repository.unfinished)}

    def submit(self, build: Build) -> None:
        """Drive the build in the background."""
        if build.id not in self._driving:
            task = asyncio.create_task(self._drive(build), name=f"build {build.id}")
            self._driving[build.id] = task
            task.add_done_callback(lambda _: self._let_go(build.id))
            self._wake(build.id)

    def _let_go(self, build_id: str) -> None:
        """However driving it ended: nothing is kept of a build that nobody drives."""
        del self._driving[build_id]
        self._observer.forget(build_id)
        self._wake(build_id)

    def _wake(self, build_id: str) -> None:
        """Let everyone who waits for the build, and who is to tell of it, look again."""
        self._signals.notify(job_topic(build_id))
        wake_dispatcher(self._signals)

    async def close(self) -> None:
        """Let go of all builds. Their jobs are the executor's to stop or to keep."""
        tasks = list(self._driving.values())
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    def build_dir(self, build_id: str) -> Path:
        return self._folder / build_id

    async def remove_files(self, build: Build) -> None:
        """Reclaim what the build left on disk."""
        await self.remove_files_of(build.id)

    async def remove_files_of(self, build_id: str) -> None:
        """The same for a build whose row is gone."""
        await asyncio.to_thread(self._builder.remove, self.build_dir(build_id))
        self._logs.remove(build_id)

    async def abort(self, build_id: str) -> None:
        """Stop a build that has not ended; a READY one ends at once."""

        def unit(tx: Connection) -> Build | None:
            build = repository.by_id(tx, build_id)
            if build is None or build.status not in (JobStatus.READY, JobStatus.RUNNING):
                return None
            if build.status is JobStatus.READY:
                _end(tx, build, JobStatus.ABORTED, "The build was aborted before it started.")
            else:
                repository.change(tx, build_id, status=JobStatus.ABORTING)
            return build

        build = await self._db.write(unit)
        if build is None:
            return
        if build.status is JobStatus.READY:
            if task := self._driving.get(build_id):
                task.cancel()
        else:
            await self._stop(build_id)
        self._wake(build_id)

    async def _stop(self, build_id: str) -> None:
        if build_id in self._driving:
            await self._launches.stop(_job_id(build_id))

    async def _drive(self, build: Build) -> None:
        try:
            is_running = build.status is not JobStatus.READY
            async with self._budget.reserve(build.memory_mbytes, is_running=is_running):
                await self._carry_out(build)
        except Exception as error:
            log.error("build.failed_to_run", build_id=build.id, exc_info=error)
            await asyncio.to_thread(self._sourcing.clean, self.build_dir(build.id))
            await self._fail(
                build.id, "The server failed to carry out the build; its log tells why."
            )

    async def _carry_out(self, build: Build) -> None:
        if build.status is JobStatus.READY:
            begun = await self._db.write(lambda tx: _begin(tx, build.id, self._builder.name))
            if not begun:
                return
            self._wake(build.id)
        actor = await self._db.read(lambda tx: actor_rows.by_id(tx, build.actor_id))
        spec = await asyncio.to_thread(self._launch_spec, build, actor)
        if build.status is JobStatus.ABORTING:
            await self._launches.stop(spec.job_id)
        end = await self._launches.run(spec)
        await asyncio.to_thread(self._sourcing.clean, self.build_dir(build.id))
        result = await asyncio.to_thread(self._builder.result, self.build_dir(build.id))
        finished = await record(
            self._db, lambda tx: _finish(tx, build.id, end, result), owner_id=build.id
        )
        await self._launches.forget(spec.job_id)
        log.info("build.finished", build_id=build.id, status=finished)

    def _launch_spec(self, build: Build, actor: Actor | None) -> LaunchSpec:
        build_dir = self.build_dir(build.id)
        variables = self._versions.opened(build.actor_id, build.env_vars)
        applies = bool(build.version.get("applyEnvVarsToBuild"))
        spec = BuildSpec(
            build_id=build.id,
            build_dir=str(build_dir),
            cache_dir=str(self._cache_folder),
            actor_name=build.actor_id if actor is None else actor.full_name,
            build_number=build.build_number,
            use_cache=bool(build.options.get("useCache", True)),
            build_args=variables if applies else {},
            memory_mbytes=build.memory_mbytes,
            timeout_secs=build.timeout_secs,
            source=self._sourcing.prepare(build.version, actor, build_dir),
        )
        secrets = tuple(variables[one.name] for one in build.env_vars if one.is_secret)
        launch = self._builder.launch_spec(spec, log_path=self._logs.path(build.id))
        return replace(launch, secrets=(*secrets, *source_secrets(build.version)))

    async def _fail(self, build_id: str, message: str) -> None:
        def unit(tx: Connection) -> None:
            build = repository.by_id(tx, build_id)
            if build is not None and not build.status.is_terminal:
                _end(tx, build, JobStatus.FAILED, message)

        await record(self._db, unit, owner_id=build_id)
        await self._launches.drop(_job_id(build_id))


def _job_id(build_id: str) -> str:
    return job_name(build_id, 1)  # a build is started once


def _begin(tx: Connection, build_id: str, builder: str) -> bool:
    build = repository.by_id(tx, build_id)
    if build is None or build.status is not JobStatus.READY:
        return False
    repository.change(tx, build_id, status=JobStatus.RUNNING, builder=builder)
    return True


def _finish(tx: Connection, build_id: str, end: Exit, result: BuildResult | None) -> JobStatus:
    """Record how the build ended, and its result. Reporting the same end twice changes nothing."""
    build = repository.by_id(tx, build_id)
    if build is None or build.status.is_terminal:
        return build.status if build else JobStatus.ABORTED
    status, message = _outcome(build, end, result)
    extra: dict[str, Any] = {"exit_code": end.exit_code}
    if status is JobStatus.SUCCEEDED and result is not None:
        extra |= {
            "image": msgspec.to_builtins(result.image),
            "definition": result.actor_definition,
            "input_schema": result.input_schema,
            "readme": result.readme,
            "changelog": result.changelog,
        }
    seconds = max(0, end.finished_at_millis - end.started_at_millis) / 1000
    extra["stats"] = {
        "durationMillis": round(seconds * 1000),
        "runTimeSecs": seconds,
        "computeUnits": build.memory_mbytes / 1024 * seconds / 3600,
        **({"imageSizeBytes": result.image_size_bytes} if result else {}),
    }
    compute_units = extra["stats"]["computeUnits"]
    extra["usage"] = {"ACTOR_COMPUTE_UNITS": compute_units}
    store_account(tx, build.user_id, Service.ACTOR_COMPUTE_UNITS, compute_units)
    _end(tx, build, status, message, end=end, **extra)
    return status


def _outcome(build: Build, end: Exit, result: BuildResult | None) -> tuple[JobStatus, str]:
    if build.status is JobStatus.ABORTING or end.cause is ExitCause.STOPPED:
        return JobStatus.ABORTED, "The build was aborted."
    if end.cause is ExitCause.TIMEOUT:
        return JobStatus.TIMED_OUT, f"The build timed out after {build.timeout_secs} s."
    if end.cause is ExitCause.OUT_OF_MEMORY:
        return JobStatus.FAILED, f"The build exceeded its memory limit of {build.memory_mbytes} MB."
    if end.cause is ExitCause.OUT_OF_DISK:
        return (
            JobStatus.FAILED,
            f"The build exceeded its disk limit of {disk_mbytes(build.memory_mbytes)} MB.",
        )
    if end.cause in (ExitCause.LOST, ExitCause.NOT_STARTED):
        return JobStatus.FAILED, end.detail or "The build was lost when the machine went down."
    if end.exit_code == 0 and result is not None:
        return JobStatus.SUCCEEDED, "The build succeeded."
    return JobStatus.FAILED, f"The build failed with exit code {end.exit_code}. Its log tells why."


def _end(
    tx: Connection,
    build: Build,
    status: JobStatus,
    message: str,
    *,
    end: Exit | None = None,
    **extra: Any,
) -> None:
    """Write the end, move the tag, and publish the event: all or nothing."""
    version = {name: value for name, value in build.version.items() if name != "sourceFiles"}
    repository.change(
        tx,
        build.id,
        status=status,
        status_message=message,
        finished_at=_ended_at(build, end),
        version=version,
        **extra,
    )
    ended = repository.by_id(tx, build.id)
    if ended is None:
        return
    actor = actor_rows.by_id(tx, build.actor_id)
    if status is JobStatus.SUCCEEDED and ended.tag and actor is not None:
        tags = {**actor.tagged_builds, ended.tag: tag_entry(ended)}
        fields = turned_on(actor.fields, ended.definition)
        actor_rows.change_actor(tx, actor.id, tagged_builds=tags, fields=fields)
    publish(tx, build_event(_END_EVENT[status], ended))


def _ended_at(build: Build, end: Exit | None) -> datetime:
    """When its driver ended, which may have been while no server was there. Not before the build began."""
    if end is None or not end.finished_at_millis:
        return max(build.started_at, clock.now())
    return max(build.started_at, from_millis(end.finished_at_millis))
