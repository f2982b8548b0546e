"""Operations on Actor tasks: find, create, change, delete, run."""

from dataclasses import replace
from typing import Any

import msgspec
from msgspec import UNSET, UnsetType
from sqlalchemy import Connection
from sqlalchemy.exc import IntegrityError

from callboard.actors.errors import ActorNotFound
from callboard.actors.model import NAME
from callboard.actors.service import find_actor
from callboard.actors.standby import merged_standby
from callboard.api.pagination import Page, PageRequest
from callboard.api.refs import ById, Ref, parse_ref
from callboard.core import clock
from callboard.core.caller import Caller, require_account
from callboard.core.errors import ApiError, InvalidValue
from callboard.core.ids import new_id
from callboard.db.base import Database
from callboard.inputs.input_schema import InputSchema
from callboard.runs.input import RunInput, SentInput, input_for_task
from callboard.runs.model import Run
from callboard.runs.options import options_from_wire
from callboard.runs.service import RunService, StartRequest
from callboard.tasks import repository
from callboard.tasks.model import ActorTask
from callboard.tasks.schemas import TaskBody, TaskOptions


class TaskNotFound(ApiError):
    status, type = 404, "record-not-found"
    message = "Actor task was not found"


class TooManyTasks(ApiError):
    status, type = 403, "too-many-actor-tasks"

    def __init__(self, count: int) -> None:
        super().__init__(f"You may have at most {count} Actor tasks.")


class TaskNameNotUnique(ApiError):
    status, type = 409, "actor-task-name-not-unique"
    message = "You already have an Actor task of that name."


def find_task(tx: Connection, caller: Caller, ref: Ref) -> ActorTask:
    """The caller's task. Raises TaskNotFound."""
    if isinstance(ref, ById):
        task = repository.by_id(tx, ref.id) or repository.by_name(tx, caller.user_id, ref.id)
    elif ref.username is None:
        task = repository.by_name(tx, caller.user_id, ref.name)
    else:
        task = None
    if task is None or not caller.owns(task.user_id):
        raise TaskNotFound
    return task


