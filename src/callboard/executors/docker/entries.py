"""The log of a container as the engine sends it: entries of one of two streams, each with its time."""

import struct
import time
from collections.abc import Iterator
from dataclasses import dataclass

from callboard.executors.docker.moments import moment

_HEADER = struct.Struct(">BxxxL")
_MAX_STAMP_CHARS = 40
_FULL_STAMP_CHARS = len("2026-01-02T03:04:05.678901234Z")


@dataclass(frozen=True)
class Entry:
    """A line, or a piece of a long one. Entries of the same stamp are told apart by their order."""

    stream: int
    stamp: str
    """RFC 3339 in UTC, to the nanosecond or, as Podman has it, to the second. Empty when the engine wrote none."""
    data: bytes


class EntryReader:
    """Puts entries together from the bytes of an answer, however they arrive."""

    def __init__(self) -> None:
        self._rest = b""

    def feed(self, data: bytes) -> Iterator[Entry]:
        """The entries that are whole now."""
        buffer = self._rest + data if self._rest else data
        at, size = 0, len(buffer)
        while size - at >= _HEADER.size:
            stream, length = _HEADER.unpack_from(buffer, at)
            end = at + _HEADER.size + length
            if end > size:
                break
            yield _entry(stream, buffer[at + _HEADER.size : end])
            at = end
        self._rest = buffer[at:]


def _entry(stream: int, content: bytes) -> Entry:
    written, space, data = content.partition(b" ")
    if not space or len(written) > _MAX_STAMP_CHARS or b"T" not in written:
        return Entry(stream, "", content)
    stamp = _in_order(written.decode("ascii", errors="replace"))
    return Entry(stream, stamp, data) if stamp else Entry(stream, "", content)


def _in_order(stamp: str) -> str:
    """In UTC and of one length, as Docker's are, so that the later one is the greater. Empty for what is no time."""
    if len(stamp) == _FULL_STAMP_CHARS and stamp.endswith("Z"):
        return stamp
    at = moment(stamp)
    if at is None:
        return ""
    whole = time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(at.whole_secs))
    return f"{whole}.{at.fraction.ljust(9, '0')}Z" if at.fraction else f"{whole}Z"
