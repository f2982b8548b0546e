"""Servers that die at a named step, and start again in a moment."""

import asyncio
import contextlib
import json
import os
import signal
import subprocess
import sys
from collections.abc import AsyncGenerator, Awaitable, Mapping, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Self

import aiohttp
import pytest

from tests.server import Client, Reply, Server

PROGRAM = Path(__file__).with_name("mortal_server.py")
_DEATH_SECS = 30


class MortalServer(Server):
    """A server that can be told at which of `steps` (see `deaths`) to die."""

    def __init__(
        self,
        data_dir: Path,
        steps: Sequence[str] = (),
        *,
        environment: Mapping[str, str] | None = None,
        **settings: str,
    ) -> None:
        super().__init__(data_dir, **settings)
        self._steps = steps
        self._environment = environment or {}
        self._due = data_dir.with_name(f"{data_dir.name}.due")
        self._driver: subprocess.Popen[str] | None = None
        self._pid = 0

    @property
    def pid(self) -> int:
        return self._pid

    def start(self) -> Self:
        """Returns once it serves. Raises AssertionError when it dies before."""
        self.begin()
        self.banner = self._read_until("  clients")
        return self

    def begin(self) -> None:
        """Start it without waiting for more than its process."""
        self._driver = self._driver or self._start_driver()
        assert self._driver.stdin is not None
        self._driver.stdin.write(
            json.dumps({"data_dir": str(self.data_dir), "port": self.port}) + "\n"
        )
        self._driver.stdin.flush()
        self._pid = int(self._read_until("pid ").split()[-1])

    def _start_driver(self) -> subprocess.Popen[str]:
        environment = {
            **os.environ,
            **{f"CALLBOARD_{name.upper()}": value for name, value in self.settings.items()},
            "PYTHONPATH": str(PROGRAM.parent.parent),
            **self._environment,
        }
        with (self.data_dir.parent / f"{self.data_dir.name}.err").open("ab") as errors:
            return subprocess.Popen(
                [sys.executable, str(PROGRAM), json.dumps(self._steps), str(self._due)],
                env=environment,
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=errors,
                text=True,
            )

    def _read_until(self, word: str) -> str:
        assert self._driver is not None and self._driver.stdout is not None
        lines: list[str] = []
        for line in self._driver.stdout:
            lines.append(line)
            if line.startswith(word):
                return "".join(lines)
            assert not line.startswith("ended"), f"the server ended: {line}{self.errors()}"
        raise AssertionError(f"the servers are gone: {self.errors()}")

    def until_ended(self) -> int:
        """Wait for its end: its exit code."""
        code = int(self._read_until("ended").split()[-1])
        self._pid = 0
        return code

    def stop(self, how: signal.Signals = signal.SIGINT) -> int:
        if self._pid:
            os.kill(self._pid, how)
            return self.until_ended()
        return 0

    def close(self) -> None:
        """Stop it with all its jobs, for good."""
        try:
            self.stop()
        finally:
            if self._driver is not None:
                self._driver.communicate(timeout=_DEATH_SECS)

    @asynccontextmanager
    async def dying_at(self, step: str) -> AsyncGenerator[None]:
        """The block leads the server to the step. After it the next server is there."""
        assert step in self._steps, step
        self._due.write_text(step)
        try:
            yield
            async with asyncio.timeout(_DEATH_SECS):
                assert await asyncio.to_thread(self.until_ended) == -signal.SIGKILL
        finally:
            self._due.unlink()
        await asyncio.to_thread(self.start)


async def cut_off(request: Awaitable[Reply]) -> Reply | None:
    """The answer, or None when the server died before it gave one."""
    with contextlib.suppress(aiohttp.ClientError):
        return await request
    return None


def at_each(steps: dict[str, str]) -> pytest.MarkDecorator:
    """Steps by what is the matter then."""
    return pytest.mark.parametrize("step", list(steps.values()), ids=list(steps))


async def until_idle(server: Server, api: Client) -> None:
    """Return once all runs and builds are over: no memory is reserved, and no job on record."""
    jobs = server.data_dir / "launcher" / "jobs"
    async with asyncio.timeout(10):
        while await _used_mbytes(api) or os.listdir(jobs):
            await asyncio.sleep(0.05)


async def _used_mbytes(api: Client) -> float:
    text = (await api.get("/metrics")).body.decode()
    return float(text.partition("\ncallboard_run_memory_used_mbytes ")[2].split()[0])
