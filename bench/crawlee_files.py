"""Crawlee's own file storage, in this process: what an Actor without a platform would write to."""

import asyncio
from collections.abc import Coroutine, Sequence
from pathlib import Path
from typing import Any, Self

from crawlee import Request, service_locator
from crawlee.configuration import Configuration
from crawlee.storage_clients import FileSystemStorageClient


class CrawleeFiles:
    """A dataset, a key-value store and a request queue in a folder."""

    def __init__(self, folder: Path) -> None:
        self._configuration = Configuration(storage_dir=str(folder), purge_on_start=False)

    def __enter__(self) -> Self:
        self._runner = asyncio.Runner()
        self._do(self._open())
        return self

    def __exit__(self, *_: object) -> None:
        self._runner.close()

    async def _open(self) -> None:
        service_locator.set_configuration(self._configuration)
        client = FileSystemStorageClient()
        self._dataset = await client.create_dataset_client(configuration=self._configuration)
        self._store = await client.create_kvs_client(configuration=self._configuration)
        self._queue = await client.create_rq_client(configuration=self._configuration)

    def _do(self, work: Coroutine[Any, Any, None]) -> None:
        self._runner.run(work)

    def push_each(self, items: Sequence[dict[str, Any]]) -> None:
        """A call for each item."""

        async def work() -> None:
            for item in items:
                await self._dataset.push_data(item)

        self._do(work())

    def push(self, items: Sequence[dict[str, Any]]) -> None:
        """All in one call."""

        async def work() -> None:
            await self._dataset.push_data(list(items))

        self._do(work())

    def set_values(self, keys: Sequence[str], value: dict[str, Any]) -> None:
        async def work() -> None:
            for key in keys:
                await self._store.set_value(key=key, value=value)

        self._do(work())

    def get_values(self, keys: Sequence[str]) -> None:
        async def work() -> None:
            for key in keys:
                assert await self._store.get_value(key=key) is not None

        self._do(work())

    def add_requests(self, urls: Sequence[str]) -> None:
        async def work() -> None:
            await self._queue.add_batch_of_requests([Request.from_url(url) for url in urls])

        self._do(work())

    def handle_requests(self, count: int, tasks: int = 1) -> None:
        """Fetch and mark as handled, one after the other; `tasks` at once, each of them so many."""

        async def work() -> None:
            for _ in range(count):
                request = await self._queue.fetch_next_request()
                assert request is not None
                await self._queue.mark_request_as_handled(request)

        async def all_of_them() -> None:
            await asyncio.gather(*(work() for _ in range(tasks)))

        self._do(all_of_them())
