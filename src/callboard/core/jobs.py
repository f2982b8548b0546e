"""What runs and builds have in common: their statuses and the transitions between them."""

from enum import StrEnum


class JobStatus(StrEnum):
    """Status of a run or a build, spelled as on the wire."""

    READY = "READY"
    RUNNING = "RUNNING"
    SUCCEEDED = "SUCCEEDED"
    FAILED = "FAILED"
    TIMING_OUT = "TIMING-OUT"
    TIMED_OUT = "TIMED-OUT"
    ABORTING = "ABORTING"
    ABORTED = "ABORTED"

    @property
    def is_terminal(self) -> bool:
        return self in TERMINAL


TERMINAL = frozenset(
    {JobStatus.SUCCEEDED, JobStatus.FAILED, JobStatus.TIMED_OUT, JobStatus.ABORTED}
)
UNFINISHED = frozenset(JobStatus) - TERMINAL
