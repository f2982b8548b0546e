"""Hears from the sandbox whether a job's program was started at all."""

import json
import os
from collections.abc import Callable
from contextlib import suppress
from typing import Any, cast

from callboard.executors.launcher.loop import READ, Loop


class StatusPipe:
    """Owns `fd`. Lines of JSON: the sandbox's first process, and an exit code if the program had been started."""

    def __init__(self, loop: Loop, fd: int, on_init: Callable[[int], None]) -> None:
        self._loop, self._fd, self._on_init = loop, fd, on_init
        self._fields: dict[str, Any] = {}
        self._rest = b""
        loop.watch(fd, READ, self._read)

    def says_started(self) -> bool:
        """To be asked after the end."""
        while self._read():
            pass
        return "exit-code" in self._fields

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
