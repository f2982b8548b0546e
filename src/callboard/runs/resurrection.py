"""A finished run turned into one that goes on: with the storages, build and options it had, or with other options."""

from dataclasses import replace
from typing import Any

from sqlalchemy import Connection

from callboard.actors import repository as actor_rows
from callboard.actors.errors import ActorNotFound
from callboard.builds import repository as build_rows
from callboard.builds.errors import BuildNotFound
from callboard.builds.service import find_for_run
from callboard.core import clock
from callboard.core.jobs import JobStatus
from callboard.executors.base import disk_mbytes
from callboard.jobs.admission import MemoryBudget
from callboard.runs.errors import ActorMemoryLimitExceeded
from callboard.runs.model import Run
from callboard.runs.options import RequestedOptions


def resurrected(tx: Connection, run: Run, requested: RequestedOptions, budget: MemoryBudget) -> Run:
    """The finished run as it goes on: RUNNING when there is memory for it at once, else READY.

    Raises ActorMemoryLimitExceeded, ActorNotFound, or what a wrong `build` raises.
    """
    run = _with_build(tx, run, requested.build)
    options = run.options | _option_changes(requested)
    memory_mbytes: int = options["memoryMbytes"]
    if not budget.fits(memory_mbytes):
        raise ActorMemoryLimitExceeded(memory_mbytes, budget.limit_mbytes)
    has_room = budget.has_room(memory_mbytes)
    number = run.attempts.number + 1
    return replace(
        run,
        status=JobStatus.RUNNING if has_room else JobStatus.READY,
        status_message=None,
        is_status_message_terminal=False,
        finished_at=None,
        exit_code=None,
        options=options,
        memory_mbytes=memory_mbytes,
        stats={
            **run.stats,
            "resurrectCount": run.stats["resurrectCount"] + 1,
        },
        attempts=replace(
            run.attempts,
            number=number,
            started=number,
            running_since=clock.mark() if has_room else None,
            restarted_at_millis=(),
            run_millis=run.stats["durationMillis"],
            compute_units=run.stats["computeUnits"],
        ),
    )


def _with_build(tx: Connection, run: Run, ref: str | None) -> Run:
    """The run with the build it is to go on with: what it had, or another one of the same Actor.

    A tag is not looked up again: a run is resurrected with the build it used, whatever the tag means today.
    """
    actor_id, build_id = run.program
    actor = actor_rows.by_id(tx, actor_id)
    if actor is None:
        raise ActorNotFound
    if ref is None:
        if build_rows.by_id(tx, build_id) is None:
            raise BuildNotFound(run.build_number)
        return run
    build = find_for_run(tx, actor, ref)
    if run.metamorphs:
        newest = {**run.metamorphs[-1], "buildId": build.id}
        return replace(run, metamorphs=[*run.metamorphs[:-1], newest])
    return replace(
        run,
        build_id=build.id,
        build_number=build.build_number,
        options={**run.options, "build": ref},
    )


def _option_changes(requested: RequestedOptions) -> dict[str, Any]:
    values = {
        "timeoutSecs": requested.timeout_secs,
        "memoryMbytes": requested.memory_mbytes,
        "diskMbytes": requested.memory_mbytes and disk_mbytes(requested.memory_mbytes),
        "maxItems": requested.max_items,
        "maxTotalChargeUsd": requested.max_total_charge_usd,
        "restartOnError": requested.restart_on_error,
    }
    return {name: value for name, value in values.items() if value is not None}
