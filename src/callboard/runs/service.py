"""Operations on runs: start, find, wait, list, change, abort, delete."""

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any, TypeAlias

from msgspec import UNSET
from sqlalchemy import Connection

from callboard.actors import repository as actor_rows
from callboard.actors.model import Actor, PermissionLevel
from callboard.actors.pricing import current_pricing
from callboard.actors.service import find_actor, is_named_by
from callboard.api.pagination import Page, PageRequest
from callboard.api.refs import Ref
from callboard.builds.model import Build
from callboard.builds.service import find_for_run
from callboard.config import Settings
from callboard.core import clock
from callboard.core.actor_urls import ActorUrls
from callboard.core.caller import Caller, GeneralAccess, require_account
from callboard.core.errors import InsufficientPermissions, InvalidValue
from callboard.core.jobs import JobStatus
from callboard.core.signals import Listener, Signals
from callboard.core.vault import Vault
from callboard.db.base import Database
from callboard.inputs.input_schema import InputSchema
from callboard.jobs.admission import MemoryBudget
from callboard.key_value_stores.service import KeyValueStoreService
from callboard.logs.service import job_topic
from callboard.runs import repository
from callboard.runs.charges import initial_counts, require_enough
from callboard.runs.ending import end_run, run_event
from callboard.runs.errors import (
    ActorMemoryLimitExceeded,
    CannotRemoveRunningRun,
    CannotSetTerminalMessage,
    RunNotFound,
)
from callboard.runs.events import RunEvents
from callboard.runs.grants import grants_of_input
from callboard.runs.input import RunInput, schema_of
from callboard.runs.keys import protected_input
from callboard.runs.model import STARTED_BY, STARTED_BY_TOKEN, Attempts, Run
from callboard.runs.new_storages import STORAGE_GROUPS, NewStorages, create_storages
from callboard.runs.options import RequestedOptions, RunOptions, build_ref, resolve_options
from callboard.runs.output import output_of
from callboard.runs.repository import RunFilter
from callboard.runs.schemas import RunChange, initial_stats
from callboard.runs.supervisor import GRACE_SECS, RunSupervisor
from callboard.storages import repository as storage_rows
from callboard.storages.model import Storage, StorageKind
from callboard.webhooks.model import AdHocWebhook, Condition, EventType
from callboard.webhooks.service import create_ad_hoc, publish
from callboard.webhooks.service import forget as forget_webhooks

INPUT_KEY = "INPUT"
WAIT_MAX_SECS = 60.0
_ACCESS = [one for one in GeneralAccess if one is not GeneralAccess.ANYONE_WITH_NAME_CAN_READ]
"""Of runs, which have no names."""

MakeInput: TypeAlias = Callable[[InputSchema | None], RunInput | None]


@dataclass(frozen=True)
class StartRequest:
    """What a run is to be started with."""

    requested: RequestedOptions
    make_input: MakeInput
    meta: dict[str, Any]
    webhooks: Sequence[AdHocWebhook] = ()
    task_id: str | None = None
    on_start: Callable[[Connection, Run], None] | None = None
    """Done in the transaction that creates the run."""


