"""What executors tell while jobs run, passed on to who listens."""

from callboard.core.signals import Signals
from callboard.executors.base import Stats
from callboard.logs.service import log_topic


def stats_topic(run_id: str) -> str:
    """Signalled when new figures of the run are there."""
    return f"stats:{run_id}"


def job_name(owner_id: str, attempt: int) -> str:
    """The id of one start of a run or build."""
    return f"{owner_id}-{attempt}"


def owner_of(job_id: str) -> str:
    return job_id.partition("-")[0]


class JobObserver:
    """Keeps the newest figures of each running run or build and wakes the listeners. Implements `Observer`."""

    def __init__(self, signals: Signals) -> None:
        self._signals = signals
        self._newest: dict[str, Stats] = {}
        self._serving: set[str] = set()

    def log_grew(self, log_id: str) -> None:
        self._signals.notify(log_topic(log_id))

    def stats(self, job_id: str, stats: Stats) -> None:
        owner_id = owner_of(job_id)
        self._newest[owner_id] = stats
        self._signals.notify(stats_topic(owner_id))

    def newest(self, owner_id: str) -> Stats | None:
        return self._newest.get(owner_id)

    def note_serving(self, owner_id: str) -> None:
        """The run's own web server has been reached."""
        self._serving.add(owner_id)

    def is_serving(self, owner_id: str) -> bool:
        return owner_id in self._serving

    def forget(self, owner_id: str) -> None:
        self._newest.pop(owner_id, None)
        self._serving.discard(owner_id)
