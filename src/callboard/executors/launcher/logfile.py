"""Log files: appended line by line, addressed by offsets that never change, kept to their newest part.

A log's offsets are those of its file. When it has grown past its limit the space of its oldest lines is given
back by punching a hole at its start, so no byte moves: a follower's offset stays good, several processes may
append at once, and a power cut at any point leaves either the old or the trimmed log. Where the file system
cannot punch holes, the newest part is copied to the same offsets of a sparse file that takes the log's place.
"""

import errno
import os
import time
from pathlib import Path

from callboard.executors.launcher import linux

KEEP_BYTES = 10 * 1024 * 1024
TRIM_AT_BYTES = 15 * 1024 * 1024
_SCAN_BYTES = 64 * 1024


def timestamp() -> bytes:
    """Now as ISO 8601 in UTC with milliseconds, as every log line begins."""
    now = time.time_ns() // 1_000_000
    whole = time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(now // 1000))
    return f"{whole}.{now % 1000:03d}Z".encode()


def append(path: Path, text: str) -> None:
    """Add one line of the platform's own, after a timestamp. Safe while a job writes to the same log."""
    line = timestamp() + b" " + text.replace("\n", " ").encode() + b"\n"
    fd = open_log(path)
    try:
        os.write(fd, line)
    finally:
        os.close(fd)


def open_log(path: Path) -> int:
    return os.open(path, os.O_RDWR | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC, 0o600)


def bounds(path: Path) -> tuple[int, int]:
    """Offsets of the oldest byte still kept and of the end. (0, 0) when there is no log yet."""
    try:
        fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    except FileNotFoundError:
        return 0, 0
    try:
        return _start(fd), os.fstat(fd).st_size
    finally:
        os.close(fd)


def read(path: Path, offset: int, limit: int) -> tuple[bytes, int]:
    """Up to `limit` bytes from `offset` on, and the offset after them.

    An offset whose lines are no longer kept continues at the oldest kept line. At the end, and for a log that
    does not exist yet, there are no bytes and the offset is returned as it was.
    """
    try:
        fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    except FileNotFoundError:
        return b"", offset
    try:
        data = os.pread(fd, limit, offset)
        if data[:1] == b"\0":
            offset = max(offset, _start(fd))
            data = os.pread(fd, limit, offset)
        return data, offset + len(data)
    finally:
        os.close(fd)


def _start(fd: int) -> int:
    """Where the hole at the start ends. Lines begin with a timestamp, so the first byte kept is not zero."""
    if os.pread(fd, 1, 0) != b"\0":
        return 0
    try:
        offset = os.lseek(fd, 0, os.SEEK_DATA)
    except OSError:
        return os.fstat(fd).st_size
    while chunk := os.pread(fd, _SCAN_BYTES, offset):
        kept = chunk.lstrip(b"\0")
        offset += len(chunk) - len(kept)
        if kept:
            break
    return offset


class LogFile:
    """An open log of the launcher's. One process trims it; others may append to it meanwhile."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._fd = open_log(path)
        self._size = os.fstat(self._fd).st_size
        self._trimmed_to = _start(self._fd) if self._size else 0

    def write(self, lines: bytes) -> None:
        """Append whole lines, and give back the oldest when there are too many."""
        view = memoryview(lines)
        while view:
            view = view[os.write(self._fd, view) :]
        self._size += len(lines)
        if self._size - self._trimmed_to > TRIM_AT_BYTES:
            self._trim()

    def close(self) -> None:
        os.close(self._fd)

    def _trim(self) -> None:
        self._size = os.fstat(self._fd).st_size
        start = self._line_start(self._size - KEEP_BYTES)
        try:
            linux.punch_hole(self._fd, start)
        except OSError as error:
            if error.errno not in (errno.EOPNOTSUPP, errno.ENOSYS):
                raise
            self._replace(start)
        self._trimmed_to = start

    def _line_start(self, offset: int) -> int:
        """The first line start at or after `offset`."""
        offset -= 1
        while chunk := os.pread(self._fd, _SCAN_BYTES, offset):
            found = chunk.find(b"\n")
            if found >= 0:
                return offset + found + 1
            offset += len(chunk)
        return offset

    def _replace(self, start: int) -> None:
        """Put a sparse file with the newest part at the same offsets in the log's place."""
        fresh = self._path.with_name(self._path.name + ".trim")
        fd = os.open(fresh, os.O_RDWR | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o600)
        offset = start
        while chunk := os.pread(self._fd, 1024 * 1024, offset):
            offset += os.pwrite(fd, chunk, offset)
        os.fsync(fd)
        os.close(fd)
        fresh.replace(self._path)
        os.close(self._fd)
        self._fd = open_log(self._path)