class RunService:
    def __init__(
        self,
        db: Database,
        supervisor: RunSupervisor,
        stores: KeyValueStoreService,
        budget: MemoryBudget,
        signals: Signals,
        events: RunEvents,
        vault: Vault,
        settings: Settings,
        *,
        actor_urls: Callable[[], ActorUrls],
    ) -> None:
        self._db = db
        self._supervisor = supervisor
        self._stores = stores
        self._budget = budget
        self._signals = signals
        self._events = events
        self._vault = vault
        self._settings = settings
        self._actor_urls = actor_urls

    async def start(self, caller: Caller, actor: Ref, request: StartRequest) -> Run:
        """Create a run and hand it to the supervisor. It is durable, with its input, when this returns.

        Raises ActorNotFound, UnknownBuildTag, BuildNotFound, InvalidBuild, InvalidInput and its kin,
        InvalidValue or ActorMemoryLimitExceeded; then there is no run.
        """

        found, build, schema = await self._look_up(caller, actor, request.requested)
        run_input = request.make_input(schema)
        value = {} if run_input is None or run_input.value is None else run_input.value
        options = resolve_options(
            request.requested,
            found,
            build.definition or {},
            run_input=value,
            settings=self._settings,
        )
        if (
            caller.is_limited
            and options.permission_level is not PermissionLevel.LIMITED_PERMISSIONS
        ):
            raise InsufficientPermissions("A run with limited permissions starts only such runs.")
        if request.webhooks and (caller.is_limited or caller.scopes is not None):
            raise InsufficientPermissions("Those with limited permissions make no webhooks.")
        options = _within_scopes(caller, options, request.requested)
        require_enough(current_pricing(found.fields, clock.now()), options.max_total_charge_usd)
        if not self._budget.fits(options.memory_mbytes):
            raise ActorMemoryLimitExceeded(options.memory_mbytes, self._budget.limit_mbytes)
        run_input = await protected_input(
            self._db, self._vault, found, caller.user_id, schema, run_input
        )
        run = await self._create(caller, found, build, options, run_input, request, schema)
        self._supervisor.submit(run)
        return run

    async def check_input(
        self, caller: Caller, actor: Ref, requested: RequestedOptions, make_input: MakeInput
    ) -> None:
        """Raise what `start` would raise for this input. Without a schema every input is valid."""
        _, _, schema = await self._look_up(caller, actor, requested)
        make_input(schema)

    async def _look_up(
        self, caller: Caller, ref: Ref, requested: RequestedOptions
    ) -> tuple[Actor, Build, InputSchema | None]:
        def unit(tx: Connection) -> tuple[Actor, Build]:
            actor = find_actor(tx, caller, ref)
            return actor, find_for_run(tx, actor, build_ref(requested, actor))

        actor, build = await self._db.read(unit)
        schema = None if build.input_schema is None else schema_of(build.input_schema)
        return actor, build, schema

    async def _create(
        self,
        caller: Caller,
        actor: Actor,
        build: Build,
        options: RunOptions,
        run_input: RunInput | None,
        request: StartRequest,
        schema: InputSchema | None,
    ) -> Run:
        value = None if run_input is None else run_input.value
        record = None
        if run_input is not None:
            record = await self._stores.prepare(run_input.body, content_type=run_input.content_type)

        def unit(tx: Connection) -> Run:
            storages = create_storages(tx, caller.user_id, actor, build.definition or {})
            run = _new_run(caller, actor, build, options, request, run_input, storages)
            level = run.permission_level
            run = replace(
                run,
                output=output_of(build.definition or {}, run, urls=self._actor_urls()),
                storage_grants=grants_of_input(tx, caller, schema, value, level=level),
            )
            repository.insert_run(tx, run)
            if record is not None:
                self._stores.store(tx, run.default_key_value_store_id, INPUT_KEY, record)
            actor_rows.note_run(tx, actor.id, at=run.started_at)
            if request.webhooks:
                create_ad_hoc(tx, caller.user_id, run.id, request.webhooks)
            if request.on_start is not None:
                request.on_start(tx, run)
            publish(tx, run_event(EventType.RUN_CREATED, run))
            return run

        run = await self._db.write(unit)
        self._supervisor.wake(run.id)
        return run

    async def get(self, caller: Caller | None, run_id: str, *, wait_secs: float = 0) -> Run:
        """The run, after waiting up to `wait_secs` (at most 60) for its end. Raises RunNotFound."""
        deadline = asyncio.get_running_loop().time() + min(wait_secs, WAIT_MAX_SECS)
        async with self._signals.listen(job_topic(run_id)) as ended:
            return await self._ended(caller, run_id, ended, deadline)

    async def require_of_actor(self, caller: Caller | None, ref: Ref, run_id: str) -> None:
        """Raise RunNotFound unless it is a run of that Actor."""

        def unit(tx: Connection) -> None:
            run = repository.by_id(tx, run_id)
            if run is None or not is_named_by(tx, caller, ref, run.actor_id):
                raise RunNotFound

        await self._db.read(unit)

    async def wait(self, caller: Caller, run_id: str, wait_secs: float) -> Run:
        """The same of a run that the caller has just started, without the limit of 60 seconds."""
        deadline = asyncio.get_running_loop().time() + wait_secs
        async with self._signals.listen(job_topic(run_id)) as ended:
            if self._supervisor.is_driving(run_id):
                await ended.wait(wait_secs)
            return await self._ended(caller, run_id, ended, deadline)

    async def _ended(
        self, caller: Caller | None, run_id: str, ended: Listener, deadline: float
    ) -> Run:
        """The run once it has ended, or as it is at the deadline."""
        while True:
            run = await self._db.read(lambda tx: repository.by_id(tx, run_id))
            if run is None:
                raise RunNotFound
            require_readable(caller, run)
            left = deadline - asyncio.get_running_loop().time()
            if run.status.is_terminal or left <= 0:
                return run
            await ended.wait(left)

    async def last(self, caller: Caller, wanted: RunFilter, *, wait_secs: float = 0) -> Run:
        """The newest run that the filter lets through. Raises RunNotFound."""
        run = await self._db.read(lambda tx: repository.newest(tx, wanted))
        if run is None:
            raise RunNotFound
        require_readable(caller, run)
        return await self.get(caller, run.id, wait_secs=wait_secs) if wait_secs else run

    async def page(self, caller: Caller, wanted: RunFilter, request: PageRequest) -> Page[Run]:
        require_account(caller)
        return await self._db.read(lambda tx: repository.page(tx, wanted, request))

    async def update(self, caller: Caller, run_id: str, change: RunChange) -> Run:
        """Change the status message, or the general access, also of its default storages.

        A terminal message is not overwritten.
        """
        if change.is_status_message_terminal and not isinstance(change.status_message, str):
            raise CannotSetTerminalMessage

        def unit(tx: Connection) -> Run:
            run = own_run(tx, caller, run_id)
            values = _changes(run, change)
            if values:
                repository.change(tx, run_id, **values)
            if access := values.get("general_access"):
                for storage in _own_storages(tx, run):
                    storage_rows.change(tx, storage.pk, general_access=access)
            return replace(run, **values)

        run = await self._db.write(unit)
        if change.general_access is not UNSET:
            self._signals.notify(job_topic(run_id))
        return run

    async def abort(self, caller: Caller, run_id: str, *, gracefully: bool) -> Run:
        """Stop it: at once, or after the grace in which it may end by itself.

        A run that has ended or is being aborted is returned as it is.
        """

        def unit(tx: Connection) -> tuple[Run, JobStatus]:
            run = own_run(tx, caller, run_id)
            if run.status is JobStatus.READY:
                return end_run(tx, run, JobStatus.ABORTED, "Actor run was aborted"), run.status
            if run.status in (JobStatus.RUNNING, JobStatus.TIMING_OUT):
                repository.change(tx, run_id, status=JobStatus.ABORTING)
                return replace(run, status=JobStatus.ABORTING), run.status
            return run, run.status

        run, before = await self._db.write(unit)
        if before is JobStatus.READY:
            self._supervisor.cancel_waiting(run_id)
        elif before in (JobStatus.RUNNING, JobStatus.TIMING_OUT):
            await self._stop(run, gracefully=gracefully)
        elif before is JobStatus.ABORTING and not gracefully:
            await self._supervisor.stop_attempt(run)
        self._supervisor.wake(run_id)
        return run

    async def _stop(self, run: Run, *, gracefully: bool) -> None:
        if not gracefully:
            await self._supervisor.stop_attempt(run)
            return
        self._events.send(run.id, "aborting")
        self._events.send(run.id, "persistState", {"isMigrating": False})
        self._supervisor.stop_later(run, GRACE_SECS)

    async def delete(self, caller: Caller, run_id: str) -> None:
        """Delete a finished run with its default storages. Raises CannotRemoveRunningRun."""
        require_account(caller)

        def unit(tx: Connection) -> None:
            run = own_run(tx, caller, run_id)
            if not run.status.is_terminal:
                raise CannotRemoveRunningRun
            remove_run(tx, run)

        await self._db.write(unit)