class TaskService:
    def __init__(self, db: Database, runs: RunService, *, max_tasks: int) -> None:
        self._db = db
        self._max_tasks = max_tasks
        self._runs = runs

    async def get(self, caller: Caller, ref: Ref) -> ActorTask:
        require_account(caller)
        return await self._find(caller, ref)

    async def _find(self, caller: Caller, ref: Ref) -> ActorTask:
        return await self._db.read(lambda tx: find_task(tx, caller, ref))

    async def page(self, caller: Caller, request: PageRequest) -> Page[ActorTask]:
        require_account(caller)
        return await self._db.read(lambda tx: repository.page(tx, caller.user_id, request))

    async def create(self, caller: Caller, body: TaskBody) -> ActorTask:
        """Raises ActorNotFound, TaskNameNotUnique, TooManyTasks or InvalidValue."""
        require_account(caller)
        if not isinstance(body.act_id, str):
            raise InvalidValue("actId is required.")
        actor_ref = parse_ref(body.act_id, caller)
        name = body.name or f"my-task-{new_id()[:8].lower()}"
        values = _given(body, None, None)

        def unit(tx: Connection) -> ActorTask:
            actor = find_actor(tx, caller, actor_ref)
            if repository.count_of(tx, caller.user_id) >= self._max_tasks:
                raise TooManyTasks(self._max_tasks)
            task_id, at = new_id(), clock.now()
            repository.insert_task(
                tx,
                **{
                    "options": {},
                    **values,
                    "id": task_id,
                    "user_id": caller.user_id,
                    "actor_id": actor.id,
                    "name": _checked_name(name),
                    "created_at": at,
                    "modified_at": at,
                },
            )
            return find_task(tx, caller, ById(task_id))

        return await self._write(unit)

    async def update(self, caller: Caller, ref: Ref, body: TaskBody) -> ActorTask:
        """Change what is given. Raises TaskNameNotUnique, ActorNotFound or InvalidValue."""
        require_account(caller)
        name = _checked_name(body.name) if isinstance(body.name, str) else None
        actor_ref = parse_ref(body.act_id, caller) if isinstance(body.act_id, str) else None

        def unit(tx: Connection) -> ActorTask:
            task = find_task(tx, caller, ref)
            values = _given(body, task.actor_standby, task.publication)
            if name is not None:
                values["name"] = name
            if actor_ref is not None:
                values["actor_id"] = find_actor(tx, caller, actor_ref).id
            repository.change(tx, task.id, modified_at=clock.now(), **values)
            return find_task(tx, caller, ById(task.id))

        return await self._write(unit)

    async def merge_input(
        self, caller: Caller, ref: Ref, changes: dict[str, Any]
    ) -> dict[str, Any]:
        """Put top-level properties over those of the task's input. Returns the whole input."""
        require_account(caller)

        def unit(tx: Connection) -> dict[str, Any]:
            task = find_task(tx, caller, ref)
            merged = {**(task.input or {}), **changes}
            repository.change(tx, task.id, input=merged, modified_at=clock.now())
            return merged

        return await self._db.write(unit)

    async def delete(self, caller: Caller, ref: Ref) -> None:
        require_account(caller)
        await self._db.write(lambda tx: repository.remove(tx, find_task(tx, caller, ref).id))

    async def start(
        self, caller: Caller, ref: Ref, request: StartRequest, sent: SentInput | None
    ) -> Run:
        """Run the task: the request's options over the task's, `sent` over its input, or with None no input at all.

        Raises TaskNotFound, also when its Actor is gone, and what `RunService.start` raises.
        """
        task = await self._find(caller, ref)

        def make_input(schema: InputSchema | None) -> RunInput | None:
            return None if sent is None else input_for_task(sent, task.input, schema)

        also_on_start = request.on_start

        def on_start(tx: Connection, run: Run) -> None:
            repository.note_run(tx, task.id, at=clock.now())
            if also_on_start is not None:
                also_on_start(tx, run)

        request = replace(
            request,
            requested=request.requested.over(options_from_wire(task.options)),
            make_input=make_input,
            task_id=task.id,
            on_start=on_start,
        )
        try:
            return await self._runs.start(caller, ById(task.actor_id), request)
        except ActorNotFound as error:
            raise TaskNotFound("The Actor of the task was not found") from error

    async def _write(self, unit: Any) -> ActorTask:
        try:
            return await self._db.write(unit)
        except IntegrityError as error:
            raise TaskNameNotUnique from error


def _checked_name(name: str) -> str:
    if not NAME.fullmatch(name):
        raise InvalidValue(
            "A task's name has 3 to 63 letters, digits and hyphens, with no hyphen at the ends."
        )
    return name


def _given(
    body: TaskBody,
    standby_before: dict[str, Any] | None,
    publication_before: dict[str, Any] | None,
) -> dict[str, Any]:
    values: dict[str, Any] = {}
    for field in ("title", "description", "input"):
        value = getattr(body, field)
        if value is not UNSET:
            values[field] = value
    if not isinstance(body.actor_standby, UnsetType):
        values["actor_standby"] = merged_standby(standby_before, body.actor_standby)
    if publication := body.publication():
        values["publication"] = {**(publication_before or {}), **publication}
    if body.options is not UNSET:
        values["options"] = msgspec.to_builtins(_checked_options(body.options or TaskOptions()))
    return values


def _checked_options(options: TaskOptions) -> TaskOptions:
    memory = options.memory_mbytes
    if memory is not None and (memory & (memory - 1) or not 128 <= memory <= 32_768):
        raise InvalidValue("options.memoryMbytes must be a power of two between 128 and 32768.")
    if options.timeout_secs is not None and options.timeout_secs < 0:
        raise InvalidValue("options.timeoutSecs must not be negative.")
    return options
