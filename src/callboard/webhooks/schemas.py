"""Webhooks and dispatches on the wire."""

from typing import Any

import msgspec
from msgspec import UNSET, UnsetType

from callboard.core.clock import iso, iso_or_none
from callboard.webhooks.errors import InvalidWebhook
from callboard.webhooks.model import (
    Condition,
    Definition,
    Dispatch,
    DispatchCall,
    EventType,
    LastDispatch,
    NewWebhook,
    Webhook,
)


class ConditionBody(msgspec.Struct, rename="camel"):
    actor_id: str | None = None
    actor_task_id: str | None = None
    actor_run_id: str | None = None

    def condition(self) -> Condition:
        return Condition(
            actor_id=self.actor_id or None,
            task_id=self.actor_task_id or None,
            run_id=self.actor_run_id or None,
        )


class WebhookRepresentation(msgspec.Struct, rename="camel", kw_only=True):
    """A webhook without a condition, as it comes with the start of a run."""

    event_types: list[EventType]
    request_url: str
    payload_template: str | None = None
    headers_template: str | None = None
    description: str | None = None
    should_interpolate_strings: bool | None = None
    idempotency_key: str | None = None
    ignore_ssl_errors: bool | None = None
    do_not_retry: bool | None = None
    is_enabled: bool | None = None

    def webhook(self) -> NewWebhook:
        definition = Definition(
            event_types=tuple(dict.fromkeys(self.event_types)),
            request_url=self.request_url,
            payload_template=blank_as_none(self.payload_template),
            headers_template=blank_as_none(self.headers_template),
            description=self.description,
            ignore_ssl_errors=bool(self.ignore_ssl_errors),
            do_not_retry=bool(self.do_not_retry),
            should_interpolate_strings=bool(self.should_interpolate_strings),
            is_enabled=self.is_enabled is not False,
        )
        return NewWebhook(definition, idempotency_key=self.idempotency_key or None)


class WebhookCreation(WebhookRepresentation, rename="camel", kw_only=True):
    """Body of a POST."""

    condition: ConditionBody
    is_ad_hoc: bool | None = None

    def new_condition(self) -> Condition:
        """Raises InvalidWebhook for an ad-hoc webhook that waits for more than one run."""
        condition = self.condition.condition()
        if self.is_ad_hoc and condition.run_id is None:
            raise InvalidWebhook("An ad-hoc webhook must have condition.actorRunId.")
        return condition


class WebhookChange(msgspec.Struct, rename="camel"):
    """Body of a PUT: what is given changes. Null empties a text and leaves anything else as it was."""

    event_types: list[EventType] | None = None
    request_url: str | None = None
    condition: ConditionBody | None = None
    ignore_ssl_errors: bool | None = None
    do_not_retry: bool | None = None
    should_interpolate_strings: bool | None = None
    is_enabled: bool | None = None
    payload_template: str | UnsetType | None = UNSET
    headers_template: str | UnsetType | None = UNSET
    description: str | UnsetType | None = UNSET

    def changes(self) -> dict[str, Any]:
        """Fields of `Definition` with their new values."""
        given = msgspec.structs.asdict(self)
        texts = {name: given.pop(name) for name in ("payload_template", "headers_template")}
        texts = {name: text for name, text in texts.items() if text is not UNSET}
        description = given.pop("description")
        changes = {name: value for name, value in given.items() if value is not None}
        changes.pop("condition", None)
        if self.event_types is not None:
            changes["event_types"] = tuple(dict.fromkeys(self.event_types))
        changes |= {name: blank_as_none(text) for name, text in texts.items()}
        return changes if description is UNSET else changes | {"description": description}


def blank_as_none(template: str | None) -> str | None:
    return template if template and template.strip() else None


def webhook_short_wire(webhook: Webhook) -> dict[str, Any]:
    """A webhook as lists show it: without its templates, which may hold secrets."""
    definition = webhook.definition
    return {
        "id": webhook.id,
        "createdAt": iso(webhook.created_at),
        "modifiedAt": iso(webhook.modified_at),
        "userId": webhook.user_id,
        "isAdHoc": webhook.is_ad_hoc,
        "isEnabled": definition.is_enabled,
        "actionType": "HTTP_REQUEST",
        "shouldInterpolateStrings": definition.should_interpolate_strings,
        "eventTypes": list(definition.event_types),
        "condition": condition_wire(webhook.condition),
        "ignoreSslErrors": definition.ignore_ssl_errors,
        "doNotRetry": definition.do_not_retry,
        "requestUrl": definition.request_url,
        "lastDispatch": _last_dispatch_wire(webhook.last_dispatch),
        "stats": {"totalDispatches": webhook.total_dispatches},
    }


def webhook_wire(webhook: Webhook) -> dict[str, Any]:
    return webhook_short_wire(webhook) | {
        "payloadTemplate": webhook.definition.payload_template,
        "headersTemplate": webhook.definition.headers_template,
        "description": webhook.definition.description,
    }


def condition_wire(condition: Condition) -> dict[str, str]:
    named = {
        "actorId": condition.actor_id,
        "actorTaskId": condition.task_id,
        "actorRunId": condition.run_id,
    }
    return {name: value for name, value in named.items() if value is not None}


def _last_dispatch_wire(last: LastDispatch | None) -> dict[str, Any] | None:
    if last is None:
        return None
    return {"status": last.status, "finishedAt": iso_or_none(last.finished_at)}


def dispatch_wire(dispatch: Dispatch) -> dict[str, Any]:
    return {
        "id": dispatch.id,
        "userId": dispatch.user_id,
        "webhookId": dispatch.webhook_id,
        "createdAt": iso(dispatch.created_at),
        "status": dispatch.status,
        "eventType": dispatch.event_type,
        "eventData": dict(dispatch.event_data),
        "webhook": {
            "actionType": "HTTP_REQUEST",
            "condition": condition_wire(dispatch.target.condition),
            "requestUrl": dispatch.target.request_url,
            "isAdHoc": dispatch.target.is_ad_hoc,
        },
        "calls": [_call_wire(call) for call in dispatch.calls],
    }


def _call_wire(call: DispatchCall) -> dict[str, Any]:
    return {
        "startedAt": iso(call.started_at),
        "finishedAt": iso(call.finished_at),
        "errorMessage": call.error_message,
        "responseStatus": call.response_status,
        "responseBody": call.response_body,
    }


def sample_event_data(condition: Condition, *, dummy_id: str) -> dict[str, str | None]:
    """The event data of a test: what the webhook waits for, and a made-up run for the rest."""
    return {
        "actorId": condition.actor_id or dummy_id,
        "actorRunId": condition.run_id or dummy_id,
        "actorTaskId": condition.task_id,
    }


def sample_resource(
    event_data: dict[str, str | None], *, user_id: str, created_at: str
) -> dict[str, Any]:
    """A run that never was, in the shape of a real one."""
    return {
        "id": event_data["actorRunId"],
        "actId": event_data["actorId"],
        "actorTaskId": event_data["actorTaskId"],
        "userId": user_id,
        "startedAt": created_at,
        "finishedAt": created_at,
        "status": "SUCCEEDED",
        "statusMessage": "This is a test of a webhook. There is no such run.",
        "meta": {"origin": "TEST"},
        "stats": {},
        "options": {},
        "exitCode": 0,
    }
