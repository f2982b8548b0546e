"""Talking to a container engine: the Docker Engine API from version 1.41 on, over a connection of aiodocker's.

Requests are made through its session rather than its wrappers, which know neither the limits of a build nor the raw
bytes of a log.
"""

import os
import ssl
from collections.abc import AsyncGenerator, Mapping
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, cast
from urllib.parse import quote

import aiodocker
import aiohttp
import msgspec

API_VERSION = "v1.41"
"""The oldest that has all that is used here; newer engines still speak it."""
_ANSWER_SECS = 120.0
_WHOLE_CHUNK_BYTES = 1024 * 1024
_NO_LIMIT = aiohttp.ClientTimeout(total=None, sock_connect=10)
_USUAL = aiohttp.ClientTimeout(total=_ANSWER_SECS, sock_connect=10)


class EngineGone(Exception):
    """The engine does not answer, or stopped answering in the middle. Whether it did what was asked is unknown."""


class EngineRefused(Exception):
    """The engine's own words of why it will not."""

    def __init__(self, status: int, message: str) -> None:
        super().__init__(message)
        self.status = status

    @property
    def is_missing(self) -> bool:
        return self.status == 404

    @property
    def is_conflict(self) -> bool:
        """The thing is there already, or in use."""
        return self.status == 409


class Engine:
    """For use on one event loop, within `async with`."""

    def __init__(self, url: str) -> None:
        """Raises ValueError for a URL that no engine has."""
        self.url = url
        tls = _tls(os.environ)
        plain = _as_http(url, is_secure=tls is not None)
        connector = _connector(plain, tls)
        self._docker = aiodocker.Docker(plain, connector=connector, api_version=API_VERSION)
        host = plain if plain.startswith("http") else "http://localhost"
        self._base = f"{host.rstrip('/')}/{API_VERSION}"

    @property
    def is_here(self) -> bool:
        """Whether it can be on this machine. A socket may still be led elsewhere."""
        return self.url.startswith("unix://")

    async def __aenter__(self) -> "Engine":
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._docker.close()
        if not self._docker.connector.closed:
            await self._docker.connector.close()

    async def ask(
        self,
        method: str,
        path: str,
        *,
        params: Mapping[str, str] | None = None,
        body: object = None,
        patience: aiohttp.ClientTimeout = _USUAL,
    ) -> Any:
        """The JSON of the answer, None when it has none. Raises EngineGone or EngineRefused."""
        async with self.answer(method, path, params=params, body=body, patience=patience) as answer:
            try:
                content = await answer.read()
            except (aiohttp.ClientError, TimeoutError, OSError) as error:
                raise EngineGone(self._lost(error)) from error
        if not content or answer.content_type != "application/json":
            return None
        return msgspec.json.decode(content)

    @asynccontextmanager
    async def answer(
        self,
        method: str,
        path: str,
        *,
        params: Mapping[str, str] | None = None,
        body: object = None,
        patience: aiohttp.ClientTimeout = _NO_LIMIT,
    ) -> AsyncGenerator[aiohttp.ClientResponse]:
        """An answer to be read bit by bit. `body` is sent as JSON, unless it is bytes or a stream of them."""
        headers = {"Content-Type": "application/x-tar"}
        data: Any = body
        if body is None or isinstance(body, dict | list):
            headers = {"Content-Type": "application/json"} if body is not None else {}
            data = msgspec.json.encode(body) if body is not None else None
        try:
            answer = await self._docker.session.request(
                method,
                self._base + path,
                params=params,
                data=data,
                headers=headers,
                timeout=patience,
            )
        except (aiohttp.ClientError, TimeoutError, OSError) as error:
            raise EngineGone(self._lost(error)) from error
        async with answer:
            if answer.status >= 400:
                raise EngineRefused(answer.status, _said(await self.whole(answer)))
            yield answer

    async def whole(self, answer: aiohttp.ClientResponse) -> bytes:
        """All of an answer. Raises EngineGone when it breaks off."""
        return b"".join([data async for data in self.chunks(answer, _WHOLE_CHUNK_BYTES)])

    async def lines(self, answer: aiohttp.ClientResponse) -> AsyncGenerator[bytes]:
        """The lines of an answer as they come, however long. Raises EngineGone when it breaks off."""
        rest = b""
        async for data in self.chunks(answer, _WHOLE_CHUNK_BYTES):
            *lines, rest = (rest + data).split(b"\n")
            for line in lines:
                yield line
        if rest:
            yield rest

    async def chunks(
        self, answer: aiohttp.ClientResponse, size_bytes: int
    ) -> AsyncGenerator[bytes]:
        """The bytes of an answer as they come. Raises EngineGone when it breaks off."""
        try:
            async for data in answer.content.iter_any():
                for start in range(0, len(data), size_bytes):
                    yield data[start : start + size_bytes]
        except (aiohttp.ClientError, TimeoutError, OSError) as error:
            raise EngineGone(self._lost(error)) from error

    def _lost(self, error: BaseException) -> str:
        return (
            f"the container engine at {self.url} does not answer: {error or type(error).__name__}"
        )


def path_of(*parts: str) -> str:
    """A path of the API, each part of it escaped."""
    return "".join(f"/{quote(part, safe='')}" for part in parts)


def default_url(environ: Mapping[str, str]) -> str:
    """Where the engine is, as Docker's own tools find it."""
    return environ.get("DOCKER_HOST") or "unix:///var/run/docker.sock"


def _as_http(url: str, *, is_secure: bool) -> str:
    if url.startswith("tcp://"):
        return f"{'https' if is_secure else 'http'}://{url.removeprefix('tcp://')}"
    return url


def _connector(url: str, tls: ssl.SSLContext | None) -> aiohttp.BaseConnector | None:
    """Without a limit of connections: each running container holds a few. None leaves it to aiodocker."""
    if url.startswith("unix://"):
        return aiohttp.UnixConnector(url.removeprefix("unix://"), limit=0)
    if url.startswith(("http://", "https://")):
        return aiohttp.TCPConnector(limit=0, ssl=tls or True)
    return None


def _tls(environ: Mapping[str, str]) -> ssl.SSLContext | None:
    folder = environ.get("DOCKER_CERT_PATH")
    if environ.get("DOCKER_TLS_VERIFY") != "1" or not folder:
        return None
    context = ssl.create_default_context(cafile=Path(folder) / "ca.pem")
    context.load_cert_chain(Path(folder) / "cert.pem", Path(folder) / "key.pem")
    return context


def _said(content: bytes) -> str:
    try:
        answer: object = msgspec.json.decode(content)
    except msgspec.DecodeError:
        return content.decode(errors="replace")[:500]
    message = cast("dict[str, object]", answer).get("message") if isinstance(answer, dict) else None
    return str(message)[:2000] if message else "no reason given"
