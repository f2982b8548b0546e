"""Reading logs of runs and builds, whole or as they grow."""

import asyncio
import re
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path
from typing import TypeAlias

import structlog

from callboard.core.caller import Caller
from callboard.core.errors import ApiError
from callboard.core.signals import Signals
from callboard.executors.launcher import logfile

log = structlog.get_logger()

CHUNK_BYTES = 256 * 1024
# Colours and cursor movement (CSI), titles (OSC) and the two-character escapes.
_ANSI = re.compile(rb"\x1b(?:\[[0-?]*[ -/]*[@-~]|\][^\x07\x1b]*(?:\x07|\x1b\\)|[@-Z\\-_])")

FindJob: TypeAlias = Callable[[Caller | None, str], Awaitable[bool | None]]
"""Whether the run or build has ended, None when there is none. Raises ApiError when the caller may not read it."""


class LogNotFound(ApiError):
    status, type = 404, "record-not-found"
    message = "Log was not found"


def log_topic(log_id: str) -> str:
    """Signalled when the log grows."""
    return f"log:{log_id}"


def job_topic(job_id: str) -> str:
    """Signalled when the run or build of that id has ended, or is for others to read than before."""
    return f"job:{job_id}"


class LogService:
    """Logs are files, one for each run and build, written by the launcher and by the supervisors."""

    def __init__(self, folder: Path, signals: Signals, *, find_job: FindJob) -> None:
        self._folder = folder
        self._signals = signals
        self._find_job = find_job
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)

    def path(self, log_id: str) -> Path:
        return self._folder / f"{log_id}.log"

    def append(self, log_id: str, text: str) -> None:
        """Add a line of the platform's own. A full disk costs the line, nothing else."""
        try:
            logfile.append(self.path(log_id), f"ACTOR: {text}")
        except OSError as error:
            log.warning("log.not_written", log_id=log_id, error=str(error))
        self._signals.notify(log_topic(log_id))

    def remove(self, log_id: str) -> None:
        self.path(log_id).unlink(missing_ok=True)

    async def require(self, caller: Caller | None, log_id: str) -> None:
        """Raise LogNotFound, or another ApiError, unless there is such a run or build and the caller may read it."""
        if await self._find_job(caller, log_id) is None:
            raise LogNotFound

    async def whole(self, log_id: str, *, raw: bool) -> AsyncIterator[bytes]:
        """The log as it is now."""
        path = self.path(log_id)
        offset, end = await asyncio.to_thread(logfile.bounds, path)
        clean = _Cleaner(raw)
        while offset < end:
            data, offset = await asyncio.to_thread(
                logfile.read, path, offset, min(CHUNK_BYTES, end - offset)
            )
            if not data:
                break
            yield clean.feed(data)
        yield clean.rest()

    async def follow(
        self, caller: Caller | None, log_id: str, *, raw: bool
    ) -> AsyncIterator[bytes]:
        """The log so far and everything added to it, until its run or build has ended."""
        path = self.path(log_id)
        offset = 0
        clean = _Cleaner(raw)
        async with (
            self._signals.listen(log_topic(log_id)) as growth,
            self._signals.listen(job_topic(log_id)) as change,
        ):
            while True:
                # Asked before reading: what was written before the end is then surely read.
                has_ended = await self._has_ended(caller, log_id)
                while True:
                    data, offset = await asyncio.to_thread(logfile.read, path, offset, CHUNK_BYTES)
                    if not data:
                        break
                    yield clean.feed(data)
                if has_ended:
                    yield clean.rest()
                    return
                await _first_of(growth.wait(), change.wait())

    async def _has_ended(self, caller: Caller | None, log_id: str) -> bool:
        try:
            return await self._find_job(caller, log_id) is not False
        except ApiError:  # not the caller's to read any more
            return True


class _Cleaner:
    """Takes terminal escapes out, also those cut in two by a read."""

    def __init__(self, raw: bool) -> None:
        self._raw = raw
        self._held = b""

    def feed(self, data: bytes) -> bytes:
        if self._raw:
            return data
        data = self._held + data
        cut = data.rfind(b"\x1b", max(0, len(data) - 64))
        if cut >= 0 and not _ANSI.match(data, cut):
            data, self._held = data[:cut], data[cut:]
        else:
            self._held = b""
        return _ANSI.sub(b"", data)

    def rest(self) -> bytes:
        held, self._held = self._held, b""
        return _ANSI.sub(b"", held)


async def _first_of(*waits: Awaitable[bool]) -> None:
    tasks = [asyncio.ensure_future(wait) for wait in waits]
    try:
        await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
    finally:
        for task in tasks:
            task.cancel()
