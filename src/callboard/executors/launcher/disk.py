"""Holds jobs to what they may keep on disk, by measuring what they have written.

File systems that can set such limits themselves are rare, so the launcher looks. Looking costs something, so it is
done only when the disk has become fuller, or after a longer while; and by another process, as one job may have a
great many files. What a job writes between two looks can be over its limit.
"""

import json
import os
from collections.abc import Callable, Iterable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from callboard.executors.launcher.loop import READ, Loop
from callboard.executors.launcher.runners import own_program

_LOOK_TICKS, _LOOK_ANYWAY_TICKS = 2, 30
_FULLER_BYTES = 4 * 1024 * 1024
_FILE_MAX = 1.25
_BLOCK_BYTES = 512


@dataclass(frozen=True)
class Allotment:
    """What a job may keep in its folder. `given_bytes` were put there before its start, or are just being: None."""

    folder: Path
    limit_bytes: int
    given_bytes: Callable[[], int | None]
    pids: Callable[[], list[int]]
    """Of its processes: what they hold open counts, deleted or not."""
    exceeded: Callable[[], None]


def file_limit_blocks(limit_bytes: int) -> int:
    """Most blocks of 512 bytes that the kernel lets a job write to one file.

    Above the limit of all of them, so that this is noticed first and named as the reason.
    """
    return int(limit_bytes * _FILE_MAX) // _BLOCK_BYTES


class DiskWatch:
    """Call `tick` about once a second while jobs run; most of the time it does next to nothing."""

    def __init__(self, loop: Loop, root: Path) -> None:
        self._loop, self._root = loop, root
        self._free = self._free_bytes()
        self._ticks = 0
        self._answer = bytearray()
        self._reading: int | None = None

    def tick(self, allotments: Iterable[Allotment | None]) -> None:
        self._ticks += 1
        if self._reading is not None or self._ticks < _LOOK_TICKS:
            return
        free = self._free_bytes()
        if self._free - free >= _FULLER_BYTES or self._ticks >= _LOOK_ANYWAY_TICKS:
            self._free, self._ticks = free, 0
            with suppress(OSError):  # the next look is as good
                self._look([a for a in allotments if a and a.given_bytes() is not None])
        else:
            self._free = max(self._free, free)

    def _look(self, allotments: list[Allotment]) -> None:
        """Start to measure. Raises OSError."""
        if not allotments:
            return
        question = [[str(a.folder), a.pids()] for a in allotments]
        reading, writing = os.pipe2(os.O_CLOEXEC)
        try:
            pid = _start_measuring(json.dumps(question).encode(), writing)
        except OSError:
            os.close(reading)
            raise
        finally:
            os.close(writing)
        self._reading = reading
        self._answer.clear()
        self._loop.on_exit(pid, lambda _: None)
        self._loop.watch(reading, READ, lambda: self._read(reading, allotments))

    def _read(self, reading: int, allotments: list[Allotment]) -> None:
        if data := os.read(reading, 65536):
            self._answer += data
            return
        self._loop.unwatch(reading)
        os.close(reading)
        self._reading = None
        with suppress(ValueError):
            self._judge(json.loads(self._answer), allotments)

    def _judge(self, found: list[int], allotments: list[Allotment]) -> None:
        for allotment, size in zip(allotments, found, strict=True):
            given = allotment.given_bytes()
            if given is not None and size - given > allotment.limit_bytes:
                allotment.exceeded()

    def _free_bytes(self) -> int:
        figures = os.statvfs(self._root)
        return figures.f_bfree * figures.f_frsize


def _start_measuring(question: bytes, answer_fd: int) -> int:
    argv = own_program("callboard.executors.launcher.namespaces.measure")
    question_fd = os.memfd_create("question", os.MFD_CLOEXEC)
    try:
        os.write(question_fd, question)
        os.lseek(question_fd, 0, os.SEEK_SET)
        actions = [(os.POSIX_SPAWN_DUP2, question_fd, 0), (os.POSIX_SPAWN_DUP2, answer_fd, 1)]
        return os.posix_spawn(argv[0], argv, {}, file_actions=actions, setsid=True)
    finally:
        os.close(question_fd)
