"""From entries of a container's log to lines of ours: put together, secrets covered, each after its own time."""

from collections.abc import Iterable

from callboard.executors.docker.entries import Entry
from callboard.executors.launcher.logfile import timestamp
from callboard.executors.launcher.output import MAX_LINE_BYTES, Redactor

_MILLIS_CHARS = len("2026-01-02T03:04:05.678")


class EntryCutter:
    """Keeps what is unfinished of each stream, so that the two never mix within a line."""

    def __init__(self, secrets: Iterable[str]) -> None:
        self._redactor = Redactor(secrets)
        self._unfinished: dict[int, bytes] = {}

    @property
    def is_between_lines(self) -> bool:
        """Whether all that was fed has been given back."""
        return not self._unfinished

    def feed(self, entry: Entry) -> bytes:
        """The log lines that are ready with this entry."""
        data = self._unfinished.pop(entry.stream, b"") + entry.data
        stamp = stamp_of(entry)
        if data.endswith(b"\n"):
            return self._lines(data[:-1], stamp)
        pieces: list[bytes] = []
        while len(data) > MAX_LINE_BYTES + self._redactor.longest:
            data = self._redactor.cover(data)
            pieces.append(data[:MAX_LINE_BYTES])
            data = data[MAX_LINE_BYTES:]
        self._unfinished[entry.stream] = data
        return b"".join(_line(stamp, piece) for piece in pieces)

    def finish(self) -> bytes:
        """Nothing more will come: what is left of lines without a newline."""
        rests = [rest for rest in self._unfinished.values() if rest]
        self._unfinished = {}
        return b"".join(self._lines(rest, timestamp()) for rest in rests)

    def _lines(self, data: bytes, stamp: bytes) -> bytes:
        data = self._redactor.cover(data)
        if len(data) <= MAX_LINE_BYTES and b"\n" not in data:
            return _line(stamp, data)
        starts = range(0, len(data), MAX_LINE_BYTES)
        pieces = (data[start : start + MAX_LINE_BYTES] for start in starts)
        return b"".join(_line(stamp, piece) for piece in pieces)


def stamp_of(entry: Entry) -> bytes:
    """The entry's time as lines of ours begin: UTC, to the millisecond."""
    if entry.stamp.endswith("Z") and "." in entry.stamp:
        return f"{entry.stamp[:-1].ljust(_MILLIS_CHARS, '0')[:_MILLIS_CHARS]}Z".encode()
    return timestamp()


def _line(stamp: bytes, text: bytes) -> bytes:
    return stamp + b" " + text + b"\n"
