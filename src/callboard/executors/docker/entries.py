"""The log of a container as the engine sends it: entries of one of two streams, each with its time."""

import struct
from collections.abc import Iterator
from dataclasses import dataclass

_HEADER = struct.Struct(">BxxxL")
_MAX_STAMP_CHARS = 40


@dataclass(frozen=True)
class Entry:
    """A line, or a piece of a long one. Entries of the same stamp are told apart by their order."""

    stream: int
    stamp: str
    """As the engine wrote it: RFC 3339, to the nanosecond. Empty when it wrote none."""
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
    stamp, space, data = content.partition(b" ")
    if not space or len(stamp) > _MAX_STAMP_CHARS or b"T" not in stamp:
        return Entry(stream, "", content)
    return Entry(stream, stamp.decode("ascii", errors="replace"), data)
