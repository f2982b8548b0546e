"""What calls a token with scopes may make: decided in one place, from the route, before any handler runs.

Whatever is not named here is denied, so a new endpoint is closed to such tokens until somebody thinks of it.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TypeAlias

from sqlalchemy import Connection

from callboard.actors.errors import ActorNotFound
from callboard.actors.service import find_actor
from callboard.api.refs import parse_ref
from callboard.api.router import Route
from callboard.builds import repository as build_rows
from callboard.core.caller import Caller
from callboard.core.scopes import Action, Kind
from callboard.db.base import Database
from callboard.runs import repository as run_rows
from callboard.runs.model import STARTED_BY_TOKEN
from callboard.schedules.errors import ScheduleNotFound
from callboard.schedules.service import find_schedule
from callboard.storages.model import StorageKind
from callboard.storages.service import look_up
from callboard.tasks.service import TaskNotFound, find_task

_STORAGES = {
    Kind.DATASETS: StorageKind.DATASET,
    Kind.STORES: StorageKind.KEY_VALUE_STORE,
    Kind.QUEUES: StorageKind.REQUEST_QUEUE,
}
_OPEN = frozenset(
    {
        ("GET", "/v2/users/me"),
        ("GET", "/v2/store"),
        ("POST", "/v2/tools/encode-and-sign"),
    }
)
_RUN_STARTS = ("runs", "run-sync", "run-sync-get-dataset-items")
_TASK_PARTS = ("input",)
_ACTOR_PARTS = ("versions", "builds")


@dataclass(frozen=True)
class Needed:
    """A permission that a call needs. `param` names the path's parameter that says for which one."""

    kind: Kind
    action: Action
    param: str | None = None


def needed(route: Route) -> Needed | None:
    """The permission for a route, None where no token with scopes gets in."""
    _, _, family, *parts = route.path.split("/")
    if parts and parts[-1] == "metamorph":
        return None  # It would put a program of the caller's choice where another has its rights.
    is_reading = route.method in ("GET", "HEAD")
    action = Action.READ if is_reading else Action.WRITE
    if family in ("actors", "acts"):
        return _of_actor(route.method, parts, action)
    if family == "actor-tasks":
        return _of_task(route.method, parts, action)
    if family == "logs":
        return Needed(Kind.RUNS, Action.READ, "buildOrRunId")
    if family == "webhook-dispatches":
        return Needed(Kind.WEBHOOKS, Action.READ)
    if family not in set(Kind):
        return None
    if parts:
        return Needed(Kind(family), action, parts[0].strip("{}"))
    return Needed(Kind(family), Action.READ if is_reading else Action.CREATE)


def _of_actor(method: str, parts: list[str], action: Action) -> Needed | None:
    if not parts:
        return Needed(Kind.ACTORS, Action.READ) if method == "GET" else None
    part = parts[1] if len(parts) > 1 else None
    if part in _RUN_STARTS:
        return _of_runs(Kind.ACTORS, method, parts, action)
    if part == "validate-input":
        return Needed(Kind.ACTORS, Action.READ, "actorId")
    if part == "webhooks" and method == "GET":
        return Needed(Kind.WEBHOOKS, Action.READ)
    is_seen = method == "GET" and (part is None or part in _ACTOR_PARTS)
    return Needed(Kind.ACTORS, Action.READ, "actorId") if is_seen else None


def _of_task(method: str, parts: list[str], action: Action) -> Needed | None:
    if not parts:
        return Needed(Kind.TASKS, Action.READ) if method == "GET" else None
    part = parts[1] if len(parts) > 1 else None
    if part in _RUN_STARTS:
        return _of_runs(Kind.TASKS, method, parts, action)
    if part == "webhooks" and method == "GET":
        return Needed(Kind.WEBHOOKS, Action.READ)
    if part is None or part in _TASK_PARTS:
        return Needed(Kind.TASKS, action, "actorTaskId")
    return None


def _of_runs(kind: Kind, method: str, parts: list[str], action: Action) -> Needed:
    """Starting runs of an Actor or task, listing them, and what is done with one of them."""
    param = parts[0].strip("{}")
    if parts[1] != "runs" or (len(parts) == 2 and method == "POST"):
        return Needed(kind, Action.RUN, param)
    return Needed(Kind.RUNS, action, "runId" if "{runId}" in parts else None)


class Scoping:
    def __init__(self, db: Database) -> None:
        self._db = db

    async def allows(self, caller: Caller, route: Route, params: Mapping[str, str]) -> bool:
        """Whether the caller's token, which has scopes, may make the call."""
        if (route.method, route.path) in _OPEN:
            return True
        wanted = needed(route)
        if wanted is None or caller.scopes is None:
            return False
        if caller.scopes.allow(wanted.kind, wanted.action):
            return True
        if wanted.param is None:
            return False
        text = params[wanted.param]
        return await self._db.read(lambda tx: _allows_one(tx, caller, wanted, text))


def _allows_one(tx: Connection, caller: Caller, wanted: Needed, text: str) -> bool:
    one = _FINDERS[wanted.kind](tx, caller, wanted, text)
    if one is None or caller.scopes is None:
        return False
    return one.is_own or caller.scopes.allow(wanted.kind, wanted.action, one.id)


@dataclass(frozen=True)
class _One:
    """What a call is about. `is_own` when the token has made it itself."""

    id: str
    is_own: bool = False


_Found: TypeAlias = _One | None


def _actor(tx: Connection, caller: Caller, _: Needed, text: str) -> _Found:
    try:
        return _One(find_actor(tx, caller, parse_ref(text, caller)).id)
    except ActorNotFound:
        return None


def _task(tx: Connection, caller: Caller, _: Needed, text: str) -> _Found:
    try:
        return _One(find_task(tx, caller, parse_ref(text, caller)).id)
    except TaskNotFound:
        return None


def _schedule(tx: Connection, caller: Caller, _: Needed, text: str) -> _Found:
    try:
        return _One(find_schedule(tx, caller, parse_ref(text, caller)).id)
    except ScheduleNotFound:
        return None


def _run(tx: Connection, caller: Caller, _: Needed, text: str) -> _Found:
    if _is_started_by(tx, caller, text):
        return _One(text, is_own=True)
    build = build_rows.by_id(tx, text)
    if build is None:
        return _One(text)
    is_shown = caller.scopes is not None and caller.scopes.allow(Kind.BUILDS, Action.READ, build.id)
    return _One(text, is_own=is_shown)


def _by_id(_: Connection, __: Caller, ___: Needed, text: str) -> _Found:
    return _One(text)


def _storage(tx: Connection, caller: Caller, wanted: Needed, text: str) -> _Found:
    kind = _STORAGES[wanted.kind]
    storage = look_up(tx, kind, caller, parse_ref(text, caller))
    if storage is None:
        return None
    is_own = storage.creator == caller.token_id is not None or (
        storage.run_id is not None and _is_started_by(tx, caller, storage.run_id)
    )
    return _One(storage.id, is_own=is_own)


def _is_started_by(tx: Connection, caller: Caller, run_id: str) -> bool:
    run = run_rows.by_id(tx, run_id)
    return (
        run is not None
        and caller.owns(run.user_id)
        and run.meta.get(STARTED_BY_TOKEN) == caller.token_id is not None
    )


_FINDERS = {
    Kind.ACTORS: _actor,
    Kind.TASKS: _task,
    Kind.RUNS: _run,
    Kind.BUILDS: _by_id,
    Kind.WEBHOOKS: _by_id,
    Kind.SCHEDULES: _schedule,
    **dict.fromkeys(_STORAGES, _storage),
}
