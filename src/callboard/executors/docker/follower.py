"""Copies a container's log to ours as it grows. A server that is killed and started again goes on where it stopped.

Where that is stands in a file of the job's, `cursor`: written before the lines it speaks of, and holding how long
the log was then, so that the log itself tells whether those lines were written. No line is missing, none there twice.

What is read is cut into lines and written by threads, one piece after the other: a slow disk holds up this log only.
"""

import asyncio
import json
import os
import time
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import astuple, dataclass
from pathlib import Path
from typing import Any

from callboard.executors.docker.cutting import EntryCutter
from callboard.executors.docker.engine import Engine, path_of
from callboard.executors.docker.entries import Entry, EntryReader
from callboard.executors.docker.moments import moment
from callboard.executors.launcher.logfile import LogFile, timestamp

_CHUNK_BYTES = 128 * 1024
_TAIL_BYTES = 400
_CLOCKS_DIFFER_SECS = 60.0
"""An engine elsewhere has a clock of its own."""


@dataclass(frozen=True)
class Position:
    """After the entry number `count` of those with this stamp, which is the newest; of all when there is none."""

    stamp: str = ""
    count: int = 0
    newest: str = ""
    total: int = 0
    """How many have been read."""

    def after(self, entry: Entry) -> "Position":
        total = self.total + 1
        if entry.stamp > self.newest:
            return Position(entry.stamp, 1, entry.stamp, total)
        if entry.stamp == self.stamp:
            return Position(self.stamp, self.count + 1, self.newest, total)
        # The engine's clock was set back: its times do not tell what was read.
        return self._of_all(total)

    def going_on(self, now_secs: float) -> "Position":
        """From where to read on. A time that is still to come is one of before the clock was set back."""
        at = moment(self.stamp)
        is_past = at is None or at.secs <= now_secs + _CLOCKS_DIFFER_SECS
        return self if is_past else self._of_all(self.total)

    def _of_all(self, total: int) -> "Position":
        return Position("", total, self.newest, total)


class Cursor:
    """The position up to which a log is written, in a file that a crash leaves whole or as it was."""

    def __init__(self, path: Path, log_path: Path) -> None:
        self._path, self._log_path = path, log_path

    def load(self) -> Position:
        try:
            saved: Mapping[str, Any] = json.loads(self._path.read_bytes())
            is_written = self._log_path.stat().st_size != saved["log_bytes"]
            return Position(*saved["after" if is_written else "before"])
        except (OSError, ValueError, KeyError, TypeError):
            return Position()

    def save(self, before: Position, after: Position, log_bytes: int) -> None:
        """To be followed at once by the writing of the lines between the two."""
        saved = {
            "log_bytes": log_bytes,
            "before": astuple(before),
            "after": astuple(after),
        }
        fresh = self._path.with_name("cursor.new")
        fresh.write_text(json.dumps(saved))
        fresh.replace(self._path)


class Follower:
    """One container's log. Made in a thread, and used on an event loop, on which `grew` is called for new lines.

    A log that cannot be written, for want of disk space, costs lines but never the job.
    """

    def __init__(
        self, folder: Path, log_path: Path, secrets: tuple[str, ...], grew: Callable[[], None]
    ) -> None:
        self._cursor = Cursor(folder / "cursor", log_path)
        self._log_path = log_path
        self._cutter = EntryCutter(secrets)
        self._grew = grew
        self._at = self._read_to = self._cursor.load()
        self._log = LogFile(log_path)
        self._unwritten_bytes = 0
        self._tail = b""
        self._turn = asyncio.Lock()
        self._is_open = True

    @property
    def last_line(self) -> str:
        """The end of the last line printed, secrets covered."""
        last = self._tail.rstrip(b"\n").rpartition(b"\n")[2]
        return last.partition(b" ")[2].decode(errors="replace")

    async def follow(
        self, engine: Engine, container_id: str, *, until: Callable[[], Awaitable[bool]]
    ) -> None:
        """Copy until the container has ended. Raises EngineGone. May be called again after a failure.

        What has come is not believed, and nothing more read, when `until` says so.
        """
        await self._copy(engine, container_id, {"follow": "1"}, until)

    async def catch_up(self, engine: Engine, container_id: str) -> None:
        """Copy what was missed and can be had at once: an engine ends a following before its end."""
        await self._copy(engine, container_id, {"follow": "0"}, _never)

    async def _copy(
        self,
        engine: Engine,
        container_id: str,
        params: dict[str, str],
        until: Callable[[], Awaitable[bool]],
    ) -> None:
        async with self._turn:
            self._read_to = self._read_to.going_on(time.time())
        which = {"stdout": "1", "stderr": "1", "timestamps": "1", "since": _since(self._read_to)}
        reader, seen = EntryReader(), Skipping(self._read_to)
        path = path_of("containers", container_id, "logs")
        async with engine.answer("GET", path, params={**which, **params}) as answer:
            async for data in engine.chunks(answer, _CHUNK_BYTES):
                if await until():
                    return
                await self._in_turn(self._take, reader, seen, data)

    async def close(self, note: str = "") -> None:
        """Write what is left, then `note` as a line of the platform's own."""
        await self._in_turn(self._finish, note)
        await self.release()

    async def release(self) -> None:
        """Write no more. What is left can be had again by another."""
        async with self._turn:
            if self._is_open:
                self._is_open = False
                self._log.close()

    async def _in_turn(self, work: Callable[..., bool], *args: object) -> None:
        """Also when who asked is gone meanwhile, a piece is written to its end, and before the next."""
        await asyncio.shield(asyncio.ensure_future(self._alone(work, *args)))

    async def _alone(self, work: Callable[..., bool], *args: object) -> None:
        async with self._turn:
            if self._is_open and await asyncio.to_thread(work, *args):
                self._grew()

    def _finish(self, note: str) -> bool:
        grown = self._write(self._cutter.finish(), self._read_to)
        if self._unwritten_bytes:
            lost = f"{self._unwritten_bytes} bytes of output could not be written to the log."
            grown = self._note(lost)
        return self._note(note) if note else grown

    def _take(self, reader: EntryReader, seen: "Skipping", data: bytes) -> bool:
        """Whether the log has grown."""
        lines: list[bytes] = []
        settled = self._at
        for entry in reader.feed(data):
            if not seen.is_new(entry):
                continue
            self._read_to = self._read_to.after(entry)
            lines.append(self._cutter.feed(entry))
            if self._cutter.is_between_lines:
                settled = self._read_to
        return self._write(b"".join(lines), settled)

    def _note(self, text: str) -> bool:
        return self._write(timestamp() + b" ACTOR: " + text.encode() + b"\n", self._at)

    def _write(self, lines: bytes, settled: Position) -> bool:
        if not lines:
            return False
        self._tail = lines[-_TAIL_BYTES:]
        try:
            self._cursor.save(self._at, settled, os.stat(self._log_path).st_size)
            self._log.write(lines)
        except OSError:
            self._unwritten_bytes += len(lines)
        self._at = settled
        return True


class Skipping:
    """Past the entries that were read before and come again: those of the very stamp that is asked for, or all."""

    def __init__(self, position: Position) -> None:
        self._stamp, self._left = position.stamp, position.count

    def is_new(self, entry: Entry) -> bool:
        if self._left and self._stamp in ("", entry.stamp):
            self._left -= 1
            return False
        return True


async def _never() -> bool:
    return False


def _since(position: Position) -> str:
    """The stamp as seconds and nanoseconds, as the engine wants it."""
    at = moment(position.stamp)
    return f"{at.whole_secs}.{at.fraction.ljust(9, '0')}" if at else "0"
