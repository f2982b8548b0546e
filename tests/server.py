"""A real server in a process of its own, and a small HTTP client for it."""

import asyncio
import json
import os
import signal
import socket
import subprocess
import sys
from collections.abc import AsyncGenerator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

import aiohttp

from callboard.core.ids import new_id
from callboard.core.vault import Vault
from callboard.db.sqlite import SqliteDatabase
from callboard.runs import repository as run_rows
from callboard.users.service import UserService

START_SECS = 60


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


class Server:
    """`callboard up` on a folder. Can be killed and started again on the same port."""

    def __init__(
        self,
        data_dir: Path,
        *,
        command: Sequence[str] = (sys.executable,),
        environment: Mapping[str, str] | None = None,
        **settings: str,
    ) -> None:
        """`command` starts the Python to use, with more in its environment."""
        self.data_dir = data_dir
        self.command = command
        self.environment = environment or {}
        self.port = free_port()
        self.settings = settings
        self.process: subprocess.Popen[str] | None = None

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    @property
    def token(self) -> str:
        return (self.data_dir / "token").read_text().strip()

    @property
    def pid(self) -> int:
        assert self.process is not None
        return self.process.pid

    def start(self) -> Self:
        environment = {
            **os.environ,
            **self.environment,
            **{f"CALLBOARD_{name.upper()}": value for name, value in self.settings.items()},
        }
        with (self.data_dir.parent / f"{self.data_dir.name}.err").open("ab") as errors:
            self.process = subprocess.Popen(
                [
                    *self.command,
                    "-m",
                    "callboard",
                    "up",
                    "--data-dir",
                    str(self.data_dir),
                    "--port",
                    str(self.port),
                ],
                env=environment,
                stdout=subprocess.PIPE,
                stderr=errors,
                text=True,
            )
        self.banner = self._read_banner()
        return self

    def _read_banner(self) -> str:
        """Returns once the server says it is ready: it prints its banner when it listens."""
        assert self.process is not None and self.process.stdout is not None
        lines: list[str] = []
        for line in self.process.stdout:
            lines.append(line)
            if line.startswith("  clients"):
                return "".join(lines)
        raise AssertionError(f"the server did not start: {self.errors()}")

    def errors(self) -> str:
        return (self.data_dir.parent / f"{self.data_dir.name}.err").read_text()[-4000:]

    def stop(self, how: signal.Signals = signal.SIGINT) -> int:
        """Send a signal and wait for the end."""
        assert self.process is not None
        if self.process.poll() is None:
            self.process.send_signal(how)
        code = self.process.wait(START_SECS)
        if self.process.stdout:
            self.process.stdout.close()
        return code

    def kill(self) -> None:
        self.stop(signal.SIGKILL)

    async def user(self, name: str | None = None) -> tuple[str, str]:
        """A fresh account: its username and a token."""
        username = name or f"user-{new_id()[:10].lower()}"
        async with self.accounts() as accounts:
            await accounts.create(username)
            return username, await accounts.create_token(username)

    @asynccontextmanager
    async def accounts(self) -> AsyncGenerator[UserService]:
        """The server's accounts, as its commands open them."""
        db = await asyncio.to_thread(SqliteDatabase, self.data_dir / "callboard.db")
        try:
            vault = Vault((self.data_dir / "master.key").read_bytes())
            yield UserService(db, vault, find_run_caller=run_rows.caller_of)
        finally:
            await db.close()


@dataclass(frozen=True)
class Reply:
    """A whole answer."""

    status: int
    headers: Mapping[str, str]
    body: bytes

    @property
    def json(self) -> Any:
        return json.loads(self.body)

    @property
    def data(self) -> Any:
        """What is in the envelope of a success."""
        assert self.status < 400, (self.status, self.body[:1000])
        return self.json["data"]

    @property
    def error(self) -> Any:
        """Type and message of an error."""
        assert self.status >= 400, (self.status, self.body[:1000])
        return self.json["error"]


class Client:
    """Speaks HTTP to a server as one account, like curl would. `json=` sends JSON, `data=` raw bytes."""

    def __init__(self, url: str, token: str | None, username: str) -> None:
        self.url = url
        self.token = token
        self.username = username
        self._session: aiohttp.ClientSession | None = None

    async def __aenter__(self) -> Self:
        timeout = aiohttp.ClientTimeout(total=150)
        # auto_decompress off: tests look at the bytes as they were sent.
        connector = aiohttp.TCPConnector(limit=0)
        self._session = aiohttp.ClientSession(
            connector=connector, timeout=timeout, auto_decompress=False
        )
        return self

    async def __aexit__(self, *_: object) -> None:
        assert self._session is not None
        await self._session.close()

    async def request(
        self,
        method: str,
        path: str,
        *,
        params: Mapping[str, Any] | None = None,
        headers: Mapping[str, str] | None = None,
        token: str | None = "",
        **body: Any,
    ) -> Reply:
        """`token=None` sends none; by default the account's own goes with it."""
        assert self._session is not None
        bearer = self.token if token == "" else token
        all_headers = {"Accept-Encoding": "identity", **(headers or {})}
        if bearer is not None:
            all_headers.setdefault("Authorization", f"Bearer {bearer}")
        url = path if path.startswith("http") else self.url + path
        texts = {
            name: str(value).lower() if isinstance(value, bool) else str(value)
            for name, value in (params or {}).items()
        }
        skip = ["Content-Type"] if "data" in body and "Content-Type" not in all_headers else []
        async with self._session.request(
            method, url, params=texts, headers=all_headers, skip_auto_headers=skip, **body
        ) as response:
            return Reply(response.status, response.headers.copy(), await response.read())

    async def until_logged(self, job_id: str, text: str, *, times: int = 1) -> None:
        """Return once the run or build has printed the text so often; its log is followed, not polled."""
        assert self._session is not None
        url = f"{self.url}/v2/logs/{job_id}?stream=1"
        headers = {"Authorization": f"Bearer {self.token}"}
        async with self._session.get(url, headers=headers) as response:
            seen = b""
            while seen.count(text.encode()) < times:
                chunk = await response.content.readany()
                assert chunk, f"the log ended without {text!r}: {seen.decode()}"
                seen += chunk

    async def logged(self, job_id: str) -> list[str]:
        """The lines of a run's or build's log, without the times before them."""
        text = (await self.get(f"/v2/logs/{job_id}")).body.decode()
        return [line.partition(" ")[2] for line in text.splitlines()]

    async def printed(self, job_id: str) -> list[str]:
        """Of these, what its own programs have printed."""
        return [line for line in await self.logged(job_id) if not line.startswith("ACTOR: ")]

    async def get(self, path: str, **options: Any) -> Reply:
        return await self.request("GET", path, **options)

    async def head(self, path: str, **options: Any) -> Reply:
        return await self.request("HEAD", path, **options)

    async def post(self, path: str, **options: Any) -> Reply:
        return await self.request("POST", path, **options)

    async def put(self, path: str, **options: Any) -> Reply:
        return await self.request("PUT", path, **options)

    async def delete(self, path: str, **options: Any) -> Reply:
        return await self.request("DELETE", path, **options)
