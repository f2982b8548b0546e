"""The actions of a schedule: checked when they are set, started when they are due."""

from collections.abc import Callable, Sequence
from datetime import datetime
from typing import Any

import msgspec
from sqlalchemy import Connection

from callboard.actors.errors import ActorNotFound
from callboard.actors.service import find_actor
from callboard.api.refs import ById, parse_ref
from callboard.core.caller import Caller
from callboard.core.clock import iso
from callboard.core.errors import InvalidValue
from callboard.core.ids import new_id
from callboard.runs.input import SentInput, input_for_actor
from callboard.runs.model import Run
from callboard.runs.options import checked_memory, options_from_wire
from callboard.runs.service import RunService, StartRequest
from callboard.schedules.errors import ScheduleActorNotFound, ScheduleTaskNotFound
from callboard.schedules.model import ACTIONS_MAX, ActionType, Schedule
from callboard.schedules.schemas import ActionBody
from callboard.tasks.service import TaskNotFound, TaskService, find_task


def checked_actions(
    tx: Connection, caller: Caller, bodies: Sequence[ActionBody]
) -> list[dict[str, Any]]:
    """The actions as they are kept: each with an id, its Actor or task by id.

    Raises InvalidValue, ScheduleActorNotFound or ScheduleTaskNotFound.
    """
    for kind in ActionType:
        if sum(body.type is kind for body in bodies) > ACTIONS_MAX:
            raise InvalidValue(f"A schedule has at most {ACTIONS_MAX} actions {kind}.")
    actions = [_checked(tx, caller, body) for body in bodies]
    if len({action["id"] for action in actions}) < len(actions):
        raise InvalidValue("Two actions of the schedule have the same id.")
    return actions


def _checked(tx: Connection, caller: Caller, body: ActionBody) -> dict[str, Any]:
    if body.type is ActionType.RUN_ACTOR:
        target = {"actorId": _actor_id(tx, caller, body.actor_id or "")}
        if body.run_options is not None:
            checked_memory(body.run_options.memory_mbytes)
        kept = {"runInput": body.run_input, "runOptions": body.run_options}
    else:
        target = {"actorTaskId": _task_id(tx, caller, body.actor_task_id or "")}
        kept = {"input": body.input}
    given = {name: msgspec.to_builtins(value) for name, value in kept.items() if value is not None}
    return {"id": body.id or new_id(), "type": body.type, **target, **given}


def _actor_id(tx: Connection, caller: Caller, text: str) -> str:
    try:
        return find_actor(tx, caller, parse_ref(text, caller)).id
    except ActorNotFound as error:
        raise ScheduleActorNotFound(text) from error


def _task_id(tx: Connection, caller: Caller, text: str) -> str:
    try:
        return find_task(tx, caller, parse_ref(text, caller)).id
    except TaskNotFound as error:
        raise ScheduleTaskNotFound(text) from error


class ActionStarter:
    def __init__(self, runs: RunService, tasks: TaskService) -> None:
        self._runs = runs
        self._tasks = tasks

    async def start(
        self,
        schedule: Schedule,
        action: dict[str, Any],
        scheduled_at: datetime,
        on_start: Callable[[Connection, Run], None],
    ) -> Run:
        """Start what the action says, for the schedule's owner. Raises what starting a run raises."""
        owner = Caller(schedule.user_id, schedule.username)
        meta = {
            "origin": "SCHEDULER",
            "clientIp": None,
            "userAgent": None,
            "scheduleId": schedule.id,
            "scheduledAt": iso(scheduled_at),
        }
        if action["type"] == ActionType.RUN_ACTOR:
            sent = _sent(action.get("runInput") or {})
            request = StartRequest(
                requested=options_from_wire(action.get("runOptions")),
                make_input=lambda schema: input_for_actor(sent, schema),
                meta=meta,
                on_start=on_start,
            )
            return await self._runs.start(owner, ById(action["actorId"]), request)
        override = SentInput(msgspec.json.encode(action.get("input") or {}))
        request = StartRequest(
            requested=options_from_wire(None),
            make_input=lambda _: None,
            meta=meta,
            on_start=on_start,
        )
        return await self._tasks.start(owner, ById(action["actorTaskId"]), request, override)


def _sent(run_input: dict[str, str]) -> SentInput:
    return SentInput((run_input.get("body") or "").encode(), run_input.get("contentType"))
