"""How a run's program ended, turned into what is recorded of the run. Pure but for the transaction it writes in."""

from dataclasses import replace
from datetime import datetime
from typing import Any

from sqlalchemy import Connection

from callboard.core import clock
from callboard.core.clock import from_millis
from callboard.core.jobs import JobStatus
from callboard.executors.base import Exit, ExitCause, disk_mbytes
from callboard.runs import repository
from callboard.runs.charges import counted_at_end
from callboard.runs.model import Run
from callboard.runs.schemas import run_wire, stats_wire
from callboard.usage.meter import run_totals
from callboard.webhooks.model import Event, EventType
from callboard.webhooks.service import publish

KILLED_EXIT_CODE = 137

_END_EVENT = {
    JobStatus.SUCCEEDED: EventType.RUN_SUCCEEDED,
    JobStatus.FAILED: EventType.RUN_FAILED,
    JobStatus.TIMED_OUT: EventType.RUN_TIMED_OUT,
    JobStatus.ABORTED: EventType.RUN_ABORTED,
}


def run_event(event_type: EventType, run: Run) -> Event:
    """What webhooks are told about a run."""
    return Event(
        type=event_type,
        user_id=run.user_id,
        created_at=clock.now(),
        event_data={
            "actorId": run.actor_id,
            "actorRunId": run.id,
            **({"actorTaskId": run.task_id} if run.task_id else {}),
        },
        resource=run_wire(run),
    )


def outcome(run: Run, end: Exit) -> tuple[JobStatus, str]:
    """Status and message of a run whose program ended so."""
    if run.status is JobStatus.ABORTING or end.cause is ExitCause.STOPPED:
        return JobStatus.ABORTED, "Actor run was aborted"
    if end.cause is ExitCause.TIMEOUT:
        return (
            JobStatus.TIMED_OUT,
            f"Actor run timed out: it reached its timeout of {run.timeout_secs} seconds",
        )
    if end.cause is ExitCause.OUT_OF_MEMORY:
        return (
            JobStatus.FAILED,
            f"Actor run exceeded its memory limit of {run.memory_mbytes} MB",
        )
    if end.cause is ExitCause.OUT_OF_DISK:
        return (
            JobStatus.FAILED,
            f"Actor run exceeded its disk limit of {disk_mbytes(run.memory_mbytes)} MB",
        )
    if end.cause is ExitCause.NOT_STARTED:
        return JobStatus.FAILED, f"Actor could not be started: {end.detail}"
    if end.cause is ExitCause.LOST:
        return JobStatus.FAILED, "Actor run was lost: the machine or its launcher went down"
    if end.exit_code == 0:
        return JobStatus.SUCCEEDED, "Actor succeeded with exit code 0"
    return JobStatus.FAILED, f"Actor finished with exit code {end.exit_code}"


_KILLED = (ExitCause.OUT_OF_MEMORY, ExitCause.OUT_OF_DISK, ExitCause.TIMEOUT)


def exit_code_of(end: Exit) -> int | None:
    if end.exit_code is None and end.cause in _KILLED:
        return KILLED_EXIT_CODE
    return end.exit_code


def end_run(
    tx: Connection,
    run: Run,
    status: JobStatus,
    message: str,
    *,
    end: Exit | None = None,
) -> Run:
    """Write the run's end and publish its event, all or nothing."""
    at = _ended_at(run, end)
    times = run.times(_passed_millis(run, end))
    stats: dict[str, Any] = {
        **run.stats,
        **({} if end is None else stats_wire(end.stats)),
        "memCurrentBytes": 0,
        "cpuCurrentUsage": 0,
        **times,
    }
    ended = replace(
        run,
        status=status,
        status_message=_final_message(run, status, message),
        finished_at=at,
        exit_code=None if end is None else exit_code_of(end),
        stats=stats,
        usage={**run_totals(tx, run.id), "ACTOR_COMPUTE_UNITS": times["computeUnits"]},
        charged_event_counts=counted_at_end(tx, run),
    )
    repository.change(
        tx,
        run.id,
        status=ended.status,
        status_message=ended.status_message,
        finished_at=ended.finished_at,
        exit_code=ended.exit_code,
        stats=ended.stats,
        usage=ended.usage,
        charged_event_counts=ended.charged_event_counts,
    )
    publish(tx, run_event(_END_EVENT[status], ended))
    return ended


def _ended_at(run: Run, end: Exit | None) -> datetime:
    """When its program ended, which may have been while no server was there. Not before the run began."""
    if end is None or not end.finished_at_millis:
        return max(run.started_at, clock.now())
    return max(run.started_at, from_millis(end.finished_at_millis))


def _passed_millis(run: Run, end: Exit | None) -> int:
    """How long it ran. The end may be a while ago, but it is told by a clock that may have been set meanwhile."""
    passed, since = run.passed_millis(), run.attempts.running_since
    if end is None or since is None or not end.finished_at_millis:
        return passed
    until_end = end.finished_at_millis - since.at_millis
    of_program = end.finished_at_millis - end.started_at_millis
    return until_end if of_program <= until_end <= passed else passed


def _final_message(run: Run, status: JobStatus, message: str) -> str:
    """The Actor's terminal message stands; its other messages stand when it succeeded."""
    if run.status_message and (run.is_status_message_terminal or status is JobStatus.SUCCEEDED):
        return run.status_message
    return message
