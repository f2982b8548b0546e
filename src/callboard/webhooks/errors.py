"""Errors of webhooks."""

from callboard.core.errors import ApiError, InvalidValue, RecordNotFound


class InvalidWebhook(InvalidValue):
    """A webhook that says something impossible. The message names the field."""


class InvalidTemplate(InvalidValue):
    """A template that is not JSON once its variables are filled in, or names an unknown variable."""


class InvalidIdempotencyKey(ApiError):
    status, type = 400, "invalid-idempotency-key"


class WebhookNotFound(RecordNotFound):
    message = "Webhook was not found."


class DispatchNotFound(RecordNotFound):
    message = "Webhook dispatch was not found."


class TargetNotFound(RecordNotFound):
    """What a condition names does not exist, or is not the caller's."""


class TooManyWebhooks(ApiError):
    status, type = 403, "too-many-webhooks"
