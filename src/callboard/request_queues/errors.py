"""Errors about requests and their locks."""

from callboard.core.errors import ApiError, RecordNotFound

BATCH_MAX = 25


class RequestNotFound(RecordNotFound):
    message = "Request was not found."


class RequestIdInvalid(ApiError):
    status, type = 400, "request-id-invalid"

    def __init__(self, given: str, expected: str) -> None:
        super().__init__(
            f'Request ID "{given}" does not belong to its unique key, whose ID is "{expected}".'
        )


class RequestHandledOrLocked(ApiError):
    status, type = 400, "request-handled-or-locked"
    message = "The request has been handled, or the lock on it is not held by this client."


class InvalidClientKey(ApiError):
    status, type = 400, "invalid-client-key"
    message = 'Parameter "clientKey" must have between 1 and 32 characters.'


class TooManyRequests(ApiError):
    status, type = 400, "too-many-requests"

    def __init__(self, count: int) -> None:
        super().__init__(f"A batch can hold up to {BATCH_MAX} requests, not {count}.")
