"""What makes a run's program start again: reboot, metamorph and resurrection. And charging, which may end it.

A new start is asked for in the row, by raising the number of attempts, before the old program is stopped. The
supervisor does the rest when that has ended, also after a crash.
"""

from dataclasses import dataclass, replace
from typing import Any

from sqlalchemy import Connection

from callboard.actors import repository as actor_rows
from callboard.actors.model import Actor, PermissionLevel
from callboard.actors.service import find_actor
from callboard.api.refs import Ref
from callboard.builds.model import Build
from callboard.builds.service import find_for_run
from callboard.core import clock
from callboard.core.caller import Caller
from callboard.core.clock import iso
from callboard.core.errors import InsufficientPermissions
from callboard.core.jobs import JobStatus
from callboard.core.vault import Vault
from callboard.db.base import Database
from callboard.inputs.input_schema import InputSchema
from callboard.jobs.admission import MemoryBudget
from callboard.key_value_stores.model import PreparedRecord
from callboard.key_value_stores.service import KeyValueStoreService
from callboard.logs.service import LogService
from callboard.runs import repository
from callboard.runs.charges import add_charge, is_over_cap
from callboard.runs.ending import run_event
from callboard.runs.errors import (
    JobFinished,
    MaxMetamorphsExceeded,
    RunNotFinished,
    RunNotRunning,
)
from callboard.runs.grants import grants_of_input
from callboard.runs.input import RunInput, SentInput, input_for_actor, schema_of
from callboard.runs.keys import protected_input
from callboard.runs.model import Run
from callboard.runs.options import RequestedOptions, build_ref
from callboard.runs.resurrection import resurrected
from callboard.runs.service import RunService, own_run
from callboard.runs.supervisor import RunSupervisor
from callboard.webhooks.model import EventType
from callboard.webhooks.service import publish

METAMORPHS_MAX = 10


@dataclass(frozen=True)
class Charge:
    event: str
    count: int
    idempotency_key: str | None


class RunChanges:
    def __init__(
        self,
        db: Database,
        runs: RunService,
        supervisor: RunSupervisor,
        stores: KeyValueStoreService,
        budget: MemoryBudget,
        vault: Vault,
        logs: LogService,
    ) -> None:
        self._db = db
        self._runs = runs
        self._supervisor = supervisor
        self._stores = stores
        self._budget = budget
        self._vault = vault
        self._logs = logs

    async def reboot(self, caller: Caller, run_id: str) -> Run:
        """Start the program of a RUNNING run anew, with the same storages. Raises RunNotRunning or JobFinished."""

        def unit(tx: Connection) -> Run:
            run = _running(tx, caller, run_id)
            return _start_again(tx, run, stats=_counted(run, "rebootCount"))

        return await self._replace_program(await self._db.write(unit))

    async def metamorph(
        self, caller: Caller, run_id: str, target: Ref, *, build: str | None, sent: SentInput
    ) -> Run:
        """Let the run go on as another Actor, with the same storages and an input of its own.

        Raises ActorNotFound, MaxMetamorphsExceeded, InsufficientPermissions when a limited run asks for an Actor
        with full permissions, and what starting that Actor with that input would raise.
        """
        actor, found, run = await self._db.read(
            lambda tx: _metamorph_target(tx, caller, run_id, target, build)
        )
        schema = None if found.input_schema is None else schema_of(found.input_schema)
        run_input = await self._metamorph_input(actor, schema, run, sent)
        value, record = None, None
        if run_input is not None:
            value = run_input.value
            record = await self._stores.prepare(run_input.body, content_type=run_input.content_type)

        def unit(tx: Connection) -> Run:
            run = _running(tx, caller, run_id)
            level = _lower(run.permission_level, actor.permission_level)
            grants = grants_of_input(tx, caller, schema, value, level=level)
            all_grants = {**(run.storage_grants or {}), **(grants or {})} or None
            run = replace(run, permission_level=level, storage_grants=all_grants)
            return self._metamorphed(tx, run, actor, found, record)

        return await self._replace_program(await self._db.write(unit))

    async def _metamorph_input(
        self, actor: Actor, schema: InputSchema | None, run: Run, sent: SentInput
    ) -> RunInput | None:
        return await protected_input(
            self._db, self._vault, actor, run.user_id, schema, input_for_actor(sent, schema)
        )

    def _metamorphed(
        self, tx: Connection, run: Run, actor: Actor, build: Build, record: PreparedRecord | None
    ) -> Run:
        before = run.metamorphs or []
        _check_count(before)
        key = f"INPUT-METAMORPH-{len(before) + 1}"
        if record is not None:
            self._stores.store(tx, run.default_key_value_store_id, key, record)
        entry = {
            "createdAt": iso(clock.now()),
            "actorId": actor.id,
            "buildId": build.id,
            "inputKey": key,
        }
        _note_metamorph(tx, actor.id)
        return _start_again(
            tx,
            run,
            input_key=key,
            metamorphs=[*before, entry],
            permission_level=run.permission_level,
            storage_grants=run.storage_grants,
            stats=_counted(run, "metamorph"),
        )

    async def _replace_program(self, run: Run) -> Run:
        await self._supervisor.stop_attempt(run)
        self._supervisor.wake(run.id)
        return run

    async def resurrect(self, caller: Caller, run_id: str, requested: RequestedOptions) -> Run:
        """Start a finished run again, with the same storages. What is not requested stays as it was.

        Raises RunNotFinished, ActorMemoryLimitExceeded, ActorNotFound, or what a wrong `build` raises.
        """

        def unit(tx: Connection) -> Run:
            run = own_run(tx, caller, run_id)
            if not run.status.is_terminal:
                raise RunNotFinished
            run = resurrected(tx, run, requested, self._budget)
            repository.save(tx, run)
            publish(tx, run_event(EventType.RUN_RESURRECTED, run))
            return run

        run = await self._db.write(unit)
        self._logs.append(run.id, "The run has been resurrected.")
        self._supervisor.submit(run)
        self._supervisor.wake(run.id)
        return run

    async def charge(self, caller: Caller, run_id: str, charge: Charge) -> None:
        """Count an event of a pay-per-event run; one that goes over its cap is aborted gracefully.

        Raises JobFinished and what `add_charge` raises.
        """

        def unit(tx: Connection) -> Run:
            run = own_run(tx, caller, run_id)
            if run.status.is_terminal:
                raise JobFinished
            return add_charge(
                tx, run, charge.event, charge.count, idempotency_key=charge.idempotency_key
            )

        run = await self._db.write(unit)
        if is_over_cap(run):
            await self.end_over_cap(run)

    async def end_over_cap(self, run: Run) -> None:
        """Abort a run gracefully that has charged more than its cap, unless it is about to end anyway."""
        if run.status is not JobStatus.RUNNING:
            return
        cap = run.options["maxTotalChargeUsd"]
        self._logs.append(
            run.id, f"Aborting: the run has charged more than its maxTotalChargeUsd of {cap:g}."
        )
        await self._runs.abort(run_owner(run), run.id, gracefully=True)