def own_run(tx: Connection, caller: Caller, run_id: str) -> Run:
    """The run, if the caller may change it. Raises RunNotFound or InsufficientPermissions."""
    run = repository.by_id(tx, run_id)
    if run is None or not caller.owns(run.user_id):
        raise RunNotFound
    if not caller.reaches_run(run_id, started_by=run.started_by):
        raise InsufficientPermissions
    return run


def storages_of(run: Run) -> list[tuple[StorageKind, str]]:
    """Kind and id of the storages that a run was given, its default ones and those with an alias."""
    return [
        (kind, storage_id)
        for kind in StorageKind
        for storage_id in run.storage_ids[STORAGE_GROUPS[kind]].values()
    ]


def remove_run(tx: Connection, run: Run) -> None:
    """Take a run and its default storages out of sight. Their contents are reclaimed later."""
    at = clock.now()
    for storage in _own_storages(tx, run):
        storage_rows.mark_deleted(tx, storage.pk, at=at)
    forget_webhooks(tx, Condition(run_id=run.id))
    repository.remove(tx, run.id)


def _own_storages(tx: Connection, run: Run) -> list[Storage]:
    """Its default storages. One that has been given a name is the account's own."""
    found = [storage_rows.by_id(tx, kind, storage_id) for kind, storage_id in storages_of(run)]
    return [storage for storage in found if storage is not None and storage.name is None]


