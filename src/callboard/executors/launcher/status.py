"""Hears from bubblewrap whether a job's program was started at all."""

import json
import os
from collections.abc import Callable
from contextlib import suppress
from typing import Any, cast

from callboard.executors.launcher.loop import READ, Loop


class StatusPipe:
    """Lines of JSON: the sandbox's first process when it exists, an exit code if the program had been started."""

    def __init__(self, loop: Loop, on_init: Callable[[int], None]) -> None:
        self._loop, self._on_init = loop, on_init
        self._fd, self.write_fd = os.pipe2(os.O_CLOEXEC)
        os.set_blocking(self._fd, False)
        self._fields: dict[str, Any] = {}
        self._rest = b""
        self.is_used = False
        loop.watch(self._fd, READ, self._read)

    def handed_over(self) -> None:
        """The other side has its own copy of the writing end."""
        os.close(self.write_fd)

    def says_started(self) -> bool:
        """To be asked after the end. True also where nobody reports."""
        while self._read():
            pass
        return not self.is_used or "exit-code" in self._fields

    def close(self) -> None:
        if self._fd >= 0:
            self._loop.unwatch(self._fd)
            os.close(self._fd)
            self._fd = -1

    def _read(self) -> bool:
        data = b""
        with suppress(BlockingIOError):
            data = os.read(self._fd, 4096)
            if not data:
                self._loop.unwatch(self._fd)
        *lines, self._rest = (self._rest + data).split(b"\n")
        for line in lines:
            self._take(line)
        return bool(data)

    def _take(self, line: bytes) -> None:
        with suppress(ValueError):
            fields = json.loads(line)
            if isinstance(fields, dict):
                self._fields.update(cast("dict[str, Any]", fields))
                if isinstance(pid := self._fields.get("child-pid"), int):
                    self._on_init(pid)
