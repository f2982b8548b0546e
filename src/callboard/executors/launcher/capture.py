"""Reads what a job prints and writes it to its log."""

import os
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

from callboard.executors.launcher.logfile import LogFile, timestamp
from callboard.executors.launcher.loop import READ, Loop
from callboard.executors.launcher.output import LineCutter, Redactor

_READ_BYTES = 256 * 1024
_TAIL_BYTES = 400


class Capture:
    """Owns `fd`, the one pipe for stdout and stderr: lines stay in the order in which they were written.

    A log that cannot be written, for want of disk space, costs lines but never the job.
    """

    def __init__(self, loop: Loop, fd: int, log_path: Path, secrets: tuple[str, ...]) -> None:
        self._loop = loop
        self._log = LogFile(log_path)
        self._cutter = LineCutter(Redactor(secrets))
        self._fd = fd
        self._tail = b""
        self._unwritten_bytes = 0
        self.ended = False
        """Everybody who could write has closed the pipe."""
        self.grew: Callable[[], None] = lambda: None
        loop.watch(fd, READ, self._read)

    @property
    def last_line(self) -> str:
        """The end of the last line printed, secrets covered."""
        return (
            self._tail.rstrip(b"\n")
            .rpartition(b"\n")[2]
            .partition(b" ")[2]
            .decode(errors="replace")
        )

    def drain(self) -> None:
        """Read what is there already, without waiting for more."""
        while not self.ended and self._read():
            pass

    def close(self, note: str = "") -> None:
        """Write what is left, then `note` as a line of the platform's own, and let go of pipe and log."""
        self.drain()
        self._end()
        self._write(self._cutter.finish())
        if self._unwritten_bytes:
            self._note(f"{self._unwritten_bytes} bytes of output could not be written to the log.")
        if note:
            self._note(note)
        self._log.close()

    def _note(self, text: str) -> None:
        self._write(timestamp() + b" ACTOR: " + text.encode() + b"\n")

    def _read(self) -> bool:
        try:
            data = os.read(self._fd, _READ_BYTES)
        except BlockingIOError:
            return False
        if data:
            self._write(self._cutter.feed(data))
        else:
            self._end()
        return bool(data)

    def _end(self) -> None:
        if not self.ended:
            self.ended = True
            self._loop.unwatch(self._fd)
            os.close(self._fd)

    def _write(self, lines: bytes) -> None:
        if not lines:
            return
        self._tail = lines[-_TAIL_BYTES:]
        try:
            self._log.write(lines)
        except OSError:
            self._unwritten_bytes += len(lines)
        with suppress(OSError):  # a notice that may be missed: the next tells as much
            self.grew()
