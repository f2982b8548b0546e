"""The server's connection to the launcher: kept up, whatever happens to either side.

Starts a launcher where none serves. When the connection breaks it connects again, and asks again what had no
answer yet: every request may be asked twice. Not imported by the launcher itself.
"""

import asyncio
import itertools
import json
import os
import sys
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import asdict
from pathlib import Path
from typing import Any, TypeAlias

import structlog

from callboard.executors.launcher import protocol
from callboard.executors.launcher.protocol import Options

log = structlog.get_logger()

_READ_BYTES = 256 * 1024
_RETRY_SECS = (0.1, 0.5, 2, 5, 15)
_PASSED_ON = ("PATH", "LANG", "LC_ALL", "TMPDIR", "PYTHONPATH", "LD_LIBRARY_PATH")


_Streams: TypeAlias = tuple[asyncio.StreamReader, asyncio.StreamWriter]


class LauncherFailed(Exception):
    """The launcher could not be started, or refused a request."""


class Link:
    """`on_list` hears the launcher's state after each connecting, before any notice; `on_notice` the notices."""

    def __init__(
        self,
        folder: Path,
        options: Options,
        *,
        on_list: Callable[[Mapping[str, Any]], None],
        on_notice: Callable[[Mapping[str, Any]], None],
    ) -> None:
        self._folder, self._options = folder, options
        self._on_list, self._on_notice = on_list, on_notice
        self._writer: asyncio.StreamWriter | None = None
        self._keeping_up: asyncio.Task[None] | None = None
        self._closing = False
        self._numbers = itertools.count(1)
        self._list_number = 0
        self._listed = asyncio.Event()
        self._pending: dict[int, _Request] = {}

    async def open(self) -> None:
        """Returns after `on_list`. Raises LauncherFailed when there is no launcher and none can be started."""
        streams = await self._connect()
        self._keeping_up = asyncio.create_task(self._keep_up(streams))
        await self._listed.wait()

    async def replace_launcher(self) -> None:
        """Have the launcher, which must be without jobs, leave for a new one with our options."""
        await self.ask("shutdown", kill=False)
        self._listed.clear()
        await self._listed.wait()

    async def close(self) -> None:
        """Disconnect; the launcher stays."""
        self._closing = True
        if self._writer:
            self._writer.close()
        if self._keeping_up:
            self._keeping_up.cancel()
            await asyncio.wait([self._keeping_up])

    async def shut_down(self) -> None:
        """Have the launcher kill all jobs and leave. Returns when it is gone."""
        if self._keeping_up:
            await self.ask("shutdown", kill=True)
            self._closing = True
            await asyncio.wait([self._keeping_up])

    async def ask(self, do: str, **fields: Any) -> Mapping[str, Any]:
        """Answered also when the connection breaks meanwhile. Raises LauncherFailed for a refusal."""
        number = next(self._numbers)
        request = _Request(protocol.encode({"n": number, "do": do, **fields}))
        self._pending[number] = request
        if self._writer:
            self._writer.write(request.message)
        try:
            answer = await request.answer
        finally:
            del self._pending[number]
        if "error" in answer:
            raise LauncherFailed(answer["error"])
        return answer

    async def _keep_up(self, streams: _Streams) -> None:
        while True:
            self._greet(streams[1])
            await self._read(streams[0])
            self._writer = None
            streams[1].close()
            if self._closing:
                return
            log.warning("launcher.connection_lost")
            streams = await self._connect_again()

    def _greet(self, writer: asyncio.StreamWriter) -> None:
        """Ask for the state first, then again for what had no answer."""
        self._listed.clear()
        self._list_number = next(self._numbers)
        writer.write(protocol.encode({"n": self._list_number, "do": "list"}))
        for request in self._pending.values():
            writer.write(request.message)
        self._writer = writer

    async def _read(self, reader: asyncio.StreamReader) -> None:
        """Until the other side is gone, or makes no sense."""
        decoder = protocol.Decoder()
        with suppress(OSError, ValueError):
            while data := await reader.read(_READ_BYTES):
                for message in decoder.feed(data):
                    self._take(message)

    def _take(self, message: Mapping[str, Any]) -> None:
        number = message.get("reply")
        if number is None:
            self._on_notice(message)
        elif number == self._list_number:
            self._on_list(message)
            self._listed.set()
        elif (request := self._pending.get(number)) and not request.answer.done():
            request.answer.set_result(message)

    async def _connect_again(self) -> _Streams:
        for secs in itertools.chain(_RETRY_SECS, itertools.repeat(_RETRY_SECS[-1])):
            try:
                return await self._connect()
            except LauncherFailed as error:
                log.error("launcher.not_started", error=str(error), retry_secs=secs)
            await asyncio.sleep(secs)
        raise AssertionError("unreachable: the delays never end")

    async def _connect(self) -> _Streams:
        try:
            connection = protocol.connect(self._folder)
        except OSError:
            await self._start_launcher()
            connection = protocol.connect(self._folder)
        return await asyncio.open_unix_connection(sock=connection)

    async def _start_launcher(self) -> None:
        """It detaches itself; what is awaited is its word that it serves."""
        options = json.dumps(asdict(self._options))
        process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-P", "-m", "callboard.executors.launcher"),
            *(str(self._folder), options),
            env={name: value for name, value in os.environ.items() if name in _PASSED_ON},
            stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.DEVNULL,
            stderr=asyncio.subprocess.PIPE,
            start_new_session=True,
        )
        _, stderr = await process.communicate()
        if process.returncode != 0:
            raise LauncherFailed(stderr.decode(errors="replace").strip() or "no reason given")


class _Request:
    def __init__(self, message: bytes) -> None:
        self.message = message
        loop = asyncio.get_running_loop()
        self.answer: asyncio.Future[Mapping[str, Any]] = loop.create_future()
