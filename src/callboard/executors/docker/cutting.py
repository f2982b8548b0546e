"""From entries of a container's log to lines of ours: put together, secrets covered, each after its own time."""

from collections.abc import Iterable
from dataclasses import replace

from callboard.executors.docker.entries import Entry
from callboard.executors.launcher.logfile import timestamp
from callboard.executors.launcher.output import MAX_LINE_BYTES, Redactor

_MILLIS_CHARS = len("2026-01-02T03:04:05.678")


class EntryCutter:
    """Keeps what is unfinished of each stream, so that the two never mix within a line.

    The pieces of a long line have the stamp of its first one. Some log drivers end its last piece with a newline,
    others do not: then the next stamp tells. Engines that tell no fractions of seconds always end lines.
    """

    def __init__(self, secrets: Iterable[str]) -> None:
        self._redactor = Redactor(secrets)
        self._unfinished: dict[int, Entry] = {}

    @property
    def is_between_lines(self) -> bool:
        """Whether all that was fed has been given back."""
        return not self._unfinished

    def feed(self, entry: Entry) -> bytes:
        """The log lines that are ready with this entry."""
        before = self._unfinished.pop(entry.stream, None)
        ready = b""
        if before is not None and (before.stamp == entry.stamp or "." not in entry.stamp):
            entry = replace(before, data=before.data + entry.data)
        elif before is not None:
            ready = self._lines(before.data, stamp_of(before))
        stamp = stamp_of(entry)
        if entry.data.endswith(b"\n"):
            return ready + self._lines(entry.data[:-1], stamp)
        return ready + self._overlong(entry, stamp)

    def _overlong(self, entry: Entry, stamp: bytes) -> bytes:
        """Pieces of an unfinished line over the limit, kept until a secret across the cut must be whole."""
        pieces: list[bytes] = []
        data = entry.data
        while len(data) > MAX_LINE_BYTES + self._redactor.longest:
            data = self._redactor.cover(data)
            pieces.append(_line(stamp, data[:MAX_LINE_BYTES]))
            data = data[MAX_LINE_BYTES:]
        self._unfinished[entry.stream] = replace(entry, data=data)
        return b"".join(pieces)

    def finish(self) -> bytes:
        """Nothing more will come: what is left of lines without a newline."""
        rests = [rest for rest in self._unfinished.values() if rest.data]
        self._unfinished = {}
        return b"".join(self._lines(rest.data, stamp_of(rest)) for rest in rests)

    def _lines(self, data: bytes, stamp: bytes) -> bytes:
        data = self._redactor.cover(data)
        if len(data) <= MAX_LINE_BYTES:
            return _line(stamp, data)
        starts = range(0, len(data), MAX_LINE_BYTES)
        pieces = (data[start : start + MAX_LINE_BYTES] for start in starts)
        return b"".join(_line(stamp, piece) for piece in pieces)


def stamp_of(entry: Entry) -> bytes:
    """The entry's time as lines of ours begin: UTC, to the millisecond."""
    if entry.stamp.endswith("Z") and "." in entry.stamp:
        return f"{entry.stamp[:-1].ljust(_MILLIS_CHARS, '0')[:_MILLIS_CHARS]}Z".encode()
    now, second = timestamp(), entry.stamp[:-1].encode() + b"."
    # Of a time to the second: never before a line of that second that was read while it lasted.
    return now if not entry.stamp or now.startswith(second) else second + b"999Z"


def _line(stamp: bytes, text: bytes) -> bytes:
    return stamp + b" " + text + b"\n"
