"""Errors of the HTTP layer itself, and the one place where any error becomes a response."""

from collections.abc import Mapping
from typing import Any

from starlette.responses import Response

from callboard.api.responses import json_response
from callboard.core.errors import ApiError


class TokenNotProvided(ApiError):
    status, type = 401, "token-not-provided"
    message = "Authentication token was not provided."


class InvalidToken(ApiError):
    status, type = 401, "invalid-token"
    message = "Authentication token is not valid."


class PageNotFound(ApiError):
    status, type = 404, "page-not-found"
    message = "We have bad news: there is no API endpoint at this URL."


class MethodNotAllowed(ApiError):
    """The message lists the methods, OPTIONS first, as the contract words it."""

    status, type = 405, "method-not-allowed"

    def __init__(self, methods: list[str]) -> None:
        self.allowed = ",".join(methods)
        super().__init__(
            f"This API end-point can only be accessed using the following HTTP methods: {self.allowed}"
        )


class RequestTooLarge(ApiError):
    status, type = 413, "request-too-large"


class UrlTooLong(ApiError):
    status, type = 414, "request-too-large"
    message = "The URL is too long. Send what is in it as the request's body, where the endpoint allows that."


class HeadTooLarge(ApiError):
    status, type = 431, "request-too-large"
    message = "The headers of the request are too large."


class MalformedRequest(ApiError):
    """What is no HTTP."""


class UnsupportedContentEncoding(ApiError):
    status, type = 415, "unsupported-content-encoding"


class InvalidContentEncoding(ApiError):
    status, type = 400, "invalid-content"
    message = "The request body is not what its Content-Encoding header says."


class InvalidContentType(ApiError):
    status, type = 415, "invalid-content-type-header"


class InvalidJson(ApiError):
    status, type = 400, "invalid-request"
    message = "The request body is not valid JSON."


class RateLimitExceeded(ApiError):
    status, type = 429, "rate-limit-exceeded"
    message = "You have exceeded the rate limit. Please try again later."


class InternalError(ApiError):
    status, type = 500, "internal-server-error"
    message = "Something went wrong on the server. The details are in its log."


def render(error: ApiError) -> Response:
    """The contract's error envelope: `{"error": {"type", "message", "data"?}}`."""
    body: dict[str, Any] = {"type": error.type, "message": error.message}
    if error.data is not None:
        body["data"] = error.data
    headers: Mapping[str, str] = {}
    if isinstance(error, MethodNotAllowed):
        headers = {"Allow": error.allowed}
    elif isinstance(error, RateLimitExceeded):
        headers = {"Retry-After": "1"}
    return json_response({"error": body}, status=error.status, headers=headers)
