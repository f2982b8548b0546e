"""The root of every error a caller may see. Slices declare theirs; `api/` alone renders them."""

from collections.abc import Mapping
from typing import Any, ClassVar


class ApiError(Exception):
    """An error of the contract: an HTTP status, a type that clients match on, and a message for people.

    Subclasses fix `status` and `type`; `message` may be replaced where a case needs its own words.
    """

    status: ClassVar[int] = 400
    type: ClassVar[str] = "invalid-request"
    message: str = "The request is not valid."

    def __init__(
        self, message: str | None = None, *, data: Mapping[str, Any] | None = None
    ) -> None:
        if message is not None:
            self.message = message
        self.data = data
        super().__init__(self.message)


class InvalidRequest(ApiError):
    status, type = 400, "invalid-request"


class InvalidValue(ApiError):
    status, type = 400, "invalid-value"


class InvalidParameter(ApiError):
    status, type = 400, "invalid-parameter"


class RecordNotFound(ApiError):
    """The one type, with `record-or-token-not-found`, that clients read as "absent"."""

    status, type = 404, "record-not-found"
    message = "The requested resource was not found."


class InsufficientPermissions(ApiError):
    status, type = 403, "insufficient-permissions"
    message = "You do not have permission to perform this action."
