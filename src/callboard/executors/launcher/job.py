"""One job from its start to its exit record."""

import os
from collections.abc import Callable
from contextlib import suppress

from callboard.executors.base import Exit, ExitCause, LaunchSpec, Stats
from callboard.executors.launcher import records
from callboard.executors.launcher.loop import Timer
from callboard.executors.launcher.meter import Meter
from callboard.executors.launcher.programs import Program, Setting, program_of
from callboard.executors.launcher.records import JobFolder
from callboard.executors.launcher.spawn import Command, spawn
from callboard.executors.launcher.status import StatusPipe
from callboard.executors.launcher.workplace import Site, Workplace

_DISAPPEAR_SECS = 5.0
"""How long a killed tree may take to disappear before the job counts as ended all the same."""
_SIGNALLED = 128
_NOT_FOUND, _SETPRIV_FAILED = 127, "setpriv: failed to execute"


class Job:
    """Runs once. `end` is set when it has ended and the record of it is on disk."""

    def __init__(self, spec: LaunchSpec, folder: JobFolder, site: Site) -> None:
        self.spec, self._folder, self._site = spec, folder, site
        self._place = Workplace(spec, folder, site)
        self._started_at = records.now_millis()
        self._timers: list[Timer] = []
        self._meter: Meter | None = None
        self._status: StatusPipe | None = None
        self._cause: ExitCause | None = None
        self._wait_status: int | None = None
        self.end: Exit | None = None

    @property
    def address(self) -> str | None:
        """Where the host reaches what the job listens on, when it has a network of its own."""
        return self._place.lease.address if self._place.lease else None

    def start(self) -> None:
        """When this returns the job runs, or its failure to start is on record."""
        try:
            self._folder.create(self.spec)
            if self.spec.timeout_secs is not None:
                self._later(self.spec.timeout_secs, lambda: self._kill(ExitCause.TIMEOUT))
            self._place.open(on_oom=lambda: self._kill(ExitCause.OUT_OF_MEMORY))
            self._copy_or_launch()
        except (OSError, ValueError) as error:
            self._finish(ExitCause.NOT_STARTED, detail=str(error))

    def stop(self, grace_secs: float) -> None:
        """Ask the program to end, and kill it after `grace_secs`; at once when they are 0."""
        if self.end:
            return
        if grace_secs <= 0:
            self._kill(ExitCause.STOPPED)
            return
        self._cause = self._cause or ExitCause.STOPPED
        self._place.terminate()
        self._later(grace_secs, lambda: self._kill(ExitCause.STOPPED))

    def sample(self) -> Stats | None:
        """The current figures, None when it is not running. Where the memory limit is soft, this enforces it."""
        if self._meter is None or self._wait_status is not None:
            return None
        stats = self._meter.sample()
        limit = self.spec.memory_mbytes * 1024 * 1024
        if self._site.ladder.memory_is_soft and stats.mem_current_bytes > limit:
            self._kill(ExitCause.OUT_OF_MEMORY)
        return stats

    def check(self) -> None:
        """Finish once the main process has ended and nothing of its tree is left."""
        if self._wait_status is None or self.end or self._place.is_occupied():
            return
        if self._place.capture:
            self._place.capture.drain()
        self._conclude()

    def _copy_or_launch(self) -> None:
        copy = self._place.sources.copy_command() if self.spec.sandboxed else None
        if copy:
            command = Command(copy, {"PATH": os.defpath}, joins=self._place.joins)
            self._spawn(command, self._copied)
        else:
            self._launch()

    def _copied(self, status: int) -> None:
        if self._cause or status:
            self._main_ended(status)
            return
        try:
            self._launch()
        except OSError as error:
            self._finish(ExitCause.NOT_STARTED, detail=str(error))

    def _launch(self) -> None:
        place = self._place
        setting = Setting(self._folder, place.sources.mounts, place.lease, self._site.ladder)
        self._status = status = StatusPipe(self._site.loop, place.saw)
        try:
            program = program_of(self.spec, setting, status_fd=status.write_fd)
            self._meter = Meter(place.usage, place.traffic)
            self._spawn_program(program, status)
        finally:
            status.handed_over()
        if place.capture:
            place.capture.handed_over()

    def _spawn_program(self, program: Program, status: StatusPipe) -> None:
        lease, options_fd = self._place.lease, program.options_fd
        status.is_used = options_fd is not None
        command = Command(
            program.argv,
            program.env,
            cwd=program.cwd,
            joins=self._place.joins,
            netns_path=(lease.netns_path or None) if lease else None,
            pass_fds=() if options_fd is None else (options_fd, status.write_fd),
        )
        try:
            self._spawn(command, self._main_ended)
        finally:
            if options_fd is not None:
                os.close(options_fd)

    def _spawn(self, command: Command, on_exit: Callable[[int], None]) -> None:
        assert self._place.capture
        pid = spawn(command, output=self._place.capture.write_fd)
        self._place.occupied_by(pid)
        self._site.loop.on_exit(pid, on_exit)

    def _kill(self, cause: ExitCause) -> None:
        if not self.end:
            self._cause = self._cause or cause
            self._place.kill()

    def _main_ended(self, status: int) -> None:
        """The main process has ended: so must everything it started."""
        self._wait_status = status
        if self._place.ran_out_of_memory():
            self._cause = self._cause or ExitCause.OUT_OF_MEMORY
        self._place.kill()
        self._later(_DISAPPEAR_SECS, self._conclude)
        self.check()

    def _conclude(self) -> None:
        """The tree is gone: work out what the end was."""
        status = self._wait_status or 0
        if self._place.ran_out_of_memory():
            self._cause = self._cause or ExitCause.OUT_OF_MEMORY
        code = os.WEXITSTATUS(status) if os.WIFEXITED(status) else _SIGNALLED + os.WTERMSIG(status)
        if self._cause is None and os.WIFEXITED(status) and not self._was_started(code):
            detail = self._place.capture.last_line if self._place.capture else ""
            self._finish(ExitCause.NOT_STARTED, detail=detail)
        else:
            self._finish(self._cause or ExitCause.EXITED, exit_code=code)

    def _was_started(self, exit_code: int) -> bool:
        if self._status is None or not self._status.says_started():
            return False
        last_line = self._place.capture.last_line if self._place.capture else ""
        return not (exit_code == _NOT_FOUND and last_line.startswith(_SETPRIV_FAILED))

    def _finish(self, cause: ExitCause, *, exit_code: int | None = None, detail: str = "") -> None:
        """Write the rest of the log, then the record, then tell, then clean up."""
        if self.end:
            return
        for timer in self._timers:
            timer.cancel()
        self._place.kill()
        self._close_log(cause)
        stats = self._meter.final() if self._meter else Stats()
        end = Exit(cause, exit_code, self._started_at, records.now_millis(), stats, detail)
        self.end = end
        with suppress(OSError):
            self._folder.save_exit(end)
        self._site.reporter.ended(self.spec.job_id)
        if self._status:
            self._status.close()
        self._place.close()

    def _close_log(self, cause: ExitCause) -> None:
        """A limit that ended the job names itself as the last line."""
        if (capture := self._place.capture) is None:
            return
        capture.drain()
        if cause is ExitCause.OUT_OF_MEMORY:
            limit = self.spec.memory_mbytes
            capture.close(f"Memory limit of {limit} MB exceeded, the job was stopped.")
        elif cause is ExitCause.TIMEOUT:
            capture.close(
                f"The job reached its timeout of {self.spec.timeout_secs:g} s, stopping it."
            )
        else:
            capture.close()

    def _later(self, secs: float, call: Callable[[], None]) -> None:
        self._timers.append(self._site.loop.call_later(secs, call))
