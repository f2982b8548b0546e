"""From a job's raw output to log lines: cut into lines, secrets covered, each after a timestamp."""

from collections.abc import Iterable

from callboard.executors.launcher.logfile import timestamp

MAX_LINE_BYTES = 64 * 1024
MIN_SECRET_BYTES = 4
"""Shorter values are not covered: they would blot out half of any log and protect nothing."""


class Redactor:
    """Covers secret values with asterisks. The longest go first, as one may contain another."""

    def __init__(self, secrets: Iterable[str]) -> None:
        values = {line.encode() for secret in secrets for line in secret.splitlines()}
        wanted = [value for value in values if len(value) >= MIN_SECRET_BYTES]
        self._values = sorted(wanted, key=len, reverse=True)
        self.longest = len(self._values[0]) if self._values else 0

    def cover(self, data: bytes) -> bytes:
        for value in self._values:
            data = data.replace(value, b"*" * len(value))
        return data


class LineCutter:
    """Cuts one stream into stamped lines. A line is held back until it is whole, at most 64 KiB of it.

    Secrets are covered in whole lines, and before long ones are cut: a value that arrives in two reads, or
    lies across a cut, is covered too.
    """

    def __init__(self, redactor: Redactor) -> None:
        self._redactor = redactor
        self._rest = b""

    def feed(self, data: bytes) -> bytes:
        """Take what was read, give the log lines that are ready."""
        whole, newline, self._rest = (self._rest + data).rpartition(b"\n")
        lines = _bounded(self._redactor.cover(whole).split(b"\n")) if newline else []
        return _stamped(lines + self._overlong())

    def finish(self) -> bytes:
        """The stream has ended: give the last line if it had no newline."""
        rest, self._rest = self._redactor.cover(self._rest), b""
        return _stamped(_bounded([rest])) if rest else b""

    def _overlong(self) -> list[bytes]:
        """Pieces of an unfinished line over the limit, kept until a secret across the cut must be whole."""
        pieces: list[bytes] = []
        while len(self._rest) > MAX_LINE_BYTES + self._redactor.longest:
            covered = self._redactor.cover(self._rest)
            pieces.append(covered[:MAX_LINE_BYTES])
            self._rest = covered[MAX_LINE_BYTES:]
        return pieces


def _stamped(lines: list[bytes]) -> bytes:
    if not lines:
        return b""
    prefix = timestamp() + b" "
    return prefix + (b"\n" + prefix).join(lines) + b"\n"


def _bounded(lines: list[bytes]) -> list[bytes]:
    """Cut lines over the limit in pieces; nothing is lost."""
    if all(len(line) <= MAX_LINE_BYTES for line in lines):
        return lines
    return [piece for line in lines for piece in _pieces(line)]


def _pieces(line: bytes) -> list[bytes]:
    starts = range(0, len(line), MAX_LINE_BYTES) or range(1)
    return [line[start : start + MAX_LINE_BYTES] for start in starts]
