"""Starting, watching and ending the runs that answer requests in Standby mode."""

import asyncio
import itertools
from typing import Any

from callboard.api.refs import ById
from callboard.core.caller import Caller
from callboard.core.jobs import JobStatus
from callboard.core.signals import Signals
from callboard.db.base import Database
from callboard.gateway.containers import Containers
from callboard.gateway.errors import RunIsOver, StandbyNotReady, StandbyRunEnded
from callboard.gateway.standby_targets import Target
from callboard.inputs.input_schema import InputSchema
from callboard.jobs.admission import MemoryBudget
from callboard.logs.service import job_topic
from callboard.runs import repository as run_rows
from callboard.runs.errors import RunNotFound
from callboard.runs.input import RunInput, SentInput, input_for_actor
from callboard.runs.model import Run
from callboard.runs.options import RequestedOptions
from callboard.runs.schemas import RunChange
from callboard.runs.service import RunService, StartRequest
from callboard.tasks.service import TaskService

ORIGIN = "STANDBY"
READY_SECS = 120.0
"""How long a run may take to serve HTTP, and a request to get into one."""
_PROBE_PAUSES_SECS = (0.02, 0.03, 0.05, 0.08, 0.12, 0.2, 0.3, 0.5)
_ALIVE = (JobStatus.READY, JobStatus.RUNNING)


class StandbyRuns:
    def __init__(
        self,
        db: Database,
        runs: RunService,
        tasks: TaskService,
        containers: Containers,
        signals: Signals,
        budget: MemoryBudget,
    ) -> None:
        self._db = db
        self._runs = runs
        self._tasks = tasks
        self._containers = containers
        self._signals = signals
        self._budget = budget

    async def start(self, target: Target) -> Run:
        """A new run, without a timeout: what ends it is that nobody needs it. Raises what starting a run raises."""
        config = target.config
        request = StartRequest(
            requested=RequestedOptions(
                build=config.build, timeout_secs=0, memory_mbytes=config.memory_mbytes
            ),
            make_input=lambda schema: _input(target, schema),
            meta={"origin": ORIGIN, "clientIp": None, "userAgent": None},
        )
        if target.task is None:
            return await self._runs.start(target.caller, ById(target.actor.id), request)
        sent = None if config.passes_input is False else SentInput()
        return await self._tasks.start(target.caller, ById(target.task.id), request, sent)

    async def until_serving(self, run: Run) -> None:
        """Return when it answers HTTP. Raises StandbyRunEnded, or StandbyNotReady after READY_SECS."""
        try:
            async with asyncio.timeout(READY_SECS), self._signals.listen(job_topic(run.id)) as end:
                for secs in itertools.chain(
                    _PROBE_PAUSES_SECS, itertools.repeat(_PROBE_PAUSES_SECS[-1])
                ):
                    current = await self._containers.alive(run.id)
                    if current.status not in _ALIVE:
                        raise StandbyRunEnded(run.id, current.status)
                    if await self._containers.serves(current):
                        return
                    await end.wait(secs)
        except RunIsOver as error:
            raise StandbyRunEnded(run.id, error.run_status) from error
        except TimeoutError as error:
            raise StandbyNotReady(READY_SECS) from error

    async def until_ending(self, run: Run) -> None:
        """Return when it is over or being ended."""
        async with self._signals.listen(job_topic(run.id)) as change:
            while True:
                current = await self._db.read(lambda tx: run_rows.by_id(tx, run.id))
                if current is None or current.status not in _ALIVE:
                    return
                await change.wait()

    async def end(self, caller: Caller, run: Run, why: str) -> None:
        """Tell it by `aborting`, and stop it after the grace. Harmless when it is over."""
        change = RunChange(status_message=why, is_status_message_terminal=True)
        try:
            current = await self._runs.get(caller, run.id)
            if current.status in _ALIVE:
                await self._runs.update(caller, run.id, change)
                await self._runs.abort(caller, run.id, gracefully=True)
        except RunNotFound:
            return

    def has_room_for_another(self, like: Run) -> bool:
        return self._budget.has_room(like.memory_mbytes)


def _input(target: Target, schema: InputSchema | None) -> RunInput | None:
    """An Actor's own input is the example it comes with, and its schema's defaults."""
    if not target.config.passes_input:
        return None
    example: dict[str, Any] = target.actor.fields.get("exampleRunInput") or {}
    body: str = example.get("body") or ""
    sent = SentInput(body.encode(), example.get("contentType") if body else None)
    return input_for_actor(sent, schema)
