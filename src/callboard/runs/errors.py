"""Errors about runs."""

from callboard.core.errors import ApiError


class RunNotFound(ApiError):
    status, type = 404, "record-not-found"
    message = "Actor run was not found"


class RunFailed(ApiError):
    """The answer to a synchronous run that did not succeed."""

    status, type = 400, "run-failed"

    def __init__(self, run_id: str, run_status: str) -> None:
        super().__init__(f"Actor run did not succeed (run ID: {run_id}, status: {run_status})")


class RunTimeoutExceeded(ApiError):
    """The answer to a synchronous run that is not over when its time is. The run goes on."""

    status, type = 408, "run-timeout-exceeded"

    def __init__(self, wait_secs: float) -> None:
        super().__init__(
            f"Actor run exceeded the timeout of {wait_secs:g} seconds for this API endpoint"
        )


class ActorMemoryLimitExceeded(ApiError):
    status, type = 402, "actor-memory-limit-exceeded"

    def __init__(self, memory_mbytes: int, limit_mbytes: int) -> None:
        super().__init__(
            f"The run needs {memory_mbytes} MB of memory, but all runs of this server together may use "
            f"{limit_mbytes} MB."
        )


class MaxItemsNotPositive(ApiError):
    status, type = 400, "max-items-must-be-greater-than-zero"
    message = "Maximum number of items must be greater than zero."


class MaxTotalChargeBelowMinimum(ApiError):
    status, type = 400, "max-total-charge-usd-below-minimum"

    def __init__(self, least: float) -> None:
        super().__init__(f"maxTotalChargeUsd must be at least {least:g} for this Actor.")


class MaxTotalChargeNotPositive(ApiError):
    status, type = 400, "max-total-charge-usd-must-be-greater-than-zero"
    message = "Maximum total charge in USD must be greater than zero."


class InputNotJson(ApiError):
    status, type = 400, "run-input-body-not-valid-json"
    message = "The run's input is not valid JSON."


class InputNotObject(ApiError):
    status, type = 400, "input-json-not-object"
    message = "The run's input must be a JSON object."


class CannotRemoveRunningRun(ApiError):
    status, type = 400, "cannot-remove-running-run"
    message = "A run that has not finished cannot be deleted. Abort it first."


class JobFinished(ApiError):
    status, type = 400, "job-finished"
    message = "The run has finished already."


class RunNotRunning(ApiError):
    status, type = 400, "invalid-request"
    message = "This is possible only while the run's status is RUNNING."


class RunNotFinished(ApiError):
    status, type = 400, "invalid-request"
    message = "Only a finished run can be resurrected."


class MaxMetamorphsExceeded(ApiError):
    status, type = 400, "max-metamorphs-exceeded"

    def __init__(self, limit: int) -> None:
        super().__init__(f"A run can metamorph at most {limit} times.")


class NotPayPerEvent(ApiError):
    status, type = 400, "cannot-charge-non-pay-per-event-actor"
    message = "Only runs of Actors with pay-per-event pricing can charge for events."


class SyntheticEvent(ApiError):
    """The platform counts these by itself."""

    status, type = 400, "cannot-charge-apify-event"

    def __init__(self, name: str) -> None:
        super().__init__(f'Event "{name}" is charged automatically and cannot be charged by hand.')


class CannotSetTerminalMessage(ApiError):
    status, type = 400, "cannot-set-is-status-message-terminal"
    message = "isStatusMessageTerminal can only be set together with statusMessage."


# The wordings of the synchronous endpoints' own pages.


class SyncTokenNotValid(ApiError):
    status, type = 401, "token-not-valid"
    message = "Authentication token is not valid."


class SyncPermissionDenied(ApiError):
    status, type = 403, "permission-denied"
    message = "You do not have permission to perform this action."


class SyncActorNotFound(ApiError):
    status, type = 404, "actor-not-found"
    message = "Actor was not found"


class SyncTaskNotFound(ApiError):
    status, type = 404, "record-not-found"
    message = "The requested resource was not found."


class SyncInvalidInput(ApiError):
    status, type = 400, "invalid-input"
    message = "Invalid input: The request body contains invalid data."
