"""What a request in Standby mode asks for: an Actor or a task, as its settings are at this moment."""

from dataclasses import dataclass
from typing import TypeAlias

from sqlalchemy import Connection

from callboard.actors.errors import ActorNotFound
from callboard.actors.model import Actor, PermissionLevel
from callboard.actors.service import find_actor
from callboard.actors.standby import StandbyConfig, standby_config
from callboard.api.refs import ById, Ref, parse_ref
from callboard.builds.service import find_for_run
from callboard.core.actor_urls import ActorUrls
from callboard.core.caller import Caller
from callboard.core.errors import InsufficientPermissions
from callboard.core.scopes import Action
from callboard.core.scopes import Kind as Scoped
from callboard.gateway import repository
from callboard.gateway.errors import NoSuchServer, StandbyOff
from callboard.gateway.places import Kind, Place
from callboard.runs.options import (
    RequestedOptions,
    build_ref,
    options_from_wire,
    options_of_actor,
)
from callboard.tasks.model import ActorTask
from callboard.tasks.service import TaskNotFound, find_task

Key: TypeAlias = tuple[str, str]
"""Account, and Actor or task: whose requests share runs."""


@dataclass(frozen=True)
class Target:
    """`build_id` is the build that its runs are to be of; runs of others take no more requests."""

    caller: Caller
    """The account, not the run that may have asked for it: others of the account use the same runs."""
    actor: Actor
    task: ActorTask | None
    config: StandbyConfig
    build_id: str

    @property
    def key(self) -> Key:
        return self.caller.user_id, self.actor.id if self.task is None else self.task.id

    def url(self, urls: ActorUrls) -> str:
        if self.task is None:
            actor = self.actor
            return urls.standby_actor(actor.id, username=actor.username, name=actor.name)
        task = self.task
        return urls.standby_task(task.id, username=task.username, name=task.name)


def find_target(tx: Connection, caller: Caller, place: Place) -> Target:
    """Raises NoSuchServer, StandbyOff, InsufficientPermissions, or that there is no build to run."""
    kind, ref = _named(tx, caller, place)
    task = None
    try:
        if kind is Kind.TASK:
            task = find_task(tx, caller, ref)
            ref = ById(task.actor_id)
        actor = find_actor(tx, caller, ref)
    except (ActorNotFound, TaskNotFound) as error:
        raise NoSuchServer from error
    return target_of(tx, caller, actor, task)


def target_of(tx: Connection, caller: Caller, actor: Actor, task: ActorTask | None) -> Target:
    """Raises StandbyOff, InsufficientPermissions, or that there is no build to run."""
    config = standby_config(actor.fields) if task is None else task.standby
    if not config.is_enabled:
        raise StandbyOff
    if not _may_run(caller, actor, task):
        raise InsufficientPermissions("The token has no permission to run this.")
    level = options_of_actor(actor).permission_level or actor.permission_level
    has_all_rights = not caller.is_limited and caller.scopes is None
    if not has_all_rights and level is not PermissionLevel.LIMITED_PERMISSIONS:
        raise InsufficientPermissions("Limited permissions are good for Actors of the same only.")
    requested = RequestedOptions(build=config.build)
    if task is not None:
        requested = requested.over(options_from_wire(task.options))
    build = find_for_run(tx, actor, build_ref(requested, actor))
    return Target(Caller(caller.user_id, caller.username), actor, task, config, build.id)


def _may_run(caller: Caller, actor: Actor, task: ActorTask | None) -> bool:
    """Whether the caller's token, if it has scopes, is good for starting runs of it."""
    if caller.scopes is None:
        return True
    if task is None:
        return caller.scopes.allow(Scoped.ACTORS, Action.RUN, actor.id)
    return caller.scopes.allow(Scoped.TASKS, Action.RUN, task.id)


def _named(tx: Connection, caller: Caller, place: Place) -> tuple[Kind, Ref]:
    if place.kind is not Kind.NAME:
        return place.kind, parse_ref(place.ref, caller)
    if actor_id := repository.actor_id_of(tx, caller, place.ref):
        return Kind.ACTOR, ById(actor_id)
    if task_id := repository.task_id_of(tx, caller, place.ref):
        return Kind.TASK, ById(task_id)
    raise NoSuchServer
