"""One job from its start to its exit record."""

import os
import signal
import socket
import sys
import time
from collections.abc import Callable

from callboard.executors.base import Exit, ExitCause, LaunchSpec, Stats
from callboard.executors.launcher import records
from callboard.executors.launcher.disk import Allotment
from callboard.executors.launcher.loop import Timer
from callboard.executors.launcher.meter import Meter
from callboard.executors.launcher.network_sockets import open_socket
from callboard.executors.launcher.records import JobFolder
from callboard.executors.launcher.sandbox import PRLIMIT, SETPRIV
from callboard.executors.launcher.scripts import reports_start
from callboard.executors.launcher.workplace import Site, Workplace

_DISAPPEAR_SECS = 5.0
"""How long a killed tree may take to disappear before the job counts as ended all the same."""
_SIGNALLED = 128
_NOT_FOUND, _TOOL_FAILED = 127, tuple(f"{tool}: failed to execute" for tool in (SETPRIV, PRLIMIT))


class Job:
    """Runs once. `end` is set when it has ended and the record of it is on disk."""

    def __init__(self, spec: LaunchSpec, folder: JobFolder, site: Site) -> None:
        self.spec, self._folder, self._site = spec, folder, site
        self._started_at, self._began = records.now_millis(), time.monotonic()
        self._place: Workplace | None = None
        self._timers: list[Timer] = []
        self._meter: Meter | None = None
        self._cause: ExitCause | None = None
        self._wait_status: int | None = None
        self.end: Exit | None = None

    @property
    def address(self) -> str | None:
        """The job's own on this machine, where it has one."""
        return self._place.lease.address if self._place and self._place.lease else None

    def start(self) -> None:
        """When this returns the job runs, or its failure to start is on record."""
        try:
            self._folder.create(self.spec)
            self._place = place = Workplace(self.spec, self._folder, self._site)
            self._site.loop.on_exit(place.pid, self._main_ended)
            self._meter = Meter(place.usage, place.traffic)
            place.start(on_oom=lambda: self._kill(ExitCause.OUT_OF_MEMORY))
        except (OSError, ValueError) as error:
            self._finish(ExitCause.NOT_STARTED, detail=str(error))
            return
        if self.spec.timeout_secs is not None:
            self._later(self.spec.timeout_secs, lambda: self._kill(ExitCause.TIMEOUT))

    def stop(self, grace_secs: float) -> None:
        """Ask the program to end, and kill it after `grace_secs`; at once when they are 0."""
        if self.end or not self._place:
            return
        if grace_secs <= 0:
            self._kill(ExitCause.STOPPED)
            return
        self._cause = self._cause or ExitCause.STOPPED
        self._place.terminate()
        self._later(grace_secs, lambda: self._kill(ExitCause.STOPPED))

    def open_socket(self) -> socket.socket:
        """A TCP socket of the network the job is in. Raises OSError."""
        if self.end or not self._place:
            raise ConnectionError("the job is not running")
        return open_socket(self._place.lease)

    def sample(self) -> Stats | None:
        """The current figures, None when it is not running. Where the memory limit is soft, this enforces it."""
        if self._meter is None or self._wait_status is not None:
            return None
        stats = self._meter.sample()
        limit = self.spec.memory_mbytes * 1024 * 1024
        if self._site.ladder.memory_is_soft and stats.mem_current_bytes > limit:
            self._kill(ExitCause.OUT_OF_MEMORY)
        return stats

    @property
    def allotment(self) -> Allotment | None:
        """What it may keep on disk, None when there is no limit or it does not run."""
        if not self.spec.is_disk_limited or not self._place or self._wait_status is not None:
            return None
        return self._place.allotment(exceeded=lambda: self._kill(ExitCause.OUT_OF_DISK))

    def check(self) -> None:
        """Finish once the main process has ended and nothing of its tree is left."""
        if self._wait_status is None or self.end or not self._place:
            return
        if not self._place.is_occupied():
            self._conclude(self._place, self._wait_status)

    def _kill(self, cause: ExitCause) -> None:
        if self._place and not self.end:
            self._cause = self._cause or cause
            self._place.kill()

    def _main_ended(self, status: int) -> None:
        """The main process has ended: so must everything it started."""
        if self.end or not self._place:
            return
        self._wait_status = status
        place = self._place
        place.kill()
        self._later(_DISAPPEAR_SECS, lambda: self._conclude(place, status))
        self.check()

    def _conclude(self, place: Workplace, status: int) -> None:
        """The tree is gone: work out what the end was."""
        place.capture.drain()
        if place.ran_out_of_memory():
            self._cause = self._cause or ExitCause.OUT_OF_MEMORY
        code = os.WEXITSTATUS(status) if os.WIFEXITED(status) else _SIGNALLED + os.WTERMSIG(status)
        if code == _SIGNALLED + signal.SIGXFSZ and self.spec.is_disk_limited:
            self._cause = self._cause or ExitCause.OUT_OF_DISK
        if self._cause is None and os.WIFEXITED(status) and not self._was_started(place, code):
            self._finish(ExitCause.NOT_STARTED, detail=place.capture.last_line)
        else:
            self._finish(self._cause or ExitCause.EXITED, exit_code=code)

    def _was_started(self, place: Workplace, exit_code: int) -> bool:
        if not reports_start(self.spec, self._site.ladder):
            return True
        if not place.status.says_started():
            return False
        return not (exit_code == _NOT_FOUND and place.capture.last_line.startswith(_TOOL_FAILED))

    def _finish(self, cause: ExitCause, *, exit_code: int | None = None, detail: str = "") -> None:
        """Write the rest of the log, then the record, then tell, then clean up."""
        if self.end:
            return
        for timer in self._timers:
            timer.cancel()
        if self._place:
            self._place.kill()
            self._place.capture.close(self._last_words(cause))
        stats = self._meter.final() if self._meter else Stats()
        self.end = Exit(cause, exit_code, self._started_at, self._now_millis(), stats, detail)
        self._record(self.end)
        self._site.reporter.ended(self.spec.job_id)
        if self._place:
            self._place.close()

    def _now_millis(self) -> int:
        """By the clock as it was at the start: between the two lies what passed, though it has been set since."""
        return self._started_at + round((time.monotonic() - self._began) * 1000)

    def _record(self, end: Exit) -> None:
        """Without disk space the end is known for as long as this launcher lives, and said to be lost later."""
        try:
            self._folder.save_exit(end)
        except OSError as error:
            sys.stderr.write(f"no exit record for {self.spec.job_id}: {error}\n")

    def _last_words(self, cause: ExitCause) -> str:
        """A limit that ended the job names itself in its log."""
        if cause is ExitCause.OUT_OF_MEMORY:
            return f"Memory limit of {self.spec.memory_mbytes} MB exceeded, the job was stopped."
        if cause is ExitCause.OUT_OF_DISK:
            return f"Disk limit of {self.spec.disk_mbytes} MB exceeded, the job was stopped."
        if cause is ExitCause.TIMEOUT:
            return f"The job reached its timeout of {self.spec.timeout_secs:g} s, stopping it."
        return ""

    def _later(self, secs: float, call: Callable[[], None]) -> None:
        self._timers.append(self._site.loop.call_later(secs, call))
