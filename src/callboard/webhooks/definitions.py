"""What makes a webhook acceptable, however it is given: in a body, changed by one, or with the start of a run."""

import base64
import binascii
from collections.abc import Sequence

import msgspec

from callboard.core.errors import InvalidValue
from callboard.webhooks import templates
from callboard.webhooks.errors import InvalidIdempotencyKey, InvalidWebhook
from callboard.webhooks.model import AdHocWebhook, Condition, Definition
from callboard.webhooks.schemas import WebhookRepresentation
from callboard.webhooks.targets import parse_url

MAX_AD_HOC_PER_RUN = 100
MAX_TEMPLATE_CHARS = 262_144
MAX_DESCRIPTION_CHARS = 10_000
MAX_KEY_CHARS = 256


def check(definition: Definition) -> None:
    """Raise InvalidWebhook or InvalidTemplate, naming the field that cannot be used."""
    if not definition.event_types:
        raise InvalidWebhook("eventTypes must name at least one event.")
    parse_url(definition.request_url)
    _check_length("payloadTemplate", definition.payload_template, MAX_TEMPLATE_CHARS)
    _check_length("headersTemplate", definition.headers_template, MAX_TEMPLATE_CHARS)
    _check_length("description", definition.description, MAX_DESCRIPTION_CHARS)
    templates.check(
        definition.payload_template,
        definition.headers_template,
        interpolate=definition.should_interpolate_strings,
    )


def check_condition(condition: Condition) -> None:
    """Raise InvalidWebhook unless exactly one of the three is named."""
    named = [condition.actor_id, condition.task_id, condition.run_id]
    if sum(value is not None for value in named) != 1:
        raise InvalidWebhook(
            "condition must have exactly one of actorId, actorTaskId and actorRunId."
        )


def check_idempotency_key(key: str | None) -> None:
    if key is not None and len(key) > MAX_KEY_CHARS:
        raise InvalidIdempotencyKey(f"idempotencyKey may have at most {MAX_KEY_CHARS} characters.")


def parse_ad_hoc(text: str | None) -> list[AdHocWebhook]:
    """Read the `webhooks` parameter: base64 of a JSON array of webhooks for the run about to start.

    Raises InvalidValue, or what `check` raises; None and an empty text are no webhooks.
    """
    if not text:
        return []
    try:
        given = msgspec.json.decode(_debased(text), type=list[WebhookRepresentation])
    except (binascii.Error, ValueError, RecursionError) as error:
        raise InvalidValue(
            f'Parameter "webhooks" must be a Base64-encoded JSON array of webhooks: {error}'
        ) from error
    return _checked([representation.webhook() for representation in given])


def _checked(webhooks: Sequence[AdHocWebhook]) -> list[AdHocWebhook]:
    if len(webhooks) > MAX_AD_HOC_PER_RUN:
        raise InvalidValue(f'Parameter "webhooks" may hold at most {MAX_AD_HOC_PER_RUN} webhooks.')
    for webhook in webhooks:
        check(webhook.definition)
        check_idempotency_key(webhook.idempotency_key)
    return list(webhooks)


def _debased(text: str) -> bytes:
    """Either base64 alphabet, padded or not; a `+` that the query turned into a space counts as one."""
    plain = text.strip().translate(_TO_STANDARD).rstrip("=")
    return base64.b64decode(plain + "=" * (-len(plain) % 4), validate=True)


_TO_STANDARD = str.maketrans(" -_", "++/")


def _check_length(field: str, text: str | None, limit: int) -> None:
    if text is not None and len(text) > limit:
        raise InvalidWebhook(f"{field} may have at most {limit} characters.")
