"""Standby settings of Actors and of their tasks: what they say, and what counts when they say nothing."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import msgspec

from callboard.core.errors import InvalidValue

DESIRED_REQUESTS = 3
MAX_REQUESTS = 4
IDLE_TIMEOUT_SECS = 300
_IDLE_TIMEOUT_MAX_SECS = 7 * 24 * 3600
_REQUESTS_MAX = 1000


class StandbyBody(msgspec.Struct, rename="camel", omit_defaults=True):
    """`actorStandby` of an Actor or a task: what is not given stays as it was."""

    is_enabled: bool | None = None
    desired_requests_per_actor_run: int | None = None
    max_requests_per_actor_run: int | None = None
    idle_timeout_secs: int | None = None
    build: str | None = None
    memory_mbytes: int | None = None
    disable_standby_fields_override: bool | None = None
    should_pass_actor_input: bool | None = None


@dataclass(frozen=True)
class StandbyConfig:
    """What Standby goes by. None where the run's own defaults count."""

    is_enabled: bool = False
    desired_requests: int = DESIRED_REQUESTS
    """Of one run at a time: with so many in all runs, another is started early."""
    max_requests: int = MAX_REQUESTS
    """Of one run at a time, never exceeded."""
    idle_timeout_secs: int = IDLE_TIMEOUT_SECS
    build: str | None = None
    memory_mbytes: int | None = None
    passes_input: bool | None = None


def standby_config(
    actor_fields: Mapping[str, Any], of_task: Mapping[str, Any] | None = None
) -> StandbyConfig:
    """The Actor's settings, a task's over them unless the Actor does not let its settings be overridden."""
    values: dict[str, Any] = {**(actor_fields.get("actorStandby") or {})}
    if not values.get("disableStandbyFieldsOverride"):
        values |= {name: value for name, value in (of_task or {}).items() if value is not None}
    most = values.get("maxRequestsPerActorRun") or MAX_REQUESTS
    idle = values.get("idleTimeoutSecs")
    return StandbyConfig(
        is_enabled=bool(values.get("isEnabled")),
        desired_requests=min(values.get("desiredRequestsPerActorRun") or DESIRED_REQUESTS, most),
        max_requests=most,
        idle_timeout_secs=IDLE_TIMEOUT_SECS if idle is None else idle,
        build=values.get("build"),
        memory_mbytes=values.get("memoryMbytes"),
        passes_input=values.get("shouldPassActorInput"),
    )


def merged_standby(before: Any, body: StandbyBody | None) -> dict[str, Any] | None:
    """Stored settings after a change; null clears them. Raises InvalidValue."""
    if body is None:
        return None
    _check(body)
    return {**(before or {}), **msgspec.to_builtins(body)}


def turned_on(fields: dict[str, Any], definition: Mapping[str, Any] | None) -> dict[str, Any]:
    """An Actor's fields after a build: its actor.json turns Standby on where nobody has said yes or no."""
    standby: dict[str, Any] = fields.get("actorStandby") or {}
    if not (definition or {}).get("usesStandbyMode") or standby.get("isEnabled") is not None:
        return fields
    return {**fields, "actorStandby": {**standby, "isEnabled": True}}


def _check(body: StandbyBody) -> None:
    for name, value, most in (
        ("desiredRequestsPerActorRun", body.desired_requests_per_actor_run, _REQUESTS_MAX),
        ("maxRequestsPerActorRun", body.max_requests_per_actor_run, _REQUESTS_MAX),
        ("idleTimeoutSecs", body.idle_timeout_secs, _IDLE_TIMEOUT_MAX_SECS),
    ):
        if value is not None and not 1 <= value <= most:
            raise InvalidValue(f"actorStandby.{name} must be between 1 and {most}.")
    memory = body.memory_mbytes
    if memory is not None and (memory & (memory - 1) or not 128 <= memory <= 32_768):
        raise InvalidValue(
            "actorStandby.memoryMbytes must be a power of two between 128 and 32768."
        )
