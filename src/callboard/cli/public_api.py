"""The public API as any client sees it: HTTP and JSON, nothing else."""

from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from types import TracebackType
from typing import Any, Self

import aiohttp

from callboard.cli.failures import CommandFailed


class PublicApi:
    """A client of one server and account, for use as an asynchronous context."""

    def __init__(self, base_url: str, token: str) -> None:
        self._session = aiohttp.ClientSession(
            base_url, headers={"Authorization": f"Bearer {token}"}, timeout=_NO_TIMEOUT
        )

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        await self._session.close()

    async def call(self, method: str, path: str, **options: Any) -> Any:
        """The JSON of an answer. Raises CommandFailed with the server's own words."""
        async with self._session.request(method, path, **options) as response:
            answer: Any = await response.json(content_type=None)
            if response.status >= 400:
                raise CommandFailed(f"{method} {path}: {answer['error']['message']}")
            return answer

    async def data(self, method: str, path: str, **options: Any) -> Any:
        """What is in the envelope of an answer."""
        return (await self.call(method, path, **options))["data"]

    async def text(self, path: str) -> str:
        async with self._session.get(path) as response:
            return await response.text()

    @asynccontextmanager
    async def lines(self, path: str) -> AsyncGenerator[aiohttp.StreamReader]:
        """A text as it grows, to be read line by line."""
        async with self._session.get(path) as response:
            yield response.content


_NO_TIMEOUT = aiohttp.ClientTimeout(total=None)
"""A build may be long, and every wait here ends with the server at the latest."""
