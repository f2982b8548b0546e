"""What the gateway answers when no Actor does. The words say what to do about it."""

from callboard.core.errors import ApiError, RecordNotFound


class NoSuchServer(RecordNotFound):
    message = "No run, and no Actor or task of yours, has its web server at this address."


class RunIsOver(RecordNotFound):
    """A web server ends with its run."""

    def __init__(self, run_id: str, status: str) -> None:
        self.run_status = status
        super().__init__(f"Run {run_id} is over ({status}), and its web server with it.")


class NothingListens(ApiError):
    status, type = 503, "web-server-not-ready"

    def __init__(self, run_id: str) -> None:
        super().__init__(
            f"Run {run_id} does not listen yet. It is to serve HTTP on the port in ACTOR_WEB_SERVER_PORT, on all "
            "addresses (0.0.0.0); its log shows how far it is. Try again in a moment."
        )


class BrokenAnswer(ApiError):
    status, type = 502, "web-server-failed"

    def __init__(self, run_id: str, what: str) -> None:
        super().__init__(f"The web server of run {run_id} gave no whole answer: {what}.")


class NoAnswerInTime(ApiError):
    status, type = 504, "web-server-timeout"

    def __init__(self, run_id: str, secs: float) -> None:
        super().__init__(
            f"The web server of run {run_id} did not begin to answer within {secs:g} s."
        )


class StandbyOff(ApiError):
    status, type = 400, "standby-not-enabled"
    message = (
        "This Actor is not in Standby mode. Set actorStandby.isEnabled, or usesStandbyMode in its "
        ".actor/actor.json before a build."
    )


class StandbyRunEnded(ApiError):
    status, type = 502, "standby-run-failed"

    def __init__(self, run_id: str, status: str) -> None:
        super().__init__(
            f"The run {run_id}, started for this request, ended ({status}) before it served HTTP. Its log tells why."
        )


class StandbyNotReady(ApiError):
    status, type = 503, "standby-not-ready"

    def __init__(self, secs: float) -> None:
        super().__init__(
            f"No run of the Actor had room for this request within {secs:g} s: they are all busy, wait for memory, "
            "or do not serve HTTP on the port in ACTOR_STANDBY_PORT."
        )


class TooManyWaiting(ApiError):
    status, type = 429, "rate-limit-exceeded"

    def __init__(self, waiting: int) -> None:
        super().__init__(
            f"{waiting} requests wait for a run of this Actor already. Let each run take more "
            "(actorStandby.maxRequestsPerActorRun), or send fewer at a time."
        )