def run_owner(run: Run) -> Caller:
    """On whose behalf the server acts when it is the one that changes a run."""
    return Caller(run.user_id, "")


def _running(tx: Connection, caller: Caller, run_id: str) -> Run:
    run = own_run(tx, caller, run_id)
    if run.status.is_terminal:
        raise JobFinished
    if run.status is not JobStatus.RUNNING:
        raise RunNotRunning
    return run


def _start_again(tx: Connection, run: Run, **values: Any) -> Run:
    attempts = replace(run.attempts, number=run.attempts.number + 1)
    repository.change(tx, run.id, attempts=attempts, **values)
    return replace(run, attempts=attempts, **values)


def _counted(run: Run, name: str) -> dict[str, Any]:
    return {**run.stats, name: run.stats.get(name, 0) + 1}


def _metamorph_target(
    tx: Connection, caller: Caller, run_id: str, target: Ref, build: str | None
) -> tuple[Actor, Build, Run]:
    run = _running(tx, caller, run_id)
    _check_count(run.metamorphs or [])
    actor = find_actor(tx, caller, target)
    is_limited = run.permission_level == PermissionLevel.LIMITED_PERMISSIONS
    if is_limited and actor.permission_level is not PermissionLevel.LIMITED_PERMISSIONS:
        raise InsufficientPermissions
    ref = build_ref(RequestedOptions(build=build), actor)
    return actor, find_for_run(tx, actor, ref), run


def _check_count(metamorphs: list[dict[str, Any]]) -> None:
    if len(metamorphs) >= METAMORPHS_MAX:
        raise MaxMetamorphsExceeded(METAMORPHS_MAX)


def _lower(one: str, other: str) -> str:
    """Of two permission levels the one that allows less: a program gets no more than its Actor asks for."""
    return PermissionLevel.LIMITED_PERMISSIONS if one != other else one


def _note_metamorph(tx: Connection, actor_id: str) -> None:
    actor = actor_rows.by_id(tx, actor_id)
    if actor is not None:
        count = actor.stats.get("totalMetamorphs", 0) + 1
        actor_rows.change_actor(tx, actor_id, stats={**actor.stats, "totalMetamorphs": count})
