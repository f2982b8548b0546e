"""Actor tasks on the wire."""

from typing import Any

import msgspec
from msgspec import UNSET, UnsetType

from callboard.actors.standby import StandbyBody
from callboard.core.actor_urls import ActorUrls
from callboard.core.clock import iso
from callboard.tasks.model import ActorTask


class TaskOptions(msgspec.Struct, rename="camel", omit_defaults=True):
    build: str | None = None
    timeout_secs: int | None = None
    memory_mbytes: int | None = None
    max_items: int | None = None
    max_total_charge_usd: float | None = None
    restart_on_error: bool | None = None


class TaskBody(msgspec.Struct, rename="camel"):
    """A task as created or changed: what is not given stays."""

    act_id: str | UnsetType | None = UNSET
    name: str | UnsetType | None = UNSET
    title: str | UnsetType | None = UNSET
    description: str | UnsetType | None = UNSET
    options: TaskOptions | UnsetType | None = UNSET
    input: dict[str, Any] | UnsetType | None = UNSET
    actor_standby: StandbyBody | UnsetType | None = UNSET
    is_public: bool | UnsetType | None = UNSET
    public_config: dict[str, Any] | UnsetType | None = UNSET

    def publication(self) -> dict[str, Any]:
        """What is given of it, by its wire names."""
        given = {"isPublic": self.is_public, "publicConfig": self.public_config}
        return {name: value for name, value in given.items() if value is not UNSET}


def stats_wire(task: ActorTask) -> dict[str, Any]:
    wire: dict[str, Any] = {"totalRuns": task.total_runs}
    if task.last_run_started_at is not None:
        wire["lastRunStartedAt"] = iso(task.last_run_started_at)
    return wire


def task_wire(task: ActorTask, *, urls: ActorUrls) -> dict[str, Any]:
    standby_url = urls.standby_task(task.id, username=task.username, name=task.name)
    return {
        "id": task.id,
        "userId": task.user_id,
        "actId": task.actor_id,
        "name": task.name,
        "title": task.title,
        "description": task.description,
        "username": task.username,
        "createdAt": iso(task.created_at),
        "modifiedAt": iso(task.modified_at),
        "removedAt": None,
        "stats": stats_wire(task),
        "options": task.options,
        "input": task.input,
        "actorStandby": task.actor_standby,
        **(task.publication or {}),
        "standbyUrl": standby_url if task.standby.is_enabled else None,
    }


def short_task_wire(task: ActorTask) -> dict[str, Any]:
    return {
        "id": task.id,
        "userId": task.user_id,
        "actId": task.actor_id,
        "actName": task.actor_name,
        "actUsername": task.actor_username,
        "name": task.name,
        "title": task.title,
        "username": task.username,
        "createdAt": iso(task.created_at),
        "modifiedAt": iso(task.modified_at),
        "stats": stats_wire(task),
    }
