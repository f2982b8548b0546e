"""What webhooks are made of: events, the rules that wait for them, and the deliveries they cause. Pure."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Any, TypeAlias

from callboard.core.jobs import JobStatus

MAX_RETRIES = 11


class EventType(StrEnum):
    """What may happen to a run or build, spelled as on the wire."""

    RUN_CREATED = "ACTOR.RUN.CREATED"
    RUN_SUCCEEDED = "ACTOR.RUN.SUCCEEDED"
    RUN_FAILED = "ACTOR.RUN.FAILED"
    RUN_TIMED_OUT = "ACTOR.RUN.TIMED_OUT"
    RUN_ABORTED = "ACTOR.RUN.ABORTED"
    RUN_RESURRECTED = "ACTOR.RUN.RESURRECTED"
    BUILD_CREATED = "ACTOR.BUILD.CREATED"
    BUILD_SUCCEEDED = "ACTOR.BUILD.SUCCEEDED"
    BUILD_FAILED = "ACTOR.BUILD.FAILED"
    BUILD_TIMED_OUT = "ACTOR.BUILD.TIMED_OUT"
    BUILD_ABORTED = "ACTOR.BUILD.ABORTED"
    TEST = "TEST"

    @classmethod
    def of_run_end(cls, status: JobStatus) -> "EventType":
        """The event of a run that ended so. Raises ValueError for a status that is no end."""
        return cls(f"ACTOR.RUN.{_end_word(status)}")

    @classmethod
    def of_build_end(cls, status: JobStatus) -> "EventType":
        """The event of a build that ended so. Raises ValueError for a status that is no end."""
        return cls(f"ACTOR.BUILD.{_end_word(status)}")


def _end_word(status: JobStatus) -> str:
    if not status.is_terminal:
        raise ValueError(f"{status} is not the end of a run or build")
    return status.value.replace("-", "_")


@dataclass(frozen=True)
class Event:
    """Something that happened to a run or build of `user_id`.

    `event_data` names it on the wire: `actorId` with `actorRunId` and `actorTaskId` (or None), or with
    `actorBuildId`. `resource` is the wire object as it was at that moment.
    """

    type: EventType
    user_id: str
    created_at: datetime
    event_data: Mapping[str, str | None]
    resource: Mapping[str, Any]


@dataclass(frozen=True)
class Condition:
    """Whose events a webhook waits for. Exactly one of the three is set."""

    actor_id: str | None = None
    task_id: str | None = None
    run_id: str | None = None


@dataclass(frozen=True)
class Definition:
    """What a user says of a webhook, apart from its condition. Checked by `definitions.check`."""

    event_types: tuple[EventType, ...]
    request_url: str
    payload_template: str | None = None
    headers_template: str | None = None
    description: str | None = None
    ignore_ssl_errors: bool = False
    do_not_retry: bool = False
    should_interpolate_strings: bool = False
    is_enabled: bool = True


@dataclass(frozen=True)
class NewWebhook:
    """A definition to be stored, once for each idempotency key of the user."""

    definition: Definition
    idempotency_key: str | None = None


AdHocWebhook: TypeAlias = NewWebhook
"""A webhook given together with the start of the one run that it waits for."""


class DispatchStatus(StrEnum):
    """ACTIVE until a call succeeds or no further call will be made."""

    ACTIVE = "ACTIVE"
    SUCCEEDED = "SUCCEEDED"
    FAILED = "FAILED"


@dataclass(frozen=True)
class LastDispatch:
    """How the newest dispatch of a webhook stands."""

    id: str
    status: DispatchStatus
    finished_at: datetime | None


@dataclass(frozen=True)
class Webhook:
    id: str
    user_id: str
    created_at: datetime
    modified_at: datetime
    is_ad_hoc: bool
    condition: Condition
    definition: Definition
    total_dispatches: int
    last_dispatch: LastDispatch | None


@dataclass(frozen=True)
class DispatchCall:
    """One HTTP request of a dispatch. `error_message` is None exactly when it was accepted."""

    started_at: datetime
    finished_at: datetime
    error_message: str | None
    response_status: int | None
    response_body: str | None


@dataclass(frozen=True)
class Target:
    """What the webhook of a dispatch was when its event happened."""

    condition: Condition
    request_url: str
    is_ad_hoc: bool


@dataclass(frozen=True)
class Dispatch:
    """The delivery of one event to one webhook, which may since have been deleted."""

    id: str
    webhook_id: str
    user_id: str
    created_at: datetime
    status: DispatchStatus
    event_type: EventType
    event_data: Mapping[str, str | None]
    target: Target
    calls: tuple[DispatchCall, ...]
    attempts: int
    next_attempt_at: datetime | None


@dataclass(frozen=True)
class Delivery:
    """What one call needs: where to and how as the webhook says now, what as it was at the event."""

    dispatch: Dispatch
    resource: Mapping[str, Any]
    definition: Definition


def retry_delay_units(attempts: int) -> int | None:
    """How many minutes to wait after `attempts` failed calls: 1, 2, 4, ... None after the twelfth."""
    return 2 ** (attempts - 1) if attempts <= MAX_RETRIES else None