def require_readable(caller: Caller | None, run: Run) -> None:
    """Raise RunNotFound unless it is the caller's or open to all, InsufficientPermissions for a limited run."""
    if GeneralAccess(run.general_access).allows_id_readers:
        return
    if caller is None or not caller.owns(run.user_id):
        raise RunNotFound
    if not caller.reaches_run(run.id, started_by=run.started_by):
        raise InsufficientPermissions


def _changes(run: Run, change: RunChange) -> dict[str, Any]:
    values: dict[str, Any] = {}
    if change.status_message is not UNSET and not run.is_status_message_terminal:
        values["status_message"] = change.status_message
        values["is_status_message_terminal"] = bool(
            change.is_status_message_terminal is not UNSET and change.is_status_message_terminal
        )
    if change.general_access is not UNSET and change.general_access is not None:
        if change.general_access not in _ACCESS:
            raise InvalidValue(f"generalAccess must be one of {', '.join(_ACCESS)}.")
        values["general_access"] = change.general_access
    return values


def _within_scopes(caller: Caller, options: RunOptions, requested: RequestedOptions) -> RunOptions:
    """A token with scopes starts runs with limited permissions: others would do for it what it may not."""
    if caller.scopes is None:
        return options
    if requested.permission_level is PermissionLevel.FULL_PERMISSIONS:
        raise InsufficientPermissions("The token starts only runs with limited permissions.")
    return replace(options, permission_level=PermissionLevel.LIMITED_PERMISSIONS)


def _starter(caller: Caller) -> dict[str, str]:
    """For a run's meta: the run that started it, or the token with scopes."""
    if caller.run_id is not None:
        return {STARTED_BY: caller.run_id}
    if caller.scopes is not None and caller.token_id is not None:
        return {STARTED_BY_TOKEN: caller.token_id}
    return {}


def _new_run(
    caller: Caller,
    actor: Actor,
    build: Build,
    options: RunOptions,
    request: StartRequest,
    run_input: RunInput | None,
    storages: NewStorages,
) -> Run:
    """A READY run."""
    pricing = current_pricing(actor.fields, storages.at)
    return Run(
        id=storages.run_id,
        actor_id=actor.id,
        user_id=caller.user_id,
        task_id=request.task_id,
        build_id=build.id,
        build_number=build.build_number,
        status=JobStatus.READY,
        status_message=None,
        is_status_message_terminal=False,
        started_at=storages.at,
        finished_at=None,
        exit_code=None,
        origin=request.meta["origin"],
        meta={**request.meta, **_starter(caller)},
        options=options.wire(),
        memory_mbytes=options.memory_mbytes,
        stats=initial_stats(0 if run_input is None else len(run_input.body)),
        usage=None,
        default_dataset_id=storages.default(StorageKind.DATASET),
        default_key_value_store_id=storages.default(StorageKind.KEY_VALUE_STORE),
        default_request_queue_id=storages.default(StorageKind.REQUEST_QUEUE),
        storage_ids=storages.ids,
        input_key=INPUT_KEY,
        general_access=GeneralAccess.FOLLOW_USER_SETTING,
        permission_level=options.permission_level,
        charged_event_counts=initial_counts(pricing, options.memory_mbytes),
        pricing_info=pricing,
        metamorphs=None,
        output=None,
        attempts=Attempts(),
        sandbox=None,
    )
