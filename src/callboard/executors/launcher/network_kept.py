"""Processes that last as long as the launcher keeps their standard input open, so that none outlives it."""

import os
import select
import subprocess
from contextlib import suppress
from typing import IO

_READY_TIMEOUT_SECS = 10
_END_TIMEOUT_SECS = 5


class Kept:
    """A program that ends at the end of its input, and writes a line for each step it has done."""

    def __init__(self, *argv: str) -> None:
        pipe, nothing = subprocess.PIPE, subprocess.DEVNULL
        self._process = subprocess.Popen(
            argv, stdin=pipe, stdout=pipe, stderr=nothing, start_new_session=True
        )
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._input, self._output = self._process.stdin, self._process.stdout
        self.pid = self._process.pid

    def wait_for_line(self, otherwise: str) -> None:
        """Return when it has written something; raise OSError, saying `otherwise`, when it does not."""
        if not _is_readable(self._output, _READY_TIMEOUT_SECS) or not os.read(
            self._output.fileno(), 100
        ):
            raise OSError(otherwise)

    def let_go_on(self) -> None:
        """Send it a line. Raises OSError when it has ended."""
        self._input.write(b"\n")
        self._input.flush()

    def has_closed_output(self) -> bool:
        """To be asked when it has written all it will."""
        return _is_readable(self._output, 0)

    def end(self) -> None:
        """Return when it has ended. Harmless when repeated."""
        for stream in (self._input, self._output):
            with suppress(BrokenPipeError):  # It ended before it read what it was sent.
                stream.close()
        try:
            self._process.wait(_END_TIMEOUT_SECS)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()


def _is_readable(stream: IO[bytes], timeout_secs: float) -> bool:
    poll = select.poll()
    poll.register(stream, select.POLLIN)
    return bool(poll.poll(timeout_secs * 1000))
