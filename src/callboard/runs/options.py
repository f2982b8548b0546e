"""Options of a run: what the caller asks for, over the task's, over the Actor's, over the server's defaults."""

import math
from dataclasses import dataclass
from typing import Any

from callboard.actors.model import DEFAULT_TAG, Actor, PermissionLevel
from callboard.api.params import Query
from callboard.config import Settings
from callboard.core.errors import InvalidValue
from callboard.executors.base import disk_mbytes
from callboard.inputs.memory_expression import MemoryExpressionError, memory_from_expression
from callboard.runs.errors import MaxItemsNotPositive, MaxTotalChargeNotPositive

MEMORY_MIN_MBYTES = 128
MEMORY_MAX_MBYTES = 32_768
TIMEOUT_MAX_SECS = 10 * 365 * 24 * 3600
"""Longer than any machine runs; instants beyond the calendar cannot be told to a program."""


@dataclass(frozen=True)
class RequestedOptions:
    """Options as one source gives them; None where it says nothing."""

    build: str | None = None
    timeout_secs: int | None = None
    memory_mbytes: int | None = None
    max_items: int | None = None
    max_total_charge_usd: float | None = None
    restart_on_error: bool | None = None
    permission_level: PermissionLevel | None = None

    def over(self, other: "RequestedOptions") -> "RequestedOptions":
        """These options, and the other's where these say nothing."""
        return RequestedOptions(
            **{
                name: value if (value := getattr(self, name)) is not None else getattr(other, name)
                for name in self.__dataclass_fields__
            }
        )


def options_from_query(query: Query) -> RequestedOptions:
    """Raises InvalidParameter, InvalidValue, MaxItemsNotPositive or MaxTotalChargeNotPositive."""
    max_items = query.integer("maxItems", minimum=-(10**12))
    if max_items is not None and max_items <= 0:
        raise MaxItemsNotPositive
    max_charge = query.number("maxTotalChargeUsd", minimum=-(10**12))
    if max_charge is not None and max_charge <= 0:
        raise MaxTotalChargeNotPositive
    timeout = query.number("timeout")
    return RequestedOptions(
        build=query.text("build"),
        timeout_secs=_capped(timeout),
        memory_mbytes=checked_memory(query.integer("memory")),
        max_items=max_items,
        max_total_charge_usd=max_charge,
        restart_on_error=query.optional_flag("restartOnError"),
        permission_level=query.one_of("forcePermissionLevel", PermissionLevel),
    )


def options_from_wire(options: dict[str, Any] | None) -> RequestedOptions:
    """Stored options of a task or an Actor."""
    given = options or {}
    level = given.get("forcePermissionLevel")
    return RequestedOptions(
        build=given.get("build"),
        timeout_secs=_capped(given.get("timeoutSecs")),
        memory_mbytes=given.get("memoryMbytes"),
        max_items=given.get("maxItems"),
        max_total_charge_usd=given.get("maxTotalChargeUsd"),
        restart_on_error=given.get("restartOnError"),
        permission_level=None if level is None else PermissionLevel(level),
    )


def _capped(timeout_secs: float | None) -> int | None:
    return None if timeout_secs is None else math.ceil(min(timeout_secs, TIMEOUT_MAX_SECS))


def options_of_actor(actor: Actor) -> RequestedOptions:
    options = options_from_wire(actor.default_run_options)
    if options.restart_on_error is None and actor.fields.get("restartOnError"):
        return RequestedOptions(restart_on_error=True).over(options)
    return options


def checked_memory(memory_mbytes: int | None) -> int | None:
    if memory_mbytes is None:
        return None
    is_power = memory_mbytes > 0 and memory_mbytes & (memory_mbytes - 1) == 0
    if not is_power or not MEMORY_MIN_MBYTES <= memory_mbytes <= MEMORY_MAX_MBYTES:
        raise InvalidValue(
            f"Memory must be a power of two between {MEMORY_MIN_MBYTES} and {MEMORY_MAX_MBYTES} MB, "
            f"not {memory_mbytes}."
        )
    return memory_mbytes


@dataclass(frozen=True)
class RunOptions:
    """What a run goes by, nothing left open."""

    build: str
    timeout_secs: int
    memory_mbytes: int
    max_items: int | None
    max_total_charge_usd: float | None
    restart_on_error: bool
    permission_level: PermissionLevel

    def wire(self) -> dict[str, Any]:
        wire: dict[str, Any] = {
            "build": self.build,
            "timeoutSecs": self.timeout_secs,
            "memoryMbytes": self.memory_mbytes,
            "diskMbytes": disk_mbytes(self.memory_mbytes),
            "restartOnError": self.restart_on_error,
        }
        if self.max_items is not None:
            wire["maxItems"] = self.max_items
        if self.max_total_charge_usd is not None:
            wire["maxTotalChargeUsd"] = self.max_total_charge_usd
        return wire


def build_ref(requested: RequestedOptions, actor: Actor) -> str:
    """The tag or number of the build to run."""
    return requested.over(options_of_actor(actor)).build or DEFAULT_TAG


def resolve_options(
    requested: RequestedOptions,
    actor: Actor,
    definition: dict[str, Any],
    *,
    run_input: dict[str, Any],
    settings: Settings,
) -> RunOptions:
    """Close every gap. `definition` is the build's actor.json, whose memory bounds and expression count.

    Raises InvalidValue when the memory asked for is outside the Actor's own bounds.
    """
    wanted = requested.over(options_of_actor(actor))
    timeout = wanted.timeout_secs
    return RunOptions(
        build=wanted.build or DEFAULT_TAG,
        timeout_secs=settings.default_timeout_secs if timeout is None else timeout,
        memory_mbytes=_memory(requested, actor, definition, run_input=run_input, settings=settings),
        max_items=wanted.max_items,
        max_total_charge_usd=wanted.max_total_charge_usd,
        restart_on_error=bool(wanted.restart_on_error),
        permission_level=wanted.permission_level or actor.permission_level,
    )


def _memory(
    requested: RequestedOptions,
    actor: Actor,
    definition: dict[str, Any],
    *,
    run_input: dict[str, Any],
    settings: Settings,
) -> int:
    low = definition.get("minMemoryMbytes") or MEMORY_MIN_MBYTES
    high = definition.get("maxMemoryMbytes") or MEMORY_MAX_MBYTES
    if requested.memory_mbytes is not None:
        if not low <= requested.memory_mbytes <= high:
            raise InvalidValue(
                f"The Actor runs with {low} to {high} MB of memory, not {requested.memory_mbytes}."
            )
        return requested.memory_mbytes
    fixed = actor.default_run_options.get("memoryMbytes") or settings.default_memory_mbytes
    expression = definition.get("defaultMemoryMbytes")
    if expression is None:
        return min(max(fixed, low), high)
    try:
        known = {name: value for name, value in requested.__dict__.items() if value is not None}
        memory = memory_from_expression(str(expression), run_input, known)
    except MemoryExpressionError:
        memory = fixed
    return min(max(memory, low), high)
