"""Runs: one execution of an Actor, and the transitions of its status."""

from dataclasses import dataclass
from datetime import datetime
from typing import Any

from callboard.core.clock import Mark
from callboard.core.jobs import JobStatus

STARTED_BY = "startedByRunId"
STARTED_BY_TOKEN = "startedByTokenId"
"""In a run's `meta`."""
RESTARTS_MAX = 3
RESTART_WINDOW_SECS = 60.0


@dataclass(frozen=True)
class Attempts:
    """Starts of a run's program. A run is started again by restart on error, reboot, metamorph and resurrection.

    `number` names the current start. Whoever wants another one raises it and stops the old job: the supervisor sees
    on that job's end, also after a crash, that there is a newer one to start.
    """

    number: int = 1
    started: int = 1
    """The newest start that there may be a job of: the jobs of all starts before it are over and on record."""
    running_since: Mark | None = None
    """When the run became RUNNING, or was resurrected: its timeout counts from here."""
    restarted_at_millis: tuple[int, ...] = ()
    """Restarts on error."""
    run_millis: int = 0
    """Time spent by attempts before the last resurrection."""
    compute_units: float = 0
    """Used by attempts before the last resurrection."""
    web_server_port: int | None = None
    """Its own one, where runs share the network of their host."""


@dataclass(frozen=True)
class Run:
    """A run. `options`, `meta`, `stats` and the like hold their wire names."""

    id: str
    actor_id: str
    user_id: str
    task_id: str | None
    build_id: str
    build_number: str
    status: JobStatus
    status_message: str | None
    is_status_message_terminal: bool
    started_at: datetime
    finished_at: datetime | None
    exit_code: int | None
    origin: str
    meta: dict[str, Any]
    options: dict[str, Any]
    memory_mbytes: int
    stats: dict[str, Any]
    usage: dict[str, float] | None
    default_dataset_id: str
    default_key_value_store_id: str
    default_request_queue_id: str
    storage_ids: dict[str, dict[str, str]]
    input_key: str
    general_access: str
    permission_level: str
    charged_event_counts: dict[str, int] | None
    pricing_info: dict[str, Any] | None
    metamorphs: list[dict[str, Any]] | None
    output: dict[str, str] | None
    attempts: Attempts
    sandbox: dict[str, str] | None
    storage_grants: dict[str, str] | None = None
    """With limited permissions: `read` or `write` by the ids of storages that its input names."""

    @property
    def program(self) -> tuple[str, str]:
        """Actor and build of the program that runs now: after a metamorph not the run's own."""
        if not self.metamorphs:
            return self.actor_id, self.build_id
        newest = self.metamorphs[-1]
        return newest["actorId"], newest["buildId"]

    @property
    def started_by(self) -> str | None:
        """The run that started this one, if one did."""
        return self.meta.get(STARTED_BY)

    @property
    def timeout_secs(self) -> int:
        return self.options["timeoutSecs"]

    @property
    def restarts_on_error(self) -> bool:
        return bool(self.options.get("restartOnError"))

    def passed_millis(self) -> int:
        """Since it became RUNNING, or was resurrected."""
        since = self.attempts.running_since
        return 0 if since is None else since.passed_millis()

    def times(self, passed_millis: int) -> dict[str, float]:
        """How long its programs have run by then, and the compute units of that, by their wire names."""
        before = self.attempts.run_millis
        millis = before + passed_millis
        return {
            "durationMillis": millis,
            "runTimeSecs": millis / 1000,
            "computeUnits": self.attempts.compute_units
            + self.memory_mbytes / 1024 * (millis - before) / 3_600_000,
        }

    def may_restart(self, now_millis: int) -> bool:
        """At most three restarts within a minute."""
        recent = [
            at
            for at in self.attempts.restarted_at_millis
            if abs(now_millis - at) < RESTART_WINDOW_SECS * 1000
        ]
        return len(recent) < RESTARTS_MAX
