"""Large exports: memory stays flat, and others are served meanwhile."""

import asyncio
import json
from collections.abc import AsyncIterator, Callable
from pathlib import Path

import aiohttp

from tests.api.dataset_client import DatasetClient
from tests.server import Client, Server

ITEMS = 30_000
MAX_GROWTH_KIB = 64 * 1024


def anonymous_kib(pid: int) -> int:
    """Memory of the process's own. Pages of the database file that the system keeps mapped are not counted."""
    status = Path(f"/proc/{pid}/status").read_text()
    return next(int(line.split()[1]) for line in status.splitlines() if line[:8] == "RssAnon:")


async def large(api: Client, count: int) -> DatasetClient:
    """A dataset of `count` items of 1.6 kB."""
    dataset = await DatasetClient.create(api)
    item = json.dumps({"n": 0, "text": "x" * 1550, "nested": {"list": [1, 2]}})
    body = f"[{','.join([item] * 5000)}]".encode()
    for _ in range(count // 5000):
        assert (await dataset.send(body)).status == 201
    return dataset


async def stream(dataset: DatasetClient, **params: str) -> AsyncIterator[bytes]:
    headers = {"Authorization": f"Bearer {dataset.api.token}", "Accept-Encoding": "identity"}
    async with aiohttp.ClientSession(headers=headers) as session:
        url = f"{dataset.api.url}{dataset.path}/items"
        async with session.get(url, params=params) as response:
            assert response.status == 200
            async for chunk in response.content.iter_chunked(1_048_576):
                yield chunk


async def test_memory_does_not_grow_with_the_number_of_items(new_server: Callable[..., Server]):
    server = new_server()
    async with Client(server.url, server.token, "admin") as api:
        dataset = await large(api, ITEMS)
        for params, lines in (({"format": "jsonl"}, ITEMS), ({"format": "csv"}, ITEMS + 1)):
            before, peak, count = anonymous_kib(server.pid), 0, 0
            async for chunk in stream(dataset, **params):
                count += chunk.count(b"\n")
                peak = max(peak, anonymous_kib(server.pid))
            assert count == lines
            assert peak - before < MAX_GROWTH_KIB


async def test_others_are_served_while_an_export_runs_and_after_it_was_dropped(api: Client):
    dataset = await large(api, 10_000)
    export = stream(dataset, format="xml")
    await anext(export)
    answers = await asyncio.gather(*[dataset.info() for _ in range(20)])
    assert {answer["itemCount"] for answer in answers} == {10_000}
    await export.aclose()
    assert len(await dataset.items(limit=2, offset=9_998)) == 2
