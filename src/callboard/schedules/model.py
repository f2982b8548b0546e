"""Schedules: what is to be started when."""

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Any

ACTIONS_MAX = 10
"""Of each type."""
LOG_MAX = 1000


class ActionType(StrEnum):
    RUN_ACTOR = "RUN_ACTOR"
    RUN_ACTOR_TASK = "RUN_ACTOR_TASK"


class MissedPolicy(StrEnum):
    """What becomes of invocations that were due while the server was down."""

    ONCE = "once"
    SKIP = "skip"


@dataclass(frozen=True)
class Schedule:
    """A schedule. `actions` and `notifications` hold their wire names.

    `last_run_ids` maps an action's id to `{"scheduledAt", "runId"?}`: what its last invocation came to.
    """

    id: str
    user_id: str
    username: str
    name: str
    created_at: datetime
    modified_at: datetime
    title: str | None
    description: str | None
    cron_expression: str
    timezone: str
    is_enabled: bool
    is_exclusive: bool
    actions: list[dict[str, Any]]
    notifications: dict[str, Any]
    next_run_at: datetime | None
    last_run_at: datetime | None
    last_run_ids: dict[str, dict[str, str]]


@dataclass(frozen=True)
class LogEntry:
    created_at: datetime
    level: str
    message: str
