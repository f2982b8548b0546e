"""The two errors an input schema can cause: its own, and that of an input which does not fit it."""

from callboard.core.errors import ApiError


class InvalidInputSchema(ApiError):
    """The Actor's author wrote a schema that breaks the rules of version 1."""

    status, type = 400, "invalid-input-schema"
    message = "Input schema is not valid."


class InvalidInput(ApiError):
    """Who runs the Actor gave an input that its schema does not allow."""

    status, type = 400, "invalid-input"
    message = "Input is not valid."
