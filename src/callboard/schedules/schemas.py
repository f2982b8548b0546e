"""Schedules on the wire."""

from typing import Any

import msgspec
from msgspec import UNSET, UnsetType

from callboard.core.clock import iso, iso_or_none
from callboard.schedules.model import ActionType, LogEntry, Schedule
from callboard.tasks.schemas import TaskOptions


class RunInputBody(msgspec.Struct, rename="camel", omit_defaults=True):
    body: str | None = None
    content_type: str | None = None


class ActionBody(msgspec.Struct, rename="camel", omit_defaults=True):
    type: ActionType
    id: str | None = None
    actor_id: str | None = None
    actor_task_id: str | None = None
    run_input: RunInputBody | None = None
    run_options: TaskOptions | None = None
    input: dict[str, Any] | None = None


class Notifications(msgspec.Struct):
    email: bool = True


class ScheduleBody(msgspec.Struct, rename="camel"):
    """A schedule as created or changed: what is not given stays."""

    name: str | UnsetType | None = UNSET
    title: str | UnsetType | None = UNSET
    description: str | UnsetType | None = UNSET
    cron_expression: str | UnsetType | None = UNSET
    timezone: str | UnsetType | None = UNSET
    is_enabled: bool | UnsetType | None = UNSET
    is_exclusive: bool | UnsetType | None = UNSET
    actions: list[ActionBody] | UnsetType | None = UNSET
    notifications: Notifications | UnsetType | None = UNSET


def _base_wire(schedule: Schedule) -> dict[str, Any]:
    return {
        "id": schedule.id,
        "userId": schedule.user_id,
        "name": schedule.name,
        "title": schedule.title,
        "cronExpression": schedule.cron_expression,
        "timezone": schedule.timezone,
        "isEnabled": schedule.is_enabled,
        "isExclusive": schedule.is_exclusive,
        "createdAt": iso(schedule.created_at),
        "modifiedAt": iso(schedule.modified_at),
        "nextRunAt": iso_or_none(schedule.next_run_at),
        "lastRunAt": iso_or_none(schedule.last_run_at),
    }


def schedule_wire(schedule: Schedule) -> dict[str, Any]:
    return {
        **_base_wire(schedule),
        "description": schedule.description,
        "notifications": schedule.notifications,
        "actions": schedule.actions,
    }


def short_schedule_wire(schedule: Schedule) -> dict[str, Any]:
    kept = ("id", "type", "actorId", "actorTaskId")
    return {
        **_base_wire(schedule),
        "actions": [
            {name: action[name] for name in kept if name in action} for action in schedule.actions
        ],
    }


def log_wire(entry: LogEntry) -> dict[str, str]:
    return {"message": entry.message, "level": entry.level, "createdAt": iso(entry.created_at)}
